"""Bodies of requests: small, in time, and of plain fields where they are forms."""

import asyncio
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

from drink_web.errors import PageError

FIELDS_MAX = 128
"""Fields of a form; the largest has one for each of a machine's 99 slots."""


async def read_body(request: Request, *, bytes_max: int, limit_s: float) -> bytes:
    """The body of a request.

    Raises:
        PageError: it is too large or too slow.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(limit_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > bytes_max:
                    raise PageError(413, "too_large")
    except TimeoutError:
        raise PageError(408, "too_slow") from None
    return bytes(body)


async def read_form(request: Request, *, bytes_max: int, limit_s: float) -> Mapping[str, str]:
    """The fields of a posted form; of one that is there twice, the last.

    Raises:
        PageError: it is too large or too slow, or is no form.
    """
    body = await read_body(request, bytes_max=bytes_max, limit_s=limit_s)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and kind != "application/x-www-form-urlencoded":
        raise PageError(415, "bad_request")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict"
        )
    except ValueError:
        raise PageError(400, "bad_request") from None
    return dict(pairs)


def local_path(text: str) -> str:
    """A path of this page to go to next; `/` for anything else, such as another site's address."""
    plain = text.startswith("/") and not text.startswith(("//", "/\\"))
    return text if plain and text.isprintable() and len(text) <= 200 and "\\" not in text else "/"
