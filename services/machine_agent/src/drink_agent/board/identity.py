"""Stores the identity of the machine's board, and refuses every other board.

A command that reaches another machine's board drops a can that was not paid for. So a file holds
what distinguishes boards: the USB adapter of the board's port, and a digest of the board's login.
"""

import hmac
import json
import os
import secrets
from dataclasses import asdict, dataclass, field, fields, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from drink_agent.board.streams import StreamError
from drink_agent.board.usb import SYSFS, Adapter, adapter_of
from drink_agent.files import give_to_owner

FILE_BYTES_MAX: Final = 65_536
"""Most bytes of the file that are read; a file has a few hundred."""

_SALT_BYTES: Final = 16

_REMEDY: Final = "if it is the machine's, say so with: drink-machine-agent accept-board"


class AnotherBoardError(StreamError):
    """The board is not the machine's, or the stored identity cannot be read."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What distinguishes the machine's board from other boards."""

    adapter: Adapter | None = None
    """The USB adapter; None for a board without one."""
    greeting: str = field(default="", repr=False)
    """Salt and digest of the board's login, in hexadecimal digits; empty if it never logged in."""
    refused: str = ""
    """Why a board was refused because of its login; empty if none was. It stays until a person
    decides, because a board logs in only when it starts."""


class IdentityStore:
    """The stored identity of the machine's board.

    The file is read for each check, so that a person can change it while the agent runs. All
    methods block on the disk.

    Args:
        path: The file.
        sysfs: The root of sysfs.
        read_only: Whether nothing is written, for tools.
    """

    def __init__(self, path: Path, sysfs: Path = SYSFS, *, read_only: bool = False) -> None:
        self.path = path
        """The file."""
        self._sysfs = sysfs
        self._read_only = read_only
        self._seen = Identity()

    def check_refusal(self) -> None:
        """Starts an attempt to connect, unless a board was refused because of its login.

        Raises:
            AnotherBoardError: A board was refused; a person has to decide first.
        """
        known = self.load()
        if known is not None and known.refused:
            raise AnotherBoardError(f"{known.refused}; {_REMEDY}")
        self._seen = known or Identity()

    def check(self, number: int) -> None:
        """Accepts the machine's own port, and any port if no identity is stored.

        Args:
            number: The port's device number, `st_rdev` of its file.

        Raises:
            AnotherBoardError: The port is another one, or the stored identity cannot be read.
            StreamError: The port was unplugged.
        """
        try:
            found = adapter_of(number, self._sysfs)
        except OSError as error:
            raise StreamError(f"unplugged while it was opened: {error}") from error
        known = self.load()
        if known is not None and (problem := _difference(known.adapter, found)):
            raise AnotherBoardError(f"another board: {problem}; {_REMEDY}")
        self._seen = Identity(found, known.greeting if known else "")

    def check_login(self, login: bytes) -> None:
        """Accepts the login of the machine's own board.

        A login with bytes that no firmware sends is noise on the wire, and is ignored.

        Args:
            login: What the board logged in with; a secret.

        Raises:
            AnotherBoardError: The login is another board's; from now on no board is accepted.
            OSError: The refusal could not be stored.
        """
        text = login.strip()
        readable = text.isascii() and text.decode("ascii").isprintable()
        if not text or not readable or self._read_only:
            return
        known = self.load() or Identity()
        greeting = known.greeting
        # The login may follow the beginning of an earlier one, which a power cut interrupted.
        ends = (text[start:] for start in range(len(text)))
        if greeting and not any(_is_digest(greeting, end) for end in ends):
            refused = "another board: it logs in otherwise"
            self.save(replace(known, refused=refused))
            raise AnotherBoardError(f"{refused}; {_REMEDY}")
        self._seen = replace(self._seen, greeting=greeting or _digest(text))

    def remember(self) -> Identity | None:
        """Stores the identity of the board that was accepted last, because it answers.

        Returns:
            The identity that is stored now; None if it was stored before.

        Raises:
            OSError: The file cannot be written.
        """
        if self._read_only:
            return None
        known = self.load() or Identity()
        seen = self._seen
        if seen.adapter is not None and known.adapter is not None and not known.adapter.unique:
            # A serial number that several adapters have had may be another adapter's next time.
            seen = replace(seen, adapter=replace(seen.adapter, unique=False))
        if seen in (known, Identity()):
            return None
        self.save(seen)
        return seen

    def load(self) -> Identity | None:
        """Returns the stored identity; None without one.

        Raises:
            AnotherBoardError: The file cannot be read, so no board can be recognised.
        """
        try:
            with self.path.open("rb") as file:
                return _parse(json.loads(file.read(FILE_BYTES_MAX)))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            problem = error.strerror if isinstance(error, OSError) else "not what the agent wrote"
            raise AnotherBoardError(
                f"{self.path} cannot be read ({problem}), so no board can be told from another;"
                f" {_REMEDY}"
            ) from error

    def save(self, identity: Identity) -> None:
        """Stores an identity in place of the one before.

        Raises:
            OSError: The file cannot be written.
        """
        new = self.path.with_name(self.path.name + ".new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with os.fdopen(os.open(new, flags, 0o600), "w", encoding="utf-8") as file:
            give_to_owner(file.fileno(), self.path.parent)
            json.dump({"version": 1, **asdict(identity)}, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)

    def forget(self) -> None:
        """Removes the stored identity: the next board that answers becomes the machine's.

        Raises:
            OSError: The file cannot be removed.
        """
        self.path.unlink(missing_ok=True)

    def found(self, device: Path) -> Adapter | None:
        """Returns the present adapter of a port; None for a port that is not on USB.

        Raises:
            OSError: The port does not exist.
        """
        return adapter_of(device.stat().st_rdev, self._sysfs)


def _difference(known: Adapter | None, found: Adapter | None) -> str:
    """Returns why the adapter that was found is not the stored one; empty if it is."""
    if known is None:
        return ""
    if found is None:
        return f"the port is not on USB, or /sys cannot be read, and the machine's was {known}"
    moved = known.path != found.path
    differences = {
        "another kind of adapter": (known.vendor, known.product) != (found.vendor, found.product),
        "another serial number": known.serial != found.serial,
        "another port of the adapter": known.interface != found.interface,
        "another USB socket, and no serial number of its own to know the adapter by": moved
        and not (known.unique and found.unique),
    }
    what = next((words for words, differs in differences.items() if differs), "")
    return what and f"{what}: {found} instead of {known}"


def _digest(login: bytes, salt: str = "") -> str:
    salt = salt or secrets.token_hex(_SALT_BYTES)
    return salt + blake2b(login, key=bytes.fromhex(salt), digest_size=32).hexdigest()


def _is_digest(greeting: str, login: bytes) -> bool:
    return hmac.compare_digest(greeting, _digest(login, greeting[: 2 * _SALT_BYTES]))


def _parse(values: dict[str, Any]) -> Identity:
    """Returns the identity in a file's JSON object.

    Raises:
        ValueError, TypeError, KeyError: The object is not what `save` wrote.
    """
    if values["version"] != 1:
        raise ValueError("version")
    adapter = None if values["adapter"] is None else Adapter(**values["adapter"])
    greeting, refused = values["greeting"], values["refused"]
    if bytes.fromhex(greeting) and len(greeting) != len(_digest(b"")):
        raise ValueError("greeting")
    for each in () if adapter is None else fields(Adapter):
        if not isinstance(getattr(adapter, each.name), bool if each.name == "unique" else str):
            raise TypeError(each.name)
    return Identity(adapter, greeting, str(refused))
