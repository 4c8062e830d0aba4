import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from drink.v1.machine_link_service_pb2 import ConnectResponse, Dispense, Goodbye
from drink.v1.machine_link_service_pb2 import Result as ResultMessage
from drink_agent.domain.events import Ack, Command, LinkDown, LinkEvent, LinkUp
from drink_agent.domain.evidence import Cause, Evidence
from drink_agent.domain.records import Result
from drink_agent.link import convert
from drink_agent.link.client import LinkClient
from drink_agent.link.settings import LinkSettings
from tests.fakes.frontend import LIMIT_S, FakeFrontend, FakeLink, welcome_all
from tests.support.link_client import STATUS, TOKEN, LinkPeer, hello, running, with_token
from tests.support.logwatch import watching

RESULT = Result("a", 1, Cause.BOARD_ACK, Evidence())


@pytest.fixture
def settings(tmp_path: Path) -> LinkSettings:
    return with_token(
        LinkSettings(
            welcome_limit_s=5,
            backoff_first_s=0.02,
            backoff_limit_s=0.1,
            backoff_slow_s=0.2,
            goodbye_limit_s=0.5,
        ),
        tmp_path,
    )


async def test_hello_has_the_agent_s_identity_and_journal_state(settings: LinkSettings) -> None:
    async with FakeFrontend() as frontend, running(settings, frontend.address):
        link = await frontend.next_link()
        assert link.metadata["authorization"] == f"Bearer {TOKEN}"
        hello = link.hello
        assert (hello.machine, hello.protocol_version) == ("machines/d", 2)
        assert (hello.boot_id, hello.journal_id, hello.journal_sequence) == ("boot", "journal", 17)
        assert hello.board_status.ready
        assert hello.board_status.temperature_celsius == 4.5
        assert [(each.slot, each.sensor) for each in hello.board_status.slots] == [(1, 1)]


async def test_messages_of_the_frontend_become_events_in_order(settings: LinkSettings) -> None:
    began_ms = int(time.monotonic() * 1000)
    async with FakeFrontend() as frontend, running(settings, frontend.address) as peer:
        link = await frontend.next_link()
        link.welcome(7, ["x", "y"])
        link.dispense("a", slot=3, ttl_ms=5000)
        link.say(ConnectResponse())
        link.ack(ResultMessage(drop="drops/a", revision=1))
        assert await peer.event() == LinkUp(7, ("x", "y"))
        command = await peer.event()
        assert isinstance(command, Command)
        assert command == Command("a", 3, 7, 5000, command.received_ms)
        assert began_ms <= command.received_ms <= time.monotonic() * 1000
        assert await peer.event() == Ack("a", 1)
        assert peer.client.is_up
        link.cut()
        assert await peer.event() == LinkDown()


async def test_reports_reach_the_frontend(settings: LinkSettings) -> None:
    async with FakeFrontend(welcome_all()) as frontend, running(settings, frontend.address) as peer:
        link = await frontend.next_link()
        await peer.event()
        peer.client.send(convert.result(18, RESULT))
        peer.client.send(convert.not_received("z"))
        peer.client.send_status(replace(STATUS, ready=False))
        result = await link.result("a")
        assert result.journal_sequence == 18
        await link.until(lambda link: link.not_received == ["z"])
        await link.until(lambda link: not link.statuses[-1].ready)


def senders() -> int:
    """Number of gRPC's tasks that wait for an outgoing message."""
    names = [getattr(task.get_coro(), "__name__", "") for task in asyncio.all_tasks()]
    return names.count("_consume_request_iterator")


