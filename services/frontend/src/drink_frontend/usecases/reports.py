"""The unit of work that keeps what a buyer says of a drop."""

from dataclasses import dataclass

from drink_frontend.domain.entities import Account, AuditKind, AuditRecord, Drop
from drink_frontend.domain.errors import (
    DropReportedError,
    DropUnderWayError,
    FieldInvalidError,
    NotOwnerError,
)
from drink_frontend.domain.limits import check_text
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.users import drop_shown


@dataclass(frozen=True, slots=True)
class Report:
    """What a buyer says.

    Attributes:
        drop_id: The drop.
        fell: Whether the item fell; None where that is not said.
        text: In the buyer's words; empty for none.
    """

    drop_id: str
    fell: bool | None
    text: str = ""

    def __post_init__(self) -> None:
        check_text(self.text, "text")
        if self.fell is None and not self.text.strip():
            raise FieldInvalidError("seen", "must say what was seen, or text must")

    @property
    def facts(self) -> dict[str, bool | str | None]:
        """The report as facts of its audit record."""
        return {"fell": self.fell, "text": self.text}


@dataclass(frozen=True, slots=True)
class Reporting:
    """The unit of work that adds a report to the records of its drop, and changes nothing else.

    Attributes:
        report: What is said.
        caller: Who says it: the buyer.
        reports_max: Most reports of one drop.
        now_ms: Now, for people.
    """

    report: Report
    caller: Account
    reports_max: int
    now_ms: int

    def carry_out(self, tx: Transaction) -> Drop:
        """Keeps the report, unless it repeats the newest one; returns its drop.

        Raises:
            DrinkError: nothing was kept.
        """
        drop = drop_shown(self.caller, tx.drops.get(self.report.drop_id))
        if drop.account != self.caller.id:
            raise NotOwnerError("only its buyer reports about a drop")
        if not drop.state.answered:
            raise DropUnderWayError(f"the drop is {drop.state}")
        kept = tx.audit.list(
            drop_id=drop.id, kinds=[AuditKind.DROP_REPORTED], limit=self.reports_max
        )
        # The response to the same report may have been lost.
        if kept and kept[0].facts == self.report.facts:
            return drop
        if len(kept) == self.reports_max:
            raise DropReportedError("the drop has reports enough", reports=len(kept))
        tx.audit.add(
            AuditRecord(
                AuditKind.DROP_REPORTED,
                self.now_ms,
                self.caller.id,
                drop_id=drop.id,
                machine=drop.machine,
                account=drop.account,
                facts=self.report.facts,
            )
        )
        return drop
