"""Each alarm from the fault to a mail and a webhook, and back, over real processes.

`make test` has one machine and one channel that fail, `make test-slow` all.
"""

import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import account_service_pb2_grpc
from scripts.client import open_channel
from scripts.local_system import LocalSystem
from scripts.plan import MachinePlan, Plan, SlotPlan, UserPlan
from scripts.processes import Process
from tests.fakes.receivers import MailServer, Received, WebHook

LIMIT_S = 60
HOUR_END_S = 20
"""Seconds before the end of an hour in which a check of the books may be too late for it."""
ROOT = UserPlan("root", "secret-of-root", 0, admin=True)
SLOTS = (SlotPlan(1, "Coke", 50, 5), SlotPlan(2, "Dew", 50, 5))
QUICK = "\n".join(
    f"{name} = 0.3"
    for name in (
        *("interval_s", "offline_raise_s", "offline_clear_s", "board_raise_s", "board_clear_s"),
        *("stock_raise_s", "stock_clear_s", "sensor_raise_s", "sensor_clear_s"),
        *("temperature_raise_s", "temperature_clear_s", "disk_wait_s", "age_wait_s"),
    )
)
PLAN = Plan(
    machines=(MachinePlan("d", "Big Drink", SLOTS), MachinePlan("ld", "Little Drink", SLOTS)),
    users=(ROOT,),
    frontend={"monitor": f"{QUICK}\nbooks_hour = -1", "links": "stats_interval_s = 1"},
    agent={"board": "probe_interval_s = 0.5"},
)


class House:
    """Real processes, a mail server and a webhook."""

    def __init__(self, system: LocalSystem, mail: MailServer, hook: WebHook) -> None:
        self.system = system
        self.receivers: tuple[Received, ...] = (mail, hook)
        self.hook = hook
        self.notifier = Process(
            "notify", ["drink-web", "--config=notify.toml", "notify"], system.folder
        )
        for name, receiver in (("mail", mail), ("hook", hook)):
            (system.folder / f"{name}.url").write_text(f"{receiver.url}\n")

    def start_notifier(self) -> None:
        """Logs it in, with a token for nothing else, and starts it."""
        folder = self.system.folder.absolute()
        request = accounts.LoginRequest(scope=accounts.TOKEN_SCOPE_NOTIFY)
        request.password.account, request.password.password = "accounts/root", ROOT.password
        with open_channel(self.system.address) as channel:
            stub = account_service_pb2_grpc.AccountServiceStub(channel)
            token = stub.Login(request, timeout=LIMIT_S).token
        (folder / "notify.token").write_text(token)
        (folder / "notify.toml").write_text(f"""
[frontend]
address = "{self.system.address}"
[notify]
token_file = "{folder}/notify.token"
look_s = 0.2
group_s = 0.2
pause_s = 0.2
lease_s = 120
send_limit_s = 60
retry_first_s = 0.3
retry_limit_s = 0.5
[[notify.channels]]
name = "mail"
url_file = "{folder}/mail.url"
[[notify.channels]]
name = "hook"
url_file = "{folder}/hook.url"
[log]
format = "json"
""")
        self.notifier.start()
        self.notifier.wait_for("notifying")

    def told(self, title: str, about: str) -> None:
        """Waits until both have been told that it began."""
        for receiver in self.receivers:
            receiver.wait_for(f"] {title}: {about}, since", LIMIT_S)

    def over(self, title: str, about: str) -> None:
        """Waits until both have been told that it is over, and checks that each was told once."""
        for receiver in self.receivers:
            receiver.wait_for(f"Over: {title}: {about}, from", LIMIT_S)
            lines = receiver.lines(f"{title}: {about},")
            assert len(lines) == 2, lines

    def restart_frontend(self, monitor: str, *statements: str) -> None:
        """With other settings, a certificate for sessions, and what is done to the books."""
        system = self.system
        system.frontend.stop()
        with closing(sqlite3.connect(system.folder / "drink.db")) as rows:
            for statement in statements:
                rows.execute(statement)
            rows.commit()
        folder = system.folder.absolute()
        path = folder / "frontend.toml"
        text = path.read_text()
        begin = text.index("[monitor]")
        end = text.find("\n[", begin)
        rest = text[end:] if end >= 0 else ""
        text = f"{text[:begin]}[monitor]\n{QUICK}\n{monitor}\n{rest}"
        if "tls_certificate" not in text:
            tls = f'tls_certificate = "{folder}/certs/server.pem"\n'
            tls += f'tls_key = "{folder}/certs/server.key"\n'
            text = text.replace("[[sessions.listeners]]\n", f"[[sessions.listeners]]\n{tls}")
        path.write_text(text)
        system.frontend.start()
        system.frontend.wait_for("serving")


