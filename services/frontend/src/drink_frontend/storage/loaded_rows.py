"""The rows of one transaction that were read, each of them once.

A row that is here has what the units of work so far have decided about it; what is read later of
the same row does not replace it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import Account, Drop, Machine, Slot
from drink_frontend.domain.ledger import Transfer
from drink_frontend.domain.tokens import KioskLogin, Scope
from drink_frontend.storage import loaders
from drink_frontend.storage.bulk import Numbers
from drink_frontend.storage.mappings import ACCOUNT, DROP, MACHINE, OPEN_DROP, SLOT, TRANSFER
from drink_frontend.storage.needs import Needs
from drink_frontend.storage.pending import Pending, UndoLog
from drink_frontend.storage.statements import Call, Executor, ManyRows, Row

_OF_DROP = len(DROP.columns)
_OF_BUYER = _OF_DROP + len(ACCOUNT.columns)
"""Where the columns of a drop and of its buyer end in a row of DROPS."""

_QUEUED = (State.SCHEDULED, State.RESERVED, State.DISPATCHED)


class TokenRow(NamedTuple):
    """A bearer token.

    Attributes:
        account: Id of its account.
        scope: What it may be used for.
        used_ms: As in AccessToken.
        expires_ms: When it is refused.
        kiosk: What limits a login at a kiosk; None for a login elsewhere.
    """

    account: str
    scope: Scope
    used_ms: int | None
    expires_ms: int
    kiosk: KioskLogin | None


class QueuedDrop(NamedTuple):
    """A drop without an outcome, in its machine's queue.

    Attributes:
        id: Its id.
        account: Id of the buyer's account.
        state: SCHEDULED, RESERVED or DISPATCHED.
    """

    id: str
    account: str
    state: State


class LoadedRows:
    """The rows of one transaction.

    Args:
        executor: Runs statements in the transaction.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._log = UndoLog()
        self._pending = Pending(self._log)
        self._numbers: dict[Numbers, list[int]] = {}
        self._highest: dict[Numbers, int] = {}
        self._forget()

    def _forget(self) -> None:
        self._accounts: dict[str, Account | None] = {}
        self._names: dict[str, str | None] = {}
        self._moves: dict[tuple[str, str], Transfer | None] = {}
        self._grants: dict[str, tuple[Transfer, ...]] = {}
        self._tokens: dict[str, TokenRow | None] = {}
        self._drops: dict[str, Drop | None] = {}
        self._requests: dict[tuple[str, str], str | None] = {}
        self._machines: dict[str, Machine | None] = {}
        self._slots: dict[tuple[str, int], Slot | None] = {}
        self._queues: dict[str, tuple[QueuedDrop, ...]] = {}
        self._free: dict[str, bool] = {}

    def _size(self) -> int:
        return (
            len(self._accounts)
            + len(self._moves)
            + len(self._drops)
            + len(self._requests)
            + sum(map(len, self._queues.values()))
        )

    def take(self, needs: Needs, answers: Sequence[Any]) -> None:
        """Keeps what `calls_for` has loaded."""
        waiting = iter(answers)
        for name, _, keep in _LOADED:
            if keys := getattr(needs, name):
                keep(self, keys, next(waiting))
        for name, numbers in _COUNTED:
            if getattr(needs, name):
                self.keep_numbers(numbers, next(waiting))

    def _load(self, statement: ManyRows, keep: "Keep", key: Any) -> None:
        (rows,) = self._executor.exchange([(statement, [_row(statement, key)])])
        keep(self, (key,), rows)

    def keep_accounts(self, keys: Iterable[str], rows: Iterable[Row]) -> None:
        """Accounts by their ids."""
        for row in rows:
            if row[0] not in self._accounts:
                self._accounts[row[0]] = ACCOUNT.read(row)
        for key in keys:
            self._accounts.setdefault(key, None)

    def keep_names(self, keys: Iterable[str], rows: Iterable[Row]) -> None:
        """The account of each name or id.

        That is the account of exactly that name, or else the only one whose name differs only in
        case, or else the account of that id. Several names that differ only in case could be
        created by release 0.1.0; of these only the exact ones are found.
        """
        found: dict[str, tuple[list[str], ...]] = {key: ([], [], []) for key in keys}
        for key, way, *account in rows:
            self.keep_accounts((), (tuple(account),))
            found[key][way].append(account[0])
        for key, (exact, alike, of_id) in found.items():
            meant = exact or (alike if len(alike) == 1 else of_id)
            self._names.setdefault(key, meant[0] if meant else None)

    def keep_moves(self, keys: Iterable[tuple[str, str]], rows: Iterable[Row]) -> None:
        """MOVEs by their requests."""
        for row in rows:
            move = TRANSFER.read(row)
            assert move.actor is not None
            assert move.request_id is not None
            self._moves.setdefault((move.actor, move.request_id), move)
        for key in keys:
            self._moves.setdefault(key, None)

    def keep_grants(self, keys: Iterable[str], rows: Iterable[Row]) -> None:
        """MOVEs from or to the funding account by the ids of their requests, in their order."""
        found: dict[str, list[Transfer]] = {key: [] for key in keys}
        for row in sorted(rows):
            grant = TRANSFER.read(row[1:])
            assert grant.request_id is not None
            found[grant.request_id].append(grant)
        for key, grants in found.items():
            self._grants.setdefault(key, tuple(grants))

    def keep_tokens(self, keys: Iterable[str], rows: Iterable[Row]) -> None:
        """Bearer tokens by their digests, with their accounts."""
        for digest, scope, used_ms, expires_ms, kiosk, machine, buys_until_ms, *account in rows:
            self.keep_accounts((), (tuple(account),))
            login = None if kiosk is None else KioskLogin(kiosk, machine, buys_until_ms)
            token = TokenRow(account[0], Scope(scope), used_ms, expires_ms, login)
            self._tokens.setdefault(digest, token)
        for key in keys:
            self._tokens.setdefault(key, None)

    def keep_drops(self, keys: Iterable[str], rows: Iterable[Row]) -> None:
        """Drops by their ids, with the accounts of their buyers and their slots."""
        for row in rows:
            self._keep_drop(DROP.read(row[:_OF_DROP]))
            self.keep_accounts((), (row[_OF_DROP:_OF_BUYER],))
            slot = row[_OF_BUYER:]
            if slot[0] is not None:
                self.keep_slots((), (slot,))
        for key in keys:
            self._drops.setdefault(key, None)

    def keep_heads(self, _: Iterable[str], rows: Iterable[Row]) -> None:
        """Drops at the heads of queues."""
        for row in rows:
            drop = OPEN_DROP.read(row)
            self._keep_drop(drop)
            self._free[drop.id] = True

    def keep_free(self, keys: Iterable[str], rows: Iterable[Row]) -> None:
        """Drops of queues that are not locked, by their ids."""
        self.keep_heads(keys, rows)
        for key in keys:
            self._free.setdefault(key, False)

    def _keep_drop(self, drop: Drop) -> None:
        self._drops.setdefault(drop.id, drop)
        self._requests.setdefault((drop.account, drop.request_id), drop.id)

    def keep_requests(self, keys: Iterable[tuple[str, str]], rows: Iterable[Row]) -> None:
        """Drops by their requests."""
        for row in rows:
            self._keep_drop(DROP.read(row))
        for key in keys:
            self._requests.setdefault(key, None)

    def keep_machines(self, keys: Iterable[str], rows: Iterable[Row]) -> None:
        """Machines by their names."""
        for row in rows:
            self._machines.setdefault(row[0], MACHINE.read(row))
        for key in keys:
            self._machines.setdefault(key, None)

    def keep_slots(self, keys: Iterable[tuple[str, int]], rows: Iterable[Row]) -> None:
        """Slots by their machines and numbers."""
        for row in rows:
            if row[:2] not in self._slots:
                self._slots[row[:2]] = SLOT.read(row)
        for key in keys:
            self._slots.setdefault(key, None)

    def keep_queues(self, keys: Iterable[str], rows: Iterable[Row]) -> None:
        """Queues by their machines."""
        found: dict[str, list[tuple[int, QueuedDrop]]] = {key: [] for key in keys}
        for machine, sequence, drop_id, account, state in rows:
            found[machine].append((sequence, QueuedDrop(drop_id, account, State(state))))
        for machine, queue in found.items():
            # Logged, because what the present unit of work decided may come into it below.
            self._log.put(self._queues, machine, tuple(drop for _, drop in sorted(queue)))
        for drop in self._pending.drops():
            if drop.machine in found:
                self._queue(self._drops.get(drop.id) or drop)

    def keep_numbers(self, numbers: Numbers, rows: Iterable[Row]) -> None:
        """The next numbers of a sequence."""
        self._numbers[numbers] = sorted((row[0] for row in rows), reverse=True)
        self._highest[numbers] = self._numbers[numbers][0]

    def account(self, account_id: str) -> Account | None:
        """The account of that id."""
        if account_id not in self._accounts:
            self._load(loaders.ACCOUNTS, LoadedRows.keep_accounts, account_id)
        return self._accounts[account_id]

    def account_named(self, name: str) -> Account | None:
        """The account that is meant by a name or id; see `keep_names`."""
        if name not in self._names:
            self._load(loaders.NAMES, LoadedRows.keep_names, name)
        account_id = self._names[name]
        return None if account_id is None else self.account(account_id)

    def move_of(self, actor: str, request_id: str) -> Transfer | None:
        """The MOVE that a request of an account has made."""
        key = actor, request_id
        if key not in self._moves:
            self._load(loaders.MOVES, LoadedRows.keep_moves, key)
        return self._moves[key]

    def grants(self, request_id: str) -> Sequence[Transfer]:
        """The MOVEs from or to the funding account by requests of that id, of any actor."""
        if request_id not in self._grants:
            self._load(loaders.GRANTS, LoadedRows.keep_grants, request_id)
        return self._grants[request_id]

    def token(self, digest: str) -> TokenRow | None:
        """The bearer token of that digest, expired or not."""
        if digest not in self._tokens:
            self._load(loaders.HOLDERS, LoadedRows.keep_tokens, digest)
        return self._tokens[digest]

    def drop(self, drop_id: str) -> Drop | None:
        """The drop of that id."""
        if drop_id not in self._drops:
            self._load(loaders.DROPS, LoadedRows.keep_drops, drop_id)
        return self._drops[drop_id]

    def drop_of(self, account: str, request_id: str) -> Drop | None:
        """The drop that a request of an account has made."""
        key = account, request_id
        if key not in self._requests:
            self._load(loaders.REQUESTS, LoadedRows.keep_requests, key)
        drop_id = self._requests[key]
        return None if drop_id is None else self.drop(drop_id)

    def machine(self, name: str) -> Machine | None:
        """The machine of that name, without its slots."""
        if name not in self._machines:
            self._load(loaders.MACHINES, LoadedRows.keep_machines, name)
        return self._machines[name]

    def slot(self, machine: str, number: int) -> Slot | None:
        """The slot of that number, unless it is deleted."""
        key = machine, number
        if key not in self._slots:
            self._load(loaders.SLOTS, LoadedRows.keep_slots, key)
        return self._slots[key]

    def queue(self, machine: str) -> Sequence[QueuedDrop]:
        """The machine's drops that are SCHEDULED, RESERVED or DISPATCHED, in their order."""
        if machine not in self._queues:
            self._load(loaders.QUEUES, LoadedRows.keep_queues, machine)
        return self._queues[machine]

    def next_reserved(self, machine: str) -> Drop | None:
        """The machine's first RESERVED drop that nobody else has locked."""
        for queued in self.queue(machine):
            if queued.state is not State.RESERVED:
                continue
            if queued.id not in self._free:
                self._load(loaders.FREE_DROPS, LoadedRows.keep_free, queued.id)
            if self._free[queued.id]:
                return self.drop(queued.id)
        return None

    def number(self, numbers: Numbers) -> int:
        """The next number of a sequence."""
        if not self._numbers.get(numbers):
            given = (1, self._highest.get(numbers, 0))
            (rows,) = self._executor.exchange([(numbers, [given])])
            self.keep_numbers(numbers, rows)
        return int(self._log.pop(self._numbers[numbers]))

    def _queue(self, drop: Drop) -> None:
        """Changes the place of a drop in its machine's queue, if that was read."""
        queue = self._queues.get(drop.machine)
        if queue is None:
            return
        place = next((n for n, queued in enumerate(queue) if queued.id == drop.id), len(queue))
        shown = QueuedDrop(drop.id, drop.account, drop.state)
        now = (shown,) if drop.state in _QUEUED else ()
        self._log.put(self._queues, drop.machine, (*queue[:place], *now, *queue[place + 1 :]))