async def test_a_link_that_ended_leaves_no_task_behind(settings: LinkSettings) -> None:
    async with FakeFrontend() as frontend, running(settings, frontend.address) as peer:
        for epoch in range(1, 4):
            link = await frontend.next_link()
            link.welcome(epoch)
            assert isinstance(await peer.event(), LinkUp)
            assert senders() == 1
            link.fail(grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
            assert isinstance(await peer.event(), LinkDown)


async def test_nothing_is_sent_without_a_link(settings: LinkSettings) -> None:
    client = LinkClient(settings, hello, asyncio.Queue[LinkEvent]().put)
    client.send(convert.result(18, RESULT))
    client.send(convert.not_received("z"))
    client.send_status(STATUS)
    client.send_card("04A2B3C4")
    client.send_heartbeat(1)
    assert client.heartbeat_at is None
    await client.close()
    await client.run()


async def test_of_waiting_statuses_only_the_newest_is_sent(settings: LinkSettings) -> None:
    async with FakeFrontend(welcome_all()) as frontend, running(settings, frontend.address) as peer:
        link = await frontend.next_link()
        await peer.event()
        for degrees in range(100):
            peer.client.send_status(replace(STATUS, temperature_celsius=float(degrees)))
        await link.until(lambda link: link.statuses[-1].temperature_celsius == 99)
        assert len(link.statuses) < 100


async def test_heartbeats_are_sent_when_asked_for_and_count_up(settings: LinkSettings) -> None:
    async with FakeFrontend(welcome_all()) as frontend, running(settings, frontend.address) as peer:
        link = await frontend.next_link()
        await peer.event()
        due = peer.client.heartbeat_at
        assert due is not None
        peer.client.send_heartbeat(17)
        assert peer.client.heartbeat_at is not None
        assert peer.client.heartbeat_at > due
        peer.client.send_heartbeat(18)
        await link.until(lambda link: len(link.heartbeats) == 2)
        assert [beat.journal_sequence for beat in link.heartbeats] == [17, 18]


async def test_fault_9_a_frontend_that_returns_is_dialled(settings: LinkSettings) -> None:
    frontend = FakeFrontend(welcome_all())
    await frontend.start()
    await frontend.stop()
    async with running(settings, frontend.address) as peer:
        with watching("drink_agent.link", "link_lost") as lost:
            await asyncio.wait_for(lost.wait(), LIMIT_S)
        async with frontend:
            assert await peer.event() == LinkUp(1)
            await frontend.next_link()


async def test_fault_21_a_restarted_frontend_is_dialled_again(settings: LinkSettings) -> None:
    async with FakeFrontend(welcome_all()) as frontend, running(settings, frontend.address) as peer:
        assert await peer.event() == LinkUp(1)
        await frontend.stop()
        assert await peer.event() == LinkDown()
        await frontend.start()
        assert await peer.event() == LinkUp(2)


async def test_fault_14_a_silent_frontend_is_left(settings: LinkSettings) -> None:
    def greet(link: FakeLink) -> None:
        link.answers_heartbeats = False
        link.welcome(interval_s=1)

    async with FakeFrontend(greet) as frontend, running(settings, frontend.address) as peer:
        link = await frontend.next_link()
        assert await peer.event() == LinkUp(1)
        peer.client.send_heartbeat(1)
        assert await peer.event() == LinkDown()
        await asyncio.wait_for(link.ended.wait(), LIMIT_S)


async def test_a_frontend_that_sends_no_welcome_is_left(settings: LinkSettings) -> None:
    async with (
        FakeFrontend() as frontend,
        running(replace(settings, welcome_limit_s=0.1), frontend.address) as peer,
    ):
        first = await frontend.next_link()
        await frontend.next_link()
        await asyncio.wait_for(first.ended.wait(), LIMIT_S)
        assert peer.events.empty()


@pytest.mark.parametrize(
    "break_the_rules",
    [
        lambda link: link.dispense("a"),
        lambda link: link.welcome(0),
        lambda link: link.welcome(interval_s=0),
        lambda link: link.welcome(interval_s=100_000),
        lambda link: link.welcome(wanted=[""]),
        lambda link: link.welcome(wanted=["x"] * 2001),
        lambda link: (link.welcome(), link.welcome()),
        lambda link: (link.welcome(), link.dispense("a", slot=0)),
        lambda link: (link.welcome(), link.dispense("a", ttl_ms=-1)),
        lambda link: (link.welcome(), link.dispense("../a")),
        lambda link: (link.welcome(), link.say(ConnectResponse(dispense=Dispense(drop="a")))),
    ],
)
async def test_a_frontend_that_breaks_the_protocol_is_left(
    settings: LinkSettings, break_the_rules: Callable[[FakeLink], object]
) -> None:
    async with FakeFrontend() as frontend, running(settings, frontend.address) as peer:
        link = await frontend.next_link()
        break_the_rules(link)
        await asyncio.wait_for(link.ended.wait(), LIMIT_S)
        await frontend.next_link()
        while not peer.events.empty():
            assert not isinstance(peer.events.get_nowait(), Command)


@pytest.mark.parametrize(
    ("code", "reason", "slowly"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID", True),
        (grpc.StatusCode.FAILED_PRECONDITION, "MACHINE_DISABLED", True),
        (grpc.StatusCode.ABORTED, "LINK_SUPERSEDED", True),
        (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN", False),
        (grpc.StatusCode.INTERNAL, "INTERNAL", False),
    ],
)
async def test_the_reason_decides_how_soon_the_frontend_is_dialled_again(
    settings: LinkSettings,
    caplog: pytest.LogCaptureFixture,
    code: grpc.StatusCode,
    reason: str,
    slowly: bool,
) -> None:
    async with FakeFrontend() as frontend, running(settings, frontend.address):
        link = await frontend.next_link()
        link.fail(code, reason)
        await frontend.next_link()
    lost = next(each for each in caplog.records if each.message == "link_lost")
    facts = vars(lost)
    assert facts["reason"] == reason
    assert (facts["retry_s"] == settings.backoff_slow_s) is slowly
    assert (lost.levelname == "ERROR") is slowly


@pytest.mark.parametrize(
    ("reason", "logged"),
    [
        (Goodbye.REASON_SUPERSEDED, "LINK_SUPERSEDED"),
        (Goodbye.REASON_SHUTTING_DOWN, "SHUTTING_DOWN"),
    ],
)
async def test_fault_18_the_reason_of_a_goodbye_decides_the_retry(
    settings: LinkSettings,
    caplog: pytest.LogCaptureFixture,
    reason: Goodbye.Reason.ValueType,
    logged: str,
) -> None:
    async with FakeFrontend(welcome_all()) as frontend, running(settings, frontend.address) as peer:
        link = await frontend.next_link()
        await peer.event()
        link.goodbye(reason)
        assert await peer.event() == LinkDown()
    lost = next(each for each in caplog.records if each.message == "link_lost")
    assert vars(lost)["reason"] == logged


async def test_closing_sends_goodbye(settings: LinkSettings) -> None:
    async with FakeFrontend(welcome_all()) as frontend:
        async with running(settings, frontend.address) as peer:
            link = await frontend.next_link()
            await peer.event()
        assert link.said_goodbye


async def test_closing_has_a_time_limit(settings: LinkSettings) -> None:
    class Deaf(FakeFrontend):
        async def _read(self, *_: object) -> None:
            await asyncio.Event().wait()

    async with Deaf(welcome_all()) as frontend, running(settings, frontend.address) as peer:
        await frontend.next_link()
        await peer.event()


async def test_a_token_others_can_read_is_never_sent(
    settings: LinkSettings, caplog: pytest.LogCaptureFixture
) -> None:
    assert settings.token_file is not None
    settings.token_file.chmod(0o640)
    async with FakeFrontend() as frontend, running(settings, frontend.address):
        with watching("drink_agent.link", "link_lost") as lost:
            await asyncio.wait_for(lost.wait(), LIMIT_S)
        settings.token_file.chmod(0o600)
        await frontend.next_link()
    assert TOKEN not in caplog.text


async def test_a_slow_event_handler_loses_no_message(settings: LinkSettings) -> None:
    async with FakeFrontend(welcome_all()) as frontend:
        peer = LinkPeer(replace(settings, addresses=(frontend.address,)), room=1)
        task = asyncio.create_task(peer.client.run())
        link = await frontend.next_link()
        for number in range(50):
            link.dispense(f"a{number}")
        assert await peer.event() == LinkUp(1)
        for number in range(50):
            command = await peer.event()
            assert isinstance(command, Command)
            assert command.drop == f"a{number}"
        await peer.client.close()
        await task
