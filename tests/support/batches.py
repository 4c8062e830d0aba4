"""Draws batches of units of work, the same for every house."""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import cast

from drink_frontend.domain.cards import Card, CardKind
from drink_frontend.domain.drop import Cause, DropEvent, State
from drink_frontend.domain.entities import AuditKind, AuditRecord, Proof, Reach, Result
from drink_frontend.domain.errors import SlotEmptyError, TokenInvalidError
from drink_frontend.domain.frontends import FrontendInstance
from drink_frontend.domain.identities import Identity
from drink_frontend.domain.kiosks import Kiosk
from drink_frontend.domain.preferences import Preferences
from drink_frontend.domain.tokens import Scope
from drink_frontend.storage.database import Database
from drink_frontend.storage.needs import Needs
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.advance import advance, dispatch_next
from drink_frontend.usecases.audit import LIMITED_KINDS, AgentRecords
from drink_frontend.usecases.dispatch import _settle
from drink_frontend.usecases.placement import DropOrder, Placement
from drink_frontend.usecases.settings import AccountSettings, DropSettings
from drink_frontend.usecases.transfers import Transfers, _Order
from tests.fakes.clock import FakeClock
from tests.fakes.randomness import CountingRandomness
from tests.support.books import (
    NOW,
    add_account,
    add_machine,
    found,
    fund,
    load,
    move,
    refund,
    token,
)
from tests.support.ids import ALICE, BOB, id_of

Unit = Callable[[Transaction], object]

CAROL = id_of("carol")
USERS = (ALICE, BOB, CAROL)
SETTINGS = DropSettings(waiting_max=3, scheduled_max=2, waiting_per_account_max=3)
BATCHES, UNITS_MAX = 12, 24
MACHINES = "d", "e", "f"
# What is moved in a unit of work needs no database of their own.
TRANSFERS = Transfers(
    cast("Database", None), FakeClock(), CountingRandomness("M"), AccountSettings()
)
KIOSKS = {1: "d", 2: "e"}
"""The numbers of kiosks that are paired from the start, with their machines."""


def moving(
    order: _Order, named: Callable[[Needs], Needs | None] = lambda needs: needs
) -> tuple[Unit, Needs | None]:
    """The unit of work that moves credits, and what it names of its needs."""
    return TRANSFERS._movement(order), named(order.needs())


def count(_: Transaction) -> None:
    """Stands for the unit of work that counts what a house has into its sums."""
    raise NotImplementedError


def furnish(tx: Transaction) -> None:
    """Three machines, two of them with kiosks, three users with credits and bearer tokens."""
    found(tx)
    for machine in MACHINES[1:]:
        add_machine(tx, machine, on_hand=2)
    add_account(tx, "carol")
    fund(tx, BOB, 120, "bob's")
    fund(tx, CAROL, 5_000, "carol's")
    for user in USERS:
        tx.tokens.add(token(f"token-{user}", user, expires_ms=NOW + 10**9))
    for kiosk, machine in KIOSKS.items():
        made = tx.kiosks.add(Kiosk(machine, None, NOW, NOW + 600), f"code-{machine}")
        assert tx.kiosks.pair(made.sequence, f"kiosk-{machine}", NOW).sequence == kiosk


def reporting(result: Result, epochs: Mapping[str, int], now_ms: int) -> Unit:
    """The unit of work that takes an agent's result and dispatches its machine's next drop.

    Args:
        result: What the agent says.
        epochs: Of the links of all machines.
        now_ms: Now.
    """

    def unit(tx: Transaction) -> object:
        known = tx.drops.get(result.drop_id)
        machine = "d" if known is None else known.machine
        records = AgentRecords(tx, machine, now_ms, frozenset(LIMITED_KINDS))
        tx.machines.saw_journal(machine, f"journal-{machine}", now_ms - NOW)
        verdict = _settle(tx, machine, result, now_ms, records)
        return verdict, dispatch_next(tx, machine, epochs[machine], now_ms), records.caused

    return unit


