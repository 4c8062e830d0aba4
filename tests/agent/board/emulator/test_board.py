"""The emulated board sends the captured bytes of the real one, and keeps its own counts."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink_agent.board.emulator.board import EmulatedBoard, HangUp, Output, Send
from drink_agent.board.emulator.schedule import Cut
from drink_agent.board.emulator.spec import ArmedFault, BoardSpec, Dialect, Fault

DATA = Path(__file__).parents[1] / "data"
CANS = {1: 5, 2: 1, 3: 0}
FULL = b"71 1`2 1`3 0\n"


class Wire:
    """Sends lines to an emulated board, and advances its time."""

    def __init__(self, board: EmulatedBoard, *, connect: bool = True) -> None:
        self.board = board
        self.now = 0.0
        self.said = b""
        self.segments: list[bytes] = []
        self.hung_up: list[HangUp] = []
        if connect:
            self.connect()
            self.clear()

    def connect(self) -> None:
        self.take(self.board.connect(self.now))

    def write(self, data: bytes, *, pass_s: float = 0) -> None:
        """Sends bytes, and lets time pass after them."""
        self.take(self.board.receive(data, self.now))
        if pass_s:
            self.pass_s(pass_s)

    def pass_s(self, seconds: float) -> None:
        until = self.now + seconds
        while (due := self.board.next_deadline) is not None and due <= until:
            self.now = max(due, self.now)
            self.take(self.board.tick(self.now))
        self.now = until

    def clear(self) -> None:
        self.pass_s(0.0)
        self.said = b""
        self.segments.clear()

    def take(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case Send(data):
                    self.said += data
                    self.segments.append(data)
                case HangUp():
                    self.hung_up.append(output)
                    if self.board.connected:
                        self.board.disconnect()


def wire(**changes: object) -> Wire:
    values: dict[str, object] = {"cans": CANS, "cut": Cut.LINES}
    return Wire(EmulatedBoard(BoardSpec(**(values | changes))))  # type: ignore[arg-type]


@pytest.fixture
def made() -> Wire:
    return wire()


def armed(fault: Fault, seconds: float = 0.0, slot: int = 1) -> Wire:
    made = wire()
    made.board.arm(ArmedFault(fault, seconds), slot)
    return made


class TestFirmware:
    def test_a_connection_begins_with_the_login_and_all_it_sees(self) -> None:
        made = Wire(EmulatedBoard(BoardSpec(cans=CANS)), connect=False)
        made.connect()
        assert made.said == b"0password\n71 1\n72 1\n73 0\n" + FULL + b"838.3\n"
        assert {len(segment) for segment in made.segments} == {1}

    def test_a_drop_takes_the_motors_time_and_is_followed_by_all_slots(self, made: Wire) -> None:
        made.write(b"31\n", pass_s=3.4)
        assert made.said == b""
        made.pass_s(0.1)
        assert made.said == b"4\n" + FULL
        expected = {"cans": {"1": 4, "2": 1, "3": 0}, "dispensed": {"1": 1}, "motor_runs": 1}
        assert made.board.counts.to_dict() == expected

    def test_the_last_can_is_reported_as_it_falls(self, made: Wire) -> None:
        made.write(b"32\n", pass_s=3.5)
        assert made.said == b"72 0\n4\n71 1`2 0`3 0\n"

    def test_an_empty_slot_is_refused_at_once(self, made: Wire) -> None:
        made.write(b"33\n")
        assert made.said == b"5\n" + FULL
        assert made.board.counts.motor_runs == 0

    def test_commands_wait_for_each_other(self, made: Wire) -> None:
        made.write(b"31\n31\n6\n", pass_s=3.5)
        assert made.said == b"4\n" + FULL
        made.pass_s(3.5)
        assert made.said == (b"4\n" + FULL) * 2 + FULL

    def test_a_login_is_answered_with_all_slots_and_a_refusal_with_nothing(self) -> None:
        made = wire()
        made.write(b"1\n")
        assert made.said == FULL
        made.clear()
        made.write(b"2\n")
        assert made.said == b""
        assert made.board.connected

    def test_it_reports_every_minute(self, made: Wire) -> None:
        made.pass_s(180)
        assert made.said == b"838.3\n" * 3
        made.clear()
        made.take(made.board.set_temperature(None, made.now))
        made.pass_s(60)
        assert made.said == b"9\n9\n"

    def test_its_bytes_are_the_captured_ones(self) -> None:
        lines = map(json.loads, (DATA / "firmware.jsonl").read_text().splitlines())
        captured = "".join(text for _, who, text in lines if who == "board").encode()
        cans = {1: 9, 2: 9, 3: 9, 4: 0, 5: 9}
        made = Wire(EmulatedBoard(BoardSpec(cans=cans)), connect=False)
        made.connect()
        made.write(b"1\n6\n31\n", pass_s=3.5)
        made.write(b"34\n", pass_s=1)
        made.take(made.board.override_sensor(2, False, made.now))
        made.pass_s(0)
        made.take(made.board.override_sensor(2, None, made.now))
        made.pass_s(0)
        assert set(made.said.split(b"\n")) <= set(captured.split(b"\n")) | {b"74 0", b"75 1"}
        assert set(captured.split(b"\n")) <= set(made.said.split(b"\n"))

    @pytest.mark.parametrize(
        "line", [b"\n", b"x\n", b" 6\n", b"3 1\n", b"3\n", b"3x\n", b"\xff\n", b"\r\r\n"]
    )
    def test_a_line_that_kills_the_firmwares_reader_is_recorded_and_does_so(
        self, line: bytes, made: Wire
    ) -> None:
        made.write(line + b"6\n31\n", pass_s=10)
        assert made.said == b""
        assert made.board.violation_count == 1
        assert made.board.counts.motor_runs == 0
        made.pass_s(60)
        assert made.said == b"838.3\n", "it still reports"

    @pytest.mark.parametrize("line", [b"39\n", b"3100\n"])
    def test_fault_58_a_slot_that_the_board_has_not_ends_the_firmwares_reader(
        self, line: bytes, made: Wire
    ) -> None:
        made.write(line + b"6\n", pass_s=100)
        assert made.board.violations == [f"{line.strip()!r}: a slot that the board does not have"]
        assert FULL not in made.said

    def test_good_lines_are_no_violation(self, made: Wire) -> None:
        made.write(b"1\n6\n6 \r\n31\r\n2\n4\n9\n", pass_s=10)
        assert made.board.violations == []

    def test_an_agent_that_floods_is_recorded_and_not_kept(self, made: Wire) -> None:
        for _ in range(100):
            made.write(b"6" * 1000)
        assert made.board.violation_count == 1


class TestRuby:
    def ruby(self, **changes: object) -> Wire:
        return wire(dialect=Dialect.RUBY, motor_s=0.0, password="herpin_my_derp", **changes)

    def test_its_bytes_are_the_captured_ones(self) -> None:
        made = Wire(
            EmulatedBoard(
                BoardSpec(
                    dialect=Dialect.RUBY,
                    motor_s=0.0,
                    password="herpin_my_derp",
                    temperature=0.0,
                    cut=Cut.LINES,
                    cans={1: 1, 2: 0},
                )
            ),
            connect=False,
        )
        made.connect()
        made.write(b"1\n6\n31\n6 3\n32\n")
        made.pass_s(0)
        lines = map(json.loads, (DATA / "ruby_simulator.jsonl").read_text().splitlines())
        captured = "".join(text for _, who, text in lines if who == "board").encode()
        order = (b"7 0 1\n", b"4\n", b"7 3 1\n", b"5\n")
        assert made.said.startswith(b"0 herpin_my_derp\n9\n8 0.0\n")
        assert all(made.said.count(line) == captured.count(line) == 1 for line in order)

    def test_it_takes_a_blank_before_the_slot_but_that_is_recorded(self) -> None:
        made = self.ruby()
        made.write(b"3 1\n")
        made.pass_s(0)
        assert made.said == b"4\n"
        assert made.board.violation_count == 1

    def test_it_is_deaf_from_time_to_time(self) -> None:
        made = self.ruby(deaf_s=10.0, report_s=1000.0)
        made.pass_s(29)
        made.write(b"6\n", pass_s=2)
        made.write(b"6\n31\n", pass_s=9)
        made.write(b"6\n")
        made.pass_s(0)
        assert made.said == b"7 0 1\n" * 2
        assert made.board.counts.motor_runs == 0

    def test_it_refuses_by_chance(self) -> None:
        made = self.ruby(refuse_rate=0.2, cans={1: 1000})
        for _ in range(500):
            made.write(b"31\n")
            made.pass_s(0)
        assert 60 < made.said.count(b"5\n") < 140
        assert made.said.count(b"4\n") == made.board.counts.motor_runs

    def test_a_refused_login_ends_it(self) -> None:
        made = self.ruby()
        made.write(b"2\n")
        assert made.hung_up


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "said", "runs", "fell"),
        [
            (Fault.REFUSE, b"5\n" + FULL, 0, 0),
            (Fault.JAM, b"4\n" + FULL, 1, 0),
            (Fault.SILENT, b"", 1, 1),
            (Fault.REFUSE_AFTER, b"5\n" + FULL, 1, 1),
            (Fault.DUPLICATE, b"4\n" + FULL + b"4\n", 1, 1),
        ],
    )
    def test_what_it_says_and_what_it_does(
        self, fault: Fault, said: bytes, runs: int, fell: int
    ) -> None:
        made = armed(fault)
        made.write(b"31\n", pass_s=10)
        assert made.said == said
        assert made.board.counts.motor_runs == runs
        assert sum(made.board.counts.dispensed.values()) == fell

    def test_a_slow_motor_and_a_late_answer_differ_in_when_the_can_falls(self) -> None:
        for fault, fallen in ((Fault.SLOW, 0), (Fault.LATE, 1)):
            made = armed(fault, 20)
            made.write(b"31\n", pass_s=3.5)
            assert sum(made.board.counts.dispensed.values()) == fallen
            assert made.said == b""
            made.pass_s(20)
            assert made.said == b"4\n" + FULL

    def test_a_faulty_command_is_followed_by_good_ones(self, made: Wire) -> None:
        made.board.arm(ArmedFault(Fault.REFUSE), 1, times=2)
        made.write(b"31\n31\n31\n", pass_s=4)
        assert made.said == (b"5\n" + FULL) * 2 + b"4\n" + FULL
        made.board.arm(ArmedFault(Fault.REFUSE), 1)
        made.board.disarm()
        made.clear()
        made.write(b"31\n", pass_s=4)
        assert made.said == b"4\n" + FULL

    def test_junk_around_an_ack_is_no_other_message(self) -> None:
        made = armed(Fault.GARBAGE)
        made.write(b"31\n", pass_s=4)
        junk, ack, full, more, end = made.said.split(b"\n")
        assert (ack, full + b"\n", end) == (b"4", FULL, b"")
        assert not any(line[:1].isdigit() and line[1:].isascii() for line in (junk, more))

    def test_fault_59_a_broken_connection_stops_no_motor_and_the_answer_goes_over_the_next(
        self,
    ) -> None:
        made = armed(Fault.DISCONNECT, 0.5)
        made.write(b"31\n", pass_s=1.5)
        assert made.hung_up == [HangUp(0.5)]
        made.connect()
        made.clear()
        made.write(b"6\n", pass_s=1.9)
        assert made.said == b""
        made.pass_s(0.2)
        assert made.said == b"4\n" + FULL + FULL
        assert made.board.counts.dispensed == {1: 1}

    def test_fault_57_a_slot_found_empty_is_reported_and_then_refused(self) -> None:
        made = armed(Fault.FOUND_EMPTY, 7)
        made.write(b"31\n6\n")
        assert made.said == b"71 0\n"
        made.clear()
        made.pass_s(6.9)
        assert made.said == b"", "it reads nothing else meanwhile"
        made.pass_s(0.2)
        empty = FULL.replace(b"71 1", b"71 0")
        assert made.said == b"5\n" + empty + empty
        assert made.board.counts.motor_runs == 0
        made.clear()
        made.board.refill(1, 3, made.now)
        made.write(b"6\n")
        assert FULL in made.said

    def test_fault_57_the_refusal_may_be_lost(self) -> None:
        made = armed(Fault.FOUND_EMPTY_SILENT)
        made.write(b"31\n", pass_s=10)
        assert made.said == b"71 0\n"
        made.board.override_sensor(1, None, made.now)
        made.write(b"6\n")
        assert made.said.endswith(FULL)

    @pytest.mark.parametrize(("fault", "fell"), [(Fault.POWER, 1), (Fault.POWER_BEFORE, 0)])
    def test_a_power_cut_stops_everything(self, fault: Fault, fell: int) -> None:
        made = armed(fault, 2)
        made.write(b"31\n31\n", pass_s=10)
        assert made.hung_up == [HangUp(2, silently=True)]
        assert sum(made.board.counts.dispensed.values()) == fell
        assert made.board.counts.motor_runs == 1
        assert made.said == b""

    def test_a_sensor_may_lie_and_stop_lying(self, made: Wire) -> None:
        made.take(made.board.override_sensor(3, True, made.now))
        made.pass_s(0)
        assert made.said == b"73 1\n"
        made.write(b"33\n", pass_s=4)
        assert made.board.counts.motor_runs == 1
        assert made.board.counts.dispensed == {}
        made.clear()
        made.take(made.board.override_sensor(3, None, made.now))
        made.pass_s(0)
        assert made.said == b"73 0\n"

    def test_refilling_is_seen_by_the_sensor(self, made: Wire) -> None:
        made.take(made.board.refill(3, 4, made.now))
        made.take(made.board.refill(3, 5, made.now))
        made.pass_s(0)
        assert made.said == b"73 1\n"

    def test_a_slot_that_is_emptied_while_its_motor_turns_lets_nothing_fall(self) -> None:
        made = wire()
        made.write(b"31\n")
        made.take(made.board.refill(1, 0, made.now))
        made.pass_s(10)
        assert made.said == b"71 0\n4\n71 0`2 1`3 0\n"
        assert made.board.counts.dispensed == {}

    def test_it_says_whatever_it_is_told_to(self, made: Wire) -> None:
        made.take(made.board.send(b"4\n\xff", made.now))
        made.pass_s(0)
        assert made.said == b"4\n\xff"


@given(
    st.lists(st.tuples(st.integers(1, 3), st.sampled_from(Fault)), max_size=8),
    st.lists(st.sampled_from([b"31\n", b"32\n", b"33\n", b"6\n", b"1\n"]), max_size=20),
)
def test_no_can_is_ever_lost_or_made(faults: list[tuple[int, Fault]], lines: list[bytes]) -> None:
    made = wire()
    for slot, fault in faults:
        made.board.arm(ArmedFault(fault, 0.5), slot)
    for line in lines:
        if not made.board.connected:
            made.connect()
        made.write(line, pass_s=1.0)
    counts = made.board.counts
    for slot, loaded in CANS.items():
        assert counts.cans[slot] + counts.dispensed.get(slot, 0) == loaded
    assert sum(counts.dispensed.values()) <= counts.motor_runs <= len(lines)
