"""TLS and tokens of a link; an unknown frontend receives no secret."""

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from drink_agent.domain.events import LinkUp
from drink_agent.link.channel import (
    GRPC_ROOTS_VARIABLE,
    KEEPALIVE_OPTIONS,
    LinkSetupError,
    authorization,
    certificate_problem,
    open_channel,
    system_authorities,
)
from drink_agent.link.settings import LinkSettings
from drink_frontend.rpc.tls import server_credentials
from tests.fakes.frontend import LIMIT_S, FakeFrontend, welcome_all
from tests.fakes.http_proxy import PROXY_VARIABLES, HttpProxy
from tests.support.certificates import Certificates
from tests.support.link_client import TOKEN, LinkPeer, running, with_token
from tests.support.logwatch import watching


@pytest.fixture
def settings(tmp_path: Path) -> LinkSettings:
    return with_token(LinkSettings(backoff_first_s=0.05, backoff_limit_s=0.1), tmp_path)


@pytest.fixture
def ours(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "ours")


@pytest.fixture
def theirs(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "theirs")


@contextlib.asynccontextmanager
async def served(certificates: Certificates, client_ca: Path | None) -> AsyncIterator[FakeFrontend]:
    """A frontend with TLS; with `client_ca` it requires a certificate."""
    frontend = FakeFrontend(welcome_all())
    await frontend.start(server_credentials(*certificates.server(), client_ca))
    try:
        yield frontend
    finally:
        await frontend.stop()


def dialling(
    settings: LinkSettings, frontend: FakeFrontend
) -> contextlib.AbstractAsyncContextManager[LinkPeer]:
    """An agent that dials the frontend by the name that its certificate has."""
    return running(settings, f"localhost:{frontend.port}")


