"""docs/sign-in.md, followed literally at real directories."""

import contextlib
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from drink_frontend.config import load
from drink_frontend.domain.sign_in_errors import NotMemberError
from drink_frontend.system.clock import SystemClock
from drink_frontend.system.directory.ldap import LdapDirectory
from drink_frontend.system.directory.settings import LdapSettings
from tests.support.directory import DirectoryServer, Slapd, need_python_ldap, password_of
from tests.support.directory_389 import DirectoryServer389

PAGE = Path(__file__).parents[2] / "docs" / "sign-in.md"
LANE = ("new", "192.0.2.1")


def settings_of(heading: str) -> str:
    """The configuration that stands below a heading."""
    _, _, rest = PAGE.read_text("utf-8").partition(f"#### {heading}\n")
    found = re.search(r"((?:^    .*\n)+)", rest, re.MULTILINE)
    assert found, heading
    return re.sub("(?m)^    ", "", found[1])


@pytest.mark.parametrize(
    "heading", ["OpenLDAP", "FreeIPA and 389 Directory Server", "Active Directory"]
)
def test_the_settings_on_the_page_are_taken(heading: str, tmp_path: Path) -> None:
    need_python_ldap()
    file = tmp_path / "frontend.toml"
    file.write_text(settings_of(heading), encoding="utf-8")
    assert load(file).ldap.looks_for_leavers


@pytest.mark.parametrize(
    ("kind", "changes"), [(Slapd, {}), (DirectoryServer389, {"id_attribute": "nsUniqueId"})]
)
async def test_who_follows_the_page_logs_in(
    kind: type[DirectoryServer], changes: dict[str, Any], tmp_path: Path
) -> None:
    values: dict[str, Any] = tomllib.loads(settings_of("OpenLDAP"))["ldap"]
    with kind(tmp_path / "directory") as server:
        # What is another one's in each house.
        values |= {"url": server.values["url"], "ca_file": str(server.ca)}
        values |= {"service_password_file": str(server.password_file), **changes}
        settings = LdapSettings.model_validate({**values, "limit_s": 30, "connect_limit_s": 20})
        with contextlib.closing(LdapDirectory(settings, SystemClock())) as directory:
            member = await directory.log_in("member", password_of("member"), LANE)
            boss = await directory.log_in("boss", password_of("boss"), LANE)
            assert member is not None
            assert boss is not None
            assert (member.is_administrator, boss.is_administrator) == (False, True)
            assert await directory.log_in("member", "wrong", LANE) is None
            with pytest.raises(NotMemberError):
                await directory.log_in("stranger", password_of("stranger"), LANE)
