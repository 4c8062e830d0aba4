import asyncio
from typing import Any

import pytest
from starlette.requests import Request

from drink_web.errors import PageError
from drink_web.forms import FIELDS_MAX, local_path, read_form

FORM = b"application/x-www-form-urlencoded"


def request(body: bytes, kind: bytes = FORM, *, ends: bool = True) -> Request:
    messages: list[Any] = [{"type": "http.request", "body": body, "more_body": not ends}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        return await asyncio.Event().wait()

    return Request(
        {"type": "http", "method": "POST", "headers": [(b"content-type", kind)]}, receive
    )


async def test_fields_are_read() -> None:
    form = await read_form(request(b"a=1&b=%C3%BC+x&c="), bytes_max=100, limit_s=5)
    assert form == {"a": "1", "b": "ü x", "c": ""}


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"a=" + b"x" * 1_000, FORM, 413),
        (b"{}", b"application/json", 415),
        (b"a=%ff", FORM, 400),
        (b"a=\xff", FORM, 400),
        (b"&".join(b"a=1" for _ in range(FIELDS_MAX + 1)), FORM, 400),
    ],
)
async def test_anything_else_is_refused(body: bytes, kind: bytes, status: int) -> None:
    with pytest.raises(PageError) as caught:
        await read_form(request(body, kind), bytes_max=1_000, limit_s=5)
    assert caught.value.status == status


async def test_a_body_that_does_not_arrive_is_not_waited_for() -> None:
    with pytest.raises(PageError) as caught:
        await read_form(request(b"a=1", ends=False), bytes_max=100, limit_s=0.01)
    assert caught.value.status == 408


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/account", "/account"),
        ("/machines/d/1", "/machines/d/1"),
        ("", "/"),
        ("https://evil.example", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/a\\b", "/"),
        ("/a\nb", "/"),
        ("/" + "a" * 300, "/"),
    ],
)
def test_only_this_page_is_gone_to(text: str, expected: str) -> None:
    assert local_path(text) == expected
