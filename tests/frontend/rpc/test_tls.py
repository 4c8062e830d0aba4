"""Listeners with TLS, renewed certificates, and agents with client certificates."""

import asyncio
import os
import shutil
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from drink.v1 import (
    machine_link_service_pb2,
    machine_link_service_pb2_grpc,
    machine_service_pb2_grpc,
)
from drink.v1 import machine_service_pb2 as pb
from drink_frontend.rpc.tls import Revoked, server_credentials
from drink_frontend.system.authority import facts_of
from tests.support.certificates import Certificates, Files
from tests.support.rpc_frontend import (
    AGENT_D,
    HELLO,
    LIMIT_S,
    Frontend,
    Refused,
    refused,
    running_frontend,
)

DATA = Path(__file__).parent / "data"


class Installed:
    """A certificate and key in files of their own, as an installation has them."""

    def __init__(self, folder: Path) -> None:
        self.certificate = folder / "server.pem"
        self.key = folder / "server.key"
        self.settings = {"tls_certificate": self.certificate, "tls_key": self.key}
        self._age = 0

    def install(self, name: str, *, key: str | None = None) -> None:
        for source, target in ((name, self.certificate), (key or name, self.key)):
            shutil.copyfile(DATA / f"{source}{target.suffix}", target)
            # File systems with coarse clocks must not hide the change from the test.
            self._age += 1
            os.utime(target, (self._age, self._age))


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    files = Installed(tmp_path)
    files.install("one")
    return files


