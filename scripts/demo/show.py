"""The acts of the demo: each does something to the real installation and tells what came of it."""

import math
import time
from collections.abc import Callable

from drink.v1 import drop_service_pb2 as drops
from scripts.client import Client, session
from scripts.demo.plan import ALICE, BOB
from scripts.local_system import LocalSystem
from scripts.processes import wait_until

ACT_LIMIT_S = 60
"""Seconds that anything awaited in an act may take."""


def say(text: str = "") -> None:
    """Prints at once, also into a pipe."""
    print(text, flush=True)


class Show:
    """The acts, in order.

    Args:
        installation: Runs, and nobody else uses it.
        alice: Her client.
    """

    def __init__(self, installation: LocalSystem, alice: Client) -> None:
        self._installation = installation
        self._alice = alice
        self._acts = 0

    def play(self) -> None:
        """All acts."""
        acts: tuple[tuple[str, Callable[[], None]], ...] = (
            ("A drop over gRPC", self._rpc),
            ("A drop typed into a session", self._session),
            ("A delayed drop, counting down", self._delayed),
            ("A drop that the board refuses", self._refused),
            ("A board that goes silent, and answers late", self._silent),
            ("An agent killed in mid-drop", self._killed),
        )
        for title, act in acts:
            self._acts += 1
            say(f"\n{self._acts}. {title}\n")
            act()

    def _rpc(self) -> None:
        self._credits("before")
        drop = self._alice.drop("d/1")
        self._tell(drop)
        self._credits("after")

    def _session(self) -> None:
        lines = ["USER bob", f"PASS {BOB.password}", "STAT 1", "DROP 1", "GETBALANCE", "QUIT"]
        for line, reply in session(self._installation.session_port, lines):
            if line:
                say(f"   > {line.replace(BOB.password, '********')}")
            for text in reply.splitlines():
                say(f"   {text}")

    def _delayed(self) -> None:
        drop = self._alice.place("s/1", delay_s=4)
        watch = self._alice.drops.WatchDrop(
            drops.WatchDropRequest(name=drop.name),
            metadata=self._alice.metadata,
            timeout=ACT_LIMIT_S,
        )
        for update in watch:
            drop = update.drop
            self._tell(drop)
            if drop.state == drops.Drop.STATE_SCHEDULED:
                say("   nobody waits for it meanwhile:")
                self._tell(self._alice.drop("s/2"))
                self._count_down(drop)

    @staticmethod
    def _count_down(drop: drops.Drop) -> None:
        due = drop.schedule_time.ToMilliseconds() / 1000
        while (left_s := due - time.time()) > 0:
            say(f"   due in {math.ceil(left_s)} s")
            time.sleep(min(left_s, 1))

    def _refused(self) -> None:
        self._installation.boards["d"].fault("refuse", slot=2)
        self._tell(self._alice.drop("d/2"))
        self._credits("nothing moved, nothing is charged")

    def _silent(self) -> None:
        self._installation.boards["ld"].fault("late", slot=1, seconds=6)
        drop = self._alice.drop("ld/1")
        self._tell(drop)
        self._credits("the motor may have run, so the credits are held")
        self._tell(self._alice.settled(drop.name))
        self._credits("the late answer proved it")

    def _killed(self) -> None:
        installation, agent = self._installation, self._installation.agents["ld"]
        runs = installation.boards["ld"].counts()["motor_runs"]
        drop = self._alice.place("ld/2")
        wait_until(
            lambda: installation.boards["ld"].counts()["motor_runs"] > runs,
            "motor runs",
            ACT_LIMIT_S,
        )
        agent.kill()
        say("   kill -9: the agent is gone while the motor turns")
        agent.start()
        say("   its supervisor starts it again; it reads its journal and never runs a motor twice")
        drop = self._alice.answered(drop.name)
        self._tell(drop)
        if drop.state == drops.Drop.STATE_UNKNOWN:
            self._credits("this board keeps no memory, so nobody can tell; the credits are held")
            say("   an operator looks into the machine, and decides:")
            identity = drop.name.removeprefix("drops/")
            why = "--why=the slot is one can short"
            arguments = ["drops", "resolve", identity, "--dispensed", why]
            say(f"   $ drink-frontend admin {' '.join(arguments[:-1])} '{why}'")
            say(f"   {installation.admin(*arguments).strip()}")
        self._credits("in the end")
        installation.wait_ready("ld")

    def _tell(self, drop: drops.Drop) -> None:
        state = drops.Drop.State.Name(drop.state).removeprefix("STATE_")
        cause = drops.Drop.Cause.Name(drop.cause).removeprefix("CAUSE_")
        why = "" if cause == "UNSPECIFIED" else f" ({cause})"
        say(f"   {drop.item} for {drop.price} credits: {state}{why}")

    def _credits(self, when: str) -> None:
        account = self._alice.account()
        held = f", {account.held_credits} held" if account.held_credits else ""
        say(f"   {ALICE.name} has {account.available_credits} credits{held}  - {when}")
