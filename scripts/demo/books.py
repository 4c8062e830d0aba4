"""The books beside the boards' own counts: what was sold must be what fell."""

from dataclasses import dataclass

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import machine_service_pb2 as machines
from scripts.installation import Client, Installation


@dataclass(frozen=True)
class Books:
    """A table for people, and whether everything in it agrees."""

    text: str
    agree: bool


def compare(installation: Installation, admin: Client) -> Books:
    """Holds the frontend's stock, sales and credits against what the boards counted."""
    header = ("machine", "slot", "item", "price", "sold", "fell", "on hand", "cans", "unknown", "")
    rows: list[tuple[str, ...]] = []
    agree, sales = True, 0
    for plan in installation.plan.machines:
        counts = installation.boards[plan.name].counts()
        request = machines.GetMachineRequest(name=f"machines/{plan.name}")
        for slot in admin.machines.GetMachine(request, timeout=30).machine.slots:
            number = slot.name.rsplit("/", 1)[1]
            fell, cans = counts["dispensed"].get(number, 0), counts["cans"].get(number, 0)
            left = slot.available + slot.reserved + slot.unknown
            fine = slot.dispensed == fell and left == cans and not slot.unknown
            agree &= fine
            sales += slot.dispensed * slot.price
            numbers = (slot.price, slot.dispensed, fell, slot.available, cans, slot.unknown)
            rows.append((plan.name, number, slot.item, *map(str, numbers), "" if fine else "<--"))
    lines = [*_aligned([header, *rows]), ""]
    spent = 0
    for user in installation.plan.users:
        name = f"accounts/{user.name}"
        account = admin.accounts.GetAccount(
            accounts.GetAccountRequest(name=name), metadata=admin.metadata, timeout=30
        ).account
        spent += user.credits - account.posted_credits
        lines.append(
            f"{user.name}: {user.credits} credits given, {account.available_credits} left,"
            f" {account.held_credits} held"
        )
        agree &= not account.held_credits
    agree &= spent == sales
    lines.append(f"spent {spent} credits, sold for {sales} credits")
    verified = installation.admin("verify").strip()
    lines.append(f"drink-frontend admin verify: {verified}")
    return Books("\n".join(lines), agree)


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
