"""What the tini driver accepts as a proof, as evidence, and as the answer to a command."""

import pytest

from drink_agent.board.drivers.idle_probe import QUIET_S
from drink_agent.board.drivers.tini import SETTLE_LIMIT_S, TiniState
from drink_agent.board.settings import BoardSettings
from drink_agent.domain.events import Recall
from drink_agent.domain.evidence import Cause, Outcome, Sensor
from tests.support.board_bench import DIAL_IN, FULL, WIRE, state_of
from tests.support.board_bench import desynced_bench as desynced
from tests.support.board_bench import dispensing_bench as dispensing
from tests.support.board_bench import ready_bench as ready
from tests.support.board_bench import tini_bench as bench


class TestSensors:
    def test_fault_57_a_sensor_that_turns_empty_after_the_command_settles_nothing(self) -> None:
        """Invariant 8: the board lists 1 and 2, and finds 1 empty when it is commanded."""
        board = dispensing()
        board.pass_s(4)
        board.receive(b"71 0\n")
        board.pass_s(6)
        [ended] = board.ended
        assert (ended.outcome, ended.cause) == (Outcome.UNKNOWN, Cause.BOARD_SILENT)
        evidence = ended.evidence
        assert (evidence.sensor_before, evidence.sensor_after) == (Sensor.STOCKED, Sensor.EMPTY)
        assert (evidence.sensor_before_ms, evidence.sensor_after_ms) == (0, 4000)
        board.pass_s(1)
        board.receive(b"5\n")
        [late] = board.late
        assert (late.outcome, late.cause) == (Outcome.NOT_DISPENSED, Cause.BOARD_REFUSED_LATE)

    @pytest.mark.parametrize(("said", "cause"), [(b"4\n", "ACK"), (b"5\n", "REFUSED")])
    def test_fault_57_an_answer_after_the_next_statuses_settles_its_own_drop(
        self, said: bytes, cause: str
    ) -> None:
        """A board may answer requests while a command is outstanding."""
        board = desynced(slot=2)
        board.show_idle(b"71 1`2 0`3 0\n")
        assert state_of(board) is TiniState.DESYNCED, "its answer still has time"
        board.dispense("d2", 1)
        assert [ended.cause for ended in board.ended] == [Cause.BOARD_UNREACHABLE]
        board.receive(said)
        assert [late.cause.value for late in board.settled] == [f"BOARD_{cause}_LATE"]

    def test_fault_57_a_refusal_that_is_lost_leaves_it_unknown_with_the_readings(self) -> None:
        board = desynced(slot=2)
        board.pass_s(1)
        board.receive(b"72 0\n")
        board.show_idle(b"71 1`2 0`3 0\n")
        [late] = board.late
        assert (late.outcome, late.cause) == (Outcome.UNKNOWN, Cause.BOARD_SILENT)
        assert (late.evidence.sensor_after, late.evidence.sensor_before_ms) == (
            Sensor.EMPTY,
            0,
        )
        board.pass_s(WIRE.response_limit_s)
        board.show_idle(b"71 1`2 0`3 0\n")
        assert state_of(board) is TiniState.READY
        assert len(board.late) == 1

    def test_fault_57_the_answer_of_an_idle_board_is_its_last_commands(self) -> None:
        board = desynced()
        board.pass_s(WIRE.response_limit_s)
        board.show_idle()
        assert state_of(board) is TiniState.READY
        board.pass_s(60)
        board.receive(b"5\n")
        [late] = board.settled
        assert (late.drop, late.cause) == ("d1", Cause.BOARD_REFUSED_LATE)
        board.receive(b"5\n")
        assert len(board.settled) == 1


