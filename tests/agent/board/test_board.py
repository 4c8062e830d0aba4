"""The whole board, over each transport, with emulated boards on real terminals and sockets."""

import asyncio
import contextlib
import os
import pty
import tty
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from drink_agent.board.emulator.board import EmulatedBoard
from drink_agent.board.emulator.hosts import DialHost, Host
from drink_agent.board.emulator.schedule import Cut
from drink_agent.board.emulator.spec import ArmedFault, Dialect, Fault
from drink_agent.board.settings import BoardSettings
from drink_agent.board.streams import StreamError
from drink_agent.board.tcp_stream import ListenSource
from drink_agent.domain.events import BoardLateEvidence, BoardOutcome
from drink_agent.domain.evidence import Cause, Outcome, Sensor
from tests.fakes.board_rfc2217 import Rfc2217Server
from tests.fakes.board_stream import FakeSource, FakeStream
from tests.support.board_emulated import dialling, listening, on_pty, quick
from tests.support.board_log import LIMIT_S, RunningBoard

# pyserial 3.5 uses deprecated setters of threads, which still work.
pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")

TRANSPORTS = ("serial", "listen", "tcp", "rfc2217")


def settings(url: str, **changes: Any) -> BoardSettings:
    values: dict[str, Any] = {
        "url": url,
        "password": "password",
        "response_limit_s": 5.0,
        "probe_interval_s": 0.1,
    }
    return BoardSettings(**(values | changes))


DialledIn = tuple[RunningBoard, DialHost]
OverFakes = tuple[RunningBoard, FakeSource]


@contextlib.asynccontextmanager
async def dialled_in(
    board: EmulatedBoard | None = None, **changes: Any
) -> AsyncIterator[DialledIn]:
    """A board that dials in, and an agent that listens on a free port."""
    async with RunningBoard(settings("listen://127.0.0.1:0", **changes)) as running:
        source = running.board.source
        assert isinstance(source, ListenSource)
        async with asyncio.timeout(LIMIT_S):
            await source.listening.wait()
        assert source.port is not None
        async with dialling(source.port, board) as host:
            yield running, host


@contextlib.asynccontextmanager
async def reached(
    transport: str, tmp_path: Path, board: EmulatedBoard | None = None, **changes: Any
) -> AsyncIterator[tuple[RunningBoard, Host]]:
    """A running board over a transport, and its emulated other end."""
    board = board or quick()
    async with contextlib.AsyncExitStack() as stack:
        enter = stack.enter_async_context
        host: Host
        match transport:
            case "listen":
                running, host = await enter(dialled_in(board, **changes))
            case "tcp":
                host = await enter(listening(board))
                running = await enter(RunningBoard(settings(host.where, **changes)))
            case "serial":
                host = await enter(on_pty(tmp_path / "board", board))
                running = await enter(RunningBoard(settings(host.where, **changes)))
            case _:
                host = await enter(on_pty(tmp_path / "board", board))
                server = Rfc2217Server(str(tmp_path / "board"))
                stack.callback(server.close)
                running = await enter(RunningBoard(settings(server.url, **changes)))
        yield running, host
        assert board.violations == [], "the real firmware's reader would be dead"


@pytest.fixture(params=TRANSPORTS)
async def pair(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[RunningBoard, Host]]:
    async with reached(request.param, tmp_path) as made:
        yield made


@pytest.fixture(params=TRANSPORTS)
async def impatient(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[RunningBoard, Host]]:
    """The same with a short time limit, for boards that stay silent."""
    async with reached(request.param, tmp_path, response_limit_s=0.4) as made:
        yield made


Pair = tuple[RunningBoard, Host]


def settled(running: RunningBoard) -> list[Cause]:
    """The causes of the late evidence that settled a drop."""
    late = running.all_of(BoardLateEvidence)
    return [event.cause for event in late if event.outcome is not Outcome.UNKNOWN]


