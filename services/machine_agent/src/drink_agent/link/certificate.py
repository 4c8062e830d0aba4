"""What is wrong with the agent's own certificate, before a frontend refuses it.

A frontend that refuses a certificate just hangs up (TLS 1.3), and the agent's log would say no more
than that the connection was closed.
"""

import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

from drink_agent.link.errors import LinkSetupError

URI_PREFIX = "drink://machines/"
"""Begins the URI in a certificate that names its machine."""


def problem_of(cert_file: Path, key_file: Path, machine: str) -> str:
    """Returns why a frontend would refuse the certificate, as far as it can be seen from here.

    It is dialled all the same: the clock that says that a certificate has expired may be wrong.

    Args:
        cert_file: PEM file of the certificate.
        key_file: PEM file of its key.
        machine: The machine that it should be for.

    Raises:
        LinkSetupError: They cannot be read, or do not fit each other.
    """
    try:
        certificate = _presented(cert_file, key_file)
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


def _presented(cert_file: Path, key_file: Path) -> dict[str, Any]:
    """Shows the certificate to a peer in memory that trusts it, and returns what that peer saw.

    Python reads certificates in no other way without another library.
    """
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    asking.load_cert_chain(cert_file, key_file)
    asking.load_verify_locations(cert_file)
    asking.verify_mode = ssl.CERT_REQUIRED
    asking.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    showing = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    showing.load_cert_chain(cert_file, key_file)
    showing.check_hostname = False
    showing.verify_mode = ssl.CERT_NONE
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = showing.wrap_bio(back, there)
    server = asking.wrap_bio(there, back, server_side=True)
    # Hello there, all the rest back, and the certificate there.
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    with suppress(ssl.SSLWantReadError):
        server.do_handshake()
    client.do_handshake()
    server.do_handshake()
    return server.getpeercert() or {}
