"""Tokens and certificates: which caller may call which method."""

import importlib
import pkgutil
import re
from pathlib import Path
from ssl import DER_cert_to_PEM_cert
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

import drink.v1
from drink.v1 import account_service_pb2 as accounts
from drink.v1 import drop_service_pb2 as drops
from drink.v1 import event_service_pb2 as events
from drink.v1 import machine_service_pb2 as machines
from drink.v1 import statistics_service_pb2 as statistics
from drink_frontend.domain.entities import Reach
from drink_frontend.domain.errors import CertificateInvalidError
from drink_frontend.domain.tokens import Scope
from drink_frontend.rpc.authentication import (
    TOKEN_MAX,
    Access,
    access_of,
    certified_machine,
    scopes_of,
)
from drink_frontend.rpc.server import SERVICES
from drink_frontend.usecases.tokens import digest
from tests.support.rpc_frontend import (
    AGENT_D,
    ANN,
    BOB,
    LIMIT_S,
    ROOT,
    Frontend,
    read_refusal,
    refused,
)

PAGE = Path(__file__).parents[3] / "docs" / "api.md"

DESCRIPTORS = [
    method
    for module in pkgutil.iter_modules(drink.v1.__path__)
    if module.name.endswith("_pb2")
    for service in importlib.import_module(
        f"drink.v1.{module.name}"
    ).DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
"""Every method of every service in the protos."""

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

    Where the client streams, nothing is sent unless it may: if a refusal comes while a message is
    being written, gRPC raises INTERNAL instead of it.
    """
    channel: Any = frontend.channel
    if method in STREAMING_CLIENTS:
        stream = channel.stream_stream(method)(metadata=metadata, timeout=LIMIT_S)
        if has_rights:
            await stream.write(b"")
        return await stream.read()
    if streaming:
        stream = channel.unary_stream(method)(b"", metadata=metadata, timeout=LIMIT_S)
        return await stream.read()
    return await channel.unary_unary(method)(b"", metadata=metadata, timeout=LIMIT_S)


async def test_a_users_token_is_no_agents_and_the_reverse(frontend: Frontend) -> None:
    connect, account = "MachineLinkService/Connect", "AccountService/GetAccount"
    refusal = await refused(call(frontend, f"/drink.v1.{connect}", True, ANN, has_rights=False))
    assert refusal.reason == "TOKEN_INVALID"
    refusal = await refused(call(frontend, f"/drink.v1.{account}", False, AGENT_D))
    assert refusal.reason == "TOKEN_INVALID"


async def test_open_methods_ignore_the_token(frontend: Frontend) -> None:
    request = machines.ListMachinesRequest()
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
    request = accounts.GetAccountRequest()
    await frontend.call(request, ANN)
    await frontend.revoke("ann")
    refusal = await frontend.refused(request, ANN)
    assert refusal.reason == "TOKEN_INVALID"


async def test_a_drop_uses_the_cached_account_and_looks_its_token_up(frontend: Frontend) -> None:
    async def schedule(request_id: str) -> drops.DropResponse:
        request = drops.DropRequest(
            request_id=request_id, slot="machines/d/slots/1", delay=Duration(seconds=9)
        )
        response: drops.DropResponse = await frontend.call(request, ANN)
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


WHO = {f"/drink.v1.{service}/{name}": who for service, name, who, _ in ROWS}
"""Who may call each method, as the page on the API says."""

CALLERS: dict[str, tuple[Any, set[str]]] = {
    "nobody": ((), {"anyone"}),
    "somebody with an unknown token": ((("authorization", "Bearer nobodys"),), {"anyone"}),
    "an agent": (AGENT_D, {"anyone", "agents"}),
    "a member": (ANN, {"anyone", "users"}),
    "an administrator": (ROOT, {"anyone", "users", "administrators"}),
}
"""What goes with the calls of each kind of caller, and whose methods it may call."""

NO_RIGHTS = {"TOKEN_INVALID", "TOKEN_SCOPE", "ADMIN_REQUIRED", "NOT_OWNER"}


def test_every_service_in_the_protos_is_served() -> None:
    assert set(SERVICES) == {service for service, _, _ in METHODS}
    assert set(WHO.values()) == {"anyone", "agents", "kiosks", "users", "administrators"}


@pytest.mark.parametrize(("service", "name", "streaming"), METHODS)
async def test_a_method_is_for_those_whom_the_page_on_the_api_names(
    frontend: Frontend, service: str, name: str, streaming: bool
) -> None:
    method = f"/{service}/{name}"
    for caller, (metadata, allowed) in CALLERS.items():
        has_rights, reason = WHO[method] in allowed, ""
        try:
            # An empty request: the rights are checked before its fields.
            await call(frontend, method, streaming, metadata, has_rights=has_rights)
        except grpc.aio.AioRpcError as error:
            reason = read_refusal(error).reason
        if has_rights:
            assert reason not in NO_RIGHTS, caller
        elif (caller, WHO[method]) == ("a member", "administrators"):
            assert reason == "ADMIN_REQUIRED"
        else:
            assert reason == "TOKEN_INVALID", caller


def about(account: str, drop: str) -> list[Any]:
    """Requests of members that name what may be another's."""
    return [
        accounts.GetAccountRequest(name=account),
        accounts.ListEntriesRequest(parent=account),
        accounts.ListTokensRequest(parent=account),
        accounts.RevokeTokenRequest(name=f"{account}/tokens/0123456789abcdef"),
        accounts.RevokeAllTokensRequest(parent=account),
        accounts.ListCardsRequest(parent=account),
        accounts.RemoveCardRequest(name=f"{account}/cards/0123456789abcdef"),
        drops.ListDropsRequest(parent=account),
        drops.GetDropRequest(name=drop),
        drops.CancelDropRequest(name=drop),
        drops.ReportDropRequest(name=drop, seen=drops.ReportDropRequest.SEEN_FELL),
        drops.RefundDropRequest(request_id="r", name=drop, reason="warm"),
        drops.WatchDropRequest(name=drop),
        events.ListEventsRequest(account=account),
        events.WatchEventsRequest(account=account),
        statistics.GetAccountStatisticsRequest(account=account),
        statistics.ListStatisticsRequest(account=account),
    ]


async def test_what_is_anothers_is_refused_as_what_is_not_there(frontend: Frontend) -> None:
    await frontend.bench.reach(Reach.READY)
    order = drops.DropRequest(request_id="b", slot="machines/d/slots/1", no_wait=True)
    bought = (await frontend.call(order, BOB)).drop.name
    absent = about("accounts/nobody", f"drops/{'Z' * 26}")
    for pair in zip(about("accounts/bob", bought), absent, strict=True):
        calls = [frontend.call(request, ANN) for request in pair]
        answers = [await refused(each.read() if hasattr(each, "read") else each) for each in calls]
        assert answers[0] == answers[1], pair[0]


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
