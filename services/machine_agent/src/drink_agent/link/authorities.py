"""The authorities that this computer trusts.

gRPC looks at authorities that it brings along and never at the system's, so they are read here as
OpenSSL would find them.
"""

import os
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

from drink_agent.link.errors import LinkSetupError

GRPC_VARIABLE = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"
"""gRPC's own variable for a file of authorities, which are trusted too."""

_CERTIFICATE = re.compile(b"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----\r?\n?")
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")


def system_authorities() -> bytes | None:
    """Returns the system's authorities as PEM: those of its file and of its folder.

    `SSL_CERT_FILE` and `SSL_CERT_DIR` in the environment name others.

    Returns:
        None where there are none; gRPC then takes what it brings along.

    Raises:
        LinkSetupError: A file that the environment names cannot be read or has no certificate.
    """
    paths = ssl.get_default_verify_paths()
    file_variable = paths.openssl_cafile_env
    named = os.environ.get(file_variable)
    if named:
        certificates = dict.fromkeys(_in_file(Path(named), file_variable))
    else:
        certificates = dict.fromkeys(_in_file(Path(paths.openssl_cafile)))
    if of_grpc := os.environ.get(GRPC_VARIABLE):
        certificates.update(dict.fromkeys(_in_file(Path(of_grpc), GRPC_VARIABLE)))
    folders = os.environ.get(paths.openssl_capath_env) or paths.openssl_capath
    # A file that somebody names stands for all that is to be trusted, unless a folder is named too.
    if not named or os.environ.get(paths.openssl_capath_env):
        for folder in filter(None, folders.split(os.pathsep)):
            certificates.update(dict.fromkeys(_in_folder(Path(folder))))
    return b"".join(certificates) or None


def _in_file(path: Path, variable: str = "") -> Iterator[bytes]:
    """Certificates of a file, which must have some if a variable of the environment names it."""
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
    """Certificates of a folder as OpenSSL keeps them: named by a hash of their subject."""
    try:
        names = sorted(each.name for each in path.iterdir() if _HASHED.fullmatch(each.name))
    except OSError:
        return
    for name in names:
        yield from _in_file(path / name)
