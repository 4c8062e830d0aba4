"""Static files: styles, scripts and pictures of this package."""

import gzip
import mimetypes
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

FOLDER = "/assets/"

mimetypes.add_type("application/manifest+json", ".webmanifest")


class Asset(NamedTuple):
    """One file."""

    content: bytes
    packed: bytes
    kind: str
    version: str


class Assets:
    """The files in memory. Their URLs change with their content, so browsers may keep them."""

    def __init__(self) -> None:
        self._files = dict(_read(files("drink_web") / "static", ""))

    def url(self, name: str) -> str:
        """The URL of a file."""
        return f"{FOLDER}{name}?v={self._files[name].version}"

    def respond(self, request: Request) -> Response:
        """Answers a request for a file."""
        found = self._files.get(request.path_params["name"])
        if found is None:
            return PlainTextResponse("Not found", 404)
        is_this = request.query_params.get("v") == found.version
        headers = {
            "cache-control": "public, max-age=31536000, immutable" if is_this else "no-cache",
            "vary": "Accept-Encoding",
        }
        content = found.content
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
            content = found.packed
        return Response(content, media_type=found.kind, headers=headers)


def _read(folder: Traversable, prefix: str) -> list[tuple[str, Asset]]:
    found: list[tuple[str, Asset]] = []
    for entry in folder.iterdir():
        name = prefix + entry.name
        if entry.is_dir():
            found += _read(entry, name + "/")
        else:
            content = entry.read_bytes()
            kind = mimetypes.guess_type(name)[0] or "text/plain"
            version = sha256(content).hexdigest()[:16]
            found.append((name, Asset(content, gzip.compress(content, mtime=0), kind, version)))
    return found
