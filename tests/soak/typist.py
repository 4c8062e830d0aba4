"""Buys at random in sessions."""

import contextlib
import socket
from collections.abc import Callable, Iterator

from scripts.plan import UserPlan
from tests.soak.actor import Soak
from tests.soak.buyer import Buyer
from tests.soak.history import Attempt, Reading, now_ms

REPLY_LIMIT_S = 30
"""Seconds that a typist waits for a reply, longer than any drop takes."""

HELD = "HELD"
"""The state of a drop whose outcome the session's reply leaves open."""


class Typist(Buyer):
    """Buys in sessions; has no request ids, so a lost reply leaves open what became of it."""

    def __init__(self, soak: Soak, user: UserPlan) -> None:
        super().__init__(soak, user)
        self._port = self.system.sessions.port

    def act(self) -> None:
        """One session, with some commands."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._port), REPLY_LIMIT_S) as connection,
            connection.makefile("rb") as replies,
        ):
            for line, keep in self._lines():
                start_ms, reply = now_ms(), b""
                try:
                    self._type(connection, line.encode())
                    reply = replies.readline()
                finally:
                    going_on = keep(start_ms, reply.decode(errors="replace"))
                if not going_on or not reply.endswith(b"\n"):
                    return

    def _lines(self) -> Iterator[tuple[str, Callable[[int, str], bool]]]:
        """The lines to type, each with the handler of its reply; the greeting comes first."""
        for line in ("", f"USER {self.user.name}\n", f"PASS {self.user.password}\n"):
            yield line, self._expect_ok
        for _ in range(self.random.randrange(1, 6)):
            machine, number = self.any_slot().split("/")
            yield f"MACHINE {machine}\n", self._expect_ok
            yield "GETBALANCE\n", self._keep_balance
            yield self._drop(f"{machine}/{number}")
            yield "GETBALANCE\n", self._keep_balance
        yield "QUIT\n", self._expect_ok

    def _drop(self, slot: str) -> tuple[str, Callable[[int, str], bool]]:
        delay_s = self.any_delay_s()
        number = slot.split("/")[1]

        def keep(start_ms: int, reply: str) -> bool:
            state, drop, refusal = outcome_of(reply)
            self.history.add(
                Attempt(
                    "drop",
                    self.user.name,
                    "",
                    slot,
                    start_ms,
                    now_ms(),
                    delay_s=delay_s,
                    drop=drop,
                    state=state,
                    refusal=refusal,
                )
            )
            return self._keep_balance(start_ms, reply)

        return f"DROP {number} {delay_s or ''}\n", keep

    def _keep_balance(self, start_ms: int, reply: str) -> bool:
        if reply.startswith("OK Credits") and reply.endswith("\n"):
            credits_ = int(reply.rsplit(maxsplit=1)[1])
            self.history.add(Reading(self.user.name, start_ms, now_ms(), credits_))
        return True

    def _expect_ok(self, _start_ms: int, reply: str) -> bool:
        return reply.startswith("OK")

    def _type(self, connection: socket.socket, data: bytes) -> None:
        """In one write, or in two with a pause."""
        cut = self.random.choice((0, self.random.randrange(len(data) + 1)))
        if cut:
            connection.sendall(data[:cut])
            self.idle(self.random.uniform(0, 0.2))
        connection.sendall(data[cut:])


def outcome_of(reply: str) -> tuple[str, str, str]:
    """State, drop and refusal in a session's reply to DROP; each may be empty."""
    if not reply.endswith("\n"):
        return "", "", ""
    if reply.startswith("OK Credits remaining"):
        return "DISPENSED", "", ""
    if reply.startswith("ERR 103 Unknown Failure. Credits held"):
        return HELD, reply.rsplit(maxsplit=1)[-1], ""
    if reply.startswith(("ERR 103", "ERR 350")):
        return "", "", ""
    return "", "", reply.strip()
