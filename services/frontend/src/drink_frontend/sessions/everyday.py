"""The commands that everybody uses: logging in, looking around, buying, sending credits."""

import json
from collections.abc import Awaitable, Coroutine
from email.utils import formatdate
from typing import Any

from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import Account, Drop, Reach
from drink_frontend.domain.errors import (
    AccountNotFoundError,
    CredentialsInvalidError,
    StorageUnavailableError,
)
from drink_frontend.sessions.phrases import Phrase, Refused
from drink_frontend.sessions.refusals import BY_CAUSE
from drink_frontend.sessions.replies import MachineList, Reply, Say, SlotList, place, title
from drink_frontend.sessions.state import SessionState, insist
from drink_frontend.usecases.accounts import digest
from drink_frontend.usecases.placing import DropOrder


def user(session: SessionState, name: str) -> Reply:
    """USER: says who is about to log in, and logs out whoever was."""
    session.log_out()
    session.claimed = name
    return Say(Phrase.PASSWORD_WANTED)


async def password(session: SessionState, secret: str) -> Reply:
    """PASS: logs in whom USER named; right or wrong, it uses the name up."""
    name, session.claimed = session.claimed, None
    if name is None:
        logged_in = session.account is not None
        raise Refused(Phrase.LOGGED_IN_ALREADY if logged_in else Phrase.USER_NEEDED)
    return await auth(session, name, secret)


async def auth(session: SessionState, name: str, secret: str) -> Reply:
    """AUTH: USER and PASS in one."""
    accounts = session.services.accounts
    return await _log_in(session, accounts.login_password(name, secret, session.origin))


async def ibutton(session: SessionState, number: str) -> Reply:
    """IBUTTON: logs in whom the iButton belongs to."""
    accounts = session.services.accounts
    attempt = accounts.login_ibutton(number, session.origin)
    return await _log_in(session, attempt, digest(number.upper()))


async def _log_in(
    session: SessionState, attempt: Awaitable[Account], ibutton: str | None = None
) -> Reply:
    # At a kiosk the next person's failed login must not leave this one's account open.
    session.log_out()
    session.logging_in = True
    try:
        account = await attempt
    except CredentialsInvalidError:
        session.login_failures += 1
        raise
    finally:
        session.logging_in = False
    session.log_in(account, ibutton)
    return Say(Phrase.BALANCE, {"credits": account.available})


def whoami(session: SessionState) -> Reply:
    """WHOAMI: the account that is logged in."""
    return Say(Phrase.USERNAME, {"name": session.caller.name})


def get_balance(
    session: SessionState, name: str | None = None
) -> Reply | Coroutine[Any, Any, Reply]:
    """GETBALANCE: one's own credits; anybody's for an administrator."""
    caller = session.caller
    if name is None or name == caller.name:
        return Say(Phrase.BALANCE, {"credits": caller.available})
    return _balance_of(session, name)


async def _balance_of(session: SessionState, name: str) -> Reply:
    account = await session.services.accounts.find(name)
    if not session.caller.admin and (account is None or account.name != session.caller.name):
        raise Refused(Phrase.DENIED)
    if account is None:
        raise AccountNotFoundError("no such account")
    return Say(Phrase.BALANCE, {"credits": account.available})


async def send_credits(session: SessionState, amount: int, recipient: str) -> Reply:
    """SENDCREDITS: gives one's own credits to another user."""
    transfer, request_id = session.services.accounts.transfer, session.services.request_id()
    caller = session.caller
    account = await insist(lambda: transfer(caller, request_id, recipient, amount))
    return Say(Phrase.CREDITS_SENT, {"credits": account.available})


async def machine(session: SessionState, name: str) -> Reply:
    """MACHINE: chooses the machine for what follows."""
    chosen = await session.services.machines.get(name)
    session.machine = chosen.name
    return Say(Phrase.MACHINE_CHOSEN, {"name": title(chosen)})


async def machines(session: SessionState) -> Reply:
    """MACHINES: those that can be reached."""
    known = await session.services.machines.list()
    reached = tuple(each for each in known if each.reach is Reach.READY)
    if not reached:
        raise Refused(Phrase.NO_MACHINES)
    return MachineList(reached)


