"""Which records raise which alarms."""

from drink_frontend.domain.alarms import (
    RAISED_BY,
    SEVERITIES,
    Alarm,
    AlarmKind,
    AlarmState,
    Severity,
    raised_by,
)
from drink_frontend.domain.entities import AuditKind, AuditRecord


def test_records_raise_the_alarm_of_their_name() -> None:
    assert {
        AuditKind(name): AlarmKind(name)
        for name in (
            "DROP_CONTRADICTED",
            "ORPHAN_RESULT",
            "JOURNAL_REPLACED",
            "TWO_AGENTS",
            "SENSOR_CONTRADICTED",
            "SLOT_UNLISTED",
        )
    } == RAISED_BY
    assert raised_by(AuditRecord(AuditKind.NOTE, 1, "root")) is None


def test_a_state_follows_from_who_examined_and_closed_it() -> None:
    alarm = Alarm(AlarmKind.TWO_AGENTS, "machines/d", "d", 1, 1, 1, {})
    assert alarm.state is AlarmState.OPEN
    examined = Alarm(*_values(alarm), "root", 2)
    assert examined.state is AlarmState.ACKNOWLEDGED
    assert Alarm(*_values(alarm), "root", 2, "root", 3).state is AlarmState.CLOSED
    assert Alarm(*_values(alarm), None, None, "agent:d", 3).state is AlarmState.CLOSED


def _values(alarm: Alarm) -> tuple[AlarmKind, str, str | None, int, int, int, dict[str, object]]:
    return (
        alarm.kind,
        alarm.subject,
        alarm.machine,
        alarm.opened_ms,
        alarm.last_ms,
        alarm.count,
        alarm.facts,
    )


def test_every_kind_has_a_severity() -> None:
    assert SEVERITIES.keys() == set(AlarmKind)
    assert set(SEVERITIES.values()) == set(Severity)
    assert Alarm(AlarmKind.TOO_WARM, "machines/d", "d", 1, 1, 1, {}).severity is Severity.CRITICAL