class TestDenials:
    @pytest.mark.parametrize(
        ("first", "second", "cause"),
        [(b"4\n", b"5\n", "BOARD_REFUSED_LATE"), (b"5\n", b"4\n", "BOARD_ACK_LATE")],
    )
    @pytest.mark.parametrize("late", [False, True])
    def test_fault_42_a_second_answer_that_denies_the_first_is_told(
        self, first: bytes, second: bytes, cause: str, late: bool
    ) -> None:
        """Invariant 8: the first answer settles the drop; the second one is for a person."""
        board = desynced() if late else dispensing()
        board.receive(first + second + second)
        denial = board.late[-1]
        assert (denial.drop, denial.cause.value) == ("d1", cause)
        assert [line.text for line in denial.evidence.lines][-2:] == [
            first.decode().strip(),
            second.decode().strip(),
        ]
        assert len(board.late) == 1 + late

    def test_fault_42_a_second_answer_that_denies_the_first_is_told_over_a_new_connection(
        self,
    ) -> None:
        board = dispensing()
        board.receive(b"4\n")
        board.lose()
        board.connect()
        board.receive(b"5\n")
        assert [late.cause for late in board.late] == [Cause.BOARD_REFUSED_LATE]

    def test_fault_42_the_answer_after_another_command_denies_nothing_before_it(self) -> None:
        board = dispensing()
        board.receive(b"4\n")
        board.show_idle()
        board.dispense("d2", 2)
        board.receive(b"5\n5\n")
        assert [ended.cause for ended in board.ended] == [Cause.BOARD_ACK, Cause.BOARD_REFUSED]
        assert not board.late


class TestQuestions:
    def test_fault_60_a_command_waits_for_the_answer_to_a_question(self) -> None:
        board = ready()
        board.pass_s(WIRE.silence_limit_s / 2)
        assert board.written == b"6\n"
        board.dispense("d1", 1)
        assert board.written == b"6\n"
        board.receive(FULL)
        assert board.written == b"6\n31\n"

    def test_fault_60_a_command_is_not_sent_after_a_question_without_an_answer(self) -> None:
        board = ready()
        board.pass_s(WIRE.silence_limit_s / 2)
        board.dispense("d1", 1)
        board.pass_s(SETTLE_LIMIT_S)
        assert [ended.cause for ended in board.ended] == [Cause.BOARD_UNREACHABLE]
        assert b"3" not in board.written
        assert not board.driver.status.ready

    def test_fault_60_a_status_that_nobody_asked_for_leaves_no_question_behind(self) -> None:
        """After an answer the firmware pushes all slots; taken for an answer, that would leave a
        question in its buffer when the next command comes."""
        board = dispensing()
        board.receive(b"4\n" + FULL)
        board.dispense("d2", 2)
        asked, answered = 0, 0
        for _ in range(200):
            board.pass_s(0.01)
            asked = board.written.count(b"6\n")
            assert asked - answered <= 1
            if b"32" in board.written:
                break
            if asked > answered:
                answered += 1
                board.receive(FULL)
        assert b"32" in board.written
        assert asked == answered

    def test_fault_60_nothing_is_written_before_an_answer_or_its_limit(self) -> None:
        board = bench()
        board.connect()
        board.pass_s(WIRE.probe_interval_s - 0.01)
        assert board.written == b"6000\n"
        board.receive(b"71 1\n72 1\n" + FULL)
        board.pass_s(QUIET_S - 0.01)
        board.receive(FULL)
        board.pass_s(QUIET_S - 0.01)
        assert board.written == b"6000\n"
        board.pass_s(0.02)
        assert board.written == b"6000\n6\n"


