"""An authority's certificates, as TLS itself judges them."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.system.authority import (
    BACKDATED,
    Authority,
    AuthorityError,
    Issued,
    facts_of,
)

NOW = datetime.now(UTC).replace(microsecond=0)
ROOT = Authority.create("Test", 30, NOW)


@pytest.fixture
def authority() -> Authority:
    return Authority.load(ROOT)


def context(
    folder: Path, purpose: int, own: Issued, ca: bytes = ROOT.certificate
) -> ssl.SSLContext:
    """A context that shows a certificate, and takes only those of an authority."""
    made = ssl.SSLContext(purpose)
    file = folder / f"{purpose}.pem"
    file.write_bytes(own.certificate + own.key)
    made.load_cert_chain(file)
    made.load_verify_locations(cadata=ca.decode())
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def shake(folder: Path, server: Issued, client: Issued, name: str = "localhost") -> None:
    """A mutual TLS handshake in memory; an SSLError if one end refuses the other."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = context(folder, ssl.PROTOCOL_TLS_CLIENT, client).wrap_bio(
        back, there, server_hostname=name
    )
    far = context(folder, ssl.PROTOCOL_TLS_SERVER, server).wrap_bio(there, back, server_side=True)
    for end in (near, far, near, far):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert near.getpeercert()
    assert far.getpeercert()


@pytest.mark.parametrize("name", ["localhost", "drink.example.org", "127.0.0.1", "2001:db8::1"])
def test_frontend_and_agent_take_each_other(
    authority: Authority, tmp_path: Path, name: str
) -> None:
    server = authority.server(
        ["localhost", "drink.example.org", "127.0.0.1", "2001:db8::1"], 5, NOW
    )
    shake(tmp_path, server, authority.machine("d", 5, NOW), name)


def test_a_frontend_is_known_by_its_own_names_only(authority: Authority, tmp_path: Path) -> None:
    server = authority.server(["localhost"], 5, NOW)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake(tmp_path, server, authority.machine("d", 5, NOW), "drink.example.org")


@pytest.mark.parametrize(
    ("server", "client"),
    [
        (lambda root: root.machine("d", 5, NOW), lambda root: root.machine("d", 5, NOW)),
        (lambda root: root.server(["localhost"], 5, NOW),) * 2,
    ],
)
def test_fault_19_neither_can_stand_for_the_other(
    authority: Authority,
    tmp_path: Path,
    server: Callable[[Authority], Issued],
    client: Callable[[Authority], Issued],
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="purpose"):
        shake(tmp_path, server(authority), client(authority))


def test_another_authoritys_certificate_is_refused(authority: Authority, tmp_path: Path) -> None:
    other = Authority.load(Authority.create("Test", 30, NOW))
    with pytest.raises(ssl.SSLError):
        shake(tmp_path, authority.server(["localhost"], 5, NOW), other.machine("d", 5, NOW))


def test_what_a_certificate_signs_is_refused(authority: Authority, tmp_path: Path) -> None:
    server = authority.server(["localhost"], 5, NOW)
    forged = Authority.load(authority.machine("d", 5, NOW)).machine("ld", 5, NOW)
    with pytest.raises(ssl.SSLError):
        shake(tmp_path, server, forged)


def test_a_machine_is_named_by_one_uri(authority: Authority) -> None:
    assert facts_of(authority.machine("d", 5, NOW).certificate).names == ("drink://machines/d",)


def test_no_certificate_outlives_its_authority(authority: Authority) -> None:
    assert facts_of(authority.machine("d", 5, NOW).certificate).until == NOW + timedelta(days=5)
    assert facts_of(authority.machine("d", 500, NOW).certificate).until == NOW + timedelta(days=30)
    with pytest.raises(AuthorityError, match="expired"):
        authority.machine("d", 5, NOW + timedelta(days=30))


def test_a_certificate_is_good_for_hosts_whose_clock_is_slow(authority: Authority) -> None:
    certificate = x509.load_pem_x509_certificate(authority.machine("d", 5, NOW).certificate)
    assert certificate.not_valid_before_utc == NOW - BACKDATED


def test_a_renewed_one_says_the_same_with_a_new_key_for_as_long(authority: Authority) -> None:
    for old in (authority.machine("d", 5, NOW), authority.server(["a.org", "::1"], 5, NOW)):
        new = authority.renewed(old.certificate, NOW + timedelta(days=4))
        assert new.key != old.key
        assert facts_of(new.certificate).names == facts_of(old.certificate).names
        assert facts_of(new.certificate).until == NOW + timedelta(days=9)
        before, after = (x509.load_pem_x509_certificate(each.certificate) for each in (old, new))
        assert before.subject == after.subject
        for kind in (x509.ExtendedKeyUsage, x509.KeyUsage, x509.BasicConstraints):
            assert (
                before.extensions.get_extension_for_class(kind).value
                == after.extensions.get_extension_for_class(kind).value
            )


def test_only_what_it_made_is_renewed(authority: Authority) -> None:
    other = Authority.load(Authority.create("Test", 30, NOW))
    for pem in (other.machine("d", 5, NOW).certificate, ROOT.certificate, b"junk"):
        with pytest.raises(AuthorityError, match="not one of this"):
            authority.renewed(pem, NOW)


def test_what_is_no_certificate_has_no_facts() -> None:
    with pytest.raises(AuthorityError, match="no certificate"):
        facts_of(b"junk")


@pytest.mark.parametrize("name", ["", "a b", "-", "a..b", "a/b", "é", "x" * 64, "a." * 130 + "b"])
def test_what_is_no_host_is_refused(authority: Authority, name: str) -> None:
    with pytest.raises(FieldInvalidError):
        authority.server(["localhost", name], 5, NOW)


@pytest.mark.parametrize("name", ["", "D", "d/1", "a" * 33])
def test_what_is_no_machine_is_refused(authority: Authority, name: str) -> None:
    with pytest.raises(FieldInvalidError):
        authority.machine(name, 5, NOW)


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_what_is_no_name_for_an_authority_is_refused(name: str) -> None:
    with pytest.raises(FieldInvalidError):
        Authority.create(name, 5, NOW)


def test_files_that_make_no_authority_are_refused() -> None:
    other = Authority.create("Test", 30, NOW)
    with pytest.raises(AuthorityError, match="cannot be read"):
        Authority.load(Issued(b"junk", ROOT.key))
    with pytest.raises(AuthorityError, match="cannot be read"):
        Authority.load(Issued(ROOT.certificate, b"junk"))
    with pytest.raises(AuthorityError, match="another certificate"):
        Authority.load(Issued(ROOT.certificate, other.key))
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(AuthorityError, match="elliptic"):
        Authority.load(Issued(ROOT.certificate, key))


def test_what_has_no_names_is_told_by_its_subject() -> None:
    assert facts_of(ROOT.certificate).names == ("CN=Test",)
