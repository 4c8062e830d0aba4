"""MachineLinkService over a real server: it carries messages both ways and adds nothing."""

import asyncio
from typing import Any

import grpc

from drink.v1 import machine_link_service_pb2 as pb
from drink_frontend.domain.errors import LinkSupersededError
from drink_frontend.links.messages import (
    Dispense,
    Goodbye,
    GoodbyeReason,
    Heartbeat,
    Hello,
    Welcome,
)
from tests.fakes.rpc_frontend import AGENT_D, LIMIT_S, Frontend, read, refused

DROP = "0" * 26
HELLO = pb.ConnectRequest(
    hello=pb.Hello(machine="machines/d", protocol_version=1, boot_id="b", journal_id="j")
)


def connect(frontend: Frontend) -> Any:
    return frontend.link_stub.Connect(metadata=AGENT_D, timeout=LIMIT_S)


async def heard(frontend: Frontend) -> Any:
    """What the links hear next; None when the link is over."""
    return await asyncio.wait_for(frontend.links.heard.get(), LIMIT_S)


async def test_carries_what_either_side_says(frontend: Frontend) -> None:
    link = connect(frontend)
    await link.write(HELLO)
    hello = await heard(frontend)
    assert isinstance(hello, Hello)
    assert frontend.links.machines == ["d"]
    assert frontend.links.addresses == ["127.0.0.1"]

    frontend.links.outgoing.put_nowait(Welcome(5, (DROP,), 10))
    assert (await read(link)).welcome.epoch == 5
    frontend.links.outgoing.put_nowait(Dispense(DROP, 5, 1, 9_000))
    assert (await read(link)).dispense.slot == 1
    await link.write(pb.ConnectRequest(heartbeat=pb.Heartbeat(sequence=1)))
    assert await heard(frontend) == Heartbeat(1)


async def test_a_link_that_ends_on_purpose_says_goodbye_and_ends_well(frontend: Frontend) -> None:
    link = connect(frontend)
    frontend.links.outgoing.put_nowait(Goodbye(GoodbyeReason.SHUTTING_DOWN))
    frontend.links.outgoing.put_nowait(None)
    assert (await read(link)).goodbye.reason == pb.Goodbye.REASON_SHUTTING_DOWN
    assert await link.read() is grpc.aio.EOF
    assert await link.code() is grpc.StatusCode.OK


async def test_the_agents_goodbye_is_carried_before_the_end(frontend: Frontend) -> None:
    link = connect(frontend)
    await link.write(pb.ConnectRequest(goodbye=pb.Goodbye(reason=pb.Goodbye.REASON_SHUTTING_DOWN)))
    await link.done_writing()
    assert await heard(frontend) == Goodbye(GoodbyeReason.SHUTTING_DOWN)
    assert await heard(frontend) is None
    assert await link.read() is grpc.aio.EOF


async def test_an_agent_that_vanishes_ends_its_link(frontend: Frontend) -> None:
    async with grpc.aio.insecure_channel(frontend.target) as channel:
        stub: Any = type(frontend.link_stub)(channel)
        link = stub.Connect(metadata=AGENT_D)
        await link.write(HELLO)
        assert isinstance(await heard(frontend), Hello)
    assert await heard(frontend) is None
    assert frontend.links.open == 0


async def test_messages_of_unknown_kinds_are_ignored(frontend: Frontend) -> None:
    link = connect(frontend)
    await link.write(pb.ConnectRequest.FromString(b"\x9a\x06\x00"))
    await link.write(HELLO)
    assert isinstance(await heard(frontend), Hello)


async def test_an_agent_that_breaks_the_protocol_is_told_how(frontend: Frontend) -> None:
    link = connect(frontend)
    await link.write(pb.ConnectRequest(result=pb.Result(drop="junk", revision=1)))
    refusal = await refused(link.read())
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "LINK_PROTOCOL")
    assert refusal.facts == {"field": "result.outcome"}


async def test_the_links_reason_for_an_end_arrives_in_plain_text_too(frontend: Frontend) -> None:
    link = connect(frontend)
    frontend.links.outgoing.put_nowait(LinkSupersededError("a newer link"))
    refusal = await refused(link.read())
    assert (refusal.code, refusal.plain_reason) == (grpc.StatusCode.ABORTED, "LINK_SUPERSEDED")


async def test_a_link_survives_the_drain_of_the_other_calls(frontend: Frontend) -> None:
    link = connect(frontend)
    await link.write(HELLO)
    await heard(frontend)
    await frontend.server.drain()
    await link.write(pb.ConnectRequest(heartbeat=pb.Heartbeat(sequence=1)))
    assert await heard(frontend) == Heartbeat(1)


async def test_a_token_that_is_replaced_before_hello_opens_no_link(frontend: Frontend) -> None:
    link = connect(frontend)
    await link.write(HELLO)
    assert isinstance(await heard(frontend), Hello)
    del frontend.machines.tokens["token-of-d"]
    frontend.links.outgoing.put_nowait(Welcome(5, (), 10))
    refusal = await refused(link.read())
    assert refusal.reason == "TOKEN_INVALID"
    assert await heard(frontend) is None
    assert frontend.links.open == 0


async def test_fault_68_an_agent_that_sends_too_much_is_ended_after_its_last_message(
    frontend: Frontend,
) -> None:
    frontend.links.messages_max = 1
    link = connect(frontend)
    await link.write(HELLO)
    assert isinstance(await heard(frontend), Hello)
    await link.write(pb.ConnectRequest(heartbeat=pb.Heartbeat(sequence=1)))
    assert await heard(frontend) == Heartbeat(1)
    assert (await refused(link.read())).reason == "RATE_LIMITED"
    assert frontend.links.sizes == [HELLO.ByteSize(), 4]