async def served(port: int, name: str) -> bool:
    """Whether a client that trusts only certificate `name` is served."""
    credentials = grpc.ssl_channel_credentials((DATA / f"{name}.pem").read_bytes())
    options = [("grpc.ssl_target_name_override", f"drink-{name}.test")]
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        stub = machine_service_pb2_grpc.MachineServiceStub(channel)
        call = stub.ListMachines(pb.ListMachinesRequest(), timeout=LIMIT_S)
        code = await call.code()
    assert code in {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    return code is grpc.StatusCode.OK


async def test_serves_tls_and_follows_a_renewal(installed: Installed) -> None:
    async with running_frontend(**installed.settings) as frontend:
        assert await served(frontend.port, "one")
        assert not await served(frontend.port, "two")
        installed.install("two")
        assert await served(frontend.port, "two")
        assert not await served(frontend.port, "one")


async def test_a_renewal_that_is_half_done_changes_nothing(installed: Installed) -> None:
    async with running_frontend(**installed.settings) as frontend:
        installed.install("two", key="one")
        assert await served(frontend.port, "one")
        installed.key.unlink()
        assert await served(frontend.port, "one")
        installed.install("two")
        assert await served(frontend.port, "two")


async def test_plain_text_is_not_served_on_a_tls_port(installed: Installed) -> None:
    async with running_frontend(**installed.settings) as frontend:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await frontend.call(pb.ListMachinesRequest())
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await served(frontend.port, "one")


def test_a_start_with_useless_files_fails(installed: Installed) -> None:
    installed.install("one", key="two")
    with pytest.raises(ssl.SSLError):
        server_credentials(installed.certificate, installed.key)
    installed.certificate.unlink()
    with pytest.raises(FileNotFoundError):
        server_credentials(installed.certificate, installed.key)


AGENT_LD = (("authorization", "Bearer token-of-ld"),)


@pytest.fixture
def ours(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "ours")


@pytest.fixture
def theirs(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "theirs")


@asynccontextmanager
async def mutual(ours: Certificates, **links: object) -> AsyncIterator[Frontend]:
    """A frontend with a listener for agents that have certificates."""
    certificate, key = ours.server()
    async with running_frontend(
        tls_certificate=certificate,
        tls_key=key,
        links={"client_ca": ours.ca, "port": 0, **links},
    ) as frontend:
        yield frontend


async def hello() -> AsyncIterator[machine_link_service_pb2.ConnectRequest]:
    """What an agent sends until its link ends."""
    yield HELLO
    await asyncio.Event().wait()


async def nothing() -> AsyncIterator[machine_link_service_pb2.ConnectRequest]:
    """Sent where a link is refused.

    If a refusal comes while a message is being written, gRPC raises INTERNAL instead of it.
    """
    await asyncio.Event().wait()
    yield HELLO


async def linked(
    port: int,
    ours: Certificates,
    files: Files | None = None,
    metadata: Any = None,
    *,
    sends: Callable[[], AsyncIterator[machine_link_service_pb2.ConnectRequest]] = hello,
) -> str:
    """How an agent's link begins: the name of the frontend's first message.

    Raises:
        grpc.aio.AioRpcError: it is refused.
    """
    private = (files.key.read_bytes(), files.certificate.read_bytes()) if files else ()
    credentials = grpc.ssl_channel_credentials(ours.ca.read_bytes(), *private)
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
        stub: Any = machine_link_service_pb2_grpc.MachineLinkServiceStub(channel)
        call = stub.Connect(sends(), metadata=metadata, timeout=LIMIT_S)
        return str((await call.read()).WhichOneof("message"))


async def link_refused(
    port: int, ours: Certificates, files: Files | None = None, metadata: Any = None
) -> Refused:
    """How an agent's link is refused."""
    return await refused(linked(port, ours, files, metadata, sends=nothing))


async def test_an_agent_is_identified_by_its_certificate_alone(ours: Certificates) -> None:
    async with mutual(ours) as frontend:
        assert await linked(frontend.server.links_port, ours, ours.machine("d")) == "welcome"
        assert await frontend.bench.epoch() == 2


async def test_certificate_and_token_of_one_machine_go_together(ours: Certificates) -> None:
    async with mutual(ours) as frontend:
        port = frontend.server.links_port
        assert await linked(port, ours, ours.machine("d"), AGENT_D) == "welcome"


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        (AGENT_LD, "CERTIFICATE_INVALID"),
        ((("authorization", "Bearer nobodys"),), "TOKEN_INVALID"),
        ((("authorization", "nonsense"),), "TOKEN_INVALID"),
    ],
)
async def test_fault_19_a_token_beside_a_certificate_must_be_of_the_same_machine(
    ours: Certificates, metadata: Any, reason: str
) -> None:
    async with mutual(ours) as frontend:
        refusal = await link_refused(frontend.server.links_port, ours, ours.machine("d"), metadata)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)
        assert await frontend.bench.epoch() == 1


async def test_fault_19_a_certificate_that_names_no_machine_is_refused(ours: Certificates) -> None:
    async with mutual(ours) as frontend:
        # One authority for servers and machines is usual; a frontend's key is no machine's.
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await linked(frontend.server.links_port, ours, ours.server(), sends=nothing)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await frontend.bench.epoch() == 1


@pytest.mark.parametrize("which", ["none", "another authority's", "expired"])
async def test_fault_19_what_the_authority_does_not_stand_for_gets_no_connection(
    ours: Certificates, theirs: Certificates, which: str
) -> None:
    files = {
        "none": None,
        "another authority's": theirs.machine("d"),
        "expired": ours.machine("d", expired=True),
    }[which]
    async with mutual(ours) as frontend:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await linked(frontend.server.links_port, ours, files, AGENT_D, sends=nothing)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await frontend.bench.epoch() == 1


async def test_tokens_are_enough_at_the_listener_without_certificates(
    ours: Certificates,
) -> None:
    async with mutual(ours) as frontend:
        assert await linked(frontend.port, ours, None, AGENT_D) == "welcome"
        refusal = await link_refused(frontend.port, ours, ours.machine("d"))
        assert refusal.reason == "TOKEN_INVALID"