class TestEachTransport:
    async def test_a_drop_runs_the_motor_once_and_is_acknowledged(self, pair: Pair) -> None:
        running, host = pair
        ended = await running.drop("d1", 1)
        assert (ended.outcome, ended.cause) == (Outcome.DISPENSED, Cause.BOARD_ACK)
        assert host.board.counts.motor_runs == 1
        assert host.board.counts.dispensed == {1: 1}
        assert ended.evidence.sensor_before is Sensor.STOCKED

    async def test_an_empty_slot_is_refused_by_the_board(self, pair: Pair) -> None:
        running, host = pair
        ended = await running.drop("d1", 3)
        assert (ended.outcome, ended.cause) == (Outcome.NOT_DISPENSED, Cause.BOARD_REFUSED)
        assert host.board.counts.motor_runs == 0

    async def test_drops_in_a_row_have_each_their_own_motor_run(self, pair: Pair) -> None:
        running, host = pair
        causes = [(await running.drop(f"d{number}", 1)).cause for number in range(6)]
        assert causes == [Cause.BOARD_ACK] * 5 + [Cause.BOARD_REFUSED]
        assert host.board.counts.to_dict()["cans"] == {"1": 0, "2": 1, "3": 0}

    @pytest.mark.parametrize(
        ("fault", "late", "slot", "next_cause"),
        [
            (ArmedFault(Fault.LATE, 0.6), Cause.BOARD_ACK_LATE, 3, Cause.BOARD_REFUSED),
            (ArmedFault(Fault.FOUND_EMPTY, 0.8), Cause.BOARD_REFUSED_LATE, 2, Cause.BOARD_ACK),
        ],
        ids=["ack", "refusal"],
    )
    async def test_fault_41_57_a_late_answer_goes_to_its_own_drop(
        self, impatient: Pair, fault: ArmedFault, late: Cause, slot: int, next_cause: Cause
    ) -> None:
        running, host = impatient
        host.board.arm(fault, slot=1)
        assert (await running.drop("d1", 1)).cause is Cause.BOARD_SILENT
        second = await running.drop("d2", slot)
        assert (await running.late("d1")).cause is late
        assert second.cause is next_cause
        assert host.board.counts.motor_runs == 1

    async def test_fault_40_after_a_lost_ack_the_next_needs_proof(self, impatient: Pair) -> None:
        running, host = impatient
        host.board.arm(ArmedFault(Fault.SILENT), slot=1)
        first = await running.drop("d1", 1)
        assert (first.outcome, first.cause) == (Outcome.UNKNOWN, Cause.BOARD_SILENT)
        assert not running.board.ready
        assert (await running.drop("d2", 1)).cause is Cause.BOARD_ACK
        assert settled(running) == []
        assert host.board.counts.motor_runs == 2

    async def test_fault_57_a_sensor_proves_neither_a_sale_nor_a_refusal(
        self, impatient: Pair
    ) -> None:
        """The last can of a silent board, and a slot found empty by a board that falls silent."""
        running, host = impatient
        host.board.arm(ArmedFault(Fault.SILENT), slot=2)
        host.board.arm(ArmedFault(Fault.FOUND_EMPTY_SILENT, 0.1), slot=1)
        for drop, slot in (("d1", 2), ("d2", 1)):
            ended = await running.drop(drop, slot)
            assert (ended.outcome, ended.cause) == (Outcome.UNKNOWN, Cause.BOARD_SILENT)
            assert ended.evidence.sensor_before is Sensor.STOCKED
            assert ended.evidence.sensor_after is Sensor.EMPTY
        assert host.board.counts.motor_runs == 1

    async def test_fault_43_junk_around_an_ack_does_not_hide_it(self, pair: Pair) -> None:
        running, host = pair
        host.board.arm(ArmedFault(Fault.GARBAGE), slot=1)
        assert (await running.drop("d1", 1)).cause is Cause.BOARD_ACK

    async def test_fault_42_an_ack_said_twice_counts_once(self, pair: Pair) -> None:
        running, host = pair
        host.board.arm(ArmedFault(Fault.DUPLICATE), slot=1)
        await running.drop("d1", 1)
        assert (await running.drop("d2", 3)).cause is Cause.BOARD_REFUSED

    async def test_fault_45_a_power_cut_in_mid_dispense_is_unknown(self, impatient: Pair) -> None:
        running, host = impatient
        host.board.arm(ArmedFault(Fault.POWER_BEFORE, 0.1), slot=1)
        ended = await running.drop("d1", 1)
        assert ended.outcome is Outcome.UNKNOWN
        assert (await running.drop("d2", 1)).cause is Cause.BOARD_ACK
        assert host.board.counts.motor_runs == 2
        assert host.board.counts.dispensed == {1: 1}


@pytest.mark.parametrize("transport", ["serial", "tcp"])
@pytest.mark.parametrize("cut", Cut)
async def test_fault_43_bytes_may_come_in_any_cut(transport: str, cut: Cut, tmp_path: Path) -> None:
    async with reached(transport, tmp_path, quick(cut=cut)) as (running, _):
        assert (await running.drop("d1", 1)).cause is Cause.BOARD_ACK
        assert (await running.drop("d2", 3)).cause is Cause.BOARD_REFUSED


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_ruby_simulators_bytes_do_as_well(transport: str, tmp_path: Path) -> None:
    board = quick(dialect=Dialect.RUBY, cut=Cut.LINES, motor_s=0.0)
    async with reached(transport, tmp_path, board) as (running, _):
        assert (await running.drop("d1", 1)).cause is Cause.BOARD_ACK
        assert (await running.drop("d2", 3)).cause is Cause.BOARD_REFUSED


