"""The tini driver with faults of boards, wires and people."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink_agent.board.drivers.idle_probe import QUIET_S
from drink_agent.board.drivers.tini import SETTLE_LIMIT_S, TiniDriver, TiniState
from drink_agent.board.emulator.board import EmulatedBoard
from drink_agent.board.emulator.spec import BoardSpec
from drink_agent.board.settings import BoardSettings
from drink_agent.domain.evidence import MAX_LINES, Cause, Outcome, Sensor
from tests.support.board_bench import DIAL_IN, FULL, WIRE, DriverBench, state_of
from tests.support.board_bench import desynced_bench as desynced
from tests.support.board_bench import dispensing_bench as dispensing
from tests.support.board_bench import ready_bench as ready
from tests.support.board_bench import tini_bench as bench


class TestDispensing:
    def test_an_acknowledged_drop_says_all_that_passed(self) -> None:
        board = dispensing()
        board.pass_s(3.5)
        board.receive(b"4\n" + FULL)
        [ended] = board.ended
        assert (ended.drop, ended.outcome) == ("d1", Outcome.DISPENSED)
        lines = [(line.direction.value, line.offset_ms, line.text) for line in ended.evidence.lines]
        assert lines == [("SENT", 0, "31"), ("RECEIVED", 3500, "4")]
        assert ended.evidence.sensor_before is Sensor.STOCKED
        assert board.written.replace(b"6\n", b"") == b"31\n"

    def test_fault_44_a_refusal_before_motion_is_no_dispense(self) -> None:
        board = dispensing(slot=3)
        board.receive(b"5\n" + FULL)
        [ended] = board.ended
        assert (ended.outcome, ended.cause) == (Outcome.NOT_DISPENSED, Cause.BOARD_REFUSED)
        assert ended.evidence.contradiction == ""

    def test_fault_44_a_refusal_after_motion_is_contradicted_by_the_sensor(self) -> None:
        board = dispensing(slot=2)
        board.pass_s(1.4)
        board.receive(b"72 0\n")
        board.pass_s(2.1)
        board.receive(b"5\n")
        [ended] = board.ended
        assert ended.cause is Cause.BOARD_REFUSED
        assert "from stocked to empty" in ended.evidence.contradiction

    @pytest.mark.parametrize("together", [True, False])
    def test_fault_48_a_slot_found_empty_and_refused_is_no_contradiction(
        self, together: bool
    ) -> None:
        board = dispensing(slot=2)
        board.receive(b"72 0\n5\n" + FULL if together else b"72 0\n")
        board.pass_s(0.2)
        board.receive(b"" if together else b"5\n" + FULL)
        [ended] = board.ended
        assert ended.cause is Cause.BOARD_REFUSED
        assert ended.evidence.contradiction == ""

    def test_fault_48_an_ack_from_an_empty_slot_is_contradicted(self) -> None:
        board = dispensing(slot=3)
        board.receive(b"4\n")
        [ended] = board.ended
        assert ended.cause is Cause.BOARD_ACK
        assert "empty before" in ended.evidence.contradiction

    def test_fault_42_a_status_during_a_drop_answers_nothing(self) -> None:
        board = dispensing()
        board.receive(b"72 1\n73 1\n" + FULL + b"9\n838.3\n")
        assert state_of(board) is TiniState.DISPENSING
        assert not board.ended

    def test_fault_42_a_second_ack_belongs_to_nobody(self) -> None:
        board = dispensing()
        board.receive(b"4\n4\n")
        assert len(board.ended) == 1
        assert not board.late
        assert isinstance(board.driver, TiniDriver)
        assert board.driver.counters.unsolicited == 1

    def test_fault_43_a_mixed_up_ack_is_no_ack(self) -> None:
        board = dispensing()
        board.receive(b"472 0\n\n\xff4\n 4\n")
        assert not board.ended
        assert isinstance(board.driver, TiniDriver)
        assert board.driver.counters.malformed == 4

    def test_fault_50_an_ack_just_before_the_limit_counts(self) -> None:
        board = dispensing()
        board.pass_s(WIRE.response_limit_s - 0.001)
        board.receive(b"4\n")
        assert [ended.cause for ended in board.ended] == [Cause.BOARD_ACK]

    def test_fault_50_an_ack_just_after_the_limit_is_late(self) -> None:
        board = dispensing()
        board.pass_s(WIRE.response_limit_s)
        board.receive(b"4\n")
        assert [ended.cause for ended in board.ended] == [Cause.BOARD_SILENT]
        assert [late.cause for late in board.late] == [Cause.BOARD_ACK_LATE]

    @pytest.mark.parametrize("slot", [0, -1, WIRE.max_slot + 1])
    def test_a_slot_no_board_has_is_not_sent(self, slot: int) -> None:
        board = ready()
        board.dispense("d1", slot)
        assert [ended.cause for ended in board.ended] == [Cause.BOARD_UNREACHABLE]
        assert board.written == b""

    def test_no_password_gets_into_evidence(self) -> None:
        board = dispensing()
        board.receive(b"7passwordx\n0password\n")
        [ended] = board.ended
        assert [line.text for line in ended.evidence.lines[1:]] == ["7(withheld)", "0(withheld)"]

    def test_evidence_is_bounded_and_keeps_the_command_and_the_end(self) -> None:
        board = dispensing()
        board.receive(b"9\n" * 500)
        board.receive(b"\xff" * 900 + b"\n4\n")
        [ended] = board.ended
        texts = [line.text for line in ended.evidence.lines]
        assert len(texts) == MAX_LINES
        assert (texts[0], texts[-1]) == ("31", "4")
        assert max(map(len, texts)) == 200


class TestSettling:
    def test_fault_42_a_second_ack_is_not_the_next_drops(self) -> None:
        board = dispensing()
        board.receive(b"4\n")
        board.dispense("d2", 3)
        board.receive(FULL + b"4\n" + FULL + b"4\n")
        assert board.written == b"31\n"
        board.show_idle()
        assert board.written == b"31\n6\n6\n33\n"
        board.receive(b"5\n")
        assert [(ended.drop, ended.cause) for ended in board.ended] == [
            ("d1", Cause.BOARD_ACK),
            ("d2", Cause.BOARD_REFUSED),
        ]

    def test_a_held_command_goes_out_once_the_board_is_idle(self) -> None:
        board = dispensing()
        board.receive(b"4\n")
        board.dispense("d2", 2)
        assert board.driver.status.ready
        board.pass_s(SETTLE_LIMIT_S - 0.2)
        board.show_idle()
        board.receive(b"4\n")
        ended = board.ended[1]
        assert (ended.drop, ended.cause) == ("d2", Cause.BOARD_ACK)
        assert [line.offset_ms for line in ended.evidence.lines] == [0, 0]

    @pytest.mark.parametrize(
        "end",
        [
            lambda board: board.pass_s(SETTLE_LIMIT_S),
            lambda board: board.lose(),
            lambda board: board.receive(b"0password\n"),
        ],
    )
    def test_a_held_command_is_not_sent_if_the_board_does_not_settle(
        self, end: Callable[[DriverBench], None]
    ) -> None:
        board = dispensing()
        board.receive(b"4\n")
        board.dispense("d2", 2)
        end(board)
        ended = board.ended[1]
        assert (ended.drop, ended.cause) == ("d2", Cause.BOARD_UNREACHABLE)
        assert not board.driver.status.ready
        assert b"32" not in board.written

    def test_only_one_command_is_held(self) -> None:
        board = dispensing()
        board.receive(b"4\n")
        board.dispense("d2", 2)
        with pytest.raises(AssertionError, match="outstanding"):
            board.dispense("d3", 1)


class TestSilence:
    def test_fault_40_no_reply_is_unknown_and_nothing_new_is_sent(self) -> None:
        board = dispensing()
        board.pass_s(30)
        [ended] = board.ended
        assert (ended.outcome, ended.cause) == (Outcome.UNKNOWN, Cause.BOARD_SILENT)
        board.dispense("d2", 2)
        assert board.ended[1].cause is Cause.BOARD_UNREACHABLE
        assert board.written == b"31\n6\n6\n6\n"

    def test_fault_41_a_late_ack_settles_its_own_drop_and_the_next_has_its_own(self) -> None:
        board = desynced()
        board.receive(b"4\n" + FULL)
        [late] = board.late
        assert (late.drop, late.outcome) == ("d1", Outcome.DISPENSED)
        board.show_idle()
        board.dispense("d2", 2)
        board.receive(FULL)
        assert not board.ended
        board.receive(b"5\n")
        assert [(ended.drop, ended.cause) for ended in board.ended] == [("d2", Cause.BOARD_REFUSED)]

    def test_fault_41_after_a_lost_ack_the_board_must_prove_itself_idle(self) -> None:
        board = desynced()
        board.receive(b"72 0\n9\n")
        assert state_of(board) is TiniState.DESYNCED
        board.pass_s(WIRE.response_limit_s)
        board.show_idle(b"71 1`2 0`3 0\n")
        assert state_of(board) is TiniState.READY
        board.dispense("d2", 2)
        board.clear()
        board.receive(b"4\n")
        assert not board.late
        assert [ended.drop for ended in board.ended] == ["d2"]

    def test_a_late_refusal_is_proof_of_no_dispense(self) -> None:
        board = desynced()
        board.receive(b"5\n")
        [late] = board.late
        assert (late.outcome, late.cause) == (Outcome.NOT_DISPENSED, Cause.BOARD_REFUSED_LATE)

    def test_readings_of_an_earlier_connection_are_no_evidence(self) -> None:
        board = ready()
        board.lose()
        board.connect()
        board.show_idle(b"7\n")
        board.clear()
        board.dispense("d1", 2)
        board.receive(b"72 0\n")
        board.pass_s(10)
        [ended] = board.ended
        assert ended.cause is Cause.BOARD_SILENT
        assert ended.evidence.sensor_before is Sensor.UNSPECIFIED


class TestIdleProof:
    def test_a_machine_of_one_slot_takes_three_answers(self) -> None:
        board = ready(status=b"7\n")
        board.dispense("d1", 1)
        board.receive(b"4\n")
        board.clear()
        for _ in range(3):
            assert state_of(board) is TiniState.SETTLING
            board.pass_s(QUIET_S)
            board.receive(b"71 1\n")
        assert state_of(board) is TiniState.READY
        assert board.written == b"6\n6\n6\n"

    def test_pushed_sensors_never_prove_idleness(self) -> None:
        board = desynced()
        for _ in range(20):
            board.receive(b"72 0\n72 1\n73 1\n71 0\n")
        assert state_of(board) is TiniState.DESYNCED

    def test_the_ruby_simulators_answer_does(self) -> None:
        board = desynced()
        board.pass_s(WIRE.response_limit_s)
        board.receive(b"7 0 1\n")
        assert state_of(board) is TiniState.READY
        assert 0 not in board.driver.status.sensors


class TestConnection:
    @pytest.mark.parametrize("during", [0.0, 3.0])
    def test_fault_45_a_restart_in_mid_dispense_is_unknown(self, during: float) -> None:
        board = dispensing()
        board.pass_s(during)
        board.receive(b"0password\n72 1\n")
        board.show_idle()
        assert [ended.cause for ended in board.ended] == [Cause.BOARD_LOST]
        assert state_of(board) is TiniState.PROBING, "its answer may still come"
        board.pass_s(2 * WIRE.response_limit_s)
        board.show_idle()
        assert state_of(board) is TiniState.READY
        assert not board.settled

    def test_fault_45_a_board_that_restarts_in_a_loop_is_answered_each_time(self) -> None:
        board = bench()
        board.connect()
        for _ in range(50):
            board.receive(b"0password\n")
        assert board.written == b"6000\n" + b"1\n" * 50
        board.show_idle()
        assert state_of(board) is TiniState.READY

    def test_fault_46_a_lost_port_in_mid_dispense_is_unknown_and_never_repeated(self) -> None:
        board = dispensing()
        board.lose()
        board.connect()
        board.show_idle()
        board.pass_s(2 * WIRE.response_limit_s)
        board.show_idle()
        assert state_of(board) is TiniState.READY
        assert [ended.cause for ended in board.ended] == [Cause.BOARD_LOST]
        assert not board.settled
        assert board.written.count(b"3") == 1

    def test_fault_46_a_command_that_never_left_is_no_dispense(self) -> None:
        board = dispensing()
        board.lose(unsent=True)
        [ended] = board.ended
        assert (ended.outcome, ended.cause) == (Outcome.NOT_DISPENSED, Cause.BOARD_UNREACHABLE)

    @pytest.mark.parametrize("torn", [b"3", b"31", b"6", b"60", b"600", b"6000", b"1"])
    def test_fault_46_a_line_cut_off_on_the_wire_runs_no_motor(self, torn: bytes) -> None:
        emulated = EmulatedBoard(BoardSpec(cans=dict.fromkeys((1, 6, 16, 31, 36), 1)))
        emulated.connect(0)
        emulated.receive(torn, 0)
        board = bench()
        board.connect()
        emulated.receive(board.written + b"6\n", 0)
        assert emulated.counts.motor_runs == 0
        # A slot that no machine has ends the firmware's reader; that is better than a wrong motor.
        assert bool(emulated.violations) is torn.startswith(b"3")

    def test_a_port_lost_while_desynced_leaves_the_drop_unknown(self) -> None:
        board = desynced()
        board.lose(unsent=True)
        board.connect()
        board.pass_s(WIRE.response_limit_s)
        board.show_idle()
        assert not board.ended
        assert not board.settled

    def test_fault_47_a_half_open_connection_is_given_up_after_the_silence_limit(self) -> None:
        board = ready(DIAL_IN)
        board.pass_s(DIAL_IN.silence_limit_s - 0.001)
        assert not board.closed
        board.pass_s(0.001)
        assert board.closed
        assert not board.driver.status.ready

    def test_a_board_that_talks_but_never_answers_is_given_up_too(self) -> None:
        board = bench()
        board.connect()
        for _ in range(30):
            board.pass_s(10)
            board.receive(b"9\n")
        assert board.closed

    def test_a_quiet_board_is_asked_and_stays(self) -> None:
        board = ready()
        for _ in range(20):
            board.pass_s(WIRE.silence_limit_s / 2)
            board.receive(FULL)
        assert board.written == b"6\n" * 20
        assert not board.closed

    def test_bytes_after_the_end_are_ignored(self) -> None:
        board = ready(DIAL_IN)
        board.receive(b"0wrong\n" + b"0password\n" + FULL)
        assert state_of(board) is TiniState.DISCONNECTED
        assert board.written == b"2\n"

    def test_a_board_of_ours_without_a_password_may_log_in_with_any(self) -> None:
        board = bench(BoardSettings(url="serial:///dev/ttyUSB0"))
        board.connect()
        board.receive(b"0whatever\n0`5 1\n")
        assert board.written == b"6000\n1\n"

    def test_fault_29_an_answer_that_waited_for_a_stalled_loop_still_counts(self) -> None:
        board = dispensing()
        board.now += 30
        board.receive(b"4\n")
        assert [ended.cause for ended in board.ended] == [Cause.BOARD_ACK]


class TestStatus:
    def test_fault_49_an_empty_slot_is_reported_at_once(self) -> None:
        board = ready()
        board.receive(b"72 0\n")
        [status] = board.statuses
        assert status.sensors == {1: Sensor.STOCKED, 2: Sensor.EMPTY, 3: Sensor.EMPTY}

    def test_what_is_not_new_is_not_reported(self) -> None:
        board = ready()
        board.receive(FULL * 10 + b"9\n")
        assert not board.statuses

    def test_a_report_does_not_change_afterwards(self) -> None:
        board = ready()
        before = board.driver.status
        board.receive(b"72 0\n")
        assert before.sensors[2] is Sensor.STOCKED

    def test_sensors_outlive_the_connection_and_temperatures_do_not(self) -> None:
        board = ready()
        board.receive(b"838.3\n")
        assert board.driver.status.temperature_celsius == 3.5
        board.lose()
        assert board.driver.status.temperature_celsius is None
        assert board.driver.status.sensors[3] is Sensor.EMPTY

    def test_a_board_may_count_in_celsius(self) -> None:
        settings = BoardSettings(url="serial:///dev/ttyUSB0", temperature_unit="celsius")
        board = ready(settings)
        board.receive(b"84.25\n")
        assert board.driver.status.temperature_celsius == 4.25

    def test_a_slot_beyond_the_last_is_not_believed(self) -> None:
        board = ready()
        board.receive(b"7100 1\n")
        assert not board.statuses

    def test_a_flood_of_junk_leaves_few_lines_in_the_log(self) -> None:
        board = ready()
        board.receive(b"x\n4\n" * 5_000)
        assert len(board.notes) == 8


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_no_bytes_upset_it_or_make_it_write_what_kills_the_firmware(noise: list[bytes]) -> None:
    board = dispensing()
    for data in noise:
        board.receive(data)
        board.pass_s(4)
    board.pass_s(10)
    for line in board.written.split(b"\n")[:-1]:
        assert line[:1].isdigit()
        assert line[:1] != b"3" or line[1:].isdigit()
    assert board.written.count(b"31\n") == 1
    assert len(board.ended) == 1
    assert len(board.settled) <= 1
