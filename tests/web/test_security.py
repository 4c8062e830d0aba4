from typing import Any

import pytest
from starlette.datastructures import Headers

from drink_web.security import CONTENT_POLICY, HEADERS, SecurityHeaders, is_same_origin


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"origin": "http://drink.example"}, True),
        ({"origin": "https://drink.example"}, True),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "null"}, False),
        ({}, False),
        ({"sec-fetch-site": "cross-site", "origin": "http://drink.example"}, False),
    ],
)
def test_only_pages_of_this_origin_change_anything(headers: dict[str, str], expected: bool) -> None:
    sent = Headers({"host": "drink.example", **headers})
    assert is_same_origin("POST", sent) is expected
    assert is_same_origin("GET", sent)


def test_no_code_or_style_is_allowed_in_a_page() -> None:
    assert "default-src 'none'" in CONTENT_POLICY
    assert "unsafe" not in CONTENT_POLICY


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_every_answer_has_the_headers(scheme: str) -> None:
    sent = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        sent.append(message)

    await SecurityHeaders(app)({"type": "http", "scheme": scheme}, None, send)  # type: ignore[arg-type]
    headers = {key.decode(): text.decode() for key, text in sent[0]["headers"]}
    assert headers.items() >= HEADERS.items()
    assert headers["cache-control"] == "no-store"
    assert ("strict-transport-security" in headers) is (scheme == "https")