class TestSlots:
    @pytest.mark.parametrize("slot", [4, 9, 99])
    def test_fault_58_a_slot_that_the_board_does_not_list_is_refused_before_the_motor(
        self, slot: int
    ) -> None:
        board = ready()
        board.dispense("d1", slot)
        [ended] = board.ended
        assert (ended.outcome, ended.cause) == (Outcome.NOT_DISPENSED, Cause.BOARD_UNREACHABLE)
        expected = f"the board lists no slot {slot}, only 1, 2, 3"
        assert ended.evidence.contradiction == expected
        assert board.written == b""
        assert board.notes == [f"d1: {expected}"]
        board.dispense("d2", 3)
        assert board.written == b"33\n"

    def test_fault_58_a_command_that_was_held_is_refused_too(self) -> None:
        board = dispensing()
        board.receive(b"4\n")
        board.dispense("d2", 9)
        board.show_idle()
        assert [ended.cause for ended in board.ended][1] is Cause.BOARD_UNREACHABLE
        assert b"39" not in board.written

    def test_fault_58_a_machine_of_one_slot_lists_it(self) -> None:
        board = ready(status=b"71 1\n")
        board.dispense("d1", 2)
        board.dispense("d2", 1)
        assert board.written == b"31\n"

    @pytest.mark.parametrize("status", [b"7 0 1\n", b"7\n"])
    def test_a_board_that_lists_nothing_may_have_any_slot(self, status: bytes) -> None:
        board = ready(status=status)
        board.receive(b"7 3 1\n")
        board.dispense("d1", 2)
        assert board.written == b"32\n"

    def test_fault_56_a_board_with_fewer_slots_forgets_those_of_the_one_before(self) -> None:
        board = ready()
        board.lose()
        assert board.driver.status.sensors.keys() == {1, 2, 3}
        board.connect()
        board.show_idle(b"71 1`2 1\n")
        assert board.driver.status.sensors.keys() == {1, 2}
        board.clear()
        board.dispense("d1", 3)
        assert board.written == b""

    def test_fault_58_a_slot_that_is_listed_no_longer_is_refused(self) -> None:
        """The slot was removed from machine and board while the board was connected."""
        board = ready()
        board.pass_s(1)
        board.receive(b"71 1`2 1\n")
        board.dispense("d1", 3)
        board.pass_s(QUIET_S)
        board.show_idle(b"71 1`2 1\n")
        assert [ended.cause for ended in board.ended] == [Cause.BOARD_UNREACHABLE]
        assert b"3" not in board.written
        assert board.driver.status.sensors.keys() == {1, 2}
        board.dispense("d2", 2)
        assert board.written.endswith(b"32\n")

    def test_fault_58_a_board_that_has_started_again_has_only_what_it_lists_then(self) -> None:
        """On a serial line, a restart ends no connection; a single slot is left."""
        board = ready()
        board.receive(b"0password\n")
        board.pass_s(QUIET_S)
        for _ in range(3):
            board.receive(b"71 1\n")
            board.pass_s(QUIET_S)
        assert state_of(board) is TiniState.READY
        board.dispense("d1", 2)
        assert [ended.cause for ended in board.ended] == [Cause.BOARD_UNREACHABLE]

    def test_fault_58_a_list_may_come_in_pieces(self) -> None:
        board = ready()
        for _ in range(3):
            board.pass_s(QUIET_S + 0.01)
            board.receive(b"71 1`2 1\n")
            board.receive(b"73 1`4 1\n")
        assert state_of(board) is TiniState.READY
        board.clear()
        board.pass_s(5)
        assert board.written == b""
        assert board.driver.status.sensors.keys() == {1, 2, 3, 4}
        board.dispense("d1", 3)
        assert board.written == b"33\n"

    def test_a_slot_above_the_highest_is_ignored_and_noted(self) -> None:
        board = ready(status=b"71 1`100 1`2 0\n")
        assert board.driver.status.sensors.keys() == {1, 2}
        board.receive(b"7100 0\n" * 97)
        assert len(board.notes) == 1, "the hundredth time"
        assert "slot 100" in board.notes[0]


