"""Debian's Prometheus scrapes a real house: alerts fire and clear, and every panel has rows.

The rules are those of deploy/prometheus, with short times; the dashboards those of deploy/grafana.
"""

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import drop_service_pb2 as drops
from scripts.local_system import LocalSystem
from scripts.plan import MachinePlan, Plan, SlotPlan, UserPlan
from scripts.processes import Process, wait_until
from tests.fakes.receivers import WebHook
from tests.integration.notifier import Notifier
from tests.support.ports import free_port, with_own_ports
from tests.support.scrapes import documented, exposed

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="Debian's package prometheus is not installed"
)

ROOT = Path(__file__).resolve().parent.parent.parent
RULES, DASHBOARDS = ROOT / "deploy/prometheus", ROOT / "deploy/grafana"

LIMIT_S = 60
"""Longest wait for an alert; a scrape and an evaluation take half a second each."""

CERTIFICATE_LIMIT_S = 120
"""Longest wait until a new certificate is seen: a frontend looks once a minute."""

SHORTER = (
    (r"for: \d+[smh]", "for: 0s"),
    # The windows of rates.
    (r"\[\d+m\]", "[15s]"),
    # Refused logins, and the ages of a drop that waits and of one that is unknown.
    (r"> 50$", "> 5"),
    (r"> 120$", "> 2"),
    (r"> 86400$", "> 2"),
)
"""What is shorter or less here than in the rules of a house."""

CERTIFICATE = ("certs", "server", "localhost", "--folder=certs", "--force")
DISK = 'mount -t tmpfs -o size=60m tmpfs "$0" && exec "$@"'
"""Runs a command that finds a small disk in a folder, which nobody else sees."""

ALICE = UserPlan("alice", "alice-secret", 1_000)
ADMIN = UserPlan("admin", "admin-secret", 0, admin=True)
PLAN = Plan(
    machines=(
        MachinePlan("d", "Big Drink", (SlotPlan(1, "Coke", 5, 60), SlotPlan(2, "Tea", 5, 1))),
        MachinePlan("ld", "Little Drink", (SlotPlan(1, "Jolt", 5, 60),)),
    ),
    users=(ALICE, ADMIN),
    web_port=0,
    response_limit_s=2,
    frontend={
        "metrics": "interval_s = 0.1",
        "links": "stats_interval_s = 1",
        "rpc": "health_interval_s = 0.2\nhealth_timeout_s = 0.5",
        "[sessions.listeners]": """
tls_certificate = "certs/server.pem"
tls_key = "certs/server.key"
""",
    },
    web={"metrics": "interval_s = 0.1"},
)


def quick(text: str) -> str:
    """Rules or a query with short times and low marks."""
    for pattern, shorter in SHORTER:
        text = re.sub(pattern, shorter, text, flags=re.MULTILINE)
    return text


class Prometheus:
    """A running Prometheus."""

    def __init__(self, folder: Path, targets: dict[str, int]) -> None:
        folder.mkdir()
        for name in ("alerts.yml", "recording.yml"):
            (folder / name).write_text(quick((RULES / name).read_text("utf-8")), encoding="utf-8")
        settings = {
            "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
            "rule_files": ["alerts.yml", "recording.yml"],
            "scrape_configs": [
                {
                    "job_name": job,
                    "scrape_timeout": "500ms",
                    "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
                }
                for job, port in targets.items()
            ],
        }
        (folder / "prometheus.yml").write_text(json.dumps(settings), encoding="utf-8")
        self._address = f"127.0.0.1:{free_port()}"
        self.process = Process(
            "prometheus",
            [
                str(shutil.which("prometheus")),
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                f"--web.listen-address={self._address}",
            ],
            folder,
        )

    def ask(self, path: str, **parameters: str) -> Any:
        """What its API answers."""
        query = urllib.parse.urlencode(parameters)
        url = f"http://{self._address}/api/v1/{path}?{query}"
        with urllib.request.urlopen(url, timeout=LIMIT_S) as answer:
            return json.load(answer)["data"]

    def rows(self, query: str) -> list[Any]:
        """The rows of a query now."""
        found: list[Any] = self.ask("query", query=quick(query))["result"]
        return found

    def fires(self, name: str, **labels: str) -> bool:
        """Whether an alert fires with these labels."""
        wanted = {"alertname": name, **labels}
        return any(
            alert["state"] == "firing" and alert["labels"].items() >= wanted.items()
            for alert in self.ask("alerts")["alerts"]
        )

    def has_started(self) -> bool:
        """Whether it has scraped the frontend and the page."""
        try:
            return bool(self.rows("drink_serving == 1") and self.rows("drink_web_build_info"))
        except OSError:
            return False


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    folder = tmp_path_factory.mktemp("house")
    with LocalSystem(folder, with_own_ports(PLAN)) as system:
        system.install()
        system.admin("certs", "init", "--folder=certs")
        system.admin(*CERTIFICATE, "--days=365")
        system.start()
        yield system


