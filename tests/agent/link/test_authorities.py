"""The authorities that the computer trusts, as OpenSSL finds them."""

import ssl
from pathlib import Path

import pytest

from drink_agent.link.authorities import GRPC_VARIABLE, system_authorities
from drink_agent.link.errors import LinkSetupError
from tests.fakes.certificates import Certificates


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (GRPC_VARIABLE, "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    return Certificates(tmp_path / "ours").ca


def loaded(pem: bytes | None) -> int:
    """How many authorities OpenSSL takes from it."""
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


def test_the_computer_s_own_where_nothing_is_set() -> None:
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
    monkeypatch.setenv(GRPC_VARIABLE, str(other))
    assert loaded(system_authorities()) == 2


def test_a_named_file_that_cannot_be_used_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent.pem"))
    with pytest.raises(LinkSetupError, match=r"SSL_CERT_FILE: .*absent\.pem cannot be read"):
        system_authorities()
    (tmp_path / "empty.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "empty.pem"))
    with pytest.raises(LinkSetupError, match="has no certificate"):
        system_authorities()
