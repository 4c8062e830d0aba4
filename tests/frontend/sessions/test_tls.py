import asyncio
import contextlib
import shutil
import ssl
from pathlib import Path

import pytest

from drink_frontend.sessions.dialects import DialectName
from drink_frontend.sessions.server import SessionServer
from drink_frontend.sessions.tls import Certificate
from tests.support.session_servers import Serve
from tests.support.sessions import PATIENCE_S, Caller, until

DATA = Path(__file__).parent / "data" / "tls"


def install(folder: Path, name: str) -> tuple[Path, Path]:
    """Puts one of two self-signed certificates for localhost, and its key, into a folder."""
    chain, key = folder / "cert.pem", folder / "key.pem"
    shutil.copyfile(DATA / f"{name}-cert.pem", chain)
    shutil.copyfile(DATA / f"{name}-key.pem", key)
    return chain, key


def trusting(chain: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(chain))


def secure(server: SessionServer, files: tuple[Path, Path]) -> Caller:
    """A client that trusts the server's certificate."""
    return Caller(server, ssl=trusting(files[0]), server_hostname="localhost")


def subject(caller: Caller) -> str:
    certificate = caller.writer.get_extra_info("peercert")
    return str(dict(pair[0] for pair in certificate["subject"])["commonName"])


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return install(tmp_path, "first")


class TestCertificate:
    def test_refuses_files_that_are_none(self, tmp_path: Path, files: tuple[Path, Path]) -> None:
        with pytest.raises(OSError, match="missing"):
            Certificate(tmp_path / "missing", files[1])
        files[1].write_text("junk")
        with pytest.raises(ssl.SSLError):
            Certificate(*files)

    def test_old_versions_of_tls_are_refused(self, files: tuple[Path, Path]) -> None:
        assert Certificate(*files).context.minimum_version is ssl.TLSVersion.TLSv1_2

    def test_is_read_again_only_when_it_changed(self, files: tuple[Path, Path]) -> None:
        certificate = Certificate(*files)
        assert not certificate.refresh()
        install(files[0].parent, "second")
        assert certificate.refresh()
        assert not certificate.refresh()

    def test_a_half_done_renewal_changes_nothing(self, files: tuple[Path, Path]) -> None:
        certificate = Certificate(*files)
        old_key = files[1].read_bytes()
        install(files[0].parent, "second")
        new_key = files[1].read_bytes()
        files[1].write_bytes(old_key)
        assert not certificate.refresh()
        files[1].unlink()
        assert not certificate.refresh()
        files[1].write_bytes(new_key)
        assert certificate.refresh()


class TestListener:
    async def test_speaks_any_dialect(self, serve: Serve, files: tuple[Path, Path]) -> None:
        for dialect in DialectName:
            server = await serve(dialect=dialect, tls_certificate=files[0], tls_key=files[1])
            async with secure(server, files) as caller:
                assert b"Drink" in await caller.read()
                caller.send(b"STAT\nQUIT\n")
                assert b"Slots retrieved" in await caller.read_all()

    async def test_a_renewal_needs_no_restart(self, serve: Serve, files: tuple[Path, Path]) -> None:
        server = await serve(
            {"tls_check_interval_s": 0.02}, tls_certificate=files[0], tls_key=files[1]
        )
        async with secure(server, files) as old:
            assert subject(old) == "first"
            install(files[0].parent, "second")
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    try:
                        async with secure(server, files) as caller:
                            assert subject(caller) == "second"
                            break
                    except ssl.SSLCertVerificationError:
                        await asyncio.sleep(0.01)
            await old.read()
            assert await old.ask(b"VERSION\n") == b"OK Drink 1.2.3\n"

    async def test_a_plain_client_on_the_tls_port_disturbs_nobody(
        self, serve: Serve, files: tuple[Path, Path]
    ) -> None:
        server = await serve(tls_certificate=files[0], tls_key=files[1])
        async with Caller(server) as plain:
            plain.send(b"USER user\n")
            assert b"OK" not in await plain.read_all()
        async with secure(server, files) as caller:
            assert await caller.read() == b"OK Welcome to Big Drink\n"

    async def test_a_drain_does_not_wait_for_handshakes(
        self, serve: Serve, files: tuple[Path, Path]
    ) -> None:
        server = await serve(tls_certificate=files[0], tls_key=files[1])
        async with Caller(server) as silent:
            await until(lambda: server.sessions == 1)
            async with asyncio.timeout(PATIENCE_S):
                await server.drain(60)
            assert await silent.read_all() == b""

    async def test_a_silent_client_is_cut_off(self, serve: Serve, files: tuple[Path, Path]) -> None:
        server = await serve(
            {"tls_handshake_limit_s": 0.2}, tls_certificate=files[0], tls_key=files[1]
        )
        async with Caller(server) as silent:
            assert await silent.read_all() == b""
        assert server.sessions == 0

    async def test_fault_66_silent_clients_make_way_for_one_that_speaks(
        self, serve: Serve, files: tuple[Path, Path]
    ) -> None:
        server = await serve({"sessions_max": 4}, tls_certificate=files[0], tls_key=files[1])
        async with contextlib.AsyncExitStack() as stack:
            silent = [await stack.enter_async_context(Caller(server)) for _ in range(20)]
            caller = await stack.enter_async_context(secure(server, files))
            await caller.login()
            assert await silent[0].read_all() == b""