class TestEvidence:
    def test_fault_59_what_a_lost_board_says_later_amends_and_settles(self) -> None:
        board = dispensing(slot=2)
        board.pass_s(1)
        board.lose()
        [ended] = board.ended
        assert ended.evidence.sensor_after is Sensor.UNSPECIFIED, "it was not read since"
        assert ended.evidence.sensor_after_ms is None
        board.connect()
        board.pass_s(0.5)
        board.show_idle(b"71 1`2 0`3 0\n")
        [amended] = board.late
        assert (amended.outcome, amended.cause) == (Outcome.UNKNOWN, Cause.BOARD_LOST)
        assert (amended.evidence.sensor_after, amended.evidence.sensor_after_ms) == (
            Sensor.EMPTY,
            1600,
        )
        board.receive(b"4\n")
        assert board.late[1].cause is Cause.BOARD_ACK_LATE

    @pytest.mark.parametrize(
        ("said", "cause"), [(b"4\n", Cause.BOARD_ACK_LATE), (b"5\n", Cause.BOARD_REFUSED_LATE)]
    )
    @pytest.mark.parametrize("settings", [WIRE, DIAL_IN])
    def test_fault_59_the_answer_to_a_command_before_a_restart_of_the_agent_settles_it(
        self, settings: BoardSettings, said: bytes, cause: Cause
    ) -> None:
        board = bench(settings)
        board.driver.recall(Recall("d1", 1, Sensor.STOCKED, Cause.AGENT_RESTARTED, 2000), board.now)
        board.connect()
        if settings.dials_in:
            board.receive(b"0password\n")
        board.receive(said)
        [late] = board.late
        assert (late.drop, late.cause) == ("d1", cause)
        assert [line.offset_ms for line in late.evidence.lines][-1] == 2000
        board.show_idle()
        assert state_of(board) is TiniState.READY

    def test_fault_59_a_recalled_command_has_its_sensor_read_and_no_other_commands_answer(
        self,
    ) -> None:
        board = bench()
        board.driver.recall(Recall("d1", 1, Sensor.STOCKED, Cause.AGENT_RESTARTED, 0), board.now)
        board.connect()
        board.show_idle(b"71 0`2 1`3 0\n")
        [late] = board.late
        assert (late.drop, late.cause) == ("d1", Cause.AGENT_RESTARTED)
        assert late.evidence.sensor_after is Sensor.EMPTY
        assert state_of(board) is TiniState.PROBING, "its answer may still come"
        board.pass_s(2 * WIRE.response_limit_s)
        board.show_idle()
        board.dispense("d2", 2)
        board.receive(b"5\n")
        assert [ended.drop for ended in board.ended] == ["d2"]
        assert not board.settled

    @pytest.mark.parametrize(
        ("cause", "settled"),
        [
            (Cause.AGENT_RESTARTED, []),
            (Cause.BOARD_SILENT, [Cause.BOARD_ACK_LATE]),
            (Cause.BOARD_LOST, [Cause.BOARD_ACK_LATE]),
        ],
    )
    def test_fault_59_an_idle_board_answers_only_a_command_that_was_written(
        self, cause: Cause, settled: list[Cause]
    ) -> None:
        board = bench()
        board.driver.recall(Recall("d1", 1, Sensor.STOCKED, cause, 60000), board.now)
        board.connect()
        board.show_idle()
        assert state_of(board) is TiniState.READY
        board.receive(b"4\n")
        assert [late.cause for late in board.settled] == settled

    def test_fault_59_what_an_idle_board_says_later_has_nothing_to_do_with_the_command(
        self,
    ) -> None:
        board = desynced(slot=2)
        board.pass_s(WIRE.response_limit_s)
        board.show_idle()
        board.clear()
        board.receive(b"72 0\n" + b"9\n" * 100)
        board.lose()
        board.connect()
        board.show_idle(b"71 1`2 0`3 0\n")
        assert not board.late
        board.receive(b"4\n")
        [late] = board.late
        assert late.evidence.sensor_after is Sensor.STOCKED
        assert len(late.evidence.lines) < 12

    def test_fault_59_a_next_command_ends_the_wait_for_the_last_ones_answer(self) -> None:
        board = desynced()
        board.pass_s(WIRE.response_limit_s)
        board.show_idle()
        board.dispense("d2", 2)
        board.clear()
        board.receive(b"4\n4\n")
        assert [ended.drop for ended in board.ended] == ["d2"]
        assert not board.late
