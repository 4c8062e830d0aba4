"""People and groups of a directory for tests, and a real OpenLDAP server that has them.

A test that needs the server or python-ldap is skipped, with the reason, where they are missing.
"""

import contextlib
import importlib.util
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import pytest

from drink_frontend.system.directory.settings import LdapSettings
from tests.support.certificates import Certificates
from tests.support.ports import free_port

SUFFIX = "dc=example,dc=org"
PEOPLE, GROUPS = f"ou=people,{SUFFIX}", f"ou=groups,{SUFFIX}"
MEMBERS, ADMINS = f"cn=members,{GROUPS}", f"cn=admins,{GROUPS}"
SERVICE = f"uid=drink,ou=services,{SUFFIX}"
SERVICE_PASSWORD = "of the service"
ROOT, ROOT_PASSWORD = f"cn=manager,{SUFFIX}", "of the manager"

CARD = "04A2B3C4D5E6F708"
"""The number of the member's card."""

NAMES = ("member", "boss", "stranger", "leaver", "nested", "Admin", "busy")
"""The people: a member, an administrator, somebody in no group, a member who will leave, a member
by groups in groups, one who is called as a local administrator, and one in very many groups."""

LIMIT_S = 60.0
"""Seconds for a start or a change; a computer may have other work."""

_SLAPD = shutil.which("slapd") or shutil.which("slapd", path="/usr/sbin")
_SLAPADD = shutil.which("slapadd") or shutil.which("slapadd", path="/usr/sbin")


def password_of(name: str) -> str:
    """The password at the directory."""
    return f"{name} at the directory"


def person_dn(name: str) -> str:
    """The DN of a person."""
    return f"uid={name},{PEOPLE}"


def need_python_ldap() -> None:
    """Skips the test where python-ldap is not installed."""
    if importlib.util.find_spec("ldap") is None:
        pytest.skip("there is no python-ldap here: `make setup-ldap` builds it")


def entry(dn: str, classes: str, **values: str | Sequence[str]) -> str:
    """An entry of LDIF."""
    lines = [f"dn: {dn}", *(f"objectClass: {each}" for each in classes.split())]
    for name, value in values.items():
        lines += [f"{name}: {each}" for each in ([value] if isinstance(value, str) else value)]
    return "\n".join(lines) + "\n\n"


def person(name: str, **more: str) -> str:
    """A person as LDIF."""
    return entry(
        person_dn(name),
        "inetOrgPerson",
        uid=name,
        cn=name,
        sn=name,
        displayName=f"{name.title()} Person",
        userPassword=password_of(name),
        **more,
    )


def group(name: str, *members: str) -> str:
    """A group as LDIF."""
    return entry(f"cn={name},{GROUPS}", "groupOfNames", cn=name, member=members)


def house(*, top: bool = True) -> str:
    """The people and groups as LDIF; `inner`, `middle` and `members` are a ring.

    Args:
        top: Whether the entry of the suffix itself is in it.
    """
    dn = {name: person_dn(name) for name in NAMES}
    begin = entry(SUFFIX, "dcObject organization", dc="example", o="example") if top else ""
    folders = [
        entry(f"ou={name},{SUFFIX}", "organizationalUnit", ou=name)
        for name in ("people", "groups", "services")
    ]
    return begin + "".join(
        [
            *folders,
            entry(
                SERVICE,
                "inetOrgPerson",
                uid="drink",
                cn="drink",
                sn="drink",
                userPassword=SERVICE_PASSWORD,
            ),
            *(
                person(name, **({"employeeNumber": CARD} if name == "member" else {}))
                for name in NAMES
            ),
            group("inner", dn["nested"], MEMBERS),
            group("middle", f"cn=inner,{GROUPS}"),
            group(
                "members",
                dn["member"],
                dn["boss"],
                dn["leaver"],
                dn["Admin"],
                f"cn=middle,{GROUPS}",
            ),
            group("admins", dn["boss"], dn["Admin"]),
        ]
    )


