"""A real 389 Directory Server, the one of FreeIPA, with the people of `directory.py`.

It is made by `dscreate` below a folder of the test's own, and runs without systemd.
"""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.directory import (
    ROOT_PASSWORD,
    SERVICE,
    SUFFIX,
    DirectoryServer,
    house,
)

_DSCREATE = shutil.which("dscreate") or shutil.which("dscreate", path="/usr/sbin")
_NS_SLAPD = shutil.which("ns-slapd") or shutil.which("ns-slapd", path="/usr/sbin")
_DEFAULTS = Path("/usr/share/dirsrv/inf/defaults.inf")
_TEMPLATES = Path("/etc/dirsrv")
_CREATE_LIMIT_S = 110

_READABLE = f"""dn: {SUFFIX}
changetype: modify
add: aci
aci: (targetattr != "userPassword")(version 3.0; acl "service"; allow (read, search, compare)
  userdn = "ldap:///{SERVICE}";)
aci: (targetattr != "userPassword")(version 3.0; acl "self"; allow (read, search)
  userdn = "ldap:///self";)"""


class DirectoryServer389(DirectoryServer):
    """One 389 Directory Server on loopback ports."""

    host = "localhost"
    id_attribute = "nsUniqueId"
    root = "cn=Directory Manager"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        if _DSCREATE is None or _NS_SLAPD is None or not _DEFAULTS.exists():
            pytest.skip("there is no 389 Directory Server here: 389-ds-base is not installed")
        self._name = f"t{self.port}"
        # Its path is part of names of sockets, which may have 107 characters.
        self._prefix = Path(tempfile.mkdtemp(prefix="drink-ds-"))

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        shutil.rmtree(self._prefix)

    @property
    def _config(self) -> Path:
        return self._prefix / "etc/dirsrv" / f"slapd-{self._name}"

    def _make(self) -> None:
        assert _DSCREATE is not None
        self._make_prefix()
        user = pwd.getpwuid(os.geteuid()).pw_name
        answers = self._prefix / "answers.inf"
        answers.write_text(
            "[general]\nconfig_version = 2\nfull_machine_name = localhost\n"
            "strict_host_checking = False\nsystemd = False\nselinux = False\nstart = False\n"
            f"[slapd]\ninstance_name = {self._name}\nprefix = {self._prefix}\n"
            f"port = {self.port}\nsecure_port = {self.tls_port}\nself_sign_cert = True\n"
            f"root_password = {ROOT_PASSWORD}\nuser = {user}\ngroup = {user}\n"
            f"[backend-userroot]\nsuffix = {SUFFIX}\nsample_entries = no\n",
            encoding="utf-8",
        )
        done = subprocess.run(
            [_DSCREATE, "from-file", str(answers)],
            env={**os.environ, "PREFIX": str(self._prefix)},
            capture_output=True,
            text=True,
            timeout=_CREATE_LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.ca = self._config / "ca.crt"
        self.start()
        entries = house().split("\n\n")
        self.modify(*(_added(each) for each in entries if each.strip()), _READABLE)

    def _make_prefix(self) -> None:
        """The folders of an installation, and the paths of its files in them."""
        for name in ("share/dirsrv/inf", "etc/default", "var/lib/dirsrv", "var/log/dirsrv"):
            (self._prefix / name).mkdir(parents=True)
        for name in ("run/dirsrv", "run/lock/dirsrv", "dev/shm"):
            (self._prefix / name).mkdir(parents=True)
        shutil.copytree(
            _TEMPLATES, self._prefix / "etc/dirsrv", ignore=shutil.ignore_patterns("slapd-*")
        )
        text = re.sub(
            r"= */(etc|var|run|dev)/", rf"= {self._prefix}/\1/", _DEFAULTS.read_text("utf-8")
        )
        text = re.sub(r"(?m)^with_systemd.*$", "with_systemd = 0", text)
        (self._prefix / "share/dirsrv/inf/defaults.inf").write_text(text, encoding="utf-8")

    def _command(self) -> Sequence[object]:
        pid = self._prefix / "run/dirsrv" / f"slapd-{self._name}.pid"
        return [_NS_SLAPD, "-D", self._config, "-i", pid, "-d", "0"]

    def stop(self) -> None:
        """Kills it."""
        super().stop()
        # It would wait for the process of that number.
        for file in (self._prefix / "run/dirsrv").glob("*.pid"):
            file.unlink()


def _added(entry: str) -> str:
    """An entry as a change that adds it."""
    first, _, rest = entry.strip().partition("\n")
    return f"{first}\nchangetype: add\n{rest}"
