"""Commands of users: login, machines and stock, purchases, sending credits.

A handler takes the session and the command's parsed arguments. A synchronous one makes its reply
from what the session has loaded; an asynchronous one uses the use cases.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate

from drink_frontend.domain.drop import State
from drink_frontend.domain.entities import Account, Drop, Reach
from drink_frontend.domain.errors import (
    AccountNotFoundError,
    CredentialsInvalidError,
    StorageUnavailableError,
)
from drink_frontend.sessions.commands import Verb
from drink_frontend.sessions.replies import (
    MachineList,
    Reply,
    SlotList,
    StatusLine,
    machine_location,
    machine_title,
)
from drink_frontend.sessions.reply_codes import FAILED_DROPS, Refused, ReplyCode
from drink_frontend.sessions.state import SessionState, retry_unavailable
from drink_frontend.spans.tracer import Kind
from drink_frontend.usecases.placement import DropOrder


def user(session: SessionState, name: str) -> Reply:
    """USER: names the account that PASS will log in, and logs out the current one."""
    session.log_out()
    session.username = name
    return StatusLine(ReplyCode.PASSWORD_WANTED)


async def password(session: SessionState, secret: str) -> Reply:
    """PASS: logs in the account that USER named; the name is consumed even if the login fails."""
    name, session.username = session.username, None
    if name is None:
        logged_in = session.account is not None
        raise Refused(ReplyCode.LOGGED_IN_ALREADY if logged_in else ReplyCode.USER_NEEDED)
    return await auth(session, name, secret)


async def auth(session: SessionState, name: str, secret: str) -> Reply:
    """AUTH: USER and PASS in one command."""
    accounts = session.services.accounts

    async def attempt() -> tuple[Account, str | None]:
        return await accounts.login_password(name, secret, session.origin), None

    return await _log_in(session, attempt())


async def ibutton(session: SessionState, number: str) -> Reply:
    """IBUTTON: logs in the account of an iButton."""
    accounts = session.services.accounts

    async def attempt() -> tuple[Account, str | None]:
        login = await accounts.login_ibutton(number, session.origin)
        return login.account, login.digest

    return await _log_in(session, attempt())


async def _log_in(session: SessionState, attempt: Awaitable[tuple[Account, str | None]]) -> Reply:
    """Logs in the account that an attempt returns, with the digest of an iButton or card."""
    # At a kiosk a failed login of the next person must not leave the account of the last one open.
    session.log_out()
    session.logging_in = True
    try:
        account, ibutton = await attempt
    except CredentialsInvalidError:
        session.login_failures += 1
        raise
    finally:
        session.logging_in = False
    session.log_in(account, ibutton)
    return StatusLine(ReplyCode.BALANCE, {"credits": account.available})


def whoami(session: SessionState) -> Reply:
    """WHOAMI: the account that is logged in."""
    return StatusLine(ReplyCode.USERNAME, {"name": session.caller.name})


def own_balance(session: SessionState, name: str | None = None) -> Reply | None:
    """GETBALANCE: the caller's credits; None if another account may be meant."""
    caller = session.caller
    if name is None or name == caller.name:
        return StatusLine(ReplyCode.BALANCE, {"credits": caller.available})
    return None


async def balance_of(session: SessionState, name: str) -> Reply:
    """GETBALANCE of another name: for administrators, or the caller's in another case."""
    account = await session.services.accounts.find(name)
    if not session.caller.admin and (account is None or account.id != session.caller.id):
        raise Refused(ReplyCode.DENIED)
    if account is None:
        raise AccountNotFoundError("no such account")
    return StatusLine(ReplyCode.BALANCE, {"credits": account.available})


async def send_credits(session: SessionState, amount: int, recipient: str) -> Reply:
    """SENDCREDITS: moves credits of the caller to another user."""
    transfer, request_id = session.services.transfers.send, session.services.request_id()
    caller = session.caller
    account = await retry_unavailable(lambda: transfer(caller, request_id, recipient, amount))
    return StatusLine(ReplyCode.CREDITS_SENT, {"credits": account.available})


async def machine(session: SessionState, name: str) -> Reply:
    """MACHINE: chooses the session's machine."""
    chosen = await session.services.machines.get(name)
    session.machine = chosen.name
    return StatusLine(ReplyCode.MACHINE_CHOSEN, {"name": machine_title(chosen)})


async def machines(session: SessionState) -> Reply:
    """MACHINES: the machines that can be reached."""
    known = await session.services.machines.list()
    reached = tuple(each for each in known if each.reach is Reach.READY)
    if not reached:
        raise Refused(ReplyCode.NO_MACHINES)
    return MachineList(reached)


def stat(session: SessionState, wire_slot: int | None = None) -> Reply:
    """STAT: all slots of the machine, or one."""
    chosen = session.target
    if wire_slot is None:
        return SlotList(chosen.slots)
    slot = chosen.slot(session.slot_number(wire_slot))
    if slot is None:
        raise Refused(ReplyCode.UNKNOWN_SLOT)
    return SlotList((slot,))


def temperature(session: SessionState) -> Reply:
    """TEMP: the temperature of the machine in Fahrenheit, as all old servers had it from boards."""
    celsius = session.target.temperature_celsius
    if celsius is None:
        raise Refused(ReplyCode.NO_TEMPERATURE)
    return StatusLine(ReplyCode.TEMPERATURE, {"degrees": celsius * 9 / 5 + 32})


