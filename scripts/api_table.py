"""Writes the table of all methods in docs/api.md, from the protos and the rights in the code.

What a method does is the first sentence of its comment in the protos. A comment that says
"Administrators only.", at the method or at its service, says who may call it; a test calls each
method without the rights. Who else may call it, and with which tokens, is what
`drink_frontend.rpc.authentication` says.

Usage: python -m scripts.api_table [--check]
"""

import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from drink_frontend.domain.tokens import Scope
from drink_frontend.rpc.authentication import Access, access_of, scopes_of
from scripts.gen_protos import described
from scripts.proof_tables import filled

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "api.md"

PACKAGE = "drink.v1"
HEAD = (
    "| service | method | what it does | for | limited tokens | `request_id` |\n"
    "| --- | --- | --- | --- | --- | --- |"
)
ADMINISTRATORS_ONLY = "Administrators only."
WORDS = {Scope.DROP: "drop only", Scope.READ: "read only"}

_MESSAGES, _SERVICES = 4, 6
_FIELDS, _METHODS = 2, 2
"""Numbers of the fields of the descriptors, of which the paths to the comments consist."""


@dataclass(frozen=True)
class Method:
    """A method as the protos describe it.

    Attributes:
        service: Its service, without the package.
        name: Its own name.
        summary: First sentence of its comment.
        administrators_only: Whether its comment or that of its service says so.
        request_id: The comment of the field `request_id` of its request; None without that field.
    """

    service: str
    name: str
    summary: str
    administrators_only: bool
    request_id: str | None


def methods(files: FileDescriptorSet) -> Iterator[Method]:
    """The methods of the package's services, in the order of the files.

    Raises:
        ValueError: a method has no comment.
    """
    for file in files.file:
        if file.package == PACKAGE:
            yield from _methods_of(file)


def _methods_of(file: FileDescriptorProto) -> Iterator[Method]:
    comments = {
        tuple(place.path): " ".join(place.leading_comments.split())
        for place in file.source_code_info.location
    }
    request_ids = {
        f".{file.package}.{message.name}": comments.get((_MESSAGES, number, _FIELDS, place), "")
        for number, message in enumerate(file.message_type)
        for place, field in enumerate(message.field)
        if field.name == "request_id"
    }
    for number, service in enumerate(file.service):
        about_service = comments.get((_SERVICES, number), "")
        for place, method in enumerate(service.method):
            about = comments.get((_SERVICES, number, _METHODS, place), "")
            yield Method(
                service.name,
                method.name,
                first_sentence(about, f"{service.name}.{method.name}"),
                ADMINISTRATORS_ONLY in f"{about} {about_service}",
                request_ids.get(method.input_type),
            )


def first_sentence(comment: str, name: str) -> str:
    """The first sentence of the comment of `name`, without line breaks.

    Raises:
        ValueError: there is none.
    """
    found = re.match(r".+?[.](?= |$)", comment)
    if found is None:
        raise ValueError(f"{name} needs a comment in the protos")
    return found[0].replace("|", "\\|")


def row(method: Method) -> str:
    """The line of the table that describes a method.

    Raises:
        ValueError: a method of administrators is open to others.
    """
    path = f"/{PACKAGE}.{method.service}/{method.name}"
    access = access_of(path)
    if method.administrators_only and access is not Access.USER:
        raise ValueError(f"{path} is for administrators in the protos and open in the code")
    who = {
        Access.ANYONE: "anyone",
        Access.AGENT: "agents",
        Access.KIOSK: "kiosks",
        Access.USER: "users",
    }[access]
    if access is Access.ANYONE:
        tokens = "any"
    else:
        tokens = ", ".join(word for scope, word in WORDS.items() if scope in scopes_of(path))
    request_id = method.request_id
    cells = (
        method.service,
        method.name,
        method.summary,
        "administrators" if method.administrators_only else who,
        tokens,
        ""
        if request_id is None
        else "required"
        if request_id.startswith("Required.")
        else "instead of a name",
    )
    return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


def table(files: FileDescriptorSet) -> str:
    """The table of all methods."""
    return "\n".join([HEAD, *map(row, methods(files))])


def main() -> int:
    """The exit code: with --check, 1 if the page is out of date."""
    with tempfile.TemporaryDirectory() as folder:
        files = FileDescriptorSet.FromString(described(Path(folder) / "image.binpb"))
    old = PAGE.read_text(encoding="utf-8")
    new = filled(old, "methods", table(files))
    if "--check" not in sys.argv:
        PAGE.write_text(new, encoding="utf-8")
    elif new != old:
        print("docs/api.md is not up to date, run `make docs`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
