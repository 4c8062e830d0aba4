"""Bugs of earlier servers, planted into the code under test."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

import drink_agent.app
from drink_agent.board.drivers import tini_codec as tini
from drink_agent.board.drivers.tini import TiniDriver
from drink_agent.board.drivers.tini import TiniState as BoardState
from drink_agent.domain import dispenser
from drink_agent.domain.dispenser import Dispenser
from drink_agent.domain.events import Effect, Event, Sync
from drink_agent.domain.evidence import Cause as AgentCause
from drink_agent.domain.records import Accepted
from drink_agent.domain.recovery import JournalState, replay
from drink_agent.journal.file import Journal
from drink_agent.journal.format import encode_frame
from drink_frontend.domain import drop as drop_rules
from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import Account, Drop, Refund, Result, Slot
from drink_frontend.domain.errors import TokenInvalidError
from drink_frontend.domain.events import EventKind, EventNotes
from drink_frontend.domain.ledger import Transfer, TransferKind, sales_account
from drink_frontend.domain.movements import StockMovement
from drink_frontend.domain.stock import MovementKind
from drink_frontend.domain.tokens import Bearer, KioskLogin
from drink_frontend.storage.drops import DropTable
from drink_frontend.storage.ledger import LedgerTable
from drink_frontend.storage.refunds import RefundTable
from drink_frontend.storage.stock import StockTable
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases import agents, placement
from drink_frontend.usecases.advance import advance
from drink_frontend.usecases.deadlines import Deadlines
from drink_frontend.usecases.dispatch import Dispatch
from drink_frontend.usecases.links import Links
from drink_frontend.usecases.tokens import Tokens


@dataclass(frozen=True)
class PlantedBug:
    """A bug and how it is planted.

    Attributes:
        name: What is wrong.
        make: Makes it.
        found_in: The seed of a world in which it was found; the search begins there.
        guarded: Whether the database's own rules stay on while it is looked for.
    """

    name: str
    make: Callable[[pytest.MonkeyPatch], None]
    found_in: int = 7_001
    guarded: bool = True


def retry_after_silence(patch: pytest.MonkeyPatch) -> None:
    """The motor command is written again when the board does not answer."""
    desync = TiniDriver._desync

    def again(driver: TiniDriver) -> None:
        assert driver._command is not None
        driver._send(tini.encode(tini.RunMotor(driver._command.slot)))
        desync(driver)

    patch.setattr(TiniDriver, "_desync", again)


def sensor_as_proof(patch: pytest.MonkeyPatch) -> None:
    """A slot that reads empty after a silence is taken for a sale."""

    def trust(driver: TiniDriver) -> None:
        command = driver._command
        assert command is not None
        if command.item_left:
            command._independent = True
            driver._end(AgentCause.SENSOR)
        else:
            driver._end_unknown(AgentCause.BOARD_SILENT)
        driver._start_probing(BoardState.DESYNCED)

    patch.setattr(TiniDriver, "_desync", trust)


def retry_after_restart(patch: pytest.MonkeyPatch) -> None:
    """A motor command that a crash interrupted is run again."""

    def forgetful(*arguments: Any) -> JournalState:
        state = replay(*arguments)
        for drop, commanded in state.commanded.items():
            state.accepted[drop] = Accepted(drop, commanded.slot, 600_000, 1 << 40, "boot 1")
        state.commanded.clear()
        return state

    patch.setattr(drink_agent.app, "replay", forgetful)


def report_before_sync(patch: pytest.MonkeyPatch) -> None:
    """Motor and report come before the journal is durable."""
    step = Dispenser.step

    def hasty(dispenser: Dispenser, event: Event, now_ms: int) -> list[Effect]:
        effects = step(dispenser, event, now_ms)
        return sorted(effects, key=lambda effect: isinstance(effect, Sync))

    patch.setattr(Dispenser, "step", hasty)


def journal_without_sync(patch: pytest.MonkeyPatch) -> None:
    """The journal writes and does not sync."""

    def written(journal: Journal) -> None:
        if journal._pending:
            frame = encode_frame([entry.to_dict() for entry in journal._pending])
            journal._disk.write(journal._file, frame)
            journal.size_bytes += len(frame)
            journal.durable_sequence = journal.last_sequence
            journal._pending.clear()

    patch.setattr(Journal, "sync", written)


def void_on_board_timeout(patch: pytest.MonkeyPatch) -> None:
    """A board that does not answer in time is taken to have refused."""

    def give_up(driver: TiniDriver) -> None:
        driver._end(AgentCause.BOARD_REFUSED)
        driver._start_probing(BoardState.DESYNCED)

    patch.setattr(TiniDriver, "_desync", give_up)


def void_on_agent_timeout(patch: pytest.MonkeyPatch) -> None:
    """A dispatched reservation expires on its own."""
    apply = Deadlines._apply

    async def give_up(deadlines: Deadlines, seen: Drop, event: drop_rules.DropEvent) -> None:
        if event is drop_rules.DropEvent.LOSE:
            event = drop_rules.DropEvent.PROVE_NOT_DISPENSED
        await apply(deadlines, seen, event)

    patch.setattr(Deadlines, "_apply", give_up)


def match_replies_by_order(patch: pytest.MonkeyPatch) -> None:
    """A report settles whichever drop is at the machine."""
    settle = Dispatch.result

    async def by_order(
        case: Dispatch, machine: str, result: Result, journal_id: str, epoch: int | None
    ) -> Drop | None:
        def current(tx: Transaction) -> list[str]:
            return [drop.id for drop in tx.drops.in_state(State.DISPATCHED, machine)]

        waiting = await case._storage.read(current)
        if waiting:
            result = replace(result, drop_id=waiting[0])
        return await settle(case, machine, result, journal_id, epoch)

    patch.setattr(Dispatch, "result", by_order)


def late_ack_to_current_drop(patch: pytest.MonkeyPatch) -> None:
    """After a timeout the next answer counts for whatever drop is at the board then."""

    def carry_on(driver: TiniDriver) -> None:
        driver._end(AgentCause.BOARD_SILENT)
        driver._command = None
        driver._state = BoardState.READY

    patch.setattr(TiniDriver, "_desync", carry_on)


def charge_before(patch: pytest.MonkeyPatch) -> None:
    """The price is taken when the drop is placed, and never given back."""
    reserve = placement.Placement._reserve

    def charge(
        unit: placement.Placement,
        tx: Transaction,
        account: Account,
        slot: Slot,
        kiosk: KioskLogin | None,
    ) -> Drop:
        drop = reserve(unit, tx, account, slot, kiosk)
        post = Transfer(
            id=f"{drop.hold_id}-early",
            kind=TransferKind.POST,
            debit_account=drop.account,
            credit_account=sales_account(drop.machine),
            amount=drop.price,
            created_ms=drop.created_ms,
            drop_id=drop.id,
            resolves=drop.hold_id,
        )
        tx.ledger.add(post)
        return drop

    patch.setattr(placement.Placement, "_reserve", charge)
    patch.setattr("drink_frontend.usecases.advance._resolve_hold", lambda *_: None)


def charge_after(patch: pytest.MonkeyPatch) -> None:
    """What is held for other drops does not count when a buyer pays."""
    patch.setattr(Account, "available", property(lambda account: account.posted))


def limit_of_wrong_sign(patch: pytest.MonkeyPatch) -> None:
    """A credit limit is what must be left, and not what may be owed."""
    patch.setattr(
        Account, "available", property(lambda account: account.unheld - account.credit_limit)
    )


def limit_without_holds(patch: pytest.MonkeyPatch) -> None:
    """What is held does not count where credits are owed."""
    patch.setattr(
        Account, "available", property(lambda account: account.posted + account.credit_limit)
    )


def absolute_balance(patch: pytest.MonkeyPatch) -> None:
    """Balances are read once, and written back as what was read plus the change."""
    add = LedgerTable.add
    cached: dict[str, int] = {}

    def overwrite(ledger: LedgerTable, transfer: Transfer) -> None:
        ledger._rows.flush()
        cursor: Any = ledger._rows._executor._cursor
        name = transfer.debit_account
        select = "SELECT debits_posted FROM accounts WHERE id = ?"
        ((now,),) = cursor.execute(select, (name,)).fetchall()
        before = cached.setdefault(name, now)
        add(ledger, transfer)
        ledger._rows.flush()
        if transfer.posted_change:
            update = "UPDATE accounts SET debits_posted = ? WHERE id = ?"
            cursor.execute(update, (before + transfer.posted_change, name))

    patch.setattr(LedgerTable, "add", overwrite)


def double_refund(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks whether a drop was given back before."""
    add = RefundTable.add
    known: dict[str, Refund] = {}

    def once_more(table: RefundTable, refund: Refund, refunded: Drop) -> None:
        if known.setdefault(refund.drop_id, refund) is refund:
            add(table, refund, refunded)

    patch.setattr(RefundTable, "get", lambda *_: None)
    patch.setattr(RefundTable, "add", once_more)


