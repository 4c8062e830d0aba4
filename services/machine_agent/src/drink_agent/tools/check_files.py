"""Looks whether the files that a link needs are there and can be used."""

import ssl
from collections.abc import Iterator
from pathlib import Path

from drink_agent.link.certificate import problem_of
from drink_agent.link.errors import LinkSetupError
from drink_agent.link.settings import LinkSettings
from drink_agent.secretfile import SecretFileError, read_secret


def problems_of(link: LinkSettings, machine: str) -> Iterator[str]:
    """Yields what would keep the link down, each with the name of its key and without secrets.

    Args:
        link: The link's settings.
        machine: The machine that a certificate should be for.
    """
    if link.token_path is not None:
        try:
            read_secret(link.token_path)
        except SecretFileError as error:
            yield f"link.token_file: {error}"
    if link.ca_file is not None and (problem := _authority_problem(link.ca_file)):
        yield f"link.ca_file: {problem}"
    if link.cert_file is not None and link.key_file is not None:
        try:
            problem = problem_of(link.cert_file, link.key_file, machine)
        except LinkSetupError as error:
            problem = str(error)
        if problem:
            yield f"link.cert_file: {problem}"


def _authority_problem(path: Path) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        return f"{path} holds no certificate in PEM form ({error.reason})"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    return ""
