"""Breaks things at random: processes, networks, boards and cables; the history tells what.

There are several, each with a field of its own, so that faults of different kinds overlap while no
two of them pull at the same process.
"""

import contextlib
import random
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from drink_agent.board.emulator.schedule import Cut
from drink_agent.board.emulator.spec import Fault as BoardFault
from scripts.processes import POLL_S, Process, ProcessFailedError
from scripts.proxy import FaultProxy, Way
from tests.soak.history import Fault, History, now_ms
from tests.soak.plan import LYING_SLOT, PLAN, RESPONSE_LIMIT_S, SILENCE_LIMIT_S, SLOTS
from tests.soak.soak_system import SoakSystem

LIES = (BoardFault.JAM, BoardFault.REFUSE_AFTER)
"""What only the lying slot does: money and cans then differ, and no protocol could tell."""

LONG_OUTAGE_S = SILENCE_LIMIT_S + 4
"""The longest outage in seconds."""

MOTOR_WAIT_S = 2
"""Seconds to wait for a motor to run, so that what uses it is in mid-drop."""

Break = Callable[[], None]


class FaultInjector(threading.Thread):
    """One that breaks things, in a thread.

    Args:
        name: Of the thread.
        seed: Of its choices.
        pause_s: Seconds between two faults, on average.
        stop: Set when it is enough.
    """

    def __init__(self, name: str, seed: str, pause_s: float, stop: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self.random = random.Random(f"{seed}/{name}")
        self.failure: Exception | None = None
        """What went wrong here, if anything did."""
        self._pause_s = pause_s
        self._stop_event = stop

    def run(self) -> None:
        """Breaks things until it is enough."""
        try:
            while not self.idle(self.random.expovariate(1 / self._pause_s)):
                self.random.choice(self.faults())()
        except Exception as error:  # whoever waits for this thread raises it
            self.failure = error

    def faults(self) -> Sequence[Break]:
        """What it can do, each as likely as the others."""
        raise NotImplementedError

    def idle(self, seconds: float) -> bool:
        """Waits; whether it is enough."""
        return self._stop_event.wait(seconds)

    def between(self, least: float, most: float) -> float:
        """Seconds, drawn."""
        return round(self.random.uniform(least, most), 3)

    def a_while(self) -> float:
        """Seconds that an outage lasts: mostly short, now and then longer than anybody waits."""
        return self.between(0.05, self.random.choice((0.5, 2, 2, LONG_OUTAGE_S)))


class ProcessFaults(FaultInjector):
    """Kills, stops and freezes one service.

    Args:
        process: The service.
        start: Starts it again.
        machine: Whose agent it is; empty for the frontend.
        history: Where it is written.
    """

    def __init__(
        self,
        process: Process,
        start: Callable[[], None],
        machine: str,
        history: History,
        *,
        seed: str,
        pause_s: float,
        stop: threading.Event,
    ) -> None:
        super().__init__(f"faults-{process.name}", seed, pause_s, stop)
        self._process = process
        self._start_again = start
        self._machine = machine
        self._history = history

    def faults(self) -> Sequence[Break]:
        return (self._kill, self._kill, self._terminate, self._freeze, self._freeze)

    def _kill(self) -> None:
        began = now_ms()
        self._process.kill()
        self.idle(self.a_while())
        self._start_again()
        self._tell("kill -9", began)

    def _terminate(self) -> None:
        began = now_ms()
        self._process.stop()
        self.idle(self.a_while())
        self._start_again()
        self._tell("terminate", began)

    def _freeze(self) -> None:
        began = now_ms()
        self._process.send(signal.SIGSTOP)
        self.idle(self.a_while())
        self._process.send(signal.SIGCONT)
        self._tell("freeze", began)

    def _tell(self, what: str, began: int) -> None:
        self._history.add(Fault(what, self._machine, began, now_ms()))


class AgentFaults(ProcessFaults):
    """Does the same to an agent, best in mid-drop, and now and then takes its journal away."""

    def __init__(self, system: SoakSystem, machine: str, history: History, **how: Any) -> None:
        agent = system.agents[machine]
        super().__init__(agent, agent.start, machine, history, **how)
        self._board = system.boards[machine]
        self._journal = system.folder / f"{machine}.journal"

    def faults(self) -> Sequence[Break]:
        anytime = super().faults()
        in_mid_drop = [partial(self._in_mid_drop, fault) for fault in anytime]
        return [*anytime, *in_mid_drop, self._wipe]

    def _in_mid_drop(self, fault: Break) -> None:
        """Waits for the motor first; not for long, for nobody may be buying."""
        deadline = time.monotonic() + MOTOR_WAIT_S
        with contextlib.suppress(OSError, ValueError):  # the board is away too
            while time.monotonic() < deadline and not self._board.counts()["motor_running"]:
                self.idle(POLL_S)
        fault()

    def _wipe(self) -> None:
        began = now_ms()
        self._process.kill()
        self._journal.unlink(missing_ok=True)
        self._start_again()
        self._tell("wipe the journal", began)


class NetworkFaults(FaultInjector):
    """Cuts, stalls, delays and tears what passes through one proxy.

    Args:
        proxy: The network.
        machine: Whose link it is; empty for the buyers' network.
        history: Where it is written.
    """

    def __init__(
        self,
        proxy: FaultProxy,
        machine: str,
        history: History,
        *,
        name: str,
        seed: str,
        pause_s: float,
        stop: threading.Event,
    ) -> None:
        super().__init__(f"faults-network-{name}", seed, pause_s, stop)
        self._proxy = proxy
        self._machine = machine
        self._history = history

    def faults(self) -> Sequence[Break]:
        return (self._cut, self._half_open, self._stall, self._delay, self._tear, self._refuse)

    def _cut(self) -> None:
        began = now_ms()
        self._proxy.cut()
        self._tell("cut", began)

    def _half_open(self) -> None:
        began, way = now_ms(), self.random.choice(tuple(Way))
        self._proxy.cut(way)
        self._tell("half open", began, way=way)

    def _stall(self) -> None:
        began = now_ms()
        ways = self.random.choice(((Way.UP,), (Way.DOWN,), tuple(Way)))
        self._proxy.stall(*ways)
        self.idle(self.a_while())
        self._proxy.flow()
        self._tell("stall", began, ways=ways)

    def _delay(self) -> None:
        began, seconds = now_ms(), self.between(0.01, 1.5)
        self._proxy.delay(seconds)
        self.idle(self.between(0.5, 3))
        self._proxy.delay(0)
        self._tell("delay", began, seconds=seconds)

    def _tear(self) -> None:
        began, count = now_ms(), self.random.randrange(200)
        way = self.random.choice(tuple(Way))
        self._proxy.swallow_after(count, way)
        self.idle(self.a_while())
        self._proxy.cut()
        self._tell("tear", began, bytes=count, way=way)

    def _refuse(self) -> None:
        began = now_ms()
        self._proxy.refuse()
        self._proxy.cut()
        self.idle(self.a_while())
        self._proxy.accept()
        self._tell("refuse", began)

    def _tell(self, what: str, began: int, **facts: Any) -> None:
        self._history.add(Fault(f"network: {what}", self._machine, began, now_ms(), facts=facts))


class BoardFaults(FaultInjector):
    """Everything that one board and its cable can do wrong.

    Args:
        system: Whose board.
        machine: Which.
        history: Where it is written.
    """

    def __init__(
        self,
        system: SoakSystem,
        machine: str,
        history: History,
        *,
        seed: str,
        pause_s: float,
        stop: threading.Event,
    ) -> None:
        super().__init__(f"faults-board-{machine}", seed, pause_s, stop)
        self._board = system.boards[machine]
        self._link = system.folder / f"{machine}.tty"
        self._machine = machine
        self._history = history

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
        self._history.add(Fault("board: kill -9", self._machine, began, now_ms()))

    def _ask_and_tell(self, what: str, request: Mapping[str, Any], lasts_s: float = 0) -> None:
        began = now_ms()
        self._board.ask(**request)
        ended = began + int(lasts_s * 1000)
        slot = request.get("slot", 0)
        self._history.add(Fault(f"board: {what}", self._machine, began, ended, slot, facts=request))


def fault_injectors(
    system: SoakSystem, history: History, seed: str, pause_s: float, stop: threading.Event
) -> list[FaultInjector]:
    """All that there are, one per thing that can break."""
    how: Mapping[str, Any] = {"seed": seed, "pause_s": pause_s, "stop": stop}
    # Without a frontend nothing else can go wrong.
    seldom = {**how, "pause_s": 2 * pause_s}
    found: list[FaultInjector] = [
        ProcessFaults(system.frontend, _patient(system.start_frontend), "", history, **seldom),
        NetworkFaults(system.rpc, "", history, name="rpc", **how),
        NetworkFaults(system.sessions, "", history, name="sessions", **how),
    ]
    for machine in PLAN.machines:
        name = machine.name
        found += [
            AgentFaults(system, name, history, **how),
            NetworkFaults(system.links[name], name, history, name=name, **how),
            BoardFaults(system, name, history, **how),
        ]
    return found


def _patient(start: Callable[[], None]) -> Callable[[], None]:
    """Starts the frontend; once more if its port was not free yet."""

    def twice() -> None:
        with contextlib.suppress(ProcessFailedError):
            start()
            return
        start()

    return twice