def stat(session: SessionState, said: int | None = None) -> Reply:
    """STAT: what the machine holds, all of it or one slot."""
    chosen = session.machine_shown
    if said is None:
        return SlotList(chosen.slots)
    slot = chosen.slot(session.slot_number(said))
    if slot is None:
        raise Refused(Phrase.UNKNOWN_SLOT)
    return SlotList((slot,))


def temperature(session: SessionState) -> Reply:
    """TEMP: of the machine, in Fahrenheit, as every old server passed it on from the boards."""
    celsius = session.machine_shown.temperature_celsius
    if celsius is None:
        raise Refused(Phrase.NO_TEMPERATURE)
    return Say(Phrase.TEMPERATURE, {"degrees": celsius * 9 / 5 + 32})


def location(session: SessionState) -> Reply:
    """LOCATION: where the machine stands."""
    return Say(Phrase.LOCATION, {"place": place(session.machine_shown)})


async def server_state(session: SessionState) -> Reply:
    """SERVERSTAT: all machines, and whether they can be reached."""
    known = await session.services.machines.list()
    state = {
        "machines": [
            {"machine_name": title(each), "connected": each.reach is Reach.READY} for each in known
        ],
        "opcode": "OK",
    }
    return Say(Phrase.SERVER_STATE, {"json": json.dumps(state, separators=(",", ":"))})


def uptime(session: SessionState) -> Reply:
    """UPTIME: since when the service runs."""
    since = formatdate(session.services.started_ms / 1000, usegmt=True)
    return Say(Phrase.UPTIME, {"since": since})


def version(session: SessionState) -> Reply:
    """VERSION: of the service."""
    return Say(Phrase.VERSION, {"version": session.services.version})


async def accounts_ready(session: SessionState) -> Reply:
    """ACCTMGRCHK: whether accounts can be asked at all."""
    await session.services.accounts.find("nobody")
    return Say(Phrase.ACCOUNTS_READY)


def not_implemented(_session: SessionState, *_ignored: str) -> Reply:
    """CODE: was announced in 2000 and never built by anyone."""
    raise Refused(Phrase.NOT_IMPLEMENTED)


def goodbye(_session: SessionState, *_ignored: str) -> Reply:
    """QUIT: ends the session."""
    return Say(Phrase.GOODBYE)


async def drop(session: SessionState, said: int, delay_s: int = 0) -> Reply:
    """DROP: buys an item; answers when its outcome is known and durable."""
    machine_name = session.machine_name()
    return await _buy(session, machine_name, session.slot_number(said), delay_s)


async def random_drop(session: SessionState, delay_s: int = 0) -> Reply:
    """RAND: buys any one item that is there and affordable."""
    chosen = await session.chosen_machine()
    slots = [
        slot
        for slot in chosen.slots
        if slot.enabled and slot.available > 0 and slot.price <= session.caller.available
    ]
    if not slots:
        raise Refused(Phrase.NO_SLOTS)
    number = session.services.choose(slots).number
    return await _buy(session, chosen.name, number, delay_s)


async def _buy(session: SessionState, machine_name: str, number: int, delay_s: int) -> Reply:
    services = session.services
    order = DropOrder(
        account=session.caller.name,
        request_id=services.request_id(),
        machine=machine_name,
        slot=number,
        delay_s=delay_s,
    )
    placed = await insist(lambda: services.drops.place(order))
    session.drop_id = placed.id
    try:
        done = await insist(lambda: services.drops.outcome(placed.id))
    except StorageUnavailableError:
        return held(placed.id)
    finally:
        session.drop_id = None
    return await _outcome(session, done)


async def _outcome(session: SessionState, done: Drop) -> Reply:
    if done.state is State.UNKNOWN:
        return held(done.id)
    account = await insist(lambda: session.services.accounts.balance(done.account))
    facts = {"credits": account.available}
    if done.state is State.DISPENSED:
        return Say(Phrase.DROPPED, facts)
    return Say(BY_CAUSE.get(done.cause, Phrase.DROP_FAILED), facts)


def held(drop_id: str) -> Reply:
    """The answer while nobody knows the outcome of a drop."""
    return Say(Phrase.OUTCOME_UNKNOWN, {"drop": drop_id})
