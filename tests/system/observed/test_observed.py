"""Observed: Prometheus and Alertmanager of compose.yaml see the house, and what happens in it."""

import contextlib
import json
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from scripts.demo.plan import ALICE
from scripts.processes import wait_until
from tests.system.compose_system import POSTGRES, SQLITE, ComposeSystem, Profile

LIMIT_S = 90
"""Seconds until a container answers, or two scrapes have been made on a busy computer."""


def get(port: int, path: str, **parameters: str) -> Any:
    """What an API answers; None while it does not."""
    url = f"http://127.0.0.1:{port}{path}?{urllib.parse.urlencode(parameters)}"
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10) as answer:
        return json.loads(answer.read())
    return None


@pytest.mark.parametrize(
    ("house", "jobs"),
    [
        pytest.param(SQLITE, {"drink-frontend", "drink-web"}, id="sqlite"),
        pytest.param(POSTGRES, {"drink-frontend"}, id="postgres", marks=pytest.mark.slow),
    ],
)
def test_prometheus_scrapes_the_house_and_has_the_rules(
    open_system: Callable[[Profile], ComposeSystem], house: Profile, jobs: set[str]
) -> None:
    with open_system(replace(house, names=(*house.names, "observability"))) as system:
        system.variables["METRICS_ADDRESS"] = "0.0.0.0"
        system.up()
        alice = system.client(ALICE)
        alice.drop("d/1")
        alice.close()

        def asked(expression: str) -> list[Any]:
            found = get(system.prometheus_port, "/api/v1/query", query=expression)
            return [] if found is None else list(found["data"]["result"])

        def scraped() -> set[str]:
            return {each["metric"]["job"] for each in asked("up == 1")}

        wait_until(lambda: scraped() == jobs, "a scrape of each", LIMIT_S)
        assert asked("up == 0") == []
        dispensed = 'drink_drops_total{machine="d",outcome="dispensed"} >= 1'
        wait_until(lambda: asked(dispensed), "the drop in a scrape", LIMIT_S)
        groups = get(system.prometheus_port, "/api/v1/rules")["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert {group["name"] for group in groups} == {"drink-recording", "drink-alerts"}
        assert {rule.get("lastError", "") for rule in rules} <= {""}
        known = get(system.prometheus_port, "/api/v1/alertmanagers")["data"]
        assert [each["url"] for each in known["activeAlertmanagers"]] == [
            "http://alertmanager:9093/api/v2/alerts"
        ]
        status = wait_until(
            lambda: get(system.alertmanager_port, "/api/v2/status"), "Alertmanager", LIMIT_S
        )
        assert "receiver: nobody" in status["config"]["original"]
        why = json.loads(system.run(house.frontends[0], "drink-frontend", "health", "--json"))
        assert (why["status"], why["details"]) == ("SERVING", None)