class Script:
    """Draws units of work, the same for every house.

    Args:
        seed: Of the chance.
    """

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._number = 0
        self._drops: list[str] = []
        self._requests: list[tuple[str, str]] = []
        self._epochs = dict.fromkeys(MACHINES, 1)

    def batch(self) -> list[tuple[Unit, Needs | None]]:
        """The next units of work; some name what they need."""
        sales = [
            *(self._place,) * 6,
            *(self._report,) * 6,
            *(self._cancel,) * 2,
            *(self._take,) * 2,
            *(self._move,) * 2,
        ]
        others = [
            self._lose,
            self._return,
            self._send,
            self._refuse_late,
            self._raise,
            self._revoke,
            self._load,
            self._spend_too_much,
            self._note,
            *(self._log_in,) * 2,
            self._end_kiosk,
            self._pair,
            self._rename,
            self._set_name,
            self._refund,
            self._relink,
            self._report_board,
            self._prefer,
            self._change_cards,
            self._beat,
            self._count,
            self._identify,
        ]
        # Many of the others have what is loaded read anew, which hides what a load does wrong.
        kinds = self._rng.choice([sales, [*sales, *others]])
        return [self._rng.choice(kinds)() for _ in range(self._rng.randint(1, UNITS_MAX))]

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _user(self) -> str:
        return self._rng.choice(USERS)

    def _drop(self) -> str:
        recent = self._drops[-12:] or ["none"]
        return self._rng.choice(recent)

    def _placement(self) -> Placement:
        number, account = self._next(), self._user()
        request = account, f"request-{number}"
        if self._requests and self._rng.random() < 0.15:
            request = self._rng.choice(self._requests[-5:])
        self._requests.append(request)
        drop_id = f"{number:026d}"
        self._drops.append(drop_id)
        order = DropOrder(
            *request,
            self._rng.choice(MACHINES),
            self._rng.choice([1, 1, 2, 9]),
            delay_s=self._rng.choice([0, 0, 0, 5]),
            token=self._rng.choice([None, f"token-{request[0]}", f"login-{request[0]}"]),
        )
        epoch = self._rng.choice([self._epochs[order.machine]] * 2 + [None])
        return Placement(order, SETTINGS, drop_id, f"hold-{number}", epoch, NOW + number)

    def _maybe(self, needs: Needs) -> Needs | None:
        return needs if self._rng.random() < 0.7 else None

    def _place(self) -> tuple[Unit, Needs | None]:
        placement = self._placement()
        return placement.carry_out, self._maybe(placement.needs)

    def _refuse_late(self) -> tuple[Unit, Needs | None]:
        placement = self._placement()

        def unit(tx: Transaction) -> None:
            placement.carry_out(tx)
            raise SlotEmptyError("on second thoughts")

        return unit, self._maybe(placement.needs)

    def _raise(self) -> tuple[Unit, Needs | None]:
        placement = self._placement()

        def unit(tx: Transaction) -> None:
            placement.carry_out(tx)
            raise ZeroDivisionError

        return unit, self._maybe(placement.needs)

    def _report(self) -> tuple[Unit, Needs | None]:
        number, drop_id = self._next(), self._drop()
        outcome, cause = self._rng.choice(
            [
                (State.DISPENSED, Cause.BOARD_ACK),
                (State.DISPENSED, Cause.BOARD_ACK),
                (State.NOT_DISPENSED, Cause.BOARD_REFUSED),
                (State.UNKNOWN, Cause.BOARD_SILENT),
            ]
        )
        result = Result(drop_id, self._rng.choice([1, 1, 2]), outcome, cause, {}, number)

        unit = reporting(result, self._epochs, NOW + number)
        needs = Needs(drops={drop_id}, machines={"d"}, queues={"d"}, new_transfers=1)
        return unit, self._maybe(needs)

    def _step(self, event: DropEvent, cause: Cause, actor: str) -> tuple[Unit, Needs | None]:
        number, drop_id = self._next(), self._drop()

        def unit(tx: Transaction) -> object:
            known = tx.drops.get(drop_id)
            if known is None:
                raise SlotEmptyError("no such drop")
            return advance(tx, known, event, cause, actor=actor, now_ms=NOW + number)

        return unit, self._maybe(Needs(drops={drop_id}, new_transfers=1))

    def _cancel(self) -> tuple[Unit, Needs | None]:
        return self._step(DropEvent.CANCEL, Cause.CANCELLED, ALICE)

    def _lose(self) -> tuple[Unit, Needs | None]:
        return self._step(DropEvent.LOSE, Cause.AGENT_LOST, "frontend")

    def _return(self) -> tuple[Unit, Needs | None]:
        return self._step(DropEvent.RETURN, Cause.NOT_RECEIVED, "agent:d")

    def _take(self) -> tuple[Unit, Needs | None]:
        number, machine = self._next(), self._rng.choice(MACHINES)
        needs = Needs(machines={machine}, queues={machine})
        epoch = self._epochs[machine]
        return lambda tx: dispatch_next(tx, machine, epoch, NOW + number), self._maybe(needs)

    def _send(self) -> tuple[Unit, Needs | None]:
        number, amount = self._next(), self._rng.choice([1, 60, 3_000])
        request_id = f"gift-{self._rng.choice([number, 1])}"
        return lambda tx: move(tx, CAROL, ALICE, amount, request_id), None

    def _move(self) -> tuple[Unit, Needs | None]:
        number = self._next()
        payer, payee = self._rng.sample([None, "alice", "ALICE", BOB, "carol", "nobody"], 2)
        return moving(
            _Order(
                self._rng.choice(["root", ALICE]),
                f"move-{self._rng.choice([number, number - 1, number - 2, 1])}",
                payer,
                payee,
                self._rng.choice([1, 1, 60, 3_000]),
                "",
            ),
            self._maybe,
        )

    def _spend_too_much(self) -> tuple[Unit, Needs | None]:
        number = self._next()
        return lambda tx: move(tx, BOB, ALICE, 1_000_000, f"too much {number}"), None

    def _revoke(self) -> tuple[Unit, Needs | None]:
        user = self._user()

        def unit(tx: Transaction) -> None:
            tx.tokens.remove_all(user)
            tx.tokens.add(token(f"token-{user}", user, expires_ms=NOW + 10**9))

        return (unit if self._rng.random() < 0.5 else lambda tx: tx.tokens.remove_all(user)), None

    def _load(self) -> tuple[Unit, Needs | None]:
        machine, on_hand = self._rng.choice(MACHINES), self._rng.choice([0, 1, 5])
        return lambda tx: load(tx, machine, 1, on_hand), None

    def _note(self) -> tuple[Unit, Needs | None]:
        record = AuditRecord(AuditKind.NOTE, NOW + self._next(), "root", facts={"words": "hi"})
        return lambda tx: tx.audit.add(record), None

    def _log_in(self) -> tuple[Unit, Needs | None]:
        number, user, kiosk = self._next(), self._user(), self._rng.choice(list(KIOSKS))
        # Some logins buy no more when the drops that come after them are placed.
        until_ms = NOW + number + self._rng.choice([2, 50])
        login = token(
            f"login-{user}",
            user,
            scope=Scope.DROP,
            kiosk=kiosk,
            buys_until_ms=until_ms,
            expires_ms=until_ms + 10,
        )

        def unit(tx: Transaction) -> None:
            found = tx.kiosks.get(kiosk)
            assert found is not None
            if found.ended_ms is not None:
                raise TokenInvalidError("the token is not known")
            tx.tokens.remove_made_at(kiosk)
            tx.tokens.remove(login)
            tx.tokens.add(login, Proof.CARD)

        return unit, None

    def _end_kiosk(self) -> tuple[Unit, Needs | None]:
        number, kiosk = self._next(), self._rng.choice(list(KIOSKS))

        def unit(tx: Transaction) -> None:
            if self._rng_of(number) < 0.3:
                tx.kiosks.end(kiosk, NOW + number)
            tx.tokens.remove_made_at(kiosk)

        return unit, None

    def _rng_of(self, number: int) -> float:
        """Chance that is the same whenever a unit is carried out."""
        return random.Random(number).random()

    def _pair(self) -> tuple[Unit, Needs | None]:
        number = self._next()

        def unit(tx: Transaction) -> None:
            made = tx.kiosks.add(Kiosk("e", "hall", NOW, NOW + 9), f"code-{number}")
            if self._rng_of(number) < 0.5:
                tx.kiosks.pair(made.sequence, f"kiosk-{number}", NOW + 1)

        return unit, None

    def _rename(self) -> tuple[Unit, Needs | None]:
        number, user = self._next(), self._user()
        name = self._rng.choice([f"name{number}", "name", "NAME"])
        return lambda tx: tx.accounts.rename(user, name), None

    def _set_name(self) -> tuple[Unit, Needs | None]:
        number, user = self._next(), self._user()
        shown = self._rng.choice([f"Name {number}", ""])
        return lambda tx: tx.accounts.update(user, display_name=shown), None

    def _refund(self) -> tuple[Unit, Needs | None]:
        drop_id = self._drop()

        def unit(tx: Transaction) -> None:
            known = tx.drops.get(drop_id)
            if known is None or known.state is not State.DISPENSED or tx.refunds.get(drop_id):
                raise SlotEmptyError("nothing to give back")
            refund(tx, replace(known, refunded=7), 7, f"refund-{drop_id}")
            shown = tx.drops.get(drop_id)
            assert shown is not None
            assert shown.refunded == 7

        return unit, self._maybe(Needs(drops={drop_id}))

    def _relink(self) -> tuple[Unit, Needs | None]:
        number, machine = self._next(), self._rng.choice(MACHINES)
        self._epochs[machine] += 1
        link = f"journal-{machine}", number, "frontend-1", Reach.READY
        return lambda tx: tx.machines.open_link(machine, *link, now_ms=NOW + number), None

    def _report_board(self) -> tuple[Unit, Needs | None]:
        number, machine = self._next(), self._rng.choice(MACHINES)

        def unit(tx: Transaction) -> None:
            tx.machines.set_temperature(machine, float(number), NOW + number)
            tx.machines.update_slot(machine, 1, NOW + number, price=40 + number % 20)

        return unit, None

    def _prefer(self) -> tuple[Unit, Needs | None]:
        user, wanted = self._user(), Preferences((f"items/{self._next()}",), ranked=True)
        return lambda tx: tx.preferences.keep(user, wanted), None

    def _change_cards(self) -> tuple[Unit, Needs | None]:
        number, user = self._next(), self._user()
        card = Card(f"card-{number}", user, CardKind.CHIP, 8, None, NOW + number)

        def unit(tx: Transaction) -> int:
            if self._rng_of(number) < 0.2:
                tx.cards.remove_all(user)
            tx.cards.add(card, "key")
            return len(tx.cards.list(user))

        return unit, None

    def _count(self) -> tuple[Unit, Needs | None]:
        return count, None

    def _identify(self) -> tuple[Unit, Needs | None]:
        number, user = self._next(), self._user()
        identity = Identity("ldap:house", f"subject-{number % 5}", user, None, NOW + number)

        def unit(tx: Transaction) -> None:
            known = tx.identities.get(identity.source, identity.subject)
            if known is None:
                tx.identities.add(identity)
            elif self._rng_of(number) < 0.5:
                tx.identities.change(replace(known, login_ms=NOW + number))
            else:
                tx.identities.remove(known)

        return unit, None

    def _beat(self) -> tuple[Unit, Needs | None]:
        frontend = FrontendInstance("id", "here", "1", NOW)
        return lambda tx: tx.frontends.beat(frontend), None
