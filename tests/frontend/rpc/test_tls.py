"""A listener with TLS, and certificates that change while it runs."""

import os
import shutil
import ssl
from pathlib import Path

import grpc
import pytest

from drink.v1 import machine_service_pb2 as pb
from drink.v1 import machine_service_pb2_grpc
from drink_frontend.rpc.tls import server_credentials
from tests.fakes.rpc_frontend import LIMIT_S, running_frontend

DATA = Path(__file__).parent / "data"


class Installed:
    """A certificate and key in files of their own, as an installation has them."""

    def __init__(self, folder: Path) -> None:
        self.certificate = folder / "server.pem"
        self.key = folder / "server.key"
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
    async with running_frontend(
        tls_certificate=installed.certificate, tls_key=installed.key
    ) as frontend:
        assert await served(frontend.port, "one")
        assert not await served(frontend.port, "two")
        installed.install("two")
        assert await served(frontend.port, "two")
        assert not await served(frontend.port, "one")


async def test_a_renewal_that_is_half_done_changes_nothing(installed: Installed) -> None:
    async with running_frontend(
        tls_certificate=installed.certificate, tls_key=installed.key
    ) as frontend:
        installed.install("two", key="one")
        assert await served(frontend.port, "one")
        installed.key.unlink()
        assert await served(frontend.port, "one")
        installed.install("two")
        assert await served(frontend.port, "two")


async def test_plain_text_is_not_served_on_a_tls_port(installed: Installed) -> None:
    async with running_frontend(
        tls_certificate=installed.certificate, tls_key=installed.key
    ) as frontend:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await frontend.machine_stub.ListMachines(pb.ListMachinesRequest(), timeout=LIMIT_S)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await served(frontend.port, "one")


def test_a_start_with_useless_files_fails(installed: Installed) -> None:
    installed.install("one", key="two")
    with pytest.raises(ssl.SSLError):
        server_credentials(installed.certificate, installed.key)
    installed.certificate.unlink()
    with pytest.raises(FileNotFoundError):
        server_credentials(installed.certificate, installed.key)
