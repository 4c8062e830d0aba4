"""Checks the files that the configuration names, for the command `config check`."""

import os
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

from drink_agent.files import SecretFileError, read_secret
from drink_agent.link.channel import LinkSetupError, certificate_problem
from drink_agent.link.settings import LinkSettings


def file_problems(link: LinkSettings, journal: Path, machine: str) -> Iterator[str]:
    """Yields why files cannot be used, each with its configuration key and without secrets.

    Args:
        link: Settings of the link.
        journal: The journal's file. It may be missing, also with its folder, because the agent
            makes both.
        machine: Id of the machine that a certificate should name.
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
            problem = certificate_problem(link.cert_file, link.key_file, machine)
        except LinkSetupError as error:
            problem = str(error)
        if problem:
            yield f"link.cert_file: {problem}"
    if problem := _journal_problem(journal):
        yield f"journal.path: {problem}"


def _journal_problem(path: Path) -> str:
    """Returns a problem that does not depend on the user.

    Access rights are not checked, because the command is often run by another user than the
    service's.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        folder = next(each for each in path.parents if os.path.lexists(each))
        return "" if folder.is_dir() else f"{folder} is not a folder"
    except OSError as error:
        return "" if isinstance(error, PermissionError) else f"{path}: {error.strerror}"
    return "" if stat.S_ISREG(mode) else f"{path} is not a regular file"


def _authority_problem(path: Path) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        return f"{path} holds no certificate in PEM form ({error.reason})"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    return ""
