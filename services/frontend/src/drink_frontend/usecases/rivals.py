"""Notices that two agents run with one machine's token or certificate."""

from collections.abc import Mapping
from typing import Any

from drink_frontend.domain.entities import AuditKind, AuditRecord
from drink_frontend.storage.transaction import Transaction

LOOK_BACK = 100
"""Newest link openings, of all machines, among which an agent is looked for. Two agents of one
machine are noticed at their third change, unless so many other links were opened meanwhile."""


def notice_rivals(
    tx: Transaction, machine: str, agent: Mapping[str, str], now_ms: int, period_s: float
) -> dict[str, Any] | None:
    """Keeps an alarm if somebody else runs as the machine's agent too, once in a period.

    Args:
        tx: Before the new link's opening is kept.
        machine: The machine.
        agent: What is known of the agent that opens a link: `boot_id`, `address`.
        now_ms: The time.
        period_s: Seconds between alarms of one machine.

    Returns:
        What was kept, for the log; None if there is nothing new.
    """
    rivals = _rivals(tx, machine, agent.get("boot_id", ""), now_ms)
    if rivals is None or _was_told(tx, machine, now_ms, period_s):
        return None
    facts = {"address": agent.get("address", ""), **rivals}
    tx.audit.add(
        AuditRecord(AuditKind.TWO_AGENTS, now_ms, "frontend", machine=machine, facts=facts)
    )
    return facts


def _rivals(tx: Transaction, machine: str, boot_id: str, now_ms: int) -> dict[str, Any] | None:
    """Who else runs as the machine's agent, if somebody does.

    Each run of an agent has a boot id of its own. One that comes back after another was linked is
    still running, and so is not the one that replaced it.
    """
    opened = [
        record
        for record in tx.audit.list(kinds=(AuditKind.LINK_OPENED,), limit=LOOK_BACK)
        if record.machine == machine
    ]
    runs = [record.facts.get("boot_id") for record in opened]
    if boot_id not in runs or runs[0] == boot_id:
        return None
    between = opened[: runs.index(boot_id)]
    others = [each for each in between if each.facts.get("boot_id") != boot_id]
    return {
        "boot_id": boot_id,
        "others": sorted({str(each.facts.get("boot_id")) for each in others}),
        "other_addresses": sorted({str(each.facts.get("address", "")) for each in others} - {""}),
        "changes": len(others) + 1,
        "within_s": max(0, now_ms - opened[runs.index(boot_id)].at_ms) // 1000,
    }


def _was_told(tx: Transaction, machine: str, now_ms: int, period_s: float) -> bool:
    since_ms = now_ms - period_s * 1000
    return any(
        record.machine == machine and since_ms < record.at_ms <= now_ms
        for record in tx.audit.list(kinds=(AuditKind.TWO_AGENTS,), limit=LOOK_BACK)
    )