class TestLoss:
    @pytest.mark.parametrize("transport", ["serial", "listen", "tcp"])
    async def test_fault_46_a_connection_lost_in_mid_dispense_recovers_and_repeats_nothing(
        self, transport: str, tmp_path: Path
    ) -> None:
        slow = quick(motor_s=0.3)
        async with reached(transport, tmp_path, slow, response_limit_s=1.0) as (running, host):
            host.board.arm(ArmedFault(Fault.DISCONNECT, 0.05), slot=1)
            ended = await running.drop("d1", 1)
            assert (ended.outcome, ended.cause) == (Outcome.UNKNOWN, Cause.BOARD_LOST)
            assert (await running.drop("d2", 1)).cause is Cause.BOARD_ACK
            assert host.board.counts.motor_runs == 2
            # A board that dials in is connected again before its motor stops.
            answered = [Cause.BOARD_ACK_LATE] if transport == "listen" else []
            assert settled(running) == answered

    async def test_fault_46_a_replugged_port_is_found_under_its_name(self, tmp_path: Path) -> None:
        async with reached("serial", tmp_path) as (running, host):
            await running.ready()
            device = (tmp_path / "board").readlink()
            host.lose(3600)
            await running.not_ready()
            with contextlib.ExitStack() as stack:
                name = None
                while name != str(device):  # somebody else takes the name that has become free
                    fds = pty.openpty()
                    for fd in fds:
                        stack.callback(os.close, fd)
                    name = os.ttyname(fds[1])
                host.lose(0.0)
                assert (await running.drop("d1", 1)).cause is Cause.BOARD_ACK
                assert (tmp_path / "board").readlink() != device

    async def test_fault_47_a_board_dials_in_again_while_its_old_connection_hangs(self) -> None:
        async with dialled_in(response_limit_s=0.4) as (running, host):
            await running.ready()
            host.board.arm(ArmedFault(Fault.POWER, 0.02), slot=1)
            ended = await running.drop("d1", 1)
            assert (ended.outcome, ended.cause) == (Outcome.UNKNOWN, Cause.BOARD_LOST)
            assert (await running.drop("d2", 1)).cause is Cause.BOARD_ACK

    async def test_fault_47_a_stranger_during_a_drop_disturbs_nothing(self) -> None:
        async with dialled_in(quick(motor_s=0.2)) as (running, host):
            await running.ready()
            running.board.dispense("d1", 1)
            assert isinstance(running.board.source, ListenSource)
            assert running.board.source.port is not None
            stranger = quick(password="wrong")
            async with dialling(running.board.source.port, stranger) as other:
                assert await other.wait_until(lambda board: board.lines_read > 0, LIMIT_S)
                assert (await running.ended("d1")).cause is Cause.BOARD_ACK
            assert host.board.connected

    async def test_a_board_with_a_wrong_password_on_our_wire_is_not_used(
        self, tmp_path: Path
    ) -> None:
        async with reached("serial", tmp_path, quick(password="wrong")) as (running, host):
            await running.ready()
            host.lose(0.0, silently=True)  # it restarts, and now logs in
            await running.not_ready()
            running.board.dispense("d1", 1)
            assert (await running.ended("d1")).cause is Cause.BOARD_UNREACHABLE

    async def test_without_a_board_nothing_is_dispensed(self, tmp_path: Path) -> None:
        async with RunningBoard(settings(f"serial://{tmp_path}/none")) as running:
            running.board.dispense("d1", 1)
            ended = await running.ended("d1")
            assert (ended.outcome, ended.cause) == (Outcome.NOT_DISPENSED, Cause.BOARD_UNREACHABLE)
            assert not await running.board.wait_ready(0.01)

    async def test_a_board_that_comes_later_is_found(self, tmp_path: Path) -> None:
        async with RunningBoard(settings(f"serial://{tmp_path}/board")) as running:
            running.board.dispense("d1", 1)
            await running.ended("d1")
            async with on_pty(tmp_path / "board"):
                assert (await running.drop("d2", 1)).cause is Cause.BOARD_ACK

    async def test_stopping_in_mid_dispense_is_unknown(self, tmp_path: Path) -> None:
        async with reached("serial", tmp_path) as (running, host):
            await running.ready()
            host.board.arm(ArmedFault(Fault.SLOW, 1.0), slot=1)
            running.board.dispense("d1", 1)
            assert await host.wait_until(lambda board: board.counts.motor_runs == 1, LIMIT_S)
        assert (await running.ended("d1")).cause is Cause.BOARD_LOST


STATUS = b"71 1`2 1\n"


@contextlib.asynccontextmanager
async def over(
    *streams: FakeStream | StreamError,
) -> AsyncIterator[tuple[RunningBoard, FakeSource]]:
    running = RunningBoard(settings("serial:///dev/none", response_limit_s=1.0))
    source = FakeSource(*streams)
    running.board.source = source
    async with running:
        yield running, source


