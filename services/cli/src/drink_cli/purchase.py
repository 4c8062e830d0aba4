"""Purchases whose end has not been seen, each in a file that is durable before its first call.

The request_id in it names the purchase for ever: asking again with it never makes a second drop. So
this program may be killed at any moment, and the file finds out what became of the purchase.
"""

import contextlib
import json
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from drink.v1 import drop_service_pb2 as pb
from drink_cli.errors import CommandError, Exit
from drink_cli.files import remove, write_private

SLOT = re.compile(r"(?:machines/)?([a-z0-9-]{1,32})/(?:slots/)?([1-9][0-9]?)")
"""A slot as people write it, `d/1`, or as the API does, `machines/d/slots/1`."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """One purchase, as it was asked for.

    Attributes:
        request_id: Names it for ever.
        slot: Resource name of the slot.
        delay_s: Whole seconds to wait before the motor, 0 to 300.
        price_ceiling: Most credits to pay; None for any price.
        asked_at: When it was asked for, seconds since the epoch.
    """

    request_id: str
    slot: str
    delay_s: int = 0
    price_ceiling: int | None = None
    asked_at: int = 0

    def request(self) -> pb.DropRequest:
        """The request; the same one at each repeat."""
        request = pb.DropRequest(
            request_id=self.request_id,
            slot=self.slot,
            no_wait=True,
            price_ceiling=self.price_ceiling,
        )
        if self.delay_s:
            request.delay.FromSeconds(self.delay_s)
        return request


def new_purchase(slot: str, delay_s: int, price_ceiling: int | None) -> Purchase:
    """A purchase with a request_id of its own.

    Args:
        slot: The slot's resource name.
        delay_s: Whole seconds.
        price_ceiling: Credits, or None.
    """
    return Purchase(str(uuid.uuid4()), slot, delay_s, price_ceiling, int(time.time()))


def slot_name(text: str) -> str:
    """Resource name of a slot that a person wrote.

    Raises:
        CommandError: it is none.
    """
    match = SLOT.fullmatch(text)
    if match is None:
        raise CommandError(f"not a slot: {text!r}; write MACHINE/NUMBER, such as d/1", Exit.USAGE)
    return f"machines/{match[1]}/slots/{match[2]}"


class PendingPurchases:
    """The purchases of one profile whose end has not been seen.

    Args:
        folder: Where their files are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, purchase: Purchase) -> None:
        """Keeps a purchase durably; to be done before its first call.

        Raises:
            CommandError: it cannot be kept, and so must not be asked for.
        """
        try:
            write_private(self._path(purchase.request_id), json.dumps(asdict(purchase)) + "\n")
        except OSError as error:
            raise CommandError(
                f"nothing was bought: {self._folder} cannot be written: {error.strerror}",
                Exit.FAULT,
            ) from None

    def forget(self, purchase: Purchase) -> None:
        """Removes a purchase whose end was seen."""
        # Left where it is, it is looked up once more by the next --resume, which costs nothing.
        with contextlib.suppress(OSError):
            remove(self._path(purchase.request_id))

    def __iter__(self) -> Iterator[Purchase]:
        """The oldest first.

        Raises:
            CommandError: a file is damaged.
        """
        try:
            paths = sorted(self._folder.glob("*.json"))
        except OSError:
            paths = []
        purchases = [_read(path) for path in paths]
        return iter(sorted(purchases, key=lambda each: (each.asked_at, each.request_id)))

    def _path(self, request_id: str) -> Path:
        return self._folder / f"{request_id}.json"


def _read(path: Path) -> Purchase:
    try:
        purchase = Purchase(**json.loads(path.read_text(encoding="utf-8")))
        assert purchase.request_id == path.stem
        assert slot_name(purchase.slot) == purchase.slot
    except (OSError, ValueError, TypeError, AssertionError, CommandError):
        raise CommandError(
            f"{path} is damaged; `drink history` has the drop, if there is one. Remove the file "
            "when you have looked",
            Exit.FAULT,
        ) from None
    return purchase
