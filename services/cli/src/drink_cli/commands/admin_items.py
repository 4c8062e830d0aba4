"""Commands of administrators for items."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from drink.v1 import item_service_pb2 as pb
from drink_cli.commands.items import item_facts, picture_words
from drink_cli.context import command, shared
from drink_cli.errors import CommandError, Exit
from drink_cli.text import short

item = typer.Typer(help="Items.", no_args_is_help=True, rich_markup_mode=None)

UPLOAD_LIMIT_S = 60.0
"""Seconds that sending a picture may take, as the server allows by default."""

CHUNK_BYTES = 32_768
"""Bytes of a picture in one message; the server takes messages of twice as many."""

PICTURE_BYTES_MAX = 1_048_576
"""Most bytes that the server takes; no larger file is read whole."""

Number = Annotated[str, typer.Argument(metavar="ITEM", help="Its number, as `drink items` says.")]


@item.command("add")
@command
def add_item(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people call it.")],
    *,
    price: Annotated[int, typer.Option(min=0, metavar="CREDITS")],
    number: Annotated[
        int | None, typer.Option(min=1, help="Its number; the next one if left out.")
    ] = None,
    barcode: Annotated[str, typer.Option(help="The barcode on it.")] = "",
) -> None:
    """Make an item."""
    options = shared(context)
    request = pb.CreateItemRequest(
        name="" if number is None else f"items/{number}",
        display_name=name,
        price=price,
        barcode=barcode,
    )
    with options.api() as api:
        made = api.call(api.items.CreateItem, request).item
    options.output.result(item_facts(made), _sentence(made))


@item.command("change")
@command
def change_item(
    context: typer.Context,
    number: Number,
    *,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    price: Annotated[int | None, typer.Option(min=0, metavar="CREDITS")] = None,
    barcode: Annotated[
        str | None, typer.Option(help="The barcode on it; an empty one removes it.")
    ] = None,
) -> None:
    """Change an item, and every slot that sells it; drops under way keep their price."""
    if name is None and price is None and barcode is None:
        raise CommandError("nothing to change; see drink admin item change --help", Exit.USAGE)
    options = shared(context)
    request = pb.UpdateItemRequest(
        name=f"items/{short(number)}", display_name=name, price=price, barcode=barcode
    )
    with options.api() as api:
        changed = api.call(api.items.UpdateItem, request).item
    options.output.result(item_facts(changed), _sentence(changed))


@item.command("picture")
@command
def set_picture(
    context: typer.Context,
    number: Number,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="PNG, JPEG or WebP, 1 MiB at most.")
    ] = None,
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the picture.")] = False,
) -> None:
    """Give an item another picture, or remove it."""
    if remove == (file is not None):
        raise CommandError("give a file, or --remove", Exit.USAGE)
    content = b"" if file is None else _read(file)
    options = shared(context)
    with options.api() as api:
        chunks = _chunks(f"items/{short(number)}", content)
        changed = api.call(api.items.SetItemPicture, chunks, limit_s=UPLOAD_LIMIT_S).item
    options.output.result(item_facts(changed), _sentence(changed))


@item.command("delete")
@command
def delete_item(context: typer.Context, number: Number) -> None:
    """Delete an item that no slot sells."""
    options = shared(context)
    with options.api() as api:
        api.call(api.items.DeleteItem, pb.DeleteItemRequest(name=f"items/{short(number)}"))
    options.output.result({"deleted": short(number)}, f"item {short(number)} deleted")


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(PICTURE_BYTES_MAX + 1)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", Exit.USAGE) from None
    if not 1 <= len(content) <= PICTURE_BYTES_MAX:
        raise CommandError(f"{file}: must have 1 to {PICTURE_BYTES_MAX} bytes", Exit.USAGE)
    return content


def _chunks(name: str, content: bytes) -> Iterator[pb.SetItemPictureRequest]:
    yield pb.SetItemPictureRequest(name=name)
    for start in range(0, len(content), CHUNK_BYTES):
        yield pb.SetItemPictureRequest(chunk=content[start : start + CHUNK_BYTES])


def _sentence(each: pb.Item) -> str:
    barcode = f", barcode {each.barcode}" if each.barcode else ""
    picture = picture_words(each)
    return f"item {short(each.name)}: {each.display_name} for {each.price} credits{barcode}" + (
        f", {picture}" if picture else ""
    )
