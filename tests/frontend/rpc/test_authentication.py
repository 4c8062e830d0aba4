"""Tokens and certificates: which caller may call which method."""

import re
from pathlib import Path
from ssl import DER_cert_to_PEM_cert
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from drink.v1 import (
    account_service_pb2,
    alarm_service_pb2,
    drop_service_pb2,
    event_service_pb2,
    item_service_pb2,
    kiosk_service_pb2,
    machine_link_service_pb2,
    machine_service_pb2,
    statistics_service_pb2,
)
from drink_frontend.domain.errors import CertificateInvalidError
from drink_frontend.domain.tokens import Scope
from drink_frontend.rpc.authentication import (
    TOKEN_MAX,
    Access,
    access_of,
    certified_machine,
    scopes_of,
)
from drink_frontend.usecases.tokens import digest
from tests.support.rpc_frontend import AGENT_D, ANN, LIMIT_S, Frontend, read_refusal, refused

PAGE = Path(__file__).parents[3] / "docs" / "api.md"
OPEN = {
    "Login",
    "ListItems",
    "GetItem",
    "GetItemPicture",
    "RedeemPairingCode",
    "ListMachines",
    "GetMachine",
    "WatchMachines",
}

DESCRIPTORS = [
    method
    for module in (
        account_service_pb2,
        alarm_service_pb2,
        drop_service_pb2,
        event_service_pb2,
        item_service_pb2,
        kiosk_service_pb2,
        machine_link_service_pb2,
        machine_service_pb2,
        statistics_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]

METHODS = [
    (
        method.containing_service.full_name,
        method.name,
        method.client_streaming or method.server_streaming,
    )
    for method in DESCRIPTORS
]

STREAMING_CLIENTS = {
    f"/{method.containing_service.full_name}/{method.name}"
    for method in DESCRIPTORS
    if method.client_streaming
}
"""Methods that refuse a caller before they read a message."""


async def call(
    frontend: Frontend,
    method: str,
    streaming: bool,
    metadata: Any,
    *,
    has_rights: bool = True,
) -> Any:
    """Calls the method with an empty request.

    Nothing is sent where a refusal does not wait for it: if one comes while a message is being
    written, gRPC raises INTERNAL instead of it.
    """
    channel: Any = frontend.channel
    if streaming:
        stream = channel.stream_stream(method)(metadata=metadata, timeout=LIMIT_S)
        if has_rights or method not in STREAMING_CLIENTS:
            await stream.write(b"")
        return await stream.read()
    return await channel.unary_unary(method)(b"", metadata=metadata, timeout=LIMIT_S)


@pytest.mark.parametrize(
    ("service", "name", "streaming"), [row for row in METHODS if row[1] not in OPEN]
)
async def test_all_that_is_not_open_needs_a_token(
    frontend: Frontend, service: str, name: str, streaming: bool
) -> None:
    for metadata in (None, (("authorization", "Bearer nobodys"),)):
        refusal = await refused(
            call(frontend, f"/{service}/{name}", streaming, metadata, has_rights=False)
        )
        assert refusal.status == ("UNAUTHENTICATED", "TOKEN_INVALID")


async def test_a_users_token_is_no_agents_and_the_reverse(frontend: Frontend) -> None:
    connect, account = "MachineLinkService/Connect", "AccountService/GetAccount"
    refusal = await refused(call(frontend, f"/drink.v1.{connect}", True, ANN, has_rights=False))
    assert refusal.reason == "TOKEN_INVALID"
    refusal = await refused(call(frontend, f"/drink.v1.{account}", False, AGENT_D))
    assert refusal.reason == "TOKEN_INVALID"


async def test_open_methods_ignore_the_token(frontend: Frontend) -> None:
    request = machine_service_pb2.ListMachinesRequest()
    for metadata in (None, (("authorization", "Bearer nobodys"),)):
        answer = await frontend.call(request, metadata)
        assert len(answer.machines) == 2


@pytest.mark.parametrize(
    "metadata",
    [
        (("authorization", "token-of-ann"),),
        (("authorization", "Basic token-of-ann"),),
        (("authorization", "Bearer "),),
        (("authorization", "Bearer " + "x" * (TOKEN_MAX + 1)),),
        (("authorization", "Bearer token-of-ann "),),
        (("authorization", "Bearer token-of-ann"), ("authorization", "Bearer token-of-bob")),
    ],
)
async def test_malformed_tokens_are_refused(frontend: Frontend, metadata: Any) -> None:
    refusal = await refused(call(frontend, "/drink.v1.AccountService/GetAccount", False, metadata))
    assert refusal.reason == "TOKEN_INVALID"
    assert "ann" not in refusal.message


async def test_a_revoked_token_stops_with_the_next_call(frontend: Frontend) -> None:
    request = account_service_pb2.GetAccountRequest()
    await frontend.call(request, ANN)
    await frontend.revoke("ann")
    refusal = await frontend.refused(request, ANN)
    assert refusal.reason == "TOKEN_INVALID"


async def test_a_drop_uses_the_cached_account_and_looks_its_token_up(frontend: Frontend) -> None:
    async def schedule(request_id: str) -> drop_service_pb2.DropResponse:
        request = drop_service_pb2.DropRequest(
            request_id=request_id, slot="machines/d/slots/1", delay=Duration(seconds=9)
        )
        response: drop_service_pb2.DropResponse = await frontend.call(request, ANN)
        return response

    await schedule("first")
    reads = frontend.storage.reads
    await schedule("second")
    assert frontend.storage.reads == reads
    await frontend.revoke("ann")
    assert (await refused(schedule("third"))).reason == "TOKEN_INVALID"
    assert frontend.bench.accounts.tokens.recall(digest("token-of-ann")) is None
    assert frontend.storage.reads == reads
    assert (await refused(schedule("fourth"))).reason == "TOKEN_INVALID"
    assert frontend.storage.reads == reads + 1
    assert [drop.request_id for drop in await frontend.kept_drops()] == ["second", "first"]


ROWS = re.findall(
    r"^\| (\w+Service) \| (\w+) \| [^|]+ \| (\w+) \|([^|]*)\|", PAGE.read_text(), re.MULTILINE
)
"""Service, method, who may call it and with which limited tokens, as the page on the API says."""


def test_the_page_on_the_api_lists_who_may_call_each_method() -> None:
    words = {"anyone": Access.ANYONE, "agents": Access.AGENT, "kiosks": Access.KIOSK}
    told = {
        f"drink.v1.{service}/{name}": words.get(word, Access.USER)
        for service, name, word, _ in ROWS
    }
    assert told == {
        f"{service}/{name}": access_of(f"/{service}/{name}") for service, name, _ in METHODS
    }


def test_the_page_on_the_api_lists_what_limited_tokens_may_call() -> None:
    words = {Scope.DROP: "drop only", Scope.READ: "read only"}
    told = {f"/drink.v1.{service}/{name}": cell.strip() for service, name, _, cell in ROWS}
    for method, cell in told.items():
        allowed = [word for scope, word in words.items() if scope in scopes_of(method)]
        is_open = access_of(method) is Access.ANYONE
        assert cell == ("any" if is_open else ", ".join(allowed)), method
    assert len(told) == len(METHODS)


@pytest.mark.parametrize(
    ("service", "name", "who"), [row[:3] for row in ROWS if row[2] in {"users", "administrators"}]
)
async def test_administrators_methods_are_those_that_the_page_on_the_api_says(
    frontend: Frontend, service: str, name: str, who: str
) -> None:
    streaming = {method: streams for _, method, streams in METHODS}[name]
    try:
        # An empty request: the rights are checked before its fields.
        method, has_rights = f"/drink.v1.{service}/{name}", who == "users"
        await call(frontend, method, streaming, ANN, has_rights=has_rights)
    except grpc.aio.AioRpcError as error:
        refusal = read_refusal(error)
        assert (refusal.reason == "ADMIN_REQUIRED") == (who == "administrators")
    else:
        assert who == "users"


def test_an_unlisted_method_is_for_users() -> None:
    assert access_of("/drink.v1.NewService/New") is Access.USER
    assert access_of("/drink.v1.MachineService/UpdateSlot") is Access.USER


PEM = {"x509_pem_cert": [DER_cert_to_PEM_cert(b"whatever").encode()]}


@pytest.mark.parametrize(
    ("facts", "machine"),
    [
        ({}, None),
        ({"transport_security_type": [b"ssl"]}, None),
        ({"peer_uri": [b"drink://machines/d"]}, None),
        ({**PEM, "peer_uri": [b"drink://machines/d"]}, "d"),
        ({**PEM, "peer_uri": [b"spiffe://example.org/x", b"drink://machines/ld"]}, "ld"),
    ],
)
def test_a_certificate_names_its_machine(facts: Any, machine: str | None) -> None:
    assert certified_machine(facts) == machine


@pytest.mark.parametrize(
    "uris",
    [
        [],
        [b"drink://accounts/ann"],
        [b"https://machines/d"],
        [b"\xff"],
        [b"drink://machines/d", b"drink://machines/ld"],
    ],
)
def test_fault_19_a_certificate_that_does_not_name_one_machine_is_refused(
    uris: list[bytes],
) -> None:
    with pytest.raises(CertificateInvalidError, match="must name one machine"):
        certified_machine({**PEM, "peer_uri": uris, "x509_common_name": [b"d"]})
