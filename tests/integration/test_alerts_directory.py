"""The alarms of a directory, from a real one that is killed or emptied to a mail and a webhook.

Skipped, with the reason, where OpenLDAP's server or python-ldap is missing.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import grpc
import pytest

from drink.v1 import account_service_pb2 as accounts
from drink_frontend.domain.alarms import AlarmKind
from scripts.client import Client
from scripts.local_system import LocalSystem
from scripts.plan import MachinePlan, Plan, SlotPlan, UserPlan
from tests.fakes.receivers import MailServer, WebHook
from tests.integration.audited_system import reason
from tests.integration.notifier import Notifier
from tests.support.directory import PEOPLE, SUFFIX, Slapd, entry, password_of

ROOT = UserPlan("root", "secret-of-root", 0, admin=True)
MEMBERS = ("member", "boss", "nested", "leaver")

TIMES = {"check_first_s": 0.2, "check_retry_s": 0.3, "check_hours": 0.0001}
"""The directory is looked at several times a second."""

AWAY = (
    f"dn: {PEOPLE}\nchangetype: modrdn\nnewrdn: ou=elsewhere\ndeleteoldrdn: 1",
    entry(PEOPLE, "organizationalUnit", ou="people").replace("\n", "\nchangetype: add\n", 1),
)
"""Leaves nobody where people are searched."""

BACK = (
    f"dn: {PEOPLE}\nchangetype: delete",
    f"dn: ou=elsewhere,{SUFFIX}\nchangetype: modrdn\nnewrdn: ou=people\ndeleteoldrdn: 1",
)


@dataclass(frozen=True)
class House:
    """Real processes, a directory, and the notifier of the house."""

    system: LocalSystem
    directory: Slapd
    notifier: Notifier

    def client(self, name: str) -> Client:
        """Somebody who logs in at the directory."""
        return self.system.client(UserPlan(name, password_of(name), 0))

    def closed(self) -> list[str]:
        """Whose accounts are closed."""
        root = self.system.client(ROOT)
        listed = root.call(root.accounts.ListAccounts, accounts.ListAccountsRequest())
        root.close()
        assert len(listed.accounts) > len(MEMBERS)
        return [each.name.removeprefix("accounts/") for each in listed.accounts if each.closed]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with Slapd(tmp_path_factory.mktemp("directory")) as directory, MailServer() as mail:
        values = {**directory.values, **TIMES, "pause_s": 0.5}
        del values["card_attribute"]
        plan = Plan(
            machines=(MachinePlan("d", "Big Drink", (SlotPlan(1, "Coke", 50, 5),)),),
            users=(ROOT,),
            frontend={
                "ldap": "\n".join(f"{name} = {json.dumps(each)}" for name, each in values.items()),
                "monitor": "interval_s = 0.3",
                "alarms": "keep_s = 0.2",
            },
        )
        folder = tmp_path_factory.mktemp("house")
        with WebHook() as hook, LocalSystem(folder, plan) as system:
            system.set_up()
            notifier = Notifier(system, ROOT, {"mail": mail, "hook": hook})
            with notifier:
                notifier.start()
                house = House(system, directory, notifier)
                for name in MEMBERS:
                    house.client(name).close()
                yield house


def test_a_directory_that_is_killed_is_told_until_it_is_back(house: House) -> None:
    house.directory.stop()
    house.notifier.told(AlarmKind.DIRECTORY_AWAY, "whole house")
    assert house.closed() == []
    house.directory.start()
    house.notifier.over(AlarmKind.DIRECTORY_AWAY, "whole house")


def test_a_directory_that_is_suddenly_empty_closes_nobody_and_is_told(house: House) -> None:
    member = house.client("member")
    house.directory.modify(*AWAY)
    house.notifier.told(AlarmKind.DIRECTORY_SHRUNK, "whole house")
    assert house.closed() == []
    # Who is logged in stays so; nobody else is let in by what is missing.
    own = member.call(member.accounts.GetAccount, accounts.GetAccountRequest())
    assert own.account.name == "accounts/member"
    member.close()
    with pytest.raises(grpc.RpcError) as refused:
        house.client("boss")
    assert reason(refused.value) == "CREDENTIALS_INVALID"
    house.directory.modify(*BACK)
    house.notifier.over(AlarmKind.DIRECTORY_SHRUNK, "whole house")
    house.client("boss").close()
    assert house.closed() == []
