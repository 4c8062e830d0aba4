"""Each alarm from the fault to a mail and a webhook, and back, over real processes.

`make test` has one machine and one channel that fail, `make test-slow` all.
"""

import re
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest

from drink.v1 import drop_service_pb2 as drops
from drink.v1 import kiosk_service_pb2 as kiosks
from drink_frontend.domain.alarms import AlarmKind
from scripts.local_system import LocalSystem
from scripts.plan import MachinePlan, Plan, SlotPlan, UserPlan
from tests.fakes.receivers import MailServer, WebHook
from tests.integration.audited_system import reason
from tests.integration.notifier import LIMIT_S, TITLES, Notifier
from tests.integration.stolen_token import link, result

FILES = (Path(__file__), Path(__file__).with_name("test_alerts_directory.py"))
"""Where alarms are raised; those of a directory need another house."""

HOUR_END_S = 20
"""Seconds before the end of an hour in which a check of the books may be too late for it."""
ROOT = UserPlan("root", "secret-of-root", 0, admin=True)
ALICE = UserPlan("alice", "secret-of-alice", 500)
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
    users=(ROOT, ALICE),
    response_limit_s=2,
    frontend={
        "monitor": f"{QUICK}\nbooks_hour = -1",
        "links": "stats_interval_s = 1",
        "alarms": "keep_s = 0.2",
        "accounts.kiosks": "failures_free = 5",
    },
    agent={"board": "probe_interval_s = 0.5"},
)


class House:
    """Real processes, a mail server and a webhook."""

    def __init__(self, system: LocalSystem, mail: MailServer, hook: WebHook) -> None:
        self.system = system
        self.hook = hook
        self.notifier = Notifier(system, ROOT, {"mail": mail, "hook": hook})

    def close(self, kind: AlarmKind, about: str) -> None:
        """Closes it as an operator, and waits until that is told."""
        # Of a drop or a kiosk also its machine is told.
        name = about.rpartition(", ")[2].replace("/", "/slots/")
        about_row = f"  {kind}  {{}}/{name}  "
        subjects = [about_row.format(each) for each in ("drops", "machines", "kiosks")]
        rows = self.system.admin("alarms").splitlines()
        (number,) = [row.split()[0] for row in rows if any(each in row for each in subjects)]
        self.system.admin("alarm", "close", number, "--why=seen")
        self.notifier.over(kind, about)

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
        with made.notifier as notifier:
            notifier.start()
            yield made


def test_a_machine_whose_agent_is_killed(house: House) -> None:
    agent = house.system.agents["ld"]
    agent.kill()
    house.notifier.told(AlarmKind.MACHINE_OFFLINE, "ld")
    agent.start()
    house.notifier.over(AlarmKind.MACHINE_OFFLINE, "ld")


def test_a_drop_that_is_unknown_and_one_that_is_contradicted(house: House) -> None:
    board, alice = house.system.boards["d"], house.system.client(ALICE)
    board.fault("silent", slot=1)
    drop = alice.drop("d/1")
    assert drop.state == drops.Drop.STATE_UNKNOWN
    drop_id = drop.name.removeprefix("drops/")
    about = f"d, {drop_id}"
    house.notifier.told(AlarmKind.DROP_UNKNOWN, about)
    house.system.admin("drops", "resolve", drop_id, "--not-dispensed", "--why=seen")
    house.notifier.over(AlarmKind.DROP_UNKNOWN, about)
    # The board's answer comes now, and says that the can fell.
    board.ask(do="say", text="4\n")
    house.notifier.told(AlarmKind.DROP_CONTRADICTED, about)
    house.close(AlarmKind.DROP_CONTRADICTED, about)
    alice.close()


@pytest.mark.slow
def test_a_board_that_does_not_answer(house: House) -> None:
    board = house.system.boards["ld"]
    board.process.kill()
    house.notifier.told(AlarmKind.BOARD_DOWN, "ld")
    board.start()
    house.notifier.over(AlarmKind.BOARD_DOWN, "ld")


@pytest.mark.slow
def test_a_machine_that_is_too_warm_and_one_that_is_too_cold(house: House) -> None:
    board = house.system.boards["d"]
    for fahrenheit, kind in ((80, AlarmKind.TOO_WARM), (5, AlarmKind.TOO_COLD)):
        board.ask(do="temperature", fahrenheit=fahrenheit)
        house.notifier.told(kind, "d")
        board.ask(do="temperature", fahrenheit=40)
        house.notifier.over(kind, "d")


@pytest.mark.slow
def test_a_slot_that_is_low_then_empty_then_full(house: House) -> None:
    count = ("slot", "count", "ld", "1")
    house.system.admin("slot", "change", "ld", "1", "--low-stock", "2")
    house.system.admin(*count, "1")
    house.notifier.told(AlarmKind.SLOT_LOW, "ld/1")
    house.system.admin(*count, "0")
    house.notifier.told(AlarmKind.SLOT_EMPTY, "ld/1")
    house.system.admin(*count, "5")
    house.notifier.over(AlarmKind.SLOT_LOW, "ld/1")
    house.notifier.over(AlarmKind.SLOT_EMPTY, "ld/1")


@pytest.mark.slow
def test_a_slot_that_its_sensor_disables(house: House) -> None:
    board, kind = house.system.boards["d"], AlarmKind.SLOT_DISABLED
    board.ask(do="sensor", slot=2, stocked=False)
    house.notifier.told(kind, "d/2")
    house.notifier.told(AlarmKind.SENSOR_CONTRADICTED, "d/2")
    board.ask(do="sensor", slot=2, stocked=None)
    house.notifier.over(kind, "d/2")
    house.close(AlarmKind.SENSOR_CONTRADICTED, "d/2")


