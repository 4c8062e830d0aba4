"""Transfers: what each kind does to the two accounts, and what cannot be one."""

from typing import Any

import pytest

from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.ledger import (
    CREDITS_MAX,
    FUNDING_ACCOUNT,
    Transfer,
    TransferKind,
    sales_account,
)
from drink_frontend.domain.limits import check_account

FIELDS: dict[TransferKind, dict[str, Any]] = {
    TransferKind.MOVE: {"actor": "root", "request_id": "r1"},
    TransferKind.HOLD: {"drop_id": "D1"},
    TransferKind.POST: {"drop_id": "D1", "resolves": "h1"},
    TransferKind.VOID: {"drop_id": "D1", "resolves": "h1"},
}


def transfer(kind: TransferKind, amount: int = 50, **changed: Any) -> Transfer:
    fields: dict[str, Any] = {
        "id": "t1",
        "kind": kind,
        "debit_account": "ann",
        "credit_account": "sales/d",
        "amount": amount,
        "created_ms": 1,
        **FIELDS[kind],
        **changed,
    }
    return Transfer(**fields)


@pytest.mark.parametrize(
    ("kind", "pending", "posted"),
    [
        (TransferKind.MOVE, 0, 50),
        (TransferKind.HOLD, 50, 0),
        (TransferKind.POST, -50, 50),
        (TransferKind.VOID, -50, 0),
    ],
)
def test_each_kind_changes_pending_and_posted(
    kind: TransferKind, pending: int, posted: int
) -> None:
    changed = transfer(kind)

    assert (changed.pending_change, changed.posted_change) == (pending, posted)


@pytest.mark.parametrize("resolution", [TransferKind.POST, TransferKind.VOID])
def test_a_resolution_takes_back_what_its_hold_made_pending(resolution: TransferKind) -> None:
    hold, resolved = transfer(TransferKind.HOLD), transfer(resolution)

    assert hold.pending_change + resolved.pending_change == 0


@pytest.mark.parametrize("kind", list(TransferKind))
@pytest.mark.parametrize("amount", [0, CREDITS_MAX])
def test_amounts_within_the_limits(kind: TransferKind, amount: int) -> None:
    assert transfer(kind, amount).amount == amount


@pytest.mark.parametrize("kind", list(TransferKind))
@pytest.mark.parametrize(
    "changed",
    [{"amount": -1}, {"amount": CREDITS_MAX + 1}, {"credit_account": "ann"}],
)
def test_what_no_transfer_can_be(kind: TransferKind, changed: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        transfer(kind, **changed)


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        (TransferKind.POST, {"resolves": None}),
        (TransferKind.VOID, {"resolves": None}),
        (TransferKind.HOLD, {"resolves": "h1"}),
        (TransferKind.MOVE, {"resolves": "h1"}),
        (TransferKind.MOVE, {"request_id": None}),
        (TransferKind.HOLD, {"request_id": "r1"}),
    ],
)
def test_a_kind_has_the_references_it_needs_and_no_other(
    kind: TransferKind, changed: dict[str, Any]
) -> None:
    with pytest.raises(AssertionError):
        transfer(kind, **changed)


def test_no_user_can_have_the_name_of_a_sales_account() -> None:
    assert sales_account("d") == "sales/d"
    with pytest.raises(FieldInvalidError):
        check_account(sales_account("d"))
    assert FUNDING_ACCOUNT not in {sales_account("d"), sales_account(FUNDING_ACCOUNT)}
