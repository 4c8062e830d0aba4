"""One connection to an LDAP directory, for one thread; the only module that knows python-ldap."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from drink_frontend.system.directory.settings import LIBRARY, LdapSettings
from drink_frontend.system.directory.tunnel import TunnelError, open_tunnel

REFUSED = (
    "INVALID_CREDENTIALS",
    "NO_SUCH_OBJECT",
    "INVALID_DN_SYNTAX",
    "INAPPROPRIATE_AUTH",
    "CONSTRAINT_VIOLATION",
    "UNWILLING_TO_PERFORM",
)
"""Answers to a person's bind that refuse the person: a wrong name or password, an entry without a
password, an account that is locked (389 Directory Server has the last two for these)."""

INCOMPLETE = ("SIZELIMIT_EXCEEDED", "ADMINLIMIT_EXCEEDED", "TIMELIMIT_EXCEEDED", "PARTIAL_RESULTS")
"""Ends of a search that left out entries."""


OUTAGES = (
    "BUSY",
    "CONNECT_ERROR",
    "LOCAL_ERROR",
    "OTHER",
    "SERVER_DOWN",
    "SERVICE_PASSWORD",
    "TIMEOUT",
    "UNAVAILABLE",
)
"""Causes that are the directory's or the connection's, and no single person's."""


class DirectoryFailedError(Exception):
    """The directory could not be asked, or did not answer the question.

    Attributes:
        cause: Name of the LDAP error, or another word for the log.
        detail: What the library or the server said; no secrets.
    """

    def __init__(self, cause: str, detail: str = "") -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the directory.

    Attributes:
        dn: Its DN.
        values: The values of each attribute, by the attribute's name in lower case.
    """

    dn: str
    values: Mapping[str, Sequence[bytes]]

    def texts(self, attribute: str) -> Sequence[str]:
        """The values of an attribute as texts."""
        return [
            value.decode("utf-8", "replace") for value in self.values.get(attribute.lower(), ())
        ]


class Connection:
    """A connection, with limits for each answer and for all together.

    Args:
        settings: Where and how; with `url`.
        limit_s: Seconds after which nothing more is asked.

    Raises:
        DirectoryFailedError: it cannot be opened or encrypted, or the certificate does not fit.
    """

    def __init__(self, settings: LdapSettings, limit_s: float) -> None:
        self._ldap: Any = import_module(LIBRARY)
        self._settings = settings
        self._ends = time.monotonic() + limit_s
        try:
            descriptor = open_tunnel(settings, limit_s)
        except TunnelError as error:
            raise DirectoryFailedError("CONNECT_ERROR", str(error)) from error
        try:
            # The library takes the descriptor over, and closes it.
            self._handle = self._ldap.initialize("ldap://", fileno=descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._handle.protocol_version = self._ldap.VERSION3
        self._handle.set_option(self._ldap.OPT_REFERRALS, 0)

    def close(self) -> None:
        """Ends the connection."""
        try:
            self._handle.unbind_ext_s()
        except self._ldap.LDAPError:
            return

    def bind_service(self) -> None:
        """Logs in as the service, or anonymously if there is none.

        Raises:
            DirectoryFailedError: the directory refuses it, or its password cannot be read.
        """
        settings = self._settings
        if settings.service_dn is None or settings.service_password_file is None:
            dn, password = "", ""
        else:
            dn = settings.service_dn
            try:
                lines = settings.service_password_file.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise DirectoryFailedError("SERVICE_PASSWORD", type(error).__name__) from error
            password = lines[0] if lines else ""
            if not password:
                raise DirectoryFailedError("SERVICE_PASSWORD", "the file is empty")
        with self._failures():
            self._limited()
            self._handle.simple_bind_s(dn, password)

    def bind_person(self, dn: str, password: str) -> bool:
        """Whether the directory takes the password; from then on the connection is the person's.

        Raises:
            DirectoryFailedError: it did not say.
        """
        # A bind with an empty password succeeds without proving anything (RFC 4513, 5.1.2).
        if not dn or not password:
            return False
        ldap = self._ldap
        with self._failures():
            self._limited()
            try:
                self._handle.simple_bind_s(dn, password)
            except tuple(getattr(ldap, name) for name in REFUSED):
                return False
        return True

    def has_value(self, dn: str, attribute: str, value: str) -> bool:
        """Whether an attribute of an entry has a value.

        Raises:
            DirectoryFailedError: there is no such entry, or the directory did not say.
        """
        ldap = self._ldap
        with self._failures():
            self._limited()
            try:
                return bool(self._handle.compare_s(dn, attribute, value.encode()))
            except (ldap.NO_SUCH_ATTRIBUTE, ldap.UNDEFINED_TYPE):
                return False

    def search(
        self, base: str, condition: str, attributes: Sequence[str], most: int, *, below: bool = True
    ) -> tuple[Sequence[Entry], bool]:
        """Entries that a filter finds.

        Args:
            base: The DN to search at.
            condition: The filter.
            attributes: Wanted attributes; none for the DN only.
            most: Most entries.
            below: Whether entries below the base are searched, and not the base alone.

        Returns:
            The entries, and whether these are all. References to other servers are left out.

        Raises:
            DirectoryFailedError: the directory did not answer, or has no such base to search below.
        """
        ldap, found = self._ldap, list[Entry]()
        scope = ldap.SCOPE_SUBTREE if below else ldap.SCOPE_BASE
        wanted = list(attributes) or ["1.1"]
        with self._failures():
            try:
                number = self._handle.search_ext(base, scope, condition, wanted, sizelimit=most + 1)
                while True:
                    kind, data, *_ = self._handle.result3(number, 0, self._limited())
                    found += [
                        Entry(dn, {name.lower(): values for name, values in attributes.items()})
                        for dn, attributes in data
                        if dn is not None
                    ]
                    if kind == ldap.RES_SEARCH_RESULT:
                        return found[:most], len(found) <= most
            except ldap.NO_SUCH_OBJECT:
                # An entry may be gone; a base without entries below it was moved, or is hidden.
                if below:
                    raise
                return [], True
            except tuple(getattr(ldap, name) for name in INCOMPLETE):
                return found[:most], False

    def _limited(self) -> float:
        """Limits the next answer; returns its seconds.

        Raises:
            DirectoryFailedError: the time for all answers is over.
        """
        left_s = min(self._ends - time.monotonic(), self._settings.connect_limit_s)
        if left_s <= 0:
            raise DirectoryFailedError("TIMEOUT", "all answers together took too long")
        self._handle.timeout = left_s
        return left_s

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turns the library's errors into ours."""
        try:
            yield
        except self._ldap.LDAPError as error:
            facts = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
            detail = " ".join(str(facts[key]) for key in ("desc", "info") if key in facts)
            raise DirectoryFailedError(type(error).__name__, detail[:200]) from error