@pytest.mark.parametrize("variable", PROXY_VARIABLES)
async def test_a_proxy_of_the_environment_is_not_used(
    settings: LinkSettings, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    async with FakeFrontend(welcome_all()) as frontend, HttpProxy() as proxy:
        monkeypatch.setenv(variable, proxy.url)
        async with dialling(settings, frontend) as peer:
            assert await asyncio.wait_for(peer.event(), LIMIT_S) == LinkUp(1)
            assert proxy.asked == []


@pytest.mark.parametrize("encrypted", [False, True])
async def test_a_link_goes_through_the_proxy_that_is_set(
    settings: LinkSettings, ours: Certificates, encrypted: bool
) -> None:
    frontend = FakeFrontend(welcome_all())
    await frontend.start(server_credentials(*ours.server(), None) if encrypted else None)
    async with HttpProxy() as proxy:
        settings = replace(settings, proxy=proxy.url, ca_file=ours.ca if encrypted else None)
        async with dialling(settings, frontend) as peer:
            assert await asyncio.wait_for(peer.event(), LIMIT_S) == LinkUp(1)
            assert proxy.asked == [f"localhost:{frontend.port}"]
    await frontend.stop()


@pytest.mark.parametrize("right", [True, False])
async def test_fault_19_only_a_frontend_with_the_right_certificate_receives_the_token(
    settings: LinkSettings, ours: Certificates, theirs: Certificates, right: bool
) -> None:
    settings = replace(settings, ca_file=(ours if right else theirs).ca)
    with watching("drink_agent.link", "link_lost") as lost:
        async with served(ours, None) as frontend, dialling(settings, frontend) as peer:
            if right:
                assert await asyncio.wait_for(peer.event(), LIMIT_S) == LinkUp(1)
                link = await frontend.next_link()
                assert link.metadata["authorization"] == f"Bearer {TOKEN}"
            else:
                await asyncio.wait_for(lost.wait(), LIMIT_S)
                assert frontend._links.empty()


@pytest.mark.parametrize("trusted", [True, False])
async def test_without_ca_file_the_system_s_authorities_are_trusted(
    settings: LinkSettings,
    ours: Certificates,
    theirs: Certificates,
    monkeypatch: pytest.MonkeyPatch,
    trusted: bool,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str((ours if trusted else theirs).ca))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    certificate, key = ours.machine("d")
    settings = replace(settings, token_file=None, cert_file=certificate, key_file=key)
    with watching("drink_agent.link", "link_lost") as lost:
        async with served(ours, ours.ca) as frontend, dialling(settings, frontend) as peer:
            if trusted:
                assert await asyncio.wait_for(peer.event(), LIMIT_S) == LinkUp(1)
            else:
                await asyncio.wait_for(lost.wait(), LIMIT_S)
                assert frontend._links.empty()


async def test_a_certificate_needs_no_token_beside_it(
    settings: LinkSettings, ours: Certificates
) -> None:
    certificate, key = ours.machine("d")
    settings = replace(
        settings, token_file=None, ca_file=ours.ca, cert_file=certificate, key_file=key
    )
    async with served(ours, ours.ca) as frontend, dialling(settings, frontend) as peer:
        assert await asyncio.wait_for(peer.event(), LIMIT_S) == LinkUp(1)
        assert "authorization" not in (await frontend.next_link()).metadata


@pytest.mark.parametrize("expired", [True, False])
async def test_fault_19_a_renewed_certificate_is_used_for_the_next_link(
    settings: LinkSettings,
    ours: Certificates,
    theirs: Certificates,
    expired: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    certificate, key = (ours if expired else theirs).machine("d", expired=expired)
    settings = replace(settings, ca_file=ours.ca, cert_file=certificate, key_file=key)
    async with served(ours, ours.ca) as frontend, dialling(settings, frontend) as peer:
        with watching("drink_agent.link", "link_lost") as lost:
            await asyncio.wait_for(lost.wait(), LIMIT_S)
        assert frontend._links.empty()
        good = ours.machine("d", file="renewed")
        good.key.replace(key)
        good.certificate.replace(certificate)
        assert await asyncio.wait_for(peer.event(), LIMIT_S) == LinkUp(1)
    told = [vars(each)["problem"] for each in caplog.records if each.msg == "certificate_unfit"]
    assert all("certificate has expired" in problem for problem in told)
    assert bool(told) is expired


async def test_a_certificate_without_its_key_prevents_dialling(
    settings: LinkSettings, ours: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    settings = replace(
        settings, cert_file=ours.machine("d").certificate, key_file=ours.server().key
    )
    async with FakeFrontend(welcome_all()) as frontend, dialling(settings, frontend):
        with watching("drink_agent.link", "link_lost") as lost:
            await asyncio.wait_for(lost.wait(), LIMIT_S)
    facts = next(vars(each) for each in caplog.records if each.msg == "link_lost")
    assert facts["reason"] == "SETUP"
    assert "do not fit" in facts["detail"]


async def test_a_certificate_that_cannot_be_read_is_named(settings: LinkSettings) -> None:
    with pytest.raises(LinkSetupError, match=r"nothing\.pem"):
        open_channel(replace(settings, ca_file=Path("nothing.pem")), "localhost:1")


def test_a_token_that_cannot_be_read_is_named(settings: LinkSettings) -> None:
    assert settings.token_file is not None
    settings.token_file.unlink()
    with pytest.raises(LinkSetupError, match="token"):
        authorization(settings)


def test_no_metadata_is_sent_without_a_token(settings: LinkSettings) -> None:
    settings = replace(settings, token_file=None, cert_file=Path("a"), key_file=Path("b"))
    assert authorization(settings) == ()


def test_fault_20_pings_are_slower_than_the_frontend_allows() -> None:
    options = dict(KEEPALIVE_OPTIONS)
    assert options["grpc.keepalive_time_ms"] == 20_000
    assert options["grpc.http2.ping_timeout_ms"] == options["grpc.keepalive_timeout_ms"]
    assert options["grpc.http2.max_pings_without_data"] == 0


def test_grpc_fork_handlers_are_disabled() -> None:
    assert os.environ["GRPC_ENABLE_FORK_SUPPORT"] == "0"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (GRPC_ROOTS_VARIABLE, "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    return Certificates(tmp_path / "ours").ca


def loaded(pem: bytes | None) -> int:
    """Number of authorities that OpenSSL reads from it."""
    assert pem is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=pem.decode())
    return context.cert_store_stats()["x509_ca"]


def test_the_file_that_the_environment_names(ca: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))
    assert loaded(system_authorities()) == 1


def test_a_bundle_with_comments_and_trust_settings(
    ca: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Certificates(tmp_path / "other", "Others").ca.read_bytes()
    odd = b"-----BEGIN TRUSTED CERTIFICATE-----\nAAAA\n-----END TRUSTED CERTIFICATE-----\n"
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(b"# Ours\n" + ca.read_bytes() + odd + other.rstrip() + b"\r\n" + other)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    assert loaded(system_authorities()) == 2


def test_folders_that_the_environment_names(
    ca: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / "one", tmp_path / "two", tmp_path / "absent"]
    for folder, name in zip(folders, ("0a1b2c3d.0", "ours.pem"), strict=False):
        folder.mkdir()
        (folder / name).write_bytes(ca.read_bytes())
    monkeypatch.setenv("SSL_CERT_DIR", ":".join(map(str, folders)))
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))
    assert loaded(system_authorities()) == 1


def test_the_system_s_authorities_are_the_default() -> None:
    context = ssl.create_default_context()
    pem = system_authorities()
    known = context.cert_store_stats()["x509_ca"]
    assert known == 0 or loaded(pem) >= known
    folder = Path(ssl.get_default_verify_paths().openssl_capath)
    if known or any(folder.glob("[0-9a-f]*.0")):
        assert loaded(pem) > 0


def test_a_system_without_authorities_leaves_the_choice_to_grpc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = ssl.get_default_verify_paths()._replace(
        openssl_cafile=str(tmp_path / "absent.pem"), openssl_capath=str(tmp_path / "absent")
    )
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    assert system_authorities() is None


def test_the_file_that_grpc_s_own_variable_names_is_trusted_too(
    ca: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Certificates(tmp_path / "other", "Others").ca
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))
    monkeypatch.setenv(GRPC_ROOTS_VARIABLE, str(other))
    assert loaded(system_authorities()) == 2


