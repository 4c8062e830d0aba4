"""Commands of administrators for alarms."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from drink.v1 import alarm_service_pb2 as pb
from drink_cli.commands.admin_drops import facts_words, plain_facts
from drink_cli.context import command, shared
from drink_cli.text import iso_time, local_time, short

alarm = typer.Typer(help="One alarm.", no_args_is_help=True, rich_markup_mode=None)

COLUMNS = {
    "alarm": "ALARM",
    "severity": "SEVERITY",
    "kind": "KIND",
    "about": "ABOUT",
    "count": "TIMES",
    "last": "LAST",
    "state": "STATE",
    "acknowledged_by": "BY",
    "what": "WHAT",
    "next": "NEXT",
}

STATES = {
    pb.Alarm.STATE_OPEN: "open",
    pb.Alarm.STATE_ACKNOWLEDGED: "acknowledged",
    pb.Alarm.STATE_CLOSED: "closed",
}

SEVERITIES = {
    pb.Alarm.SEVERITY_INFO: "info",
    pb.Alarm.SEVERITY_WARNING: "warning",
    pb.Alarm.SEVERITY_CRITICAL: "critical",
}

NEXT = {
    "DROP_UNKNOWN": "look into the machine, then `admin drops resolve`",
    "DROP_CONTRADICTED": "look at the slot, then refund the drop or take the credits",
    "ORPHAN_RESULT": "count the slot, and charge its buyer by hand",
    "JOURNAL_REPLACED": "find out why, and resolve its unknown drop",
    "TWO_AGENTS": "stop one of the two, or make a new token",
    "SENSOR_CONTRADICTED": "count the slot",
    "SLOT_UNLISTED": "take these slots out of service, or correct the board's settings",
    "LINK_FLOODED": "look at the agent's log",
    "LINK_REFUSED": "look for a loose cable, or two agents with one token",
    "RECORDS_COUNTED": "look at the kind that came last",
    "CARDS_GUESSED": "look who stands there, or end the kiosk",
    "MACHINE_OFFLINE": "check its computer's power and network, then its agent's log",
    "BOARD_DOWN": "check the machine's power and the serial cable",
    "SLOT_LOW": "fill it at the next visit",
    "SLOT_EMPTY": "fill it, or take it out of service",
    "SLOT_DISABLED": "look for a jam or a broken sensor, then count the slot",
    "TOO_WARM": "check its door and its cooling",
    "TOO_COLD": "set its thermostat warmer",
    "AGENT_DISK": "make room on the disk of the machine's computer",
    "CERTIFICATE_EXPIRES": "renew the file",
    "BOOKS_UNSOUND": "run `drink-frontend admin verify`, and keep a backup",
    "CHANNEL_FAILED": "check the channel's address and password, and the log of the notifier",
    "BACKUP_OLD": "make a backup, and find out why the scheduled one did not run",
    "DIRECTORY_AWAY": "see whether the directory runs, and what the frontend's log says of it",
    "DIRECTORY_SHRUNK": "see who is missing there; if they left, raise `ldap.check_share_max`",
}
"""What to do about each kind."""

Number = Annotated[str, typer.Argument(metavar="ALARM", help="The alarm's number.")]


@command
def alarms(
    context: typer.Context,
    *,
    machine: Annotated[str | None, typer.Option(help="Of one machine only.")] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help="Of this kind only, such as TWO_AGENTS; may repeat.")
    ] = None,
    closed: Annotated[bool, typer.Option("--closed", help="Closed ones instead.")] = False,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="So many of the newest.")] = 50,
) -> None:
    """Show what an administrator should look at, the newest first."""
    options = shared(context)
    request = pb.ListAlarmsRequest(
        machine=f"machines/{machine}" if machine else "",
        kinds=[each.strip().upper().replace("-", "_") for each in kind or ()],
        states=[pb.Alarm.STATE_CLOSED] if closed else [],
    )
    with options.api() as api:
        found = api.rows(api.alarms.ListAlarms, request, "alarms", count)
    facts = [_facts(each) for each in found]
    if options.output.is_json:
        options.output.rows(facts, {}, "")
        return
    rows = [
        {
            **row,
            "about": short(each.subject),
            "last": local_time(each.last_time),
            "what": facts_words(row["facts"]),
            "next": NEXT.get(each.kind, ""),
        }
        for row, each in zip(facts, found, strict=True)
    ]
    options.output.rows(rows, COLUMNS, "nothing to look at")


@alarm.command()
@command
def acknowledge(context: typer.Context, number: Number) -> None:
    """Say that you examine an alarm; who did so first stays."""
    options = shared(context)
    request = pb.AcknowledgeAlarmRequest(name=f"alarms/{short(number)}")
    with options.api() as api:
        changed = api.call(api.alarms.AcknowledgeAlarm, request).alarm
    sentence = f"{short(changed.name)}: acknowledged by {changed.acknowledged_by}"
    options.output.result(_facts(changed), sentence)


@alarm.command()
@command
def close(
    context: typer.Context,
    number: Number,
    why: Annotated[str, typer.Option(help="What you found, for the audit log.")] = "",
) -> None:
    """Close an alarm whose cause is gone. One about an unknown drop ends with `drops resolve`."""
    options = shared(context)
    request = pb.CloseAlarmRequest(name=f"alarms/{short(number)}", reason=why)
    with options.api() as api:
        changed = api.call(api.alarms.CloseAlarm, request).alarm
    options.output.result(_facts(changed), f"{short(changed.name)}: closed by {changed.closed_by}")


def _facts(each: pb.Alarm) -> Mapping[str, Any]:
    return {
        "alarm": short(each.name),
        "severity": SEVERITIES.get(each.severity, ""),
        "kind": each.kind,
        "subject": each.subject,
        "machine": short(each.machine),
        "state": STATES.get(each.state, f"state {each.state}"),
        "count": each.count,
        "created": iso_time(each.create_time),
        "last": iso_time(each.last_time),
        "facts": plain_facts(each.facts),
        "acknowledged_by": each.acknowledged_by,
        "acknowledged": iso_time(each.acknowledge_time),
        "closed_by": each.closed_by,
        "closed": iso_time(each.close_time),
    }