async def test_certificates_can_be_required_of_every_agent(ours: Certificates) -> None:
    async with mutual(ours, required=True) as frontend:
        refusal = await link_refused(frontend.port, ours, None, AGENT_D)
        assert refusal.reason == "CERTIFICATE_INVALID"
        assert await linked(frontend.server.links_port, ours, ours.machine("d")) == "welcome"


async def test_a_new_authority_is_used_from_the_next_handshake_on(
    ours: Certificates, theirs: Certificates
) -> None:
    async with mutual(ours) as frontend:
        port = frontend.server.links_port
        with pytest.raises(grpc.aio.AioRpcError):
            await linked(port, ours, theirs.machine("d"), sends=nothing)
        old = ours.ca.read_bytes()
        ours.ca.write_bytes(old + theirs.ca.read_bytes())
        for files in (theirs.machine("d"), ours.machine("d")):
            assert await linked(port, ours, files) == "welcome"


async def test_a_start_without_an_authority_fails(ours: Certificates) -> None:
    ours.ca.write_text("junk")
    with pytest.raises(ssl.SSLError):
        async with mutual(ours):
            pytest.fail("it serves")


def fingerprint(files: Files) -> str:
    return facts_of(files.certificate.read_bytes()).fingerprint


async def test_fault_19_a_revoked_certificate_is_refused_from_the_next_link_on(
    ours: Certificates, tmp_path: Path
) -> None:
    stolen, own = ours.machine("d", file="stolen"), ours.machine("d")
    revoked = tmp_path / "revoked"
    revoked.write_text("# nobody yet\n\n")
    async with mutual(ours, revoked=revoked) as frontend:
        port = frontend.server.links_port
        revoked.write_text(f"{fingerprint(stolen)}  # machine-d\n")
        refusal = await link_refused(port, ours, stolen)
        assert (refusal.reason, refusal.message) == (
            "CERTIFICATE_INVALID",
            "the certificate was revoked",
        )
        revoked.write_text("half a li")
        assert (await link_refused(port, ours, stolen)).reason == "CERTIFICATE_INVALID"
        assert await linked(port, ours, own) == "welcome"


async def test_fault_70_a_link_ends_when_its_certificate_is_revoked(
    ours: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the agent of the machine opens a link with its new certificate."""
    monkeypatch.setattr("drink_frontend.rpc.tls.REVOKED_LOOK_S", 0.02)
    stolen, own = ours.machine("d", file="stolen"), ours.machine("d")
    revoked = tmp_path / "revoked"
    revoked.write_text(f"{fingerprint(ours.machine('ld'))}\n")
    async with mutual(ours, revoked=revoked) as frontend:
        port = frontend.server.links_port
        private = (stolen.key.read_bytes(), stolen.certificate.read_bytes())
        credentials = grpc.ssl_channel_credentials(ours.ca.read_bytes(), *private)
        async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
            stub: Any = machine_link_service_pb2_grpc.MachineLinkServiceStub(channel)
            call = await frontend.linked(stub, metadata=None)
            revoked.write_text(fingerprint(stolen))
            refusal = await refused(call.read())
        assert (refusal.reason, refusal.message) == (
            "CERTIFICATE_INVALID",
            "the certificate was revoked",
        )
        assert await linked(port, ours, own) == "welcome"


def test_a_list_of_revoked_certificates_takes_what_tools_print(
    ours: Certificates, tmp_path: Path
) -> None:
    digits = fingerprint(ours.machine("d"))
    path = tmp_path / "revoked"
    path.write_text(":".join(map("".join, zip(*[iter(digits.upper())] * 2, strict=True))))
    assert Revoked(path).current() == {digits}


@pytest.mark.parametrize("text", ["junk", "a" * 63, "a" * 65, "g" * 64])
def test_a_start_with_a_useless_list_fails(tmp_path: Path, text: str) -> None:
    path = tmp_path / "revoked"
    path.write_text(text)
    with pytest.raises(OSError, match="no SHA-256 fingerprint"):
        Revoked(path)