Keep = Callable[[LoadedRows, Any, Iterable[Row]], None]
"""Keeps the rows that a statement has found for some keys."""

_LOADED: Sequence[tuple[str, ManyRows, Keep]] = (
    ("tokens", loaders.HOLDERS, LoadedRows.keep_tokens),
    ("accounts", loaders.ACCOUNTS, LoadedRows.keep_accounts),
    ("names", loaders.NAMES, LoadedRows.keep_names),
    ("moves", loaders.MOVES, LoadedRows.keep_moves),
    ("grants", loaders.GRANTS, LoadedRows.keep_grants),
    ("requests", loaders.REQUESTS, LoadedRows.keep_requests),
    ("drops", loaders.DROPS, LoadedRows.keep_drops),
    ("machines", loaders.MACHINES, LoadedRows.keep_machines),
    ("slots", loaders.SLOTS, LoadedRows.keep_slots),
    ("queues", loaders.QUEUES, LoadedRows.keep_queues),
    ("queues", loaders.HEADS, LoadedRows.keep_heads),
)
_COUNTED: Sequence[tuple[str, Numbers]] = (
    ("new_drops", loaders.DROP_NUMBERS),
    ("new_transfers", loaders.TRANSFER_NUMBERS),
)


def calls_for(needs: Needs) -> list[Call]:
    """The statements that load what is needed; `LoadedRows.take` keeps their answers."""
    loads: list[Call] = []
    for name, statement, _ in _LOADED:
        if keys := getattr(needs, name):
            # In one order in every process, whose sets have different ones.
            loads.append((statement, [_row(statement, key) for key in sorted(keys)]))
    for name, numbers in _COUNTED:
        if count := getattr(needs, name):
            loads.append((numbers, [(count, 0)]))
    return loads


def _row(statement: ManyRows, key: Any) -> Row:
    if statement is loaders.NAMES:
        # Some letters outside of ASCII have an ASCII letter as their lower case. No name is empty.
        return key, key.lower() if key.isascii() else ""
    return key if isinstance(key, tuple) else (key,)
