"""Injects faults at random: into processes, networks, boards and cables; the history records them.

Each injector has one target of its own, so that faults of different kinds overlap while no two
injectors act on the same process.
"""

import contextlib
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from drink_agent.board.emulator.schedule import Cut
from drink_agent.board.emulator.spec import Fault as BoardFault
from scripts.processes import POLL_S, Process, ProcessFailedError
from scripts.proxy import FaultProxy, Way
from tests.soak.actor import Actor, Soak
from tests.soak.history import Fault, now_ms
from tests.soak.plan import LYING_SLOT, PLAN, RESPONSE_LIMIT_S, SILENCE_LIMIT_S, SLOTS

LIES = (BoardFault.JAM, BoardFault.REFUSE_AFTER)
"""What only the lying slot does: money and cans then differ, and no protocol could tell."""

LONG_OUTAGE_S = SILENCE_LIMIT_S + 4
"""The longest outage in seconds."""

MOTOR_WAIT_S = 2
"""Seconds to wait for a motor to run, so that what uses it is in mid-drop."""

Break = Callable[[], None]


class FaultInjector(Actor):
    """Injects one fault after the other.

    Args:
        soak: The run.
        target: What it breaks, for the name of its thread.
        machine: The machine whose faults these are; empty for the frontend and the buyers' network.
    """

    rarity = 1
    """How much longer than usual it pauses."""

    def __init__(self, soak: Soak, target: str, machine: str) -> None:
        super().__init__(soak, f"faults-{target}", self.rarity * soak.pause_s)
        self._machine = machine

    def act(self) -> None:
        self.random.choice(self.faults())()

    def faults(self) -> Sequence[Break]:
        """The faults that it injects, each as likely as the others."""
        raise NotImplementedError

    def record(self, kind: str, began_ms: int, **facts: Any) -> None:
        """Records a fault that ends now."""
        self.history.add(Fault(kind, self._machine, began_ms, now_ms(), facts=facts))

    def between(self, least: float, most: float) -> float:
        """A random number of seconds."""
        return round(self.random.uniform(least, most), 3)

    def a_while(self) -> float:
        """Seconds that an outage lasts: mostly short, sometimes longer than any limit."""
        return self.between(0.05, self.random.choice((0.5, 2, 2, LONG_OUTAGE_S)))


class ProcessFaults(FaultInjector):
    """Kills, stops and freezes one service.

    Args:
        soak: The run.
        process: The service.
        start: Starts it again.
        machine: Whose agent it is; empty for the frontend.
    """

    def __init__(
        self, soak: Soak, process: Process, start: Callable[[], None], machine: str = ""
    ) -> None:
        super().__init__(soak, process.name, machine)
        self._process = process
        self._start_again = start

    def faults(self) -> Sequence[Break]:
        return (self._kill, self._kill, self._terminate, self._freeze, self._freeze)

    def _kill(self) -> None:
        began = now_ms()
        self._process.kill()
        self.idle(self.a_while())
        self._start_again()
        self.record("kill -9", began)

    def _terminate(self) -> None:
        began = now_ms()
        self._process.stop()
        self.idle(self.a_while())
        self._start_again()
        self.record("terminate", began)

    def _freeze(self) -> None:
        began = now_ms()
        self._process.send(signal.SIGSTOP)
        self.idle(self.a_while())
        self._process.send(signal.SIGCONT)
        self.record("freeze", began)


class FrontendFaults(ProcessFaults):
    """The same for the frontend, more rarely: without it no other fault matters."""

    rarity = 2


class AgentFaults(ProcessFaults):
    """The same for an agent, mostly in mid-drop; sometimes deletes its journal."""

    def __init__(self, soak: Soak, machine: str) -> None:
        agent = soak.system.agents[machine]
        super().__init__(soak, agent, agent.start, machine)
        self._board = soak.system.boards[machine]
        self._journal = soak.system.folder / f"{machine}.journal"

    def faults(self) -> Sequence[Break]:
        anytime = super().faults()
        in_mid_drop = [partial(self._in_mid_drop, fault) for fault in anytime]
        return [*anytime, *in_mid_drop, self._wipe]

    def _in_mid_drop(self, fault: Break) -> None:
        """Waits until the motor runs, or for `MOTOR_WAIT_S` if no drop comes."""
        deadline = time.monotonic() + MOTOR_WAIT_S
        with contextlib.suppress(OSError, ValueError):  # the board may be down too
            while time.monotonic() < deadline and not self._board.counts()["motor_running"]:
                self.idle(POLL_S)
        fault()

    def _wipe(self) -> None:
        began = now_ms()
        self._process.kill()
        self._journal.unlink(missing_ok=True)
        self._start_again()
        self.record("wipe the journal", began)


