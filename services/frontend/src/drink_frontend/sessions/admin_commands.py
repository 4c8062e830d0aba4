"""Commands of administrators, and CHPASS, which users may use for their own account.

Handlers are as in `user_commands`.
"""

from collections.abc import Awaitable, Callable, Mapping

from drink_frontend.domain.entities import Account
from drink_frontend.domain.errors import BalanceChangedError
from drink_frontend.sessions.commands import Verb
from drink_frontend.sessions.replies import Reply, StatusLine
from drink_frontend.sessions.reply_codes import Refused, ReplyCode
from drink_frontend.sessions.state import SessionState, retry_unavailable

EDIT_TRIES = 5
"""Attempts of EDITUSER to set the credits of a user whose credits move meanwhile, as by drops."""


async def add_credits(session: SessionState, name: str, amount: int) -> Reply:
    """ADDCREDITS: adds credits to a user's account, or removes them if the number is negative."""
    caller, request_id = session.caller, session.services.request_id()
    add = session.services.transfers.add_credits
    await retry_unavailable(lambda: add(caller, request_id, name, amount))
    return StatusLine(ReplyCode.CREDITS_ADDED)


async def edit_user(
    session: SessionState, name: str, wanted: int, admin: bool | None = None
) -> Reply:
    """EDITUSER: sets a user's credits to a number, by one more entry in the ledger."""
    found = await session.services.accounts.named(name)
    # The change that may be refused comes first.
    if admin is not None:
        await session.services.accounts.change(session.caller.id, found.id, admin=admin)
    for tries_left in reversed(range(EDIT_TRIES)):
        if wanted == found.unheld:
            break
        try:
            await _set_credits(session, found, wanted)
            break
        except BalanceChangedError:
            if not tries_left:
                raise
            found = await session.services.accounts.balance(found.id)
    return StatusLine(ReplyCode.SAVED)


async def _set_credits(session: SessionState, found: Account, wanted: int) -> None:
    """Sets the credits that are not held, unless the user owns another number than was found."""
    caller, request_id = session.caller, session.services.request_id()
    set_posted, posted = session.services.transfers.set_posted, wanted + found.held
    await retry_unavailable(lambda: set_posted(caller, request_id, found.id, posted, found.posted))


async def edit_slot(  # noqa: PLR0917  one for each argument of the command
    session: SessionState,
    wire_slot: int,
    item: str,
    cost: int,
    quantity: int,
    _dropped: int,
    enabled: bool,
) -> Reply:
    """EDITSLOT: changes a slot, except its number of drops, which the ledger determines.

    With another name or price the slot sells no item of the list any more.
    """
    await session.services.machines.update_slot(
        session.caller,
        session.machine_name(),
        session.slot_number(wire_slot),
        item=item,
        price=cost,
        enabled=enabled,
        available=quantity,
        replaces_item=True,
    )
    return StatusLine(ReplyCode.SAVED)


async def add_user(session: SessionState, name: str, password: str | None = None) -> Reply:
    """ADDUSER: creates a user, or opens the account of a removed one again.

    Without a password the account can only log in by an iButton.
    """
    await session.services.accounts.create(session.caller.id, name, password=password, readmit=True)
    return StatusLine(ReplyCode.USER_CREATED)


async def remove_user(session: SessionState, name: str) -> Reply:
    """RMUSER: closes a user's account; its ledger entries remain."""
    await session.services.accounts.change(session.caller.id, name, closed=True)
    return StatusLine(ReplyCode.USER_REMOVED)


async def set_admin(session: SessionState, name: str, admin: bool) -> Reply:
    """SETADMIN: grants or withdraws administrator rights."""
    await session.services.accounts.change(session.caller.id, name, admin=admin)
    return StatusLine(ReplyCode.ADMIN_FLAG_SET)


async def is_valid_user(session: SessionState, name: str) -> Reply:
    """ISVALIDUSER: whether a user may log in."""
    found = await session.services.accounts.find(name)
    known = found is not None and not found.closed
    return StatusLine(ReplyCode.USER_KNOWN if known else ReplyCode.USER_NOT_KNOWN)


async def query_admin(session: SessionState, name: str) -> Reply:
    """QUERYADMIN: whether a user is an administrator."""
    found = await session.services.accounts.named(name)
    return StatusLine(ReplyCode.IS_ADMIN if found.admin else ReplyCode.IS_NOT_ADMIN)


async def change_password(session: SessionState, name: str, secret: str) -> Reply:
    """CHPASS: sets the caller's password; an administrator may set any user's."""
    caller, change = session.caller, session.services.accounts.change
    if name != caller.name and not caller.admin:
        found = await session.services.accounts.find(name)
        if found is None or found.id != caller.id:
            raise Refused(ReplyCode.DENIED)
    if name.casefold() != caller.name.casefold():
        await change(caller.id, name, password=secret)
        return StatusLine(ReplyCode.PASSWORD_CHANGED)
    # The change ends all other sessions of the account, and not this one.
    session.release_permit()
    try:
        changed = await change(caller.id, name, password=secret)
        if changed.id == caller.id:
            session.password_changed(changed)
    finally:
        session.hold_permit()
    return StatusLine(ReplyCode.PASSWORD_CHANGED)


async def note(session: SessionState, words: str = "") -> Reply:
    """LOG: adds a line to the audit log."""
    await session.services.notes.add(session.caller.id, words)
    return StatusLine(ReplyCode.NOTED)


async def shutdown(session: SessionState, restart: bool = False) -> Reply:
    """SHUTDOWN: stops the service gracefully, where the configuration allows it."""
    if session.services.shutdown is None:
        raise Refused(ReplyCode.NOT_IMPLEMENTED)
    session.services.shutdown(restart)
    return StatusLine(ReplyCode.REBOOTING if restart else ReplyCode.STOPPING)


ASYNC_HANDLERS: Mapping[Verb, Callable[..., Awaitable[Reply]]] = {
    Verb.CHPASS: change_password,
    Verb.ADDCREDITS: add_credits,
    Verb.EDITSLOT: edit_slot,
    Verb.ADDUSER: add_user,
    Verb.RMUSER: remove_user,
    Verb.SETADMIN: set_admin,
    Verb.EDITUSER: edit_user,
    Verb.ISVALIDUSER: is_valid_user,
    Verb.QUERYADMIN: query_admin,
    Verb.LOG: note,
    Verb.SHUTDOWN: shutdown,
}
