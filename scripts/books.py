"""Compares the frontend's books with the boards' own counts: what was sold must have fallen."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from drink.v1 import drop_service_pb2 as drops
from drink.v1 import machine_service_pb2 as machines
from scripts.client import OPEN_STATES, Client
from scripts.plan import Plan

PAGE_SIZE = 1000
"""Drops asked for at a time, the most that a page may have."""


@dataclass
class Untruths:
    """Wrong statements of boards and operators, in items by slot such as `d/1`."""

    unpaid: Counter[str] = field(default_factory=Counter)
    """Items that fell for nothing."""
    undelivered: Counter[str] = field(default_factory=Counter)
    """Items that were paid for and did not fall."""


class CountingBoard(Protocol):
    """A board that counts for itself."""

    def counts(self) -> dict[str, Any]:
        """Cans, motor runs, cans that fell."""


class CountedSystem(Protocol):
    """A system whose boards count for themselves."""

    @property
    def plan(self) -> Plan:
        """What it consists of."""

    @property
    def boards(self) -> Mapping[str, CountingBoard]:
        """The boards, by machine."""


@dataclass(frozen=True)
class Books:
    """A printable table, and its contradictions."""

    text: str
    problems: tuple[str, ...]


@dataclass
class _Audit:
    """Rows and contradictions so far."""

    rows: list[tuple[str, ...]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def expect(self, so: bool, problem: str) -> None:
        if not so:
            self.problems.append(problem)


def compare(system: CountedSystem, admin: Client, untruths: Untruths | None = None) -> Books:
    """Compares the frontend's stock, drops and credits with the boards' counts.

    Args:
        system: It runs, and no drop is under way.
        admin: An administrator's client.
        untruths: What the books cannot know; nothing by default.
    """
    audit, untruths = _Audit(), untruths or Untruths()
    sold = list(_drops(admin))
    for drop in sold:
        audit.expect(drop.state not in OPEN_STATES, f"{drop.name} is still open")
    for plan in system.plan.machines:
        counts = system.boards[plan.name].counts()
        _compare_machine(audit, plan.name, counts, admin, untruths)
        _compare_motor(audit, plan.name, counts, sold, untruths)
    header = ("machine", "slot", "item", "price", "sold", "fell", "on hand", "cans", "unknown", "")
    lines = [
        *_aligned([header, *audit.rows]),
        "",
        *_compare_credits(audit, system, admin, sold),
    ]
    return Books("\n".join(lines), tuple(audit.problems))


def _drops(admin: Client) -> Iterator[drops.Drop]:
    request = drops.ListDropsRequest(parent="accounts/-", page_size=PAGE_SIZE)
    while True:
        page = admin.call(admin.drops.ListDrops, request)
        yield from page.drops
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _compare_machine(
    audit: _Audit, machine: str, counts: dict[str, Any], admin: Client, untruths: Untruths
) -> None:
    """Every fallen can was paid for or its drop is UNKNOWN, and every paid can fell."""
    request = machines.GetMachineRequest(name=f"machines/{machine}")
    for slot in admin.call(admin.machines.GetMachine, request).machine.slots:
        number = slot.name.rsplit("/", 1)[1]
        name = f"{machine}/{number}"
        fell, cans = counts["dispensed"].get(number, 0), counts["cans"].get(number, 0)
        paid = slot.dispensed + untruths.unpaid[name] - untruths.undelivered[name]
        fine = (
            paid <= fell <= paid + slot.unknown
            and slot.available + slot.reserved + slot.unknown + slot.dispensed == cans + fell
            and not slot.reserved
        )
        audit.expect(fine, f"slot {name} does not agree with its board")
        numbers = (slot.price, slot.dispensed, fell, slot.available, cans, slot.unknown)
        audit.rows.append((machine, number, slot.item, *map(str, numbers), "" if fine else "<--"))


def _compare_motor(
    audit: _Audit,
    machine: str,
    counts: dict[str, Any],
    sold: list[drops.Drop],
    untruths: Untruths,
) -> None:
    """The motor ran once for a dispensed drop, at most once for an UNKNOWN one."""
    prefix = f"machines/{machine}/"
    here = [drop for drop in sold if drop.slot.startswith(prefix)]
    decided = [drop for drop in here if drop.cause == drops.Drop.CAUSE_OPERATOR]
    states = Counter(drop.state for drop in here if drop not in decided)
    least = states[drops.Drop.STATE_DISPENSED]
    unpaid = sum(n for slot, n in untruths.unpaid.items() if slot.startswith(f"{machine}/"))
    most = least + states[drops.Drop.STATE_UNKNOWN] + len(decided) + unpaid
    runs = counts["motor_runs"]
    audit.expect(least <= runs <= most, f"{machine}'s motor ran {runs} times for {least} to {most}")
    violations = counts["violations"]
    audit.expect(not violations, f"{machine}'s board was sent what it cannot read: {violations}")


def _compare_credits(
    audit: _Audit, system: CountedSystem, admin: Client, sold: list[drops.Drop]
) -> Iterator[str]:
    """Spent credits were paid for drops, and held credits are held for open ones."""
    spent = 0
    for user in system.plan.users:
        account = admin.account(user.name)
        spent += user.credits - account.posted_credits
        held = sum(
            drop.price
            for drop in sold
            if drop.account == account.name
            and drop.state in (*OPEN_STATES, drops.Drop.STATE_UNKNOWN)
        )
        audit.expect(account.held_credits == held, f"{user.name}'s held credits are not {held}")
        yield (
            f"{user.name}: {user.credits} credits given, {account.available_credits} left,"
            f" {account.held_credits} held"
        )
    sales = sum(
        drop.price - drop.refunded_credits
        for drop in sold
        if drop.state == drops.Drop.STATE_DISPENSED
    )
    audit.expect(spent == sales, f"{spent} credits were spent and {sales} were earned")
    yield f"spent {spent} credits, sold for {sales} credits"


def _aligned(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
