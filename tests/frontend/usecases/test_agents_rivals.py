import pytest
from structlog.testing import capture_logs

from drink_frontend.domain.alarms import RAISED_BY
from drink_frontend.domain.entities import AuditKind, AuditRecord, Reach
from drink_frontend.usecases.agents import LOOK_BACK, Agents
from drink_frontend.usecases.audit import Alarms
from drink_frontend.usecases.journals import Journals
from drink_frontend.usecases.settings import AlarmSettings
from tests.support.bench import Bench

PERIOD_S = 3600


class Links:
    """Agents that take one machine's link, at either of two frontends on one database."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._frontends = [
            Agents(
                bench.storage,
                bench.clock,
                Journals(bench.storage, keep_s=1),
                Alarms(bench.storage, bench.clock, AlarmSettings()),
                name,
                temperatures=bench.temperatures,
                two_agents_alarm_s=PERIOD_S,
            )
            for name in ("F", "G")
        ]

    async def take(self, *runs: str, machine: str = "d", frontend: int = 0) -> None:
        """Those runs of agents take the link one after the other, a minute apart."""
        for run in runs:
            facts = {"boot_id": run, "agent_version": "1", "address": f"192.0.2.{len(run)}"}
            await self._frontends[frontend].open_link(
                machine, (f"journal-{run}", 0), Reach.READY, facts
            )
            self._bench.clock.pass_s(60)

    async def alarms(self) -> list[AuditRecord]:
        return list(await self._bench.audit(AuditKind.TWO_AGENTS))


@pytest.fixture
def links(bench: Bench) -> Links:
    return Links(bench)


async def test_fault_18_two_agents_in_turn_are_an_alarm_with_both_addresses(links: Links) -> None:
    with capture_logs() as logs:
        await links.take("a", "bb", "a")
    (alarm,) = await links.alarms()
    assert (alarm.machine, alarm.actor, alarm.kind in RAISED_BY) == ("d", "frontend", True)
    assert alarm.facts == {
        "address": "192.0.2.1",
        "boot_id": "a",
        "others": ["bb"],
        "other_addresses": ["192.0.2.2"],
        "changes": 2,
        "within_s": 120,
    }
    (line,) = [each for each in logs if each["event"] == "two_agents"]
    assert (line["machine"], line["log_level"]) == ("d", "error")


async def test_fault_18_two_agents_are_told_of_once_in_a_period(links: Links, bench: Bench) -> None:
    with capture_logs() as logs:
        await links.take(*["a", "b"] * 20)
        assert len(await links.alarms()) == 1
        await links.take("a", "b", machine="ld")
        assert len(await links.alarms()) == 1
        await links.take("a", machine="ld")
        assert len(await links.alarms()) == 2
        bench.clock.pass_s(PERIOD_S)
        await links.take("a", "b", "a")
        assert len(await links.alarms()) == 3
    assert len([each for each in logs if each["event"] == "two_agents"]) == 3


async def test_fault_18_two_agents_at_two_frontends_are_noticed(links: Links) -> None:
    await links.take("a", frontend=0)
    await links.take("b", frontend=1)
    await links.take("a", frontend=0)
    assert len(await links.alarms()) == 1


async def test_fault_18_two_agents_with_a_copied_journal_are_noticed(
    links: Links, bench: Bench
) -> None:
    for run in ("a", "b", "a"):
        await bench.agents.open_link("d", ("copied", 0), Reach.READY, {"boot_id": run})
    assert len(await links.alarms()) == 1


async def test_agents_that_restart_or_are_replaced_or_dial_again_are_no_alarm(links: Links) -> None:
    await links.take("a", "a", "a", "b", "b", "c", "d", "d")
    await links.take("a", "e", machine="ld")
    assert await links.alarms() == []


async def test_other_machines_links_hide_a_change_only_if_they_are_many(links: Links) -> None:
    await links.take("a", "b")
    await links.take(*(f"r{n}" for n in range(LOOK_BACK - 2)), machine="ld")
    await links.take("a")
    assert len(await links.alarms()) == 1
