"""Addresses that gateways forward, over a real server."""

from __future__ import annotations  # grpc.aio's call classes are generic in their stubs only

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from drink.v1 import account_service_pb2 as pb
from drink_frontend.usecases.gateways import CLIENT_KEY, GATEWAY_KEY, TOKEN_MAX, Gateways
from tests.support.rpc_frontend import ANN, Frontend, refused, running_frontend

WEB, APP = "w" * 64, "a" * 32
CLIENT = "203.0.113.7"


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "gateways"
    path.write_text(f"# who calls for others\n\nweb {WEB}\napp\t{APP}  # the phones\n")
    return path


@pytest.fixture
async def frontend() -> AsyncIterator[Frontend]:
    """A frontend that knows no gateways."""
    async with running_frontend() as running:
        yield running


@pytest.fixture
async def trusting(tokens: Path) -> AsyncIterator[Frontend]:
    """A frontend that knows two gateways."""
    async with running_frontend(gateways=tokens) as running:
        yield running


def says(token: str | None, *addresses: str) -> tuple[tuple[str, str], ...]:
    """Metadata of a call that a gateway makes, or somebody who pretends to be one."""
    told = tuple((CLIENT_KEY, address) for address in addresses)
    return told if token is None else (*told, (GATEWAY_KEY, token))


async def log_in(frontend: Frontend, metadata: Any) -> str:
    """Fails to log in, and returns the address that the attempt was counted by.

    Raises:
        grpc.aio.AioRpcError: the call was refused before its password was looked at.
    """
    request = pb.LoginRequest(
        password=pb.PasswordCredentials(account="accounts/ann", password="guess")
    )
    with capture_logs() as lines, pytest.raises(grpc.aio.AioRpcError) as caught:
        await frontend.call(request, metadata)
    origins = [str(line["origin"]) for line in lines if line["event"] == "login_failed"]
    if not origins:
        raise caught.value
    return origins[0]


@pytest.mark.parametrize("token", [WEB, APP])
@pytest.mark.parametrize(
    ("told", "counted"),
    [
        (CLIENT, CLIENT),
        ("2001:DB8::1", "2001:db8::1"),
        (f"::ffff:{CLIENT}", CLIENT),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
async def test_fault_62_a_gateways_call_is_counted_by_its_client(
    trusting: Frontend, token: str, told: str, counted: str
) -> None:
    assert await log_in(trusting, says(token, told)) == counted


async def test_a_gateway_that_names_no_client_is_counted_by_its_own_address(
    trusting: Frontend,
) -> None:
    assert await log_in(trusting, says(WEB)) == "127.0.0.1"


async def test_fault_62_only_gateways_choose_the_address_that_is_counted(
    trusting: Frontend, frontend: Frontend
) -> None:
    for server in (trusting, frontend):
        assert await log_in(server, says(None, CLIENT)) == "127.0.0.1"
        assert await log_in(server, says(None, CLIENT, CLIENT)) == "127.0.0.1"


@pytest.mark.parametrize(
    "token", ["", "guess", WEB[:-1], WEB + "w", WEB.upper(), f"web {WEB}", "web", "x" * 1_000]
)
async def test_fault_62_a_token_that_is_no_gateways_is_refused(
    trusting: Frontend, token: str
) -> None:
    refusal = await refused(log_in(trusting, says(token, CLIENT)))

    assert refusal.status == ("UNAUTHENTICATED", "TOKEN_INVALID")
    assert WEB not in refusal.message


async def test_fault_62_without_the_setting_no_token_is_a_gateways(frontend: Frontend) -> None:
    refusal = await refused(log_in(frontend, says(WEB, CLIENT)))

    assert refusal.reason == "TOKEN_INVALID"


async def test_two_tokens_are_no_token(trusting: Frontend) -> None:
    refusal = await refused(log_in(trusting, (*says(WEB, CLIENT), (GATEWAY_KEY, APP))))

    assert refusal.reason == "TOKEN_INVALID"


@pytest.mark.parametrize(
    "told",
    [(f"{CLIENT}:80",), ("[2001:db8::1]",), ("example.org",), ("",), (CLIENT, "192.0.2.1")],
)
async def test_a_gateway_forwards_one_address_and_nothing_else(
    trusting: Frontend, told: tuple[str, ...]
) -> None:
    refusal = await refused(log_in(trusting, says(WEB, *told)))

    assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": CLIENT_KEY})


async def test_a_gateways_token_gives_no_rights(trusting: Frontend) -> None:
    request = pb.GetAccountRequest()
    refusal = await trusting.refused(request, says(WEB, CLIENT))
    assert refusal.reason == "TOKEN_INVALID"

    answer = await trusting.call(request, (*says(WEB, CLIENT), *ANN))
    assert answer.account.name == "accounts/ann"


def rewrite(path: Path, text: str) -> None:
    path.write_text(text)
    # File systems with coarse clocks must not hide the change from the test.
    os.utime(path, (1, 1))


async def test_a_changed_file_counts_from_the_next_call_on(
    trusting: Frontend, tokens: Path
) -> None:
    rewrite(tokens, f"app {APP}\n")

    assert (await refused(log_in(trusting, says(WEB, CLIENT)))).reason == "TOKEN_INVALID"
    assert await log_in(trusting, says(APP, CLIENT)) == CLIENT


@pytest.mark.parametrize(
    "line",
    [
        "web",
        f"web{WEB}",
        "web short",
        f"Web {WEB}",
        f"web {WEB} {APP}",
        f"web {'x' * (TOKEN_MAX + 1)}",
        f"web {WEB}\nweb {APP}",
    ],
)
def test_an_invalid_line_is_refused_and_not_repeated(tmp_path: Path, line: str) -> None:
    path = tmp_path / "gateways"
    path.write_text(f"{line}\n")

    with pytest.raises(OSError, match=r"line [12] must be") as wrong:
        Gateways(path)
    assert WEB not in str(wrong.value)
