"""An installation's own certificate authority: makes certificates, and renews them.

Keys are ECDSA on P-256, which every TLS library has and whose handshakes a small computer does in
milliseconds.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.limits import check_machine

MACHINE_URI = "drink://machines/"
"""Begins the URI that names a machine in its certificate."""

BACKDATED = timedelta(hours=1)
"""How long before it is made a certificate is good; small computers start with a wrong clock."""

_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(\*\.)?({_LABEL}\.)*{_LABEL}")
_HOST_MAX = 253
_COMMON_NAME_MAX = 64

_NO_USAGE = {
    "digital_signature": False, "content_commitment": False, "key_encipherment": False,
    "data_encipherment": False, "key_agreement": False, "key_cert_sign": False, "crl_sign": False,
    "encipher_only": False, "decipher_only": False,
}  # fmt: skip


class AuthorityError(Exception):
    """The authority's files cannot be used."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, both PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """Signs the certificates of one installation.

    Args:
        certificate: Its own certificate.
        key: The key of that.
    """

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def load(cls, pair: Issued) -> Self:
        """The authority of these files.

        Raises:
            AuthorityError: They are no certificate with its key of P-256.
        """
        try:
            certificate = x509.load_pem_x509_certificate(pair.certificate)
            key = serialization.load_pem_private_key(pair.key, password=None)
        except (ValueError, TypeError) as error:
            raise AuthorityError("the authority's certificate or key cannot be read") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise AuthorityError("the authority's key is no elliptic curve key")
        if key.public_key() != certificate.public_key():
            raise AuthorityError("the authority's key belongs to another certificate")
        return cls(certificate, key)

    @staticmethod
    def create(name: str, days: int, now: datetime) -> Issued:
        """A new authority.

        Args:
            name: What people see of it, 1 to 64 characters.
            days: How long it is good for.
            now: The time.

        Raises:
            FieldInvalidError: That is no name.
        """
        if not 1 <= len(name) <= _COMMON_NAME_MAX:
            raise FieldInvalidError("name", f"must have 1 to {_COMMON_NAME_MAX} characters")
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(**(_NO_USAGE | {"key_cert_sign": True, "crl_sign": True}))
        builder = (
            _builder(subject, subject, key.public_key(), now, now + timedelta(days=days))
            # It signs what services present and no other authority.
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
        )
        return _signed(builder, key, key)

    def server(self, names: Sequence[str], days: int, now: datetime) -> Issued:
        """A certificate with which a frontend is known by these names.

        Args:
            names: Host names and IP addresses, at least one.
            days: How long it is good for, at most as long as the authority.
            now: The time.

        Raises:
            FieldInvalidError: One of them is neither.
            AuthorityError: The authority has expired.
        """
        subjects = [_host(name) for name in names]
        return self._issue(names[0], subjects, ExtendedKeyUsageOID.SERVER_AUTH, days, now)

    def machine(self, name: str, days: int, now: datetime) -> Issued:
        """A certificate with which an agent speaks for a machine.

        Args:
            name: The machine.
            days: How long it is good for, at most as long as the authority.
            now: The time.

        Raises:
            FieldInvalidError: No machine can have that name.
            AuthorityError: The authority has expired.
        """
        check_machine(name)
        subjects = [x509.UniformResourceIdentifier(f"{MACHINE_URI}{name}")]
        return self._issue(name, subjects, ExtendedKeyUsageOID.CLIENT_AUTH, days, now)

    def renewed(self, pem: bytes, now: datetime) -> Issued:
        """A new certificate, with a new key, for what an old one was good for, and as long.

        Args:
            pem: The old one.
            now: The time.

        Raises:
            AuthorityError: This authority did not make it, or has expired.
        """
        try:
            old = x509.load_pem_x509_certificate(pem)
            old.verify_directly_issued_by(self._certificate)
            names = old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            usages = old.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except (InvalidSignature, TypeError, ValueError, x509.ExtensionNotFound) as error:
            raise AuthorityError("it is not one of this authority's certificates") from error
        lifetime = old.not_valid_after_utc - old.not_valid_before_utc - BACKDATED
        return self._sign(old.subject, names, usages, now, now + lifetime)

    def _issue(
        self,
        name: str,
        subjects: Iterable[x509.GeneralName],
        usage: x509.ObjectIdentifier,
        days: int,
        now: datetime,
    ) -> Issued:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:_COMMON_NAME_MAX])])
        names, usages = x509.SubjectAlternativeName(subjects), x509.ExtendedKeyUsage([usage])
        return self._sign(subject, names, usages, now, now + timedelta(days=days))

    def _sign(
        self,
        subject: x509.Name,
        names: x509.SubjectAlternativeName,
        usages: x509.ExtendedKeyUsage,
        now: datetime,
        until: datetime,
    ) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        until = min(until, self._certificate.not_valid_after_utc)
        if until <= now:
            raise AuthorityError("the authority's own certificate has expired")
        usage = x509.KeyUsage(**(_NO_USAGE | {"digital_signature": True}))
        issuer = self._key.public_key()
        builder = (
            _builder(subject, self._certificate.subject, key.public_key(), now, until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(usages, critical=False)
            .add_extension(names, critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), False)
        )
        return _signed(builder, key, self._key)


@dataclass(frozen=True, slots=True)
class Facts:
    """What people ask of a certificate.

    Attributes:
        names: Whom it names.
        until: When it ends.
        fingerprint: SHA-256 of it, in hexadecimal digits.
    """

    names: tuple[str, ...]
    until: datetime
    fingerprint: str


def facts_of(pem: bytes) -> Facts:
    """What people ask of a certificate.

    Raises:
        AuthorityError: It is none.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise AuthorityError("it is no certificate") from error
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = tuple(str(each.value) for each in found.value)
    except x509.ExtensionNotFound:
        names = (certificate.subject.rfc4514_string(),)
    digest = certificate.fingerprint(hashes.SHA256()).hex()
    return Facts(names, certificate.not_valid_after_utc, digest)


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    if len(name) > _HOST_MAX or not _HOST.fullmatch(name):
        raise FieldInvalidError("name", "must be a host name or an IP address")
    return x509.DNSName(name)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    until: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _signed(
    builder: x509.CertificateBuilder,
    key: ec.EllipticCurvePrivateKey,
    issuer: ec.EllipticCurvePrivateKey,
) -> Issued:
    certificate = builder.sign(issuer, hashes.SHA256())
    return Issued(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