class NetworkFaults(FaultInjector):
    """Cuts, stalls, delays and tears what passes through one proxy.

    Args:
        soak: The run.
        proxy: The network.
        name: Of the network.
        machine: Whose link it is; empty for the buyers' network.
    """

    def __init__(self, soak: Soak, proxy: FaultProxy, name: str, machine: str = "") -> None:
        super().__init__(soak, f"network-{name}", machine)
        self._proxy = proxy

    def faults(self) -> Sequence[Break]:
        return (self._cut, self._half_open, self._stall, self._delay, self._tear, self._refuse)

    def _cut(self) -> None:
        began = now_ms()
        self._proxy.cut()
        self.record("network: cut", began)

    def _half_open(self) -> None:
        began, way = now_ms(), self.random.choice(tuple(Way))
        self._proxy.cut(way)
        self.record("network: half open", began, way=way)

    def _stall(self) -> None:
        began = now_ms()
        ways = self.random.choice(((Way.UP,), (Way.DOWN,), tuple(Way)))
        self._proxy.stall(*ways)
        self.idle(self.a_while())
        self._proxy.flow()
        self.record("network: stall", began, ways=ways)

    def _delay(self) -> None:
        began, seconds = now_ms(), self.between(0.01, 1.5)
        self._proxy.delay(seconds)
        self.idle(self.between(0.5, 3))
        self._proxy.delay(0)
        self.record("network: delay", began, seconds=seconds)

    def _tear(self) -> None:
        began, count = now_ms(), self.random.randrange(200)
        way = self.random.choice(tuple(Way))
        self._proxy.swallow_after(count, way)
        self.idle(self.a_while())
        self._proxy.cut()
        self.record("network: tear", began, bytes=count, way=way)

    def _refuse(self) -> None:
        began = now_ms()
        self._proxy.refuse()
        self._proxy.cut()
        self.idle(self.a_while())
        self._proxy.accept()
        self.record("network: refuse", began)


class BoardFaults(FaultInjector):
    """Every fault of one board and its cable."""

    def __init__(self, soak: Soak, machine: str) -> None:
        super().__init__(soak, f"board-{machine}", machine)
        self._board = soak.system.boards[machine]
        self._link = soak.system.folder / f"{machine}.tty"

    def faults(self) -> Sequence[Break]:
        return (
            *(self._arm,) * 6,
            self._lie,
            self._pull_cable,
            self._unplug,
            self._say,
            self._cut_bytes,
            self._kill,
        )

    def _arm(self) -> None:
        fault = self.random.choice([each for each in BoardFault if each not in LIES])
        slot = self.random.choice([each.number for each in SLOTS if each.number != LYING_SLOT])
        seconds = {
            BoardFault.SLOW: self.between(0.1, RESPONSE_LIMIT_S * 2),
            BoardFault.LATE: self.between(0.1, RESPONSE_LIMIT_S * 3),
        }.get(fault, self.between(0.05, 1.5))
        self._ask_and_tell(fault, {"do": "fault", "fault": fault, "slot": slot, "seconds": seconds})

    def _lie(self) -> None:
        fault = self.random.choice(LIES)
        self._ask_and_tell(fault, {"do": "fault", "fault": fault, "slot": LYING_SLOT})

    def _pull_cable(self) -> None:
        seconds = self.between(0.05, 3)
        self._ask_and_tell("pull the cable", {"do": "disconnect", "seconds": seconds}, seconds)

    def _unplug(self) -> None:
        seconds = self.between(0.05, 3)
        request = {"do": "disconnect", "seconds": seconds, "silently": True}
        self._ask_and_tell("power cut", request, seconds)

    def _say(self) -> None:
        text = "".join(self.random.choices("79 01`\n\x00\xff", k=self.random.randrange(1, 40)))
        self._ask_and_tell("noise", {"do": "say", "text": text})

    def _cut_bytes(self) -> None:
        cut = self.random.choice(tuple(Cut))
        self._ask_and_tell("cut into writes", {"do": "cut", "cut": cut})

    def _kill(self) -> None:
        began = now_ms()
        # An adapter that is gone takes its name with it. The bare number of its terminal may soon
        # be that of another board.
        self._link.unlink(missing_ok=True)
        self._board.process.kill()
        self.idle(self.between(0, 2))
        self._board.start()
        self.record("board: kill -9", began)

    def _ask_and_tell(self, what: str, request: Mapping[str, Any], lasts_s: float = 0) -> None:
        began = now_ms()
        self._board.ask(**request)
        ended = began + int(lasts_s * 1000)
        slot = request.get("slot", 0)
        self.history.add(Fault(f"board: {what}", self._machine, began, ended, slot, facts=request))


def fault_injectors(soak: Soak) -> list[FaultInjector]:
    """One injector for each thing that can fail."""
    system = soak.system
    found: list[FaultInjector] = [
        FrontendFaults(soak, system.frontend, _patient(system.start_frontend)),
        NetworkFaults(soak, system.rpc, "rpc"),
        NetworkFaults(soak, system.sessions, "sessions"),
    ]
    for machine in PLAN.machines:
        name = machine.name
        found += [
            AgentFaults(soak, name),
            NetworkFaults(soak, system.links[name], name, name),
            BoardFaults(soak, name),
        ]
    return found


def _patient(start: Callable[[], None]) -> Callable[[], None]:
    """Starts the frontend, once more if its port was not free yet."""

    def twice() -> None:
        with contextlib.suppress(ProcessFailedError):
            start()
            return
        start()

    return twice
