"""The rules of deploy/prometheus and the dashboards of deploy/grafana.

promtool, amtool and the real Prometheus are Debian's; without them those tests are skipped. What
a house really tells them is in `tests/integration/test_prometheus.py`.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from drink_frontend.metrics import specs as frontend
from drink_web.metrics import specs as web

ROOT = Path(__file__).resolve().parent.parent.parent
PROMETHEUS, GRAFANA = ROOT / "deploy/prometheus", ROOT / "deploy/grafana"
OBSERVABILITY = ROOT / "deploy/observability"
DASHBOARDS = sorted(GRAFANA.glob("*.json"))

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="Debian's package prometheus is not installed"
)

needs_amtool = pytest.mark.skipif(
    shutil.which("amtool") is None,
    reason="Debian's package prometheus-alertmanager is not installed",
)


def rules(name: str) -> list[dict[str, Any]]:
    """The rules of one file."""
    groups = yaml.safe_load((PROMETHEUS / name).read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules("alerts.yml")}


@dataclass(frozen=True)
class Scenario:
    """Series of a fault that begins at once and is over after an hour, one value a minute.

    Attributes:
        series: Each series with its value during the fault and after it.
        labels: Labels of the alert, beside those of the rule.
        more: Other alerts that the same fault raises.
    """

    series: dict[str, tuple[str, str]]
    labels: dict[str, str] = field(default_factory=dict)
    more: tuple[str, ...] = ()


def steady(during: float, after: float) -> tuple[str, str]:
    return f"{during}x60", f"{after}x120"


def growing(step: float) -> tuple[str, str]:
    return f"0+{step}x60", f"{60 * step}+0x120"


MACHINE = {"machine": "d"}
PLACE = {"machine": "d", "slot": "1"}
WEB = {"instance": "w:9465", "job": "drink-web"}
AT_WEB = 'instance="w:9465",job="drink-web"'
NOTIFY = {"instance": "n:9466", "job": "drink-notify"}
AT_NOTIFY = 'instance="n:9466",job="drink-notify"'
FRONTEND = {"instance": "f:9464", "job": "drink-frontend"}
AT = 'instance="f:9464",job="drink-frontend"'

SCENARIOS = {
    "DrinkFrontendDown": Scenario({f"up{{{AT}}}": steady(0, 1)}, FRONTEND),
    "DrinkFrontendNotServing": Scenario({f"drink_serving{{{AT}}}": steady(0, 1)}, FRONTEND),
    "DrinkWebDown": Scenario({f"up{{{AT_WEB}}}": steady(0, 1), f"up{{{AT}}}": steady(1, 1)}, WEB),
    "DrinkWebWithoutFrontend": Scenario(
        {f"drink_web_frontend_reachable{{{AT_WEB}}}": steady(0, 1)}, WEB
    ),
    "DrinkNotifyDown": Scenario({f"up{{{AT_NOTIFY}}}": steady(0, 1)}, NOTIFY),
    "DrinkAlarmsNotTold": Scenario(
        {
            f'drink_notify_failed_attempts{{{AT_NOTIFY},channel="mail"}}': (
                growing(1)[0],
                "0x120",
            ),
            f'drink_notify_failed_attempts{{{AT_NOTIFY},channel="hook"}}': steady(0, 0),
        },
        {**NOTIFY, "channel": "mail"},
    ),
    "DrinkMachineOffline": Scenario(
        {
            'drink_machine_linked{machine="d"}': steady(0, 1),
            'drink_machine_ready{machine="d"}': steady(0, 1),
            'drink_machine_enabled{machine="d"}': steady(1, 1),
            'drink_machine_linked{machine="ld"}': steady(0, 0),
            'drink_machine_enabled{machine="ld"}': steady(0, 0),
        },
        MACHINE,
    ),
    "DrinkBoardDown": Scenario(
        {
            'drink_machine_linked{machine="d"}': steady(1, 1),
            'drink_machine_ready{machine="d"}': steady(0, 1),
            'drink_machine_enabled{machine="d"}': steady(1, 1),
        },
        MACHINE,
    ),
    "DrinkDropsUnknown": Scenario({'drink_drops_open{state="unknown"}': steady(2, 0)}),
    "DrinkDropsUnknownLong": Scenario({"drink_drops_unknown_oldest_seconds": steady(90_000, 0)}),
    "DrinkDropsWaiting": Scenario({"drink_drops_waiting_oldest_seconds": steady(300, 0)}),
    "DrinkDropsFailing": Scenario(
        {
            'drink_drops_total{machine="d",outcome="not_dispensed",cause="board_refused"}': growing(
                1
            ),
            'drink_drops_total{machine="d",outcome="not_dispensed",cause="cancelled"}': growing(5),
            'drink_drops_total{machine="d",outcome="dispensed",cause="board_ack"}': growing(9),
        },
        {**MACHINE, "cause": "board_refused"},
    ),
    "DrinkSlotEmpty": Scenario(
        {
            'drink_slot_available_items{machine="d",slot="1"}': steady(0, 5),
            'drink_slot_enabled{machine="d",slot="1"}': steady(1, 1),
            'drink_slot_low_stock_mark_items{machine="d",slot="1"}': steady(2, 2),
            'drink_slot_available_items{machine="d",slot="2"}': steady(0, 0),
            'drink_slot_enabled{machine="d",slot="2"}': steady(0, 0),
        },
        PLACE,
    ),
    "DrinkSlotLow": Scenario(
        {
            'drink_slot_available_items{machine="d",slot="1"}': steady(2, 5),
            'drink_slot_enabled{machine="d",slot="1"}': steady(1, 1),
            'drink_slot_low_stock_mark_items{machine="d",slot="1"}': steady(2, 2),
        },
        PLACE,
    ),
    "DrinkTooWarm": Scenario(
        {'drink_machine_temperature_celsius{machine="d"}': steady(12, 4)}, MACHINE
    ),
    "DrinkTooCold": Scenario(
        {'drink_machine_temperature_celsius{machine="d"}': steady(-3, 4)}, MACHINE
    ),
    "DrinkAgentDiskFull": Scenario(
        {
            'drink_agent_disk_free_bytes{machine="d"}': steady(1e9, 5e9),
            'drink_agent_disk_bytes{machine="d"}': steady(3e10, 3e10),
        },
        MACHINE,
    ),
    "DrinkCertificateEnds": Scenario(
        {
            f'drink_certificate_expiry_timestamp_seconds{{{AT},listener="rpc"}}': steady(
                86_400, 90 * 86_400
            )
        },
        {**FRONTEND, "listener": "rpc"},
    ),
    "DrinkLoopLag": Scenario(
        {
            f'drink_event_loop_lag_seconds_bucket{{{AT},le="0.25"}}': ("0+0x60", "0+60x120"),
            f'drink_event_loop_lag_seconds_bucket{{{AT},le="0.5"}}': ("0+60x60", "3600+60x120"),
            f'drink_event_loop_lag_seconds_bucket{{{AT},le="+Inf"}}': ("0+60x60", "3600+60x120"),
        },
        {"instance": "f:9464"},
    ),
    "DrinkLoginsRefused": Scenario({'drink_logins_total{result="refused"}': growing(30)}),
}
"""For each alert a fault that raises it."""


def test_every_alert_has_a_scenario() -> None:
    assert ALERTS.keys() == SCENARIOS.keys()


@needs_promtool
def test_the_configuration_and_all_rules_are_valid() -> None:
    for arguments in (
        ("config", PROMETHEUS / "prometheus.yml"),
        ("config", OBSERVABILITY / "prometheus.yml"),
        ("rules", PROMETHEUS / "alerts.yml", PROMETHEUS / "recording.yml"),
    ):
        checked = subprocess.run(
            ["promtool", "check", *arguments], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr


@needs_amtool
def test_alertmanager_takes_its_configuration_and_tells_nobody_by_default() -> None:
    file = f"--config.file={PROMETHEUS / 'alertmanager.yml'}"
    for arguments, said in (
        (("check-config", PROMETHEUS / "alertmanager.yml"), "SUCCESS"),
        (("config", "routes", "test", file, "alertname=DrinkMachineOffline"), "nobody"),
    ):
        checked = subprocess.run(
            ["amtool", *arguments], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert said in checked.stdout
    configuration = yaml.safe_load((PROMETHEUS / "alertmanager.yml").read_text("utf-8"))
    assert configuration["receivers"] == [{"name": "nobody"}]
    for rule in configuration["inhibit_rules"]:
        for matchers in (rule["source_matchers"], rule["target_matchers"]):
            assert {each.removeprefix("alertname = ") for each in matchers} <= ALERTS.keys()


def test_compose_asks_frontends_as_the_rules_name_them() -> None:
    own, plain = (
        yaml.safe_load((folder / "prometheus.yml").read_text("utf-8"))
        for folder in (OBSERVABILITY, PROMETHEUS)
    )
    assert own["global"] == plain["global"]
    assert [each["job_name"] for each in own["scrape_configs"]] == [
        "drink-frontend",
        "drink-web",
        "drink-notify",
    ]
    assert [Path(each).name for each in own["rule_files"]] == plain["rule_files"]


def _test(name: str) -> dict[str, Any]:
    """A test of promtool: the alert fires within the fault's hour, and is over 40 minutes later."""
    scenario, rule = SCENARIOS[name], ALERTS[name]
    series = [
        {"series": each, "values": f"{during} {after}"}
        for each, (during, after) in scenario.series.items()
    ]
    fired = {"exp_labels": {**rule["labels"], **scenario.labels}}
    times: tuple[tuple[str, list[object]], ...] = (("55m", [fired]), ("1h50m", []))
    return {
        "interval": "1m",
        "name": name,
        "input_series": series,
        "alert_rule_test": [
            {"eval_time": at, "alertname": name, "exp_alerts": alerts} for at, alerts in times
        ],
    }