def location(session: SessionState) -> Reply:
    """LOCATION: the location of the machine."""
    return StatusLine(ReplyCode.LOCATION, {"place": machine_location(session.target)})


async def server_state(session: SessionState) -> Reply:
    """SERVERSTAT: all machines, and whether they can be reached."""
    known = await session.services.machines.list()
    state = {
        "machines": [
            {"machine_name": machine_title(each), "connected": each.reach is Reach.READY}
            for each in known
        ],
        "opcode": "OK",
    }
    return StatusLine(ReplyCode.SERVER_STATE, {"json": json.dumps(state, separators=(",", ":"))})


def uptime(session: SessionState) -> Reply:
    """UPTIME: the start of the service."""
    since = formatdate(session.services.started_ms / 1000, usegmt=True)
    return StatusLine(ReplyCode.UPTIME, {"since": since})


def version(session: SessionState) -> Reply:
    """VERSION: the version of the service."""
    return StatusLine(ReplyCode.VERSION, {"version": session.services.version})


async def accounts_ready(session: SessionState) -> Reply:
    """ACCTMGRCHK: whether accounts can be read."""
    await session.services.accounts.find("nobody")
    return StatusLine(ReplyCode.ACCOUNTS_READY)


def not_implemented(_session: SessionState, *_ignored: str) -> Reply:
    """CODE: announced in 2000, and implemented by no server since."""
    raise Refused(ReplyCode.NOT_IMPLEMENTED)


def goodbye(_session: SessionState, *_ignored: str) -> Reply:
    """QUIT: ends the session."""
    return StatusLine(ReplyCode.GOODBYE)


async def drop(session: SessionState, wire_slot: int, delay_s: int = 0) -> Reply:
    """DROP: buys an item; the reply comes when the outcome is known and durable."""
    machine_name = session.machine_name()
    return await _buy(session, machine_name, session.slot_number(wire_slot), delay_s)


async def random_drop(session: SessionState, delay_s: int = 0) -> Reply:
    """RAND: buys any item that is available and that the caller can pay."""
    chosen = await session.services.machines.get(session.machine_name())
    slots = [
        slot
        for slot in chosen.slots
        if slot.enabled and slot.available > 0 and slot.price <= session.caller.available
    ]
    if not slots:
        raise Refused(ReplyCode.NO_SLOTS)
    number = session.services.choose(slots).number
    return await _buy(session, chosen.name, number, delay_s)


async def _buy(session: SessionState, machine_name: str, number: int, delay_s: int) -> Reply:
    span = session.services.tracer.start("session.drop", Kind.SERVER)
    if span is None or not span.context.sampled:
        return await _order(session, machine_name, number, delay_s)
    try:
        return await _order(session, machine_name, number, delay_s, span.context.traceparent)
    finally:
        span.end()


async def _order(
    session: SessionState,
    machine_name: str,
    number: int,
    delay_s: int,
    traceparent: str | None = None,
) -> Reply:
    services = session.services
    order = DropOrder(
        account=session.caller.id,
        request_id=services.request_id(),
        machine=machine_name,
        slot=number,
        delay_s=delay_s,
        traceparent=traceparent,
    )
    placed = await retry_unavailable(lambda: services.drops.place(order))
    session.drop_id = placed.id
    try:
        done = await retry_unavailable(lambda: services.drops.outcome(placed.id))
    except StorageUnavailableError:
        return held(placed.id)
    finally:
        session.drop_id = None
    return await _outcome(session, done)


async def _outcome(session: SessionState, done: Drop) -> Reply:
    if done.state is State.UNKNOWN:
        return held(done.id)
    account = await retry_unavailable(lambda: session.services.accounts.balance(done.account))
    fields = {"credits": account.available}
    if done.state is State.DISPENSED:
        return StatusLine(ReplyCode.DROPPED, fields)
    return StatusLine(FAILED_DROPS.get(done.cause, ReplyCode.DROP_FAILED), fields)


def held(drop_id: str) -> Reply:
    """The reply while the outcome of a drop is unknown."""
    return StatusLine(ReplyCode.OUTCOME_UNKNOWN, {"drop": drop_id})


SYNC_HANDLERS: Mapping[Verb, Callable[..., Reply | None]] = {
    Verb.USER: user,
    Verb.STAT: stat,
    Verb.TEMP: temperature,
    Verb.LOCATION: location,
    Verb.VERSION: version,
    Verb.UPTIME: uptime,
    Verb.CODE: not_implemented,
    Verb.QUIT: goodbye,
    Verb.WHOAMI: whoami,
    Verb.GETBALANCE: own_balance,
}
"""Handlers that await nothing; None as a reply means that the asynchronous handler is needed."""

ASYNC_HANDLERS: Mapping[Verb, Callable[..., Awaitable[Reply]]] = {
    Verb.PASS: password,
    Verb.AUTH: auth,
    Verb.IBUTTON: ibutton,
    Verb.MACHINE: machine,
    Verb.MACHINES: machines,
    Verb.SERVERSTAT: server_state,
    Verb.ACCTMGRCHK: accounts_ready,
    Verb.GETBALANCE: balance_of,
    Verb.DROP: drop,
    Verb.RAND: random_drop,
    Verb.SENDCREDITS: send_credits,
}