def sale_without_movement(patch: pytest.MonkeyPatch) -> None:
    """What a person decides or takes out leaves its slot without a movement."""
    add, store = StockTable.add, StockTable._store

    def forget_sales(table: StockTable, movement: StockMovement) -> None:
        if movement.actor != "operator":
            add(table, movement)

    def forget_takings(table: StockTable, movement: StockMovement) -> StockMovement:
        return movement if movement.kind is MovementKind.TAKEN_OUT else store(table, movement)

    patch.setattr(StockTable, "add", forget_sales)
    patch.setattr(StockTable, "_store", forget_takings)


def last_in_first_out(patch: pytest.MonkeyPatch) -> None:
    """The newest drop of a machine goes first."""

    def newest(table: DropTable, machine: str) -> Drop | None:
        if table.in_state(State.DISPATCHED, machine):
            return None
        waiting = table.in_state(State.RESERVED, machine)
        return waiting[-1] if waiting else None

    patch.setattr(DropTable, "next_reserved", newest)


def forget_epoch(patch: pytest.MonkeyPatch) -> None:
    """A link that was superseded is left alone, and still given drops."""

    async def take(case: Dispatch, machine: str, epoch: int) -> Drop | None:
        now_ms = case._clock.now_ms()

        def unchecked(tx: Transaction) -> Drop | None:
            known, drop = tx.machines.get(machine), tx.drops.next_reserved(machine)
            assert known is not None
            if not known.enabled or drop is None or tx.drops.in_state(State.DISPATCHED, machine):
                return None
            advance(
                tx,
                drop,
                drop_rules.DropEvent.DISPATCH,
                Cause.NONE,
                actor="frontend",
                now_ms=now_ms,
                epoch=epoch,
                journal_id=known.journal_id,
            )
            return drop

        return await case._storage.write(unchecked)

    patch.setattr(Dispatch, "take", take)
    patch.setattr(Links, "supersede", lambda *_: None)


