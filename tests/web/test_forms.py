import asyncio
from typing import Any

import pytest
from starlette.requests import Request

from drink_web.errors import PageError
from drink_web.forms import FIELDS_MAX, local_path, read_form, read_upload, touched, untouched

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


UPLOAD = b"multipart/form-data; boundary=x"
FILE = (
    b'--x\r\nContent-Disposition: form-data; name="note"\r\n\r\nhi\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\ncontent\r\n--x--\r\n'
)


async def test_a_file_is_read_with_its_fields() -> None:
    fields, content = await read_upload(request(FILE, UPLOAD), "file", bytes_max=7, limit_s=5)
    assert (fields, content) == ({"note": "hi"}, b"content")


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (FILE, FORM, 415),
        (FILE, b"multipart/form-data", 400),
        (FILE.replace(b"content", b"x" * 8), UPLOAD, 413),
        (FILE + b"x" * 9_000, UPLOAD, 413),
        (b"--y\r\n", UPLOAD, 400),
    ],
)
async def test_other_uploads_are_refused(body: bytes, kind: bytes, status: int) -> None:
    with pytest.raises(PageError) as caught:
        await read_upload(request(body, kind), "file", bytes_max=7, limit_s=5)
    assert caught.value.status == status


async def test_an_upload_that_does_not_arrive_is_not_waited_for() -> None:
    sent = request(FILE[:90], UPLOAD, ends=False)
    with pytest.raises(PageError) as caught:
        await read_upload(sent, "file", bytes_max=7, limit_s=0.01)
    assert caught.value.status == 408


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"price": "50", "shown.price": "50"}, True),
        ({"price": " 50 ", "shown.price": "50"}, True),
        ({"shown.price": ""}, True),
        ({"price": "60", "shown.price": "50"}, False),
        ({"shown.price": "50"}, False),
        ({"price": "50"}, False),
    ],
)
def test_a_field_is_untouched_that_has_what_was_shown(form: dict[str, str], expected: bool) -> None:
    assert untouched(form, "price") is expected


def test_only_what_was_touched_is_sent() -> None:
    form = {"name": "Tea", "shown.name": "Mate", "price": "50", "shown.price": "50"}
    fields = {"display_name": "Tea", "price": 50, "barcode": ""}
    assert touched(form, fields, {"display_name": "name"}) == {"display_name": "Tea", "barcode": ""}
