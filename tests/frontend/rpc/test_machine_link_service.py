"""MachineLinkService over a real server: it carries messages both ways and adds nothing."""

import asyncio
from typing import Any

import grpc

from drink.v1 import drop_service_pb2
from drink.v1 import machine_link_service_pb2 as pb
from drink_frontend.domain.entities import AuditKind
from drink_frontend.links.settings import LinkSettings
from drink_frontend.storage.database import Database
from drink_frontend.usecases.tokens import digest
from tests.support.bench import JOURNAL
from tests.support.rpc_frontend import AGENT_D, HELLO, LIMIT_S, Frontend, read, refused


def connect(frontend: Frontend) -> Any:
    return frontend.link_stub.Connect(metadata=AGENT_D, timeout=LIMIT_S)


def heartbeat(sequence: int, journal_sequence: int = 0) -> pb.ConnectRequest:
    return pb.ConnectRequest(
        heartbeat=pb.Heartbeat(sequence=sequence, journal_sequence=journal_sequence)
    )


async def is_answered(frontend: Frontend, link: Any) -> None:
    """Passes if the frontend answers a heartbeat."""
    frontend.bench.clock.pass_s(LinkSettings().heartbeat_interval_s / 2)
    await link.write(heartbeat(7))
    assert (await read(link)).heartbeat.sequence == 7


async def test_carries_messages_of_both_sides(frontend: Frontend) -> None:
    bench = frontend.bench
    drop = await bench.place()
    link = connect(frontend)
    await link.write(HELLO)
    assert (await read(link)).welcome.epoch == 2
    (opened,) = (await bench.audit(AuditKind.LINK_OPENED))[2:]
    assert (opened.machine, opened.facts["address"]) == ("d", "127.0.0.1")

    dispense = (await read(link)).dispense
    assert (dispense.drop, dispense.slot) == (f"drops/{drop.id}", 1)
    result = pb.Result(
        drop=dispense.drop,
        revision=1,
        outcome=drop_service_pb2.Drop.STATE_DISPENSED,
        cause=drop_service_pb2.Drop.CAUSE_BOARD_ACK,
    )
    await link.write(pb.ConnectRequest(result=result))
    assert (await read(link)).result_ack.drop == dispense.drop
    assert (await bench.state(drop))[0] == "DISPENSED"


async def test_a_link_that_ends_on_purpose_ends_with_goodbye_and_ok(
    frontend: Frontend,
) -> None:
    link = await frontend.linked()
    frontend.links.drain()
    assert (await read(link)).goodbye.reason == pb.Goodbye.REASON_SHUTTING_DOWN
    assert await link.read() is grpc.aio.EOF
    assert await link.code() is grpc.StatusCode.OK


async def test_the_agents_goodbye_ends_its_link(frontend: Frontend) -> None:
    link = await frontend.linked()
    await link.write(pb.ConnectRequest(goodbye=pb.Goodbye(reason=pb.Goodbye.REASON_SHUTTING_DOWN)))
    assert await link.read() is grpc.aio.EOF
    assert await link.code() is grpc.StatusCode.OK


async def test_an_agent_that_vanishes_ends_its_link(frontend: Frontend) -> None:
    async with grpc.aio.insecure_channel(frontend.target) as channel:
        await frontend.linked(type(frontend.link_stub)(channel))
    await frontend.unlinked()


async def test_messages_of_unknown_kinds_are_ignored(frontend: Frontend) -> None:
    link = connect(frontend)
    await link.write(pb.ConnectRequest.FromString(b"\x9a\x06\x00"))
    await link.write(HELLO)
    assert (await read(link)).HasField("welcome")


async def test_an_agent_that_breaks_the_protocol_gets_the_field(frontend: Frontend) -> None:
    link = connect(frontend)
    await link.write(pb.ConnectRequest(result=pb.Result(drop="junk", revision=1)))
    refusal = await refused(link.read())
    assert refusal.status == ("INVALID_ARGUMENT", "LINK_PROTOCOL")
    assert refusal.facts == {"field": "result.outcome"}


async def test_the_links_reason_for_an_end_arrives_in_plain_text_too(frontend: Frontend) -> None:
    link = await frontend.linked()
    await frontend.bench.link()
    frontend.open_links.wake("d")
    assert (await read(link)).goodbye.reason == pb.Goodbye.REASON_SUPERSEDED
    refusal = await refused(link.read())
    assert (refusal.code, refusal.plain_reason) == (grpc.StatusCode.ABORTED, "LINK_SUPERSEDED")


async def test_a_link_survives_the_drain_of_the_other_calls(frontend: Frontend) -> None:
    link = await frontend.linked()
    await frontend.server.drain()
    await is_answered(frontend, link)


async def test_a_token_that_is_replaced_before_hello_opens_no_link(frontend: Frontend) -> None:
    storage = frontend.storage
    storage.gate.clear()
    link = connect(frontend)
    await link.write(HELLO)
    await asyncio.wait_for(storage.waiting.wait(), LIMIT_S)
    # Past the gate, at which the link waits for its epoch.
    await Database.write(
        storage, lambda tx: tx.machines.update("d", token_digest=digest("another"))
    )
    storage.gate.set()
    refusal = await refused(link.read())
    assert refusal.reason == "TOKEN_INVALID"
    await frontend.unlinked()


async def test_fault_68_an_agent_that_sends_too_much_is_ended_after_its_last_message(
    frontend: Frontend,
) -> None:
    padded = pb.ConnectRequest.FromString(b"\x9a\x06\xd0\x86\x03" + b"x" * 50_000)
    link = await frontend.linked()
    last = LinkSettings().messages_burst // (1 + padded.ByteSize() // 1_024)
    for sequence in range(last + 3):
        padded.heartbeat.journal_sequence = sequence
        await link.write(padded)
    assert (await refused(link.read())).reason == "RATE_LIMITED"
    assert frontend.bench.journals.take("d") == (JOURNAL, last)
