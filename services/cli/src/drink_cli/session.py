"""A session of the text protocol: a prompt that sends each line and shows the reply.

It also works in a pipe. `drink session` is one command for it, `drink-session` the older one.
"""

import argparse
import contextlib
import getpass
import select
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from importlib import import_module
from typing import TextIO

PLAIN_PORT, TLS_PORT = 4242, 4243

CONNECT_LIMIT_S = 10.0
"""Seconds to wait for a connection. Replies are waited for without a limit: a drop may be delayed
by minutes, and Ctrl-C ends the wait."""

REPLY_BYTES_MAX = 1 << 20
"""Bytes of the longest reply that is accepted; a machine has at most 99 slots."""

_PLAIN = (
    "ACCTMGRCHK ADDCREDITS CODE DROP EDITSLOT EDITUSER GETBALANCE ISVALIDUSER LOCATION LOG MACHINE "
    "MACHINES QUERYADMIN QUIT RAND RMUSER SENDCREDITS SERVERSTAT SETADMIN SHUTDOWN STAT TEMP "
    "UPTIME USER VERSION WHOAMI"
)

COMMANDS: Mapping[str, int] = {
    **dict.fromkeys(_PLAIN.split(" "), 0),
    "ADDUSER": 2,
    "AUTH": 2,
    "CHPASS": 2,
    "IBUTTON": 1,
    "PASS": 1,
}
"""The commands (docs/sunday-protocol.md), each with the place of its secret argument; 0: it has
none."""

ASKED_FOR = frozenset({"AUTH", "CHPASS", "IBUTTON", "PASS"})
"""Commands whose secret is asked for where it is missing; that of ADDUSER may be left out."""

_LAST_LINES = ("OK", "ERR", "WARN", "{", "Good Bye")
_HEADER = "OK: connected machines"

QUIT = "QUIT"


class End(IntEnum):
    """How a session ended; the exit codes of `drink-session`."""

    DONE = 0
    """The person ended it, or the input did."""
    REFUSED = 1
    """A command that came through a pipe was refused."""
    LOST = 2
    """The connection could not be made, or was lost."""


class ConnectionEnded(Exception):  # noqa: N818  it is how every session ends
    """The server closed the connection; the text is its last output."""


def reply_is_whole(text: str) -> bool:
    """Whether a reply is complete, in any dialect."""
    *lines, rest = text.split("\n")
    if not lines or rest:
        return False
    if lines[0].startswith(_HEADER):
        return lines[-1] == "\r"
    return lines[-1].startswith(_LAST_LINES)


class ServerConnection:
    """A connection to a session server.

    Args:
        peer: The connected socket.
    """

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer

    def greeting(self) -> str:
        """The first line of the server.

        Raises:
            ConnectionEnded: it hung up instead.
        """
        return self._read(lambda text: text.endswith("\n"))

    def ask(self, line: str) -> str:
        """The reply to a line that is not blank.

        Raises:
            ConnectionEnded: the server hung up.
            OSError: the connection was lost.
        """
        said_before = self._pending()
        # Bytes that are not text in this locale are sent unchanged.
        self._peer.sendall(line.encode(errors="surrogateescape") + b"\n")
        return said_before + self._read(reply_is_whole)

    def _pending(self) -> str:
        """Output that is not a reply, such as that of a time-out."""
        said = b""
        while select.select([self._peer], [], [], 0)[0]:
            data = self._peer.recv(4_096)
            if not data:
                raise ConnectionEnded(_text(said))
            said += data
        return _text(said)

    def _read(self, whole: Callable[[str], bool]) -> str:
        said = b""
        while not whole(_text(said)):
            data = self._peer.recv(4_096)
            if not data or len(said) > REPLY_BYTES_MAX:
                raise ConnectionEnded(_text(said))
            said += data
        return _text(said)


def _text(said: bytes) -> str:
    # The dialect drinkd ends its strings with NUL.
    return said.replace(b"\0", b"").decode(errors="replace")