def trust_replaced_journal(patch: pytest.MonkeyPatch) -> None:
    """A new or older journal proves that a command never arrived."""
    patch.setattr(agents, "_journal_intact", lambda *_: True)


def never_expire(patch: pytest.MonkeyPatch) -> None:
    """A command is started however late its turn comes."""
    waiting = dispenser._Waiting

    def patient(drop: str, slot: int, _: int) -> dispenser._Waiting:
        return waiting(drop, slot, deadline_ms=1 << 60)

    patch.setattr(dispenser, "_Waiting", patient)
    patch.setattr(dispenser, "start_deadline_ms", lambda *_: 1 << 60)


def drop_without_login(patch: pytest.MonkeyPatch) -> None:
    """Whoever shows no token that is known is taken for the buyer who was there last."""
    authenticate, buyer = Tokens.authenticate, placement.Placement._account
    last: list[Bearer] = []

    async def trusting(tokens: Tokens, token: str) -> Bearer:
        try:
            last[:] = [await authenticate(tokens, token)]
        except TokenInvalidError:
            if not last:
                raise
        return last[0]

    def unchecked(unit: placement.Placement, tx: Transaction) -> tuple[Account, KioskLogin | None]:
        return buyer(replace(unit, order=replace(unit.order, token=None)), tx)

    patch.setattr(Tokens, "authenticate", trusting)
    patch.setattr(placement.Placement, "_account", unchecked)


def event_left_out(patch: pytest.MonkeyPatch) -> None:
    """No event tells that a can fell."""
    note = EventNotes.note

    def leave_out(notes: EventNotes, kind: EventKind, state: Any) -> None:
        if not (kind is EventKind.DROP and state.state is State.DISPENSED):
            note(notes, kind, state)

    patch.setattr(EventNotes, "note", leave_out)


PLANTED_BUGS = (
    PlantedBug("retry the motor command after a silence", retry_after_silence),
    PlantedBug("retry the motor command after a restart", retry_after_restart, 7_004),
    PlantedBug("sensor taken as proof", sensor_as_proof),
    PlantedBug("report before sync", report_before_sync),
    PlantedBug("a journal that does not sync", journal_without_sync),
    PlantedBug("void on the board's timeout", void_on_board_timeout, 7_008),
    PlantedBug("void on the agent's timeout", void_on_agent_timeout, 7_051),
    PlantedBug("match replies by order", match_replies_by_order, 7_006),
    PlantedBug("late ack credited to the current drop", late_ack_to_current_drop, 7_033),
    PlantedBug("charge before, without reservation", charge_before, guarded=False),
    PlantedBug("charge after, without reservation", charge_after, 7_003, guarded=False),
    PlantedBug("a credit limit of the wrong sign", limit_of_wrong_sign),
    PlantedBug("a credit limit without the holds", limit_without_holds, guarded=False),
    PlantedBug("cached balance written back absolute", absolute_balance, guarded=False),
    PlantedBug("a drop is refunded twice", double_refund, guarded=False),
    PlantedBug("a sale without a movement of stock", sale_without_movement),
    PlantedBug("an event is left out", event_left_out),
    PlantedBug("LIFO queue", last_in_first_out),
    PlantedBug("drop without login", drop_without_login, 7_013),
    PlantedBug("a superseded link dispatches", forget_epoch, 7_021),
    PlantedBug("NOT_RECEIVED trusted from a replaced journal", trust_replaced_journal, 7_032),
    PlantedBug("expired commands are started", never_expire, 7_011),
)
