"""The gRPC channel of a link: options, TLS and the machine's token.

gRPC trusts only the certificate authorities that are packed with it. The system's authorities are
therefore read here, in the same places as OpenSSL does.
"""

import json
import os
import re
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc

from drink_agent.files import SecretFileError, read_secret
from drink_agent.link.settings import LinkSettings

KEEPALIVE_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Without it the timeout above has no effect, because the default of 60 s has precedence.
    ("grpc.http2.ping_timeout_ms", 10_000),
    # By default gRPC stops pinging a stream without messages.
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.initial_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 15_000),
)
"""Detects a half-open connection within 30 s. A frontend process that hangs still answers these
pings, so the link has heartbeats too."""

SERVICE_CONFIG = json.dumps({"loadBalancingConfig": [{"pick_first": {"shuffleAddressList": True}}]})
"""Tries the IP addresses of one name in random order, so that agents are distributed over the
frontends behind it. A name is resolved again for each link, because each link has its own
channel."""

URI_PREFIX = "drink://machines/"
"""Prefix of the URI that names the machine in a certificate."""

GRPC_ROOTS_VARIABLE = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"
"""gRPC's environment variable for a file of authorities; they are trusted too."""

_CERTIFICATE = re.compile(b"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----\r?\n?")
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")


class LinkSetupError(Exception):
    """The frontend cannot be dialled, because a token or certificate file cannot be used."""


def open_channel(settings: LinkSettings, address: str) -> grpc.aio.Channel:
    """Returns a new channel to the frontend at an address.

    Raises:
        LinkSetupError: A certificate or key cannot be read, or they do not match.
    """
    options: list[tuple[str, Any]] = [
        *KEEPALIVE_OPTIONS,
        # A shared pool would reuse the connection of the previous link, which may be dead.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_receive_message_length", settings.receive_bytes_limit),
        ("grpc.service_config", SERVICE_CONFIG),
        # By default gRPC takes a proxy from the environment, and Docker sets one there.
        ("grpc.enable_http_proxy", int(settings.proxy is not None)),
    ]
    if settings.proxy is not None:
        options.append(("grpc.http_proxy", settings.proxy))
    if settings.plain_text:
        return grpc.aio.insecure_channel(address, options)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_pem(settings.ca_file) or system_authorities(),
        private_key=_pem(settings.key_file),
        certificate_chain=_pem(settings.cert_file),
    )
    return grpc.aio.secure_channel(address, credentials, options)


def authorization(settings: LinkSettings) -> tuple[tuple[str, str], ...]:
    """Returns the call metadata with the machine's token; empty without a token.

    Raises:
        LinkSetupError: The token cannot be read.
    """
    path = settings.token_path
    if path is None:
        return ()
    try:
        return (("authorization", f"Bearer {read_secret(path)}"),)
    except SecretFileError as error:
        raise LinkSetupError(str(error)) from error


def _pem(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise LinkSetupError(f"{path} cannot be read: {error.strerror}") from error


def system_authorities() -> bytes | None:
    """Returns the system's certificate authorities as PEM, from its file and its folder.

    `SSL_CERT_FILE` and `SSL_CERT_DIR` in the environment replace the system's places.

    Returns:
        None if there are none; gRPC then uses its own.

    Raises:
        LinkSetupError: A file named in the environment cannot be read or has no certificate.
    """
    paths = ssl.get_default_verify_paths()
    file_variable = paths.openssl_cafile_env
    named = os.environ.get(file_variable)
    if named:
        certificates = dict.fromkeys(_in_file(Path(named), file_variable))
    else:
        certificates = dict.fromkeys(_in_file(Path(paths.openssl_cafile)))
    if of_grpc := os.environ.get(GRPC_ROOTS_VARIABLE):
        certificates.update(dict.fromkeys(_in_file(Path(of_grpc), GRPC_ROOTS_VARIABLE)))
    folders = os.environ.get(paths.openssl_capath_env) or paths.openssl_capath
    # A file named in the environment replaces the system's folder too, unless a folder is named.
    if not named or os.environ.get(paths.openssl_capath_env):
        for folder in filter(None, folders.split(os.pathsep)):
            certificates.update(dict.fromkeys(_in_folder(Path(folder))))
    return b"".join(certificates) or None


def _in_file(path: Path, variable: str = "") -> Iterator[bytes]:
    """Yields the certificates of a file; raises if `variable` names the file and it has none."""
    try:
        found = _CERTIFICATE.findall(path.read_bytes())
    except OSError as error:
        if variable:
            raise LinkSetupError(f"{variable}: {path} cannot be read: {error.strerror}") from error
        return
    if variable and not found:
        raise LinkSetupError(f"{variable}: {path} has no certificate")
    yield from (certificate.rstrip() + b"\n" for certificate in found)


def _in_folder(path: Path) -> Iterator[bytes]:
    """Yields the certificates of a folder whose files are named by a hash, as OpenSSL has them."""
    try:
        names = sorted(each.name for each in path.iterdir() if _HASHED.fullmatch(each.name))
    except OSError:
        return
    for name in names:
        yield from _in_file(path / name)


def certificate_problem(cert_file: Path, key_file: Path, machine: str) -> str:
    """Returns why a frontend would refuse the agent's certificate; empty if no reason is found.

    A frontend that refuses a certificate only closes the connection (TLS 1.3), so the agent's log
    would show no cause. The frontend is dialled even if there is a problem, because the clock that
    makes the certificate appear expired may be wrong.

    Args:
        cert_file: PEM file of the certificate.
        key_file: PEM file of its key.
        machine: Id of the machine that the certificate should name.

    Raises:
        LinkSetupError: The files cannot be read, or do not match.
    """
    try:
        certificate = _verified_by_peer(cert_file, key_file)
    except ssl.SSLCertVerificationError as error:
        return f"{cert_file}: {error.verify_message}"
    except ssl.SSLError as error:
        raise LinkSetupError(f"{cert_file} and {key_file} do not fit: {error.reason}") from error
    except OSError as error:
        raise LinkSetupError(
            f"{cert_file} or {key_file} cannot be read: {error.strerror}"
        ) from error
    names = certificate.get("subjectAltName", ())
    machines = [
        name.removeprefix(URI_PREFIX)
        for kind, name in names
        if kind == "URI" and name.startswith(URI_PREFIX)
    ]
    if machines != [machine]:
        return f"{cert_file} is for {machines}, not for the machine {machine}"
    return ""


def _verified_by_peer(cert_file: Path, key_file: Path) -> dict[str, Any]:
    """Returns the certificate as a TLS server in memory, which trusts it, receives it.

    The standard library has no other way to read the fields of a certificate.
    """
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(cert_file, key_file)
    server_context.load_verify_locations(cert_file)
    server_context.verify_mode = ssl.CERT_REQUIRED
    server_context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.load_cert_chain(cert_file, key_file)
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    # ClientHello, the server's messages, the client's certificate, and its check.
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    with suppress(ssl.SSLWantReadError):
        server.do_handshake()
    client.do_handshake()
    server.do_handshake()
    return server.getpeercert() or {}