def test_a_channel_that_fails_is_told_by_the_other(house: House) -> None:
    mail, hook = house.notifier.receivers
    title = TITLES[AlarmKind.CHANNEL_FAILED]
    house.hook.status = 500
    house.system.agents["ld"].kill()
    mail.wait_for(f"] {title}: hook, since", LIMIT_S)
    house.hook.status = 200
    mail.wait_for(f"Over: {title}: hook, from", LIMIT_S)
    house.system.agents["ld"].start()
    house.system.wait_ready("ld")
    for receiver in house.notifier.receivers:
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
        (AlarmKind.BOOKS_UNSOUND, "whole house"),
        (AlarmKind.AGENT_DISK, "d"),
        (AlarmKind.AGENT_DISK, "ld"),
        (AlarmKind.BACKUP_OLD, "whole house"),
        (AlarmKind.CERTIFICATE_EXPIRES, f"{socket.gethostname()}:{system.rpc_port}"),
    )
    house.restart_frontend(
        f"books_hour = {present_hour()}\ndisk_free_percent = 100\nbackup_hours = 0.0001",
        "UPDATE accounts SET debits_posted = debits_posted + 7 WHERE kind = 'FUNDING'",
    )
    for kind, about in facts:
        house.notifier.told(kind, about)
    # A backup is too old after a third of a second here: it is made while nobody looks.
    system.frontend.stop()
    system.admin("backup", str(folder / "copy.db"))
    system.admin(*server, "365")
    house.restart_frontend(
        f"books_hour = {present_hour()}\ndisk_free_percent = 0\nbackup_hours = 1",
        "UPDATE accounts SET debits_posted = debits_posted - 7 WHERE kind = 'FUNDING'",
        "UPDATE upkeep SET done_ms = 0 WHERE task = 'BOOKS'",
    )
    for kind, about in facts:
        house.notifier.over(kind, about)


@pytest.mark.slow
def test_a_slot_that_the_board_does_not_have(house: House) -> None:
    slot, alice = ("d", "9"), house.system.client(ALICE)
    house.system.admin("slot", "add", *slot, "--item=Ghost", "--price=5", "--available=3")
    alice.drop("d/9")
    # It is raised with the next link.
    house.system.agents["d"].kill()
    house.system.agents["d"].start()
    house.notifier.told(AlarmKind.SLOT_UNLISTED, "d")
    house.system.admin("slot", "change", *slot, "--available=0", "--disabled")
    house.close(AlarmKind.SLOT_UNLISTED, "d")
    alice.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_another_agent_does_with_the_token_of_a_machine(house: House) -> None:
    system = house.system
    system.agents["ld"].stop()
    for boot in ("one", "two", "one"):
        link(system, [result(f"{0:026}", 1)], boot=boot)
    # So many that they are no longer recorded but counted, and then more than one may send.
    for _ in range(5):
        flood = (result(f"{number:026}", 1) for number in range(5_000))
        assert link(system, flood, boot="one") == "RATE_LIMITED"
    assert "RATE_LIMITED" in [link(system, (), boot="one") for _ in range(100)]
    kinds = (
        AlarmKind.JOURNAL_REPLACED,
        AlarmKind.TWO_AGENTS,
        AlarmKind.ORPHAN_RESULT,
        AlarmKind.RECORDS_COUNTED,
        AlarmKind.LINK_FLOODED,
        AlarmKind.LINK_REFUSED,
    )
    for kind in kinds:
        house.notifier.told(kind, "ld")
    for kind in kinds:
        house.close(kind, "ld")
    system.agents["ld"].start()


@pytest.mark.slow
def test_a_kiosk_at_which_cards_are_guessed(house: House) -> None:
    root = house.system.client(ROOT)
    made = root.call(root.kiosks.PairKiosk, kiosks.PairKioskRequest(machine="machines/d"))
    redeem = kiosks.RedeemPairingCodeRequest(pairing_code=made.pairing_code)
    token = root.kiosks.RedeemPairingCode(redeem, timeout=LIMIT_S).token
    reasons = set()
    for number in range(30):
        request = kiosks.LogInCardRequest(number=f"{4_000_000 + number}")
        with pytest.raises(grpc.RpcError) as refused:
            root.kiosks.LogInCard(
                request, metadata=(("authorization", f"Bearer {token}"),), timeout=LIMIT_S
            )
        reasons.add(reason(refused.value))
    assert reasons == {"CREDENTIALS_INVALID", "RATE_LIMITED"}
    about = f"d, {made.kiosk.name.removeprefix('kiosks/')}"
    house.notifier.told(AlarmKind.CARDS_GUESSED, about)
    house.close(AlarmKind.CARDS_GUESSED, about)
    root.close()


def test_every_kind_is_raised_by_a_test() -> None:
    text = "".join(each.read_text("utf-8") for each in FILES)
    assert set(re.findall(r"AlarmKind\.(\w+)", text)) == set(AlarmKind)


def test_no_log_has_an_address_of_a_channel(house: House) -> None:
    text = house.notifier.process.log.read_text()
    assert "notified" in text
    for receiver in (house.system.folder / "mail.url", house.system.folder / "hook.url"):
        assert Path(receiver).read_text().strip() not in text