@needs_promtool
def test_each_alert_fires_and_clears(tmp_path: Path) -> None:
    """promtool compares annotations too, so that they are left out of the rules here."""
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text("utf-8"))
    for group in groups["groups"]:
        for rule in group["rules"]:
            del rule["annotations"]
    (tmp_path / "alerts.yml").write_text(json.dumps(groups), encoding="utf-8")
    shutil.copy(PROMETHEUS / "recording.yml", tmp_path)
    tests = {
        "rule_files": ["recording.yml", "alerts.yml"],
        "evaluation_interval": "1m",
        "group_eval_order": ["drink-recording", "drink-alerts"],
        "tests": [_test(name) for name in SCENARIOS],
    }
    (tmp_path / "tests.yml").write_text(json.dumps(tests), encoding="utf-8")
    tested = subprocess.run(
        ["promtool", "test", "rules", "tests.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr


def anchors(page: str) -> set[str]:
    """The sections of a page, as links name them."""
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_says_what_it_is_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert rule["annotations"].keys() == {"summary", "action", "runbook"}
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    text = (ROOT / page).read_text("utf-8")
    assert anchor in anchors(text)
    section = re.split(r"^## ", text, flags=re.MULTILINE)
    assert any(name in part or anchor in anchors(f"## {part}") for part in section)


def known() -> set[str]:
    """All names that may be asked for."""
    specs = [
        spec
        for sections in (frontend.SECTIONS, web.SECTIONS, web.NOTIFY_SECTIONS)
        for _, section in sections
        for spec in section
    ]
    names = {spec.name for spec in specs}
    histograms = {
        f"{spec.name}_{part}"
        for spec in specs
        for part in ("bucket", "sum", "count")
        if spec.kind == "histogram"
    }
    return names | histograms | {rule["record"] for rule in rules("recording.yml")}


def asked(expression: str) -> set[str]:
    """The names of this product in a query."""
    return set(re.findall(r"(?:[a-z_]+:)?drink_[a-z_]+(?::[a-z0-9_]+)?", expression))


def expressions() -> Iterator[str]:
    for file in ("alerts.yml", "recording.yml"):
        yield from (rule["expr"] for rule in rules(file))
    for dashboard in DASHBOARDS:
        for panel in json.loads(dashboard.read_text("utf-8"))["panels"]:
            yield from (target["expr"] for target in panel["targets"])


def test_only_metrics_that_exist_are_asked_for() -> None:
    for expression in expressions():
        # Elsewhere than in labels, such as job="drink-frontend".
        assert asked(re.sub(r'"[^"]*"', "", expression)) <= known(), expression


def test_there_are_three_dashboards_with_fixed_and_different_ids() -> None:
    uids = [json.loads(file.read_text("utf-8"))["uid"] for file in DASHBOARDS]
    assert sorted(uids) == ["drink-frontend", "drink-house", "drink-machine"]


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_is_whole(file: Path) -> None:
    dashboard = json.loads(file.read_text("utf-8"))
    variables = {each["name"]: each for each in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
        assert panel["title"]
        assert panel["targets"]
        assert all(each["datasource"]["uid"] == "${datasource}" for each in panel["targets"])
        used = re.findall(r"\$(\w+)", " ".join(each["expr"] for each in panel["targets"]))
        assert set(used) <= variables.keys()
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)