class DirectoryServer:
    """A server with the house, as a process of its own; a context manager.

    Args:
        folder: For its files.

    Attributes:
        host: Its name in its certificate.
        port: Where it takes plain connections, and StartTLS.
        tls_port: Where connections are encrypted from the start.
        ca: The authority of its certificate.
        password_file: The file with the password of the service.
        id_attribute: The attribute with ids that stay.
    """

    host = "127.0.0.1"
    id_attribute = "entryUUID"
    root = ""

    def __init__(self, folder: Path) -> None:
        need_python_ldap()
        if shutil.which("ldapmodify") is None:
            pytest.skip("there is no ldapmodify here: ldap-utils is not installed")
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port, self.tls_port = free_port(), free_port()
        self.ca = folder / "ca.pem"
        self.password_file = folder / "service.password"

    def __enter__(self) -> Self:
        self._folder.mkdir(exist_ok=True)
        self.password_file.write_text(f"{SERVICE_PASSWORD}\n", encoding="utf-8")
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _make(self) -> None:
        """Makes it with what it has, and starts it."""
        raise NotImplementedError

    def _command(self) -> Sequence[object]:
        """The program that runs until it is killed."""
        raise NotImplementedError

    def start(self) -> None:
        """Starts it, with what it had before."""
        self._process = subprocess.Popen(
            [str(word) for word in self._command()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self.port)
        wait_for(self.tls_port)

    def stop(self) -> None:
        """Kills it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(LIMIT_S)
            self._process = None

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """It answers nothing, although connections to it open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def modify(self, *changes: str) -> None:
        """Makes changes of LDIF."""
        run_ldapmodify(f"ldap://127.0.0.1:{self.port}", self.root, ROOT_PASSWORD, *changes)

    @property
    def values(self) -> dict[str, Any]:
        """Settings with which a frontend asks it, by their keys."""
        return {
            "url": f"ldap://{self.host}:{self.port}",
            "name": "house",
            "ca_file": str(self.ca),
            "service_dn": SERVICE,
            "service_password_file": str(self.password_file),
            "id_attribute": self.id_attribute,
            "user_base": PEOPLE,
            "group_base": GROUPS,
            "member_group": MEMBERS,
            "administrator_group": ADMINS,
            "card_attribute": "employeeNumber",
            "create_accounts": True,
        }

    def settings(self, **changes: Any) -> LdapSettings:
        """The same, with changes; None leaves a key out."""
        values = {**self.values, **changes}
        return LdapSettings.model_validate(
            {key: value for key, value in values.items() if value is not None}
        )


class Slapd(DirectoryServer):
    """One OpenLDAP server on loopback ports.

    Args:
        folder: For its database and configuration.
        ldif: What it has; the house unless given.
        names: Names in its certificate.
        options: More lines of its configuration.
    """

    root = ROOT

    def __init__(
        self,
        folder: Path,
        ldif: str | None = None,
        *,
        names: Sequence[str] = ("localhost", "127.0.0.1"),
        options: str = "",
    ) -> None:
        super().__init__(folder)
        if _SLAPD is None or _SLAPADD is None:
            pytest.skip("there is no OpenLDAP server here: slapd is not installed")
        self._ldif = house() if ldif is None else ldif
        self._options = options
        self._names = names

    def _make(self) -> None:
        (self._folder / "data").mkdir()
        certificates = Certificates(self._folder / "tls")
        self.ca, tls = certificates.ca, certificates.server(*self._names)
        config, ldif = self._folder / "slapd.conf", self._folder / "house.ldif"
        schemas = "".join(
            f"include /etc/ldap/schema/{name}.schema\n"
            for name in ("core", "cosine", "inetorgperson")
        )
        config.write_text(
            f"{schemas}moduleload back_mdb\nmodulepath /usr/lib/ldap\n"
            f"pidfile {self._folder}/slapd.pid\n"
            f"TLSCertificateFile {tls.certificate}\nTLSCertificateKeyFile {tls.key}\n"
            f'database mdb\nsuffix "{SUFFIX}"\nrootdn "{ROOT}"\nrootpw "{ROOT_PASSWORD}"\n'
            f"directory {self._folder}/data\nmaxsize 268435456\n"
            "index objectClass,uid,member,entryUUID eq\n"
            "access to attrs=userPassword by anonymous auth by * none\n"
            "access to * by users read by * search\n"
            f"{self._options}\n",
            encoding="utf-8",
        )
        ldif.write_text(self._ldif, encoding="utf-8")
        assert _SLAPADD is not None
        subprocess.run([_SLAPADD, "-q", "-f", config, "-l", ldif], check=True, timeout=LIMIT_S)
        self.start()

    def _command(self) -> Sequence[object]:
        urls = f"ldap://127.0.0.1:{self.port}/ ldaps://127.0.0.1:{self.tls_port}/"
        return [_SLAPD, "-d", "0", "-h", urls, "-f", self._folder / "slapd.conf"]


def run_ldapmodify(url: str, dn: str, password: str, *changes: str) -> None:
    """Makes changes of LDIF at a server."""
    subprocess.run(
        ["ldapmodify", "-x", "-H", url, "-D", dn, "-w", password],
        input="\n\n".join(changes) + "\n",
        text=True,
        check=True,
        capture_output=True,
        timeout=LIMIT_S,
    )


def wait_for(port: int) -> None:
    """Waits until somebody listens on a loopback port."""
    end = time.monotonic() + LIMIT_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert time.monotonic() < end, f"nobody listens on {port}"
        time.sleep(0.02)


class SilentServer:
    """Accepts connections and never says anything, also not in a TLS handshake."""

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
