"""Bodies of requests: small, in time, and of plain fields where they are forms."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from drink_web.errors import PageError

FIELDS_MAX = 128
"""Fields of a form; the largest has one for each of a machine's 99 slots."""


UPLOAD_FIELDS_BYTES_MAX = 8_192
"""Bytes of an uploaded form beside its file."""


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


async def read_upload(
    request: Request, name: str, *, bytes_max: int, limit_s: float
) -> tuple[Mapping[str, str], bytes]:
    """The fields and the file of a posted form.

    Args:
        request: The request.
        name: Of the field with the file.
        bytes_max: Bytes of the largest file.
        limit_s: Seconds that all of it may take to arrive.

    Returns:
        The other fields, and the content of the file, empty if there is none.

    Raises:
        PageError: it is too large, which its length says before it is read; too slow; or no form.
    """
    # Boundaries and other fields come with the file.
    whole_max = bytes_max + UPLOAD_FIELDS_BYTES_MAX
    said = request.headers.get("content-length", "0")
    if not said.isascii() or not said.isdecimal() or int(said) > whole_max:
        raise PageError(413, "picture_large")
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "multipart/form-data":
        raise PageError(415, "bad_request")

    async def bounded() -> AsyncGenerator[bytes, None]:
        read = 0
        async for chunk in request.stream():
            read += len(chunk)
            if read > whole_max:
                raise PageError(413, "picture_large")
            yield chunk

    parser = MultiPartParser(
        request.headers, bounded(), max_files=1, max_fields=4, max_part_size=1_024
    )
    try:
        async with asyncio.timeout(limit_s):
            form = await parser.parse()
            try:
                file = form.get(name)
                content = await file.read() if isinstance(file, UploadFile) else b""
            finally:
                await form.close()
    except TimeoutError:
        raise PageError(408, "too_slow") from None
    except (MultiPartException, UnicodeDecodeError):
        raise PageError(400, "bad_request") from None
    if len(content) > bytes_max:
        raise PageError(413, "picture_large")
    return {key: text for key, text in form.items() if isinstance(text, str)}, content


def untouched(form: Mapping[str, str], field: str) -> bool:
    """Whether a field of a form has the value that its page showed, in the field `shown.FIELD`.

    Such a field is not sent to the frontend, so that a page that was drawn before somebody else's
    change does not undo that change.
    """
    shown = form.get(f"shown.{field}")
    return shown is not None and form.get(field, "").strip() == shown.strip()


def touched(
    form: Mapping[str, str], fields: Mapping[str, Any], inputs: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The fields of a request that are not `untouched`.

    Args:
        form: The form as it was sent.
        fields: What was read from it, by the request's names.
        inputs: The form's names for those fields that have another one there.
    """
    names = inputs or {}
    return {
        field: value
        for field, value in fields.items()
        if not untouched(form, names.get(field, field))
    }


def local_path(text: str) -> str:
    """A path of this page to go to next; `/` for anything else, such as another site's address."""
    plain = text.startswith("/") and not text.startswith(("//", "/\\"))
    return text if plain and text.isprintable() and len(text) <= 200 and "\\" not in text else "/"
