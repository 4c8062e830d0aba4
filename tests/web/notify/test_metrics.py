"""What the metrics of a notifier say of its channels."""

import shutil
import subprocess

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from drink_web.metrics.specs import NOTIFY_SECTIONS
from drink_web.notify.metrics import ChannelFacts, NotifyMetrics

NOW_S = 1_000.0


def scrape(**channels: ChannelFacts) -> str:
    return generate_latest(NotifyMetrics(channels, lambda: NOW_S).registry).decode()


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name.removeprefix("drink_notify_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_waits_has_the_age_of_the_oldest_until_it_is_told() -> None:
    facts = ChannelFacts(failures=2)
    facts.look([NOW_S - 5, NOW_S - 60])
    found = samples(scrape(mail=facts))
    assert (found["waiting", "mail"], found["untold_oldest_seconds", "mail"]) == (2, 60)
    assert found["failed_attempts", "mail"] == 2
    facts.success(NOW_S)
    found = samples(scrape(mail=facts))
    assert (found["waiting", "mail"], found["untold_oldest_seconds", "mail"]) == (0, 0)
    assert found["told_total", "mail"] == 2
    assert found["messages_total", "mail", "sent"] == 1
    assert found["last_success_timestamp_seconds", "mail"] == NOW_S
    assert found["failed_attempts", "mail"] == 0


def test_a_clock_that_is_behind_gives_no_negative_age() -> None:
    facts = ChannelFacts()
    facts.look([NOW_S + 60])
    assert samples(scrape(mail=facts))["untold_oldest_seconds", "mail"] == 0


def test_refused_scrapes_are_counted() -> None:
    metrics = NotifyMetrics({})
    metrics.scrape_refused()
    assert metrics.registry.get_sample_value("drink_notify_scrapes_refused_total") == 1


def test_every_metric_of_the_list_is_there_and_no_other() -> None:
    text = scrape(mail=ChannelFacts(), hook=ChannelFacts())
    found = {family.name for family in text_string_to_metric_families(text)}
    named = {spec.name.removesuffix("_total") for _, section in NOTIFY_SECTIONS for spec in section}
    assert {name for name in found if name.startswith("drink_")} == named


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="Debian's package prometheus is not installed"
)
def test_promtool_finds_nothing_wrong() -> None:
    text = scrape(mail=ChannelFacts())
    command = ["promtool", "check", "metrics"]
    checked = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
