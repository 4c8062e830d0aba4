"""The pictures of items as files."""

from starlette.responses import PlainTextResponse, Response

from drink_web.errors import CallError
from drink_web.visit import Visit

KINDS = ("image/jpeg", "image/png", "image/webp")
"""Media types that are served as what they are."""


async def show(visit: Visit) -> Response:
    """GET /pictures/{item}?v=...: the picture of an item.

    The address that pages use changes with the picture, so that browsers may keep it for ever.
    """
    item = f"items/{visit.request.path_params['item']}"
    picture = visit.site.house.pictures.known.get(item)
    if picture is None:
        return PlainTextResponse("Not found", 404)
    is_this = visit.query.get("v") == picture.etag
    headers = {
        "cache-control": "public, max-age=31536000, immutable" if is_this else "no-cache",
        "etag": f'"{picture.etag}"',
    }
    if headers["etag"] in visit.request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    try:
        # For this process: what a picture costs is shared by all browsers.
        file = await visit.site.house.pictures.file(item, visit.site.api.caller())
    except CallError as error:
        return PlainTextResponse("Try again", 503 if error.is_away else 404)
    if file is None or file.media_type not in KINDS:
        return PlainTextResponse("Not found", 404)
    return Response(file.content, media_type=file.media_type, headers=headers)