class TestWrites:
    async def test_fault_46_a_command_that_could_not_be_written_is_no_dispense(self) -> None:
        stream = FakeStream(STATUS)
        async with over(stream) as (running, _):
            await running.ready()
            stream.refuses = True
            running.board.dispense("d1", 1)
            ended = await running.ended("d1")
            assert (ended.outcome, ended.cause) == (Outcome.NOT_DISPENSED, Cause.BOARD_UNREACHABLE)
            assert b"3" not in stream.written

    @pytest.mark.parametrize(
        ("unsent", "cause"), [(True, Cause.BOARD_UNREACHABLE), (False, Cause.BOARD_LOST)]
    )
    async def test_the_stream_says_whether_a_command_can_have_left(
        self, unsent: bool, cause: Cause
    ) -> None:
        stream = FakeStream(STATUS)
        async with over(stream) as (running, _):
            await running.ready()
            running.board.dispense("d1", 1)
            stream.fail(unsent=unsent)
            assert (await running.ended("d1")).cause is cause

    async def test_a_port_lost_in_mid_dispense_is_not_opened_while_the_motor_may_run(self) -> None:
        first, second = FakeStream(STATUS), FakeStream(STATUS)
        async with over(first, second) as (running, source):
            await running.ready()
            lost_at = asyncio.get_running_loop().time()
            running.board.dispense("d1", 1)
            first.fail()
            await source.opened(2)
            assert source.opened_at[1] - lost_at >= 1.0, "longer than any first back-off"
            await running.ready()
            assert b"3" not in second.written

    async def test_failed_attempts_are_repeated_and_end_well(self) -> None:
        stream = FakeStream(STATUS)
        async with over(StreamError("no such port"), stream) as (running, source):
            await running.ready()
            assert len(source.opened_at) == 2

    async def test_a_board_that_says_nothing_is_hung_up_on(self) -> None:
        running = RunningBoard(settings("serial:///dev/none", silence_limit_s=0.05))
        source = FakeSource(FakeStream(), FakeStream())
        running.board.source = source
        async with running:
            await source.opened(2)


class Coke1994:
    """The board of 1994 on a pseudo terminal: five slots with one bit each."""

    def __init__(self, cans: list[int]) -> None:
        self.cans = cans
        self.motor_runs = 0
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        asyncio.get_running_loop().add_reader(self.master, self._read)

    @property
    def url(self) -> str:
        return f"serial://{os.ttyname(self.slave)}"

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.master)
        os.close(self.master)
        os.close(self.slave)

    def _read(self) -> None:
        for byte in os.read(self.master, 100):
            if byte == ord("A"):
                bits = sum(bool(count) << slot for slot, count in enumerate(self.cans))
                os.write(self.master, bytes([bits]))
            else:
                self.motor_runs += 1
                self.cans[byte - ord("1")] -= 1


@pytest.mark.parametrize(
    ("slot", "declared", "cause"),
    [
        (1, {}, Cause.BOARD_SILENT),
        (1, {"sent_means_dispensed": True}, Cause.DECLARED),
        (1, {"sensor_independent": True}, Cause.BOARD_SILENT),
        (2, {}, Cause.BOARD_SILENT),
        (2, {"sent_means_dispensed": True}, Cause.DECLARED),
        (2, {"sensor_independent": True}, Cause.SENSOR),
        (3, {}, Cause.BOARD_REFUSED),
        (3, {"sent_means_dispensed": True, "sensor_independent": True}, Cause.BOARD_REFUSED),
    ],
)
async def test_the_1994_board(slot: int, declared: dict[str, bool], cause: Cause) -> None:
    coke = Coke1994([5, 1, 0, 2, 2])
    changes = {"dialect": "coke1994", "max_slot": 5, "motor_s": 0.02}
    board = settings(coke.url, **changes, **declared)
    async with RunningBoard(board) as running:
        ended = await running.drop("d1", slot)
        assert ended.cause is cause
        assert coke.motor_runs == (slot != 3)
    coke.close()


async def test_fifty_boards_in_one_process(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        boards = []
        for number in range(50):
            host = await stack.enter_async_context(on_pty(tmp_path / f"board{number}"))
            running = await stack.enter_async_context(
                RunningBoard(settings(host.where, response_limit_s=10))
            )
            boards.append((running, host))
        ended = await asyncio.gather(*(running.drop("d1", 1) for running, _ in boards))
        assert {event.cause for event in ended} == {Cause.BOARD_ACK}
        assert all(host.board.counts.motor_runs == 1 for _, host in boards)
        assert all(len(running.all_of(BoardOutcome)) == 1 for running, _ in boards)