def test_an_unusable_file_named_in_the_environment_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent.pem"))
    with pytest.raises(LinkSetupError, match=r"SSL_CERT_FILE: .*absent\.pem cannot be read"):
        system_authorities()
    (tmp_path / "empty.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "empty.pem"))
    with pytest.raises(LinkSetupError, match="has no certificate"):
        system_authorities()


@pytest.fixture
def made(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


def test_the_machine_s_own_certificate_has_no_problem(made: Certificates) -> None:
    assert not certificate_problem(*made.machine("d"), "d")


def test_fault_19_a_certificate_of_another_machine_is_a_problem(made: Certificates) -> None:
    assert "['ld'], not for the machine d" in certificate_problem(*made.machine("ld"), "d")


def test_a_server_certificate_is_a_problem(made: Certificates) -> None:
    assert "purpose" in certificate_problem(*made.server(), "d")


def test_an_expired_certificate_is_a_problem(made: Certificates) -> None:
    assert "expired" in certificate_problem(*made.machine("d", expired=True), "d")


def test_unusable_certificate_files_are_named(made: Certificates, tmp_path: Path) -> None:
    certificate, key = made.machine("d")
    with pytest.raises(LinkSetupError, match=r"machine-d\.pem and .*server\.key do not fit"):
        certificate_problem(certificate, made.server().key, "d")
    with pytest.raises(LinkSetupError, match="cannot be read"):
        certificate_problem(tmp_path / "nothing.pem", key, "d")
    key.write_text("no key")
    with pytest.raises(LinkSetupError, match="do not fit"):
        certificate_problem(certificate, key, "d")