def _lines(stdin: TextIO | None) -> Iterator[str]:
    """Lines typed at a prompt with history and completion, or read from a pipe."""
    if stdin is None:  # the standard input is closed
        return
    if not stdin.isatty():
        yield from stdin
        return
    remember = _line_editing()
    while True:
        try:
            line = input("drink> ")
        except EOFError:
            print()
            return
        # Secrets are kept out of the history, as is what may be a mistyped command with one.
        if COMMANDS.get(_command(line), 1) == 0:
            remember(line)
        yield _with_secret(line)


def _command(line: str) -> str:
    """The name of the command in a line; empty for a blank one."""
    return line.split(maxsplit=1)[0].upper() if line.strip() else ""


def _line_editing() -> Callable[[str], None]:
    """Enables history and completion if available; returns a function that adds to the history."""
    try:
        readline = import_module("readline")
    except ImportError:
        return lambda _line: None

    def complete(begun: str, index: int) -> str | None:
        fitting = [f"{name} " for name in sorted(COMMANDS) if name.startswith(begun.upper())]
        return fitting[index] if index < len(fitting) else None

    readline.set_completer(complete)
    readline.parse_and_bind("tab: complete")
    readline.set_auto_history(False)
    add: Callable[[str], None] = readline.add_history
    return add


def _with_secret(line: str) -> str:
    """The line; if only its secret is missing, that is asked for without echo."""
    command = _command(line)
    # The command itself is one of the words.
    is_missing = command in ASKED_FOR and len(line.split()) == COMMANDS[command]
    return f"{line.strip()} {getpass.getpass('secret: ')}" if is_missing else line


def converse(server: ServerConnection, stdin: TextIO) -> End:
    """Sends line after line and shows the replies."""
    refused = False
    print(server.greeting(), end="", flush=True)
    for line in _lines(stdin):
        asked = line.strip()
        if not asked:
            continue
        reply = server.ask(asked)
        refused = refused or reply.startswith("ERR")
        print(reply, end="", flush=True)
        if _command(asked) == QUIT:
            break
    else:
        with contextlib.suppress(OSError, ConnectionEnded):
            server.ask(QUIT)
    return End.REFUSED if refused and not stdin.isatty() else End.DONE


def run(program: str, host: str, port: int | None, ca: str | None, *, tls: bool) -> End:
    """Runs a session between the standard input and a server.

    Args:
        program: What messages to the person begin with.
        host: Name or address of the server.
        port: Its port; None for the default one.
        ca: File of certificates to trust; implies `tls`.
        tls: Whether to encrypt, and check the certificate.
    """
    tls = tls or ca is not None
    port = port or (TLS_PORT if tls else PLAIN_PORT)
    try:
        context = ssl.create_default_context(cafile=ca) if tls else None
        with _connect(host, port, context) as peer:
            return converse(ServerConnection(peer), sys.stdin)
    except ConnectionEnded as ended:
        print(ended, end="")
        print(f"{program}: the server hung up", file=sys.stderr)
    except OSError as error:
        print(f"{program}: {host}:{port}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"\n{program}: a drop that was under way goes on", file=sys.stderr)
    return End.LOST


def _connect(host: str, port: int, context: ssl.SSLContext | None) -> socket.socket:
    peer = socket.create_connection((host, port), timeout=CONNECT_LIMIT_S)
    if context is not None:
        peer = context.wrap_socket(peer, server_hostname=host)
    peer.settimeout(None)
    return peer


def main(argv: list[str] | None = None) -> int:
    """`drink-session`; the exit code is one of `End`."""
    parser = argparse.ArgumentParser(
        prog="drink-session", description="Types into a Drink session server."
    )
    parser.add_argument("host", help="name or address of the server")
    parser.add_argument(
        "port", nargs="?", type=int, help=f"default {PLAIN_PORT}, with --tls {TLS_PORT}"
    )
    parser.add_argument("--tls", action="store_true", help="encrypt, and check the certificate")
    parser.add_argument("--ca", metavar="FILE", help="certificates to trust; implies --tls")
    options = parser.parse_args(argv)
    return run("drink-session", options.host, options.port, options.ca, tls=options.tls)


if __name__ == "__main__":
    sys.exit(main())
