"""The ground truth of the machines: which motor ran for which drop, and which can fell.

It is written by the wires and the emulated boards alone. A motor command names a slot and no drop,
so the drop is read from what the agent's disk held at that instant.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from drink_agent.board.emulator.board import EmulatedBoard
from drink_agent.board.emulator.spec import ArmedFault, BoardSpec, Fault
from tests.simulation import journals
from tests.simulation.world import World

START_SLACK_S = 2.1
"""How much later than its time to live a motor command may reach the wire: 2 s for which the driver
holds it until the board has shown that it is done with the last one, and a sync of the journal."""


@dataclass
class MotorCommand:
    """The motor command of one drop, and what the board did.

    Attributes:
        machine: Where.
        slot: Slot of the command.
        written_at: When its motor command was handed to the wire; None before.
        obeyed: Whether the board read it.
        ran: Whether the motor ran.
        fell: Whether the can fell.
        fault: What went wrong with it at the board.
    """

    machine: str
    slot: int
    written_at: float | None = None
    obeyed: bool = False
    ran: bool = False
    fell: bool = False
    fault: Fault | None = None


@dataclass
class GroundTruth:
    """What one machine received and did.

    Args:
        world: The world.
        machine: Its name.
        journal: What its agent's disk has for certain.
        dispatched: Whether the frontend durably handed a drop to the machine.

    Attributes:
        commands: By drop.
        turns: In which turn each drop was last dispatched.
        deadlines: Until when each may be started: its time to live after its last receipt.
        sensor_lies: When a sensor began or ceased to lie.
        exempt: Drops whose records were taken from the journal, where nobody could notice.
    """

    world: World
    machine: str
    journal: Callable[[], bytes]
    dispatched: Callable[[str], bool]
    commands: dict[str, MotorCommand] = field(default_factory=dict)
    turns: dict[str, int] = field(default_factory=dict)
    deadlines: dict[str, float] = field(default_factory=dict)
    sensor_lies: list[float] = field(default_factory=list)
    exempt: set[str] = field(default_factory=set)
    _at_board: str | None = None
    _running: str | None = None
    _turn: int = 0
    _last_turn: int = 0

    def sent(self, drop: str) -> None:
        """Records that the frontend sends a drop's command."""
        self._turn += 1
        self.turns[drop] = self._turn

    def received(self, drop: str, ttl_s: float, at: float) -> None:
        """The command reaches the agent, which can read it `at` this time."""
        self.deadlines[drop] = at + ttl_s

    def written(self, data: bytes) -> None:
        """Records bytes that the agent hands to the wire."""
        if not data.startswith(b"3"):
            return
        slot = int(data[1:])
        record = journals.at_board(self.journal())
        if record is None or record["slot"] != slot:
            self.world.violate(f"7: {self.machine} is told {data!r}, its journal has {record}")
            return
        drop = str(record["drop"])
        self.world.note(f"{self.machine}: motor command {data!r} for {drop}")
        command = self.commands.setdefault(drop, MotorCommand(self.machine, slot))
        if command.written_at is not None and drop not in self.exempt:
            self.world.violate(f"6: a second motor command for {drop}")
        if not self.dispatched(drop):
            self.world.violate(f"7: a motor command for {drop}, which was not dispatched")
        late_s = self.world.now - self.deadlines.get(drop, -1e9)
        if late_s > START_SLACK_S:
            self.world.violate(f"16: {drop} was started {late_s:.1f} s after it had expired")
        turn = self.turns.get(drop, 0)
        if turn < self._last_turn:
            self.world.violate(f"11: {drop} was started after a later one")
        self._last_turn = turn
        if drop in self.exempt:
            self.commands[drop] = command = MotorCommand(self.machine, slot)
        command.written_at = self.world.now
        self._at_board = drop

    def obeyed(self, slot: int, *, ran: bool, fault: Fault | None) -> None:
        """Records that the board reads a motor command."""
        drop = self._at_board
        command = None if drop is None else self.commands[drop]
        if drop is None or command is None or command.slot != slot or command.obeyed:
            if ran:
                self.world.violate(
                    f"6: the motor of {self.machine}/{slot} runs for nobody, last was {drop}"
                )
            return
        command.obeyed, command.ran, command.fault = True, ran, fault
        if ran:
            self._running = drop
        self.world.note(f"{self.machine}: {drop} {'runs' if ran else 'refused'} {fault or ''}")

    def fell(self, slot: int) -> None:
        """Records that a can falls."""
        assert self._running is not None
        command = self.commands[self._running]
        assert command.slot == slot
        if command.fell:
            self.world.violate(f"9: two cans fell for {self._running}")
        command.fell = True

    def taken(self, slot: int) -> None:
        """Records that the slot was emptied by hand, and its sensor reported a can."""
        assert self._running is not None
        command = self.commands[self._running]
        assert command.slot == slot
        command.fault = Fault.JAM
        self.sensor_lies.append(self.world.now)

    @property
    def owes_answer(self) -> bool:
        """Whether an answer now would be taken for that of the last motor command."""
        return journals.awaits_answer(self.journal())

    def lied(self, drop: str) -> bool:
        """Whether a sensor of the machine has lied since the drop's command."""
        written_at = self.commands[drop].written_at
        return written_at is not None and any(at >= written_at - 300 for at in self.sensor_lies)


class WatchedBoard(EmulatedBoard):
    """An emulated board that tells what it does, and asks for each command what goes wrong.

    Args:
        spec: The board.
        truth: Told what it does.
        draw_fault: What goes wrong with the next command.
    """

    def __init__(
        self, spec: BoardSpec, truth: GroundTruth, draw_fault: Callable[[], ArmedFault]
    ) -> None:
        super().__init__(spec)
        self._truth = truth
        self._draw_fault = draw_fault

    def _command_slot(self, slot: int, now: float) -> None:
        fault = self._draw_fault()
        if slot in self.counts.cans:
            self.arm(fault, slot)
        runs = self.counts.motor_runs
        super()._command_slot(slot, now)
        self._truth.obeyed(slot, ran=self.counts.motor_runs > runs, fault=fault.fault)

    def _violate(self, line: bytes, why: str) -> None:
        super()._violate(line, why)
        truth = self._truth
        truth.world.violate(f"23: the reader of {truth.machine}'s board ends of {line!r}: {why}")

    def _fall(self, slot: int, now: float) -> None:
        if self.counts.cans[slot]:
            self._truth.fell(slot)
        else:
            self._truth.taken(slot)
        super()._fall(slot, now)
