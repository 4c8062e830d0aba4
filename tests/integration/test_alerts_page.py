"""docs/alerts.md, followed literally at a running system: from nothing to a mail."""

import getpass
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.local_system import LocalSystem
from scripts.plan import MachinePlan, Plan, SlotPlan, UserPlan
from scripts.processes import BIN, Process
from tests.fakes.receivers import MailServer, WebHook

PAGE = Path(__file__).resolve().parents[2] / "docs" / "alerts.md"
LIMIT_S = 60
ADMIN = UserPlan("admin", "admin-secret", 0, admin=True)
PLAN = Plan(
    machines=(MachinePlan("d", "Big Drink", (SlotPlan(1, "Coke", 50, 5),)),),
    users=(ADMIN,),
    frontend={"monitor": "interval_s = 0.2\ntemperature_raise_s = 0.2\ntemperature_clear_s = 0.2"},
)
SOONER = {
    f"DRINK_WEB_NOTIFY__{name}": "0.2" for name in ("LOOK_S", "GROUP_S", "PAUSE_S", "RETRY_FIRST_S")
} | {"DRINK_WEB_NOTIFY__METRICS_LISTEN": "", "DRINK_WEB_LOG__FORMAT": "json"}
"""What takes less time here than in a house."""


@dataclass
class Steps:
    """The page's steps, with the names of this house in place of the page's.

    Attributes:
        folder: What the page calls /etc/drink-web.
        names: What the page says, and what it is here.
        environment: Of the commands.
    """

    folder: Path
    names: Mapping[str, str]
    environment: Mapping[str, str]

    def here(self, text: str) -> str:
        for said, here in self.names.items():
            assert said in PAGE.read_text("utf-8"), said
            text = text.replace(said, here)
        return text

    def blocks(self, kind: str) -> list[str]:
        """The blocks of that kind on the page, in order."""
        found = re.findall(
            rf"^ *```{kind}\n(.*?)^ *```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
        )
        assert found
        return [self.here(re.sub("(?m)^   ", "", block)) for block in found]

    def command(self, begin: str) -> str:
        """The command in a line of the page that begins so."""
        (found,) = set(re.findall(rf"`({re.escape(begin)}[^`]*)`", PAGE.read_text("utf-8")))
        return self.here(found)

    def run(self, script: str, text: str = "") -> str:
        done = subprocess.run(
            ["bash", "-euc", script],
            cwd=self.folder,
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (script, done.stdout, done.stderr)
        return done.stdout


@pytest.fixture
def house(tmp_path: Path) -> Iterator[LocalSystem]:
    with LocalSystem(tmp_path / "house", PLAN) as system:
        system.set_up()
        yield system


def test_who_follows_the_page_gets_a_mail(house: LocalSystem, tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    with MailServer() as mail, WebHook() as hook:
        steps = Steps(
            folder,
            {
                "mailtos://drink:PASSWORD@mail.example?from=drink@house.example"
                "&to=ops@house.example": mail.url,
                "login ADMIN": f"login {ADMIN.name}",
                "frontend.example:50051": house.address,
                "--owner=drink-web": f"--owner={getpass.getuser()}",
                "/etc/drink-web/": f"{folder}/",
            },
            {"HOME": str(tmp_path), "PATH": f"{BIN}:{os.environ['PATH']}", "LANG": "C.UTF-8"},
        )
        login, move, address = steps.blocks("sh")
        steps.run(login, f"{ADMIN.password}\n")
        steps.run(move)
        steps.run(address)
        # The page has the address of one channel as an example for each.
        (folder / "ntfy.url").write_text(f"{hook.url}\n", encoding="utf-8")
        assert (folder / "notify.token").stat().st_mode & 0o777 == 0o600
        (settings,) = steps.blocks("toml")
        (folder / "web.toml").write_text(settings, encoding="utf-8")
        begin = "drink-web --config /etc/drink-web/web.toml notify"
        assert steps.run(steps.command(f"{begin} --test")) == "mail: sent\nphone: sent\n"
        assert (mail.messages[0][0], hook.messages[0][0]) == (
            "Drink: ein Test",
            "Drink: a test",
        )
        notifier = Process(
            "notify", steps.here(begin).split(), folder, {**steps.environment, **SOONER}
        )
        notifier.start()
        try:
            notifier.wait_for("notifying")
            # Critical, so that it is told in the quiet hours too.
            house.boards["d"].ask(do="temperature", fahrenheit=80)
            mail.wait_for("] Ein Automat ist zu warm: d, seit", LIMIT_S)
            hook.wait_for("] A machine is too warm: d, since", LIMIT_S)
            house.boards["d"].ask(do="temperature", fahrenheit=40)
            mail.wait_for("Ein Automat ist zu warm: d, von", LIMIT_S)
            hook.wait_for("Over: A machine is too warm: d, from", LIMIT_S)
            assert notifier.stop() == 0
        finally:
            notifier.kill()
