"""Who leaves a real directory is closed, with the books of a real database."""

import contextlib
from pathlib import Path

import pytest

from drink_frontend.domain.frontends import FrontendInstance
from drink_frontend.domain.sign_in_errors import NotMemberError
from drink_frontend.system.clock import SystemClock
from drink_frontend.system.directory.ldap import LdapDirectory
from drink_frontend.usecases.accounts import Accounts
from drink_frontend.usecases.leavers import Leavers, LookTimes, Outcome
from drink_frontend.usecases.settings import AccountSettings
from tests.fakes.randomness import CountingRandomness
from tests.support.bench import Bench
from tests.support.directory import MEMBERS, Slapd, password_of, person_dn

HERE = "192.0.2.1"
PEOPLE = ("member", "boss", "nested", "leaver")


async def test_who_leaves_the_group_is_closed_and_a_missing_group_closes_nobody(
    bench: Bench, tmp_path: Path
) -> None:
    change = f"dn: {MEMBERS}\nchangetype: modify\n{{}}: member\nmember: {person_dn('leaver')}"
    with Slapd(tmp_path / "slapd") as slapd:
        settings = slapd.settings(limit_s=30, connect_limit_s=20, card_attribute=None)
        with contextlib.closing(LdapDirectory(settings, SystemClock())) as directory:
            accounts = Accounts(
                bench.storage,
                bench.hasher,
                bench.clock,
                CountingRandomness("D"),
                AccountSettings(),
                directory=directory,
                sleep=bench.clock.sleep,
            )
            leavers = Leavers(
                bench.storage,
                directory,
                bench.clock,
                FrontendInstance("me", "here:1", "1", 1),
                LookTimes(86_400),
                share_max=0.3,
            )
            for name in PEOPLE:
                await accounts.login_password(name, password_of(name), HERE)
            assert await leavers.look() == Outcome(4, 0, 0, False)

            slapd.modify(change.format("delete"))
            assert await leavers.look() == Outcome(4, 1, 1, False)
            assert (await accounts.named("leaver")).closed
            with pytest.raises(NotMemberError):
                await accounts.login_password("leaver", password_of("leaver"), HERE)

            slapd.modify(change.format("add"))
            opened = await accounts.login_password("leaver", password_of("leaver"), HERE)
            assert not opened.closed

            slapd.modify(f"dn: {MEMBERS}\nchangetype: delete")
            assert await leavers.look() is None
            slapd.stop()
            assert await leavers.look() is None
            assert not [each.name for each in await accounts.list_users() if each.closed]