def present_hour() -> int:
    """The hour, which lasts for some more seconds."""
    now = datetime.now(UTC)
    left_s = 3600 - now.minute * 60 - now.second
    if left_s <= HOUR_END_S:
        time.sleep(left_s)
    return datetime.now(UTC).hour


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("alerts")
    with MailServer() as mail, WebHook() as hook, LocalSystem(folder, PLAN) as system:
        system.set_up()
        made = House(system, mail, hook)
        made.start_notifier()
        try:
            yield made
        finally:
            made.notifier.kill()


def test_a_machine_whose_agent_is_killed(house: House) -> None:
    agent = house.system.agents["ld"]
    agent.kill()
    house.told("A machine is offline", "ld")
    agent.start()
    house.over("A machine is offline", "ld")


@pytest.mark.slow
def test_a_board_that_does_not_answer(house: House) -> None:
    board = house.system.boards["ld"]
    board.process.kill()
    house.told("A machine's electronics do not answer", "ld")
    board.start()
    house.over("A machine's electronics do not answer", "ld")


@pytest.mark.slow
def test_a_machine_that_is_too_warm_and_one_that_is_too_cold(house: House) -> None:
    board = house.system.boards["d"]
    for fahrenheit, title in ((80, "A machine is too warm"), (5, "A machine is too cold")):
        board.ask(do="temperature", fahrenheit=fahrenheit)
        house.told(title, "d")
        board.ask(do="temperature", fahrenheit=40)
        house.over(title, "d")


@pytest.mark.slow
def test_a_slot_that_is_low_then_empty_then_full(house: House) -> None:
    count = ("slot", "count", "ld", "1")
    house.system.admin("slot", "change", "ld", "1", "--low-stock", "2")
    house.system.admin(*count, "1")
    house.told("A slot is nearly empty", "ld/1")
    house.system.admin(*count, "0")
    house.told("A slot is empty", "ld/1")
    house.system.admin(*count, "5")
    house.over("A slot is nearly empty", "ld/1")
    house.over("A slot is empty", "ld/1")


@pytest.mark.slow
def test_a_slot_that_its_sensor_disables(house: House) -> None:
    board, title = (
        house.system.boards["d"],
        "A slot has items, and its sensor says that it is empty",
    )
    board.ask(do="sensor", slot=2, stocked=False)
    house.told(title, "d/2")
    board.ask(do="sensor", slot=2, stocked=None)
    house.over(title, "d/2")


def test_a_channel_that_fails_is_told_by_the_other(house: House) -> None:
    mail, hook = house.receivers
    title = "Alarms do not get through on a channel"
    house.hook.status = 500
    house.system.agents["ld"].kill()
    mail.wait_for(f"] {title}: hook, since", LIMIT_S)
    house.hook.status = 200
    mail.wait_for(f"Over: {title}: hook, from", LIMIT_S)
    house.system.agents["ld"].start()
    house.system.wait_ready("ld")
    for receiver in house.receivers:
        begun = time.monotonic()
        while len(receiver.lines("ver: A machine is offline: ld,")) < 2:
            assert time.monotonic() - begun < LIMIT_S, receiver.messages
            time.sleep(0.05)
    # The hook was told of what happened while it failed.
    assert len(hook.lines("A machine is offline: ld,")) >= 3


@pytest.mark.slow
def test_disk_certificate_books_and_backup(house: House) -> None:
    """What does not change by itself: settings, files and rows are changed between two starts."""
    system, folder = house.system, house.system.folder.absolute()
    certs = folder / "certs"
    system.admin("certs", "init", "--folder", str(certs))
    server = ("certs", "server", "localhost", "--folder", str(certs), "--force", "--days")
    system.admin(*server, "1")
    facts = (
        ("The books disagree", "whole house"),
        ("The disk of a machine's computer is nearly full", "d"),
        ("The disk of a machine's computer is nearly full", "ld"),
        ("The newest backup is too old", "whole house"),
        ("A frontend's certificate ends soon", f"{socket.gethostname()}:{system.rpc_port}"),
    )
    house.restart_frontend(
        f"books_hour = {present_hour()}\ndisk_free_percent = 100\nbackup_hours = 0.0001",
        "UPDATE accounts SET debits_posted = debits_posted + 7 WHERE kind = 'FUNDING'",
    )
    for title, about in facts:
        house.told(title, about)
    system.admin("backup", str(folder / "copy.db"))
    system.admin(*server, "365")
    house.restart_frontend(
        f"books_hour = {present_hour()}\ndisk_free_percent = 0\nbackup_hours = 1",
        "UPDATE accounts SET debits_posted = debits_posted - 7 WHERE kind = 'FUNDING'",
        "UPDATE upkeep SET done_ms = 0 WHERE task = 'BOOKS'",
    )
    for title, about in facts:
        house.over(title, about)


def test_no_log_has_an_address_of_a_channel(house: House) -> None:
    text = house.notifier.log.read_text()
    assert "notified" in text
    for receiver in (house.system.folder / "mail.url", house.system.folder / "hook.url"):
        assert Path(receiver).read_text().strip() not in text