@pytest.fixture(scope="module")
def hook() -> Iterator[WebHook]:
    with WebHook() as hook:
        yield hook


@pytest.fixture(scope="module")
def notifier(house: LocalSystem, hook: WebHook) -> Iterator[Notifier]:
    with Notifier(house, ADMIN, {"hook": hook}) as notifier:
        notifier.start()
        yield notifier


@pytest.fixture(scope="module")
def prometheus(
    house: LocalSystem, notifier: Notifier, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus") / "own"
    targets = {
        "drink-frontend": house.metrics_port,
        "drink-web": house.web_metrics_port,
        "drink-notify": notifier.metrics_port,
    }
    server = Prometheus(folder, targets)
    server.process.start()
    try:
        wait_until(server.has_started, "prometheus scrapes", LIMIT_S)
        yield server
    finally:
        server.process.kill()


@pytest.fixture
def alert(prometheus: Prometheus) -> Callable[..., None]:
    """Waits until an alert fires, or until it no longer does."""

    def wait(name: str, *, fires: bool, limit_s: float = LIMIT_S, **labels: str) -> None:
        def so() -> bool:
            return prometheus.fires(name, **labels) is fires

        wait_until(so, f"{name} {'fires' if fires else 'is over'}", limit_s)

    return wait


def test_drops_that_are_unknown_or_wait_fire_until_they_are_settled(
    house: LocalSystem, alert: Callable[..., None]
) -> None:
    alice = house.client(ALICE)
    house.boards["d"].fault("silent", slot=1)
    drop = alice.drop("d/1")
    assert drop.state == drops.Drop.STATE_UNKNOWN
    # The first is sent to an agent that hangs, and the second waits for it.
    agent = house.agents["ld"]
    agent.send(signal.SIGSTOP)
    try:
        waiting = [alice.start("ld/1") for _ in range(2)]
        alert("DrinkDropsUnknown", fires=True, severity="warning")
        alert("DrinkDropsUnknownLong", fires=True, severity="critical")
        alert("DrinkDropsWaiting", fires=True, severity="warning")
    finally:
        agent.send(signal.SIGCONT)
    house.admin("drops", "resolve", drop.name.removeprefix("drops/"), "--dispensed", "--why=seen")
    for name in ("DrinkDropsUnknown", "DrinkDropsUnknownLong", "DrinkDropsWaiting"):
        alert(name, fires=False)
    assert all(call.result().drop.state != drops.Drop.STATE_UNKNOWN for call in waiting)
    alice.close()


def test_a_database_that_takes_no_changes_fires_until_it_does(
    house: LocalSystem, alert: Callable[..., None]
) -> None:
    with closing(sqlite3.connect(house.folder / "drink.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        alert("DrinkFrontendNotServing", fires=True, severity="critical")
        other.execute("ROLLBACK")
    alert("DrinkFrontendNotServing", fires=False)


def test_an_agent_that_is_away_fires_until_it_is_back(
    house: LocalSystem, alert: Callable[..., None]
) -> None:
    house.agents["ld"].stop()
    alert("DrinkMachineOffline", fires=True, machine="ld", severity="critical")
    house.agents["ld"].start()
    alert("DrinkMachineOffline", fires=False, machine="ld")


def test_a_page_that_is_down_fires_until_it_is_back(
    house: LocalSystem, alert: Callable[..., None]
) -> None:
    house.web.stop()
    alert("DrinkWebDown", fires=True, job="drink-web", severity="critical")
    house.start_web()
    alert("DrinkWebDown", fires=False)


@pytest.mark.slow
def test_a_notifier_that_is_down_or_tells_nothing_fires_until_it_does(
    house: LocalSystem, notifier: Notifier, hook: WebHook, alert: Callable[..., None]
) -> None:
    hook.status = 500
    house.boards["d"].fault("silent", slot=1)
    alice = house.client(ALICE)
    drop = alice.drop("d/1").name.removeprefix("drops/")
    alert("DrinkAlarmsNotTold", fires=True, channel="hook", job="drink-notify")
    hook.status = 200
    alert("DrinkAlarmsNotTold", fires=False)
    house.admin("drops", "resolve", drop, "--dispensed", "--why=seen")
    alice.close()
    notifier.process.stop()
    alert("DrinkNotifyDown", fires=True, job="drink-notify")
    notifier.start()
    alert("DrinkNotifyDown", fires=False)


def test_every_panel_of_every_dashboard_has_rows(
    house: LocalSystem, prometheus: Prometheus
) -> None:
    alice = house.client(ALICE)
    for _ in range(2):
        alice.drop("d/1")
    house.boards["d"].ask(do="temperature", fahrenheit=40)

    def queries() -> Iterator[tuple[str, str, str]]:
        for file in sorted(DASHBOARDS.glob("*.json")):
            for panel in json.loads(file.read_text("utf-8"))["panels"]:
                for target in panel["targets"]:
                    query = target["expr"].replace("$machine", "d").replace("$instance", ".*")
                    yield file.stem, panel["title"], query

    asked = list(queries())
    assert len(asked) > 40

    def empty() -> list[tuple[str, str, str]]:
        with urllib.request.urlopen(f"{house.origin}/login", timeout=LIMIT_S) as page:
            assert page.status == 200
        return [each for each in asked if not prometheus.rows(each[2])]

    try:
        wait_until(lambda: not empty(), "all panels have rows", LIMIT_S)
    except TimeoutError:
        pytest.fail(f"without rows: {empty()}")
    alice.close()


def test_the_page_of_metrics_names_all_that_is_scraped_and_nothing_else(
    house: LocalSystem, notifier: Notifier
) -> None:
    alice = house.client(ALICE)
    alice.drop("ld/1")
    house.admin("slot", "change", "ld", "1", "--low-stock=1")
    house.boards["ld"].ask(do="temperature", fahrenheit=40)
    with urllib.request.urlopen(f"{house.origin}/login", timeout=LIMIT_S) as page:
        assert page.status == 200
    ports = {
        "Frontend": house.metrics_port,
        "Page": house.web_metrics_port,
        "Notifier": notifier.metrics_port,
    }

    def wrong() -> list[str]:
        """Names of what differs, or has no series."""
        names = []
        for part, port in ports.items():
            said, found = documented(part), exposed(port)
            own = {name for name in found if name.startswith("drink_")}
            usual = [name for name in found if name.startswith(("process_", "python_"))]
            assert len(said) >= 9
            assert len(usual) + len(own) == len(found), found.keys()
            names += [name for name in said.keys() | own if said.get(name) != found.get(name)]
        return sorted(names)

    expected = ["drink_storage_round_trips_total"]  # This database is SQLite.
    try:
        wait_until(lambda: wrong() == expected, "all metrics are as the page says", LIMIT_S)
    except TimeoutError:
        pytest.fail(f"not as the page says: {wrong()}")
    alice.close()


@pytest.mark.slow
def test_a_slot_that_is_empty_or_low_fires_until_it_is_loaded(
    house: LocalSystem, alert: Callable[..., None]
) -> None:
    alice = house.client(ALICE)
    house.admin("slot", "change", "d", "2", "--low-stock=1")
    alert("DrinkSlotLow", fires=True, machine="d", slot="2")
    alice.drop("d/2")
    alert("DrinkSlotEmpty", fires=True, machine="d", slot="2")
    alert("DrinkSlotLow", fires=False, machine="d", slot="2")
    house.boards["d"].ask(do="refill", slot=2, cans=30)
    house.admin("slot", "count", "d", "2", "30")
    alert("DrinkSlotEmpty", fires=False, machine="d", slot="2")
    alice.close()


@pytest.mark.slow
def test_a_board_that_is_away_fires_until_it_is_back(
    house: LocalSystem, alert: Callable[..., None]
) -> None:
    house.boards["ld"].process.stop()
    alert("DrinkBoardDown", fires=True, machine="ld")
    house.boards["ld"].start()
    alert("DrinkBoardDown", fires=False, machine="ld")


@pytest.mark.slow
def test_a_machine_that_is_too_warm_or_too_cold_fires(
    house: LocalSystem, alert: Callable[..., None]
) -> None:
    for fahrenheit, name in ((60, "DrinkTooWarm"), (20, "DrinkTooCold")):
        house.boards["d"].ask(do="temperature", fahrenheit=fahrenheit)
        alert(name, fires=True, machine="d")
    house.boards["d"].ask(do="temperature", fahrenheit=40)
    for name in ("DrinkTooWarm", "DrinkTooCold"):
        alert(name, fires=False, machine="d")


@pytest.mark.slow
def test_drops_that_fail_fire_until_they_no_longer_do(
    house: LocalSystem, alert: Callable[..., None]
) -> None:
    alice = house.client(ALICE)
    for _ in range(10):
        house.boards["d"].fault("refuse", slot=1)
        assert alice.drop("d/1").state == drops.Drop.STATE_NOT_DISPENSED
    alert("DrinkDropsFailing", fires=True, machine="d", cause="board_refused")
    alert("DrinkDropsFailing", fires=False, machine="d")
    alice.close()


@pytest.mark.slow
def test_many_refused_logins_fire_until_they_end(
    house: LocalSystem, alert: Callable[..., None]
) -> None:
    alice = house.client(ALICE)

    # As many as one place may guess wrongly without waiting.
    guesses = [
        alice.accounts.Login.future(
            accounts.LoginRequest(
                password=accounts.PasswordCredentials(
                    account=f"accounts/nobody-{number}", password="guess"
                )
            ),
            timeout=LIMIT_S,
        )
        for number in range(20)
    ]
    assert all(isinstance(guess.exception(), grpc.RpcError) for guess in guesses)
    alert("DrinkLoginsRefused", fires=True)
    alert("DrinkLoginsRefused", fires=False)
    alice.close()


@pytest.mark.slow
def test_a_frontend_that_is_down_fires_until_it_is_back(
    house: LocalSystem, alert: Callable[..., None]
) -> None:
    house.frontend.stop()
    alert("DrinkFrontendDown", fires=True, job="drink-frontend")
    alert("DrinkWebWithoutFrontend", fires=True, job="drink-web")
    house.start_frontend()
    for name in ("DrinkFrontendDown", "DrinkWebWithoutFrontend"):
        alert(name, fires=False)
    house.wait_ready("d", "ld")


@pytest.mark.slow
def test_a_disk_of_an_agent_that_fills_fires_until_it_has_space(
    house: LocalSystem, alert: Callable[..., None]
) -> None:
    folder, agent = (house.folder / "disk").absolute(), house.agents["ld"]
    folder.mkdir()
    alone = ("unshare", "--map-root-user", "--mount", "sh", "-c", DISK, str(folder))
    if subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("no file system may be mounted here")
    agent.stop()
    settings = house.write_agent("ld")
    text = settings.read_text("utf-8")
    settings.write_text(text.replace("/ld.journal", "/disk/ld.journal"), encoding="utf-8")
    agent.prefix = alone
    agent.start()
    try:
        house.wait_ready("ld")
        alert("DrinkAgentDiskFull", fires=False, machine="ld")
        full = Path(f"/proc/{agent.pid}/root{folder}/full")
        full.write_bytes(bytes(20_000_000))
        alert("DrinkAgentDiskFull", fires=True, machine="ld")
        full.unlink()
        alert("DrinkAgentDiskFull", fires=False, machine="ld")
    finally:
        agent.stop()
        agent.prefix = ()
        house.write_agent("ld")
        agent.start()
    house.wait_ready("ld")


@pytest.mark.slow
def test_a_certificate_that_ends_soon_fires_until_it_is_renewed(
    house: LocalSystem, alert: Callable[..., None]
) -> None:
    for days, fires in ((13, True), (365, False)):
        house.admin(*CERTIFICATE, f"--days={days}")
        alert("DrinkCertificateEnds", fires=fires, limit_s=CERTIFICATE_LIMIT_S)


@pytest.mark.slow
def test_a_frontend_that_stands_still_again_and_again_fires_until_it_runs(
    house: LocalSystem, alert: Callable[..., None]
) -> None:
    alert("DrinkLoopLag", fires=False)
    for _ in range(3):
        house.frontend.send(signal.SIGSTOP)
        time.sleep(0.8)
        house.frontend.send(signal.SIGCONT)
        time.sleep(0.2)
    alert("DrinkLoopLag", fires=True)
    alert("DrinkLoopLag", fires=False)


def test_every_rule_has_a_test_here() -> None:
    here = Path(__file__).read_text("utf-8")
    names = re.findall(r"alert: (\w+)", (RULES / "alerts.yml").read_text("utf-8"))
    assert [name for name in names if f'"{name}"' not in here] == []
