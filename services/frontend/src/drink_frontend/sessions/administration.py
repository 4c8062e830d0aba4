"""The commands of administrators, and CHPASS, which everybody may use on himself."""

from drink_frontend.sessions.phrases import Phrase, Refused
from drink_frontend.sessions.replies import Reply, Say
from drink_frontend.sessions.state import SessionState, insist


async def add_credits(session: SessionState, name: str, amount: int) -> Reply:
    """ADDCREDITS: gives a user credits, or takes some if negative."""
    await _move(session, name, amount)
    return Say(Phrase.CREDITS_ADDED)


async def _move(session: SessionState, name: str, amount: int) -> None:
    caller, request_id = session.caller, session.services.request_id()
    add = session.services.accounts.add_credits
    await insist(lambda: add(caller, request_id, name, amount))


async def edit_user(
    session: SessionState, name: str, wanted: int, admin: bool | None = None
) -> Reply:
    """EDITUSER: brings a user's credits to a number, by one more entry in the ledger."""
    found = await session.services.accounts.balance(name)
    # First what may be refused.
    if admin is not None:
        await session.services.accounts.change(session.caller.name, found.name, admin=admin)
    if wanted != found.available:
        await _move(session, found.name, wanted - found.available)
    return Say(Phrase.SAVED)


async def edit_slot(  # noqa: PLR0917  one for each argument of the command
    session: SessionState,
    said: int,
    item: str,
    cost: int,
    quantity: int,
    _dropped: int,
    enabled: bool,
) -> Reply:
    """EDITSLOT: changes all of a slot but how often it dropped, which the books know."""
    await session.services.machines.update_slot(
        session.caller,
        session.machine_name(),
        session.slot_number(said),
        item=item,
        price=cost,
        enabled=enabled,
        available=quantity,
    )
    return Say(Phrase.SAVED)


async def add_user(session: SessionState, name: str, password: str | None = None) -> Reply:
    """ADDUSER: makes a user, or takes back a removed one with another password.

    Without a password only an iButton will log in.
    """
    await session.services.accounts.create(
        session.caller.name, name, password=password, readmit=True
    )
    return Say(Phrase.USER_CREATED)


async def remove_user(session: SessionState, name: str) -> Reply:
    """RMUSER: closes a user's account; its entries stay."""
    await session.services.accounts.change(session.caller.name, name, closed=True)
    return Say(Phrase.USER_REMOVED)


async def set_admin(session: SessionState, name: str, admin: bool) -> Reply:
    """SETADMIN: makes a user an administrator, or no longer one."""
    await session.services.accounts.change(session.caller.name, name, admin=admin)
    return Say(Phrase.ADMIN_FLAG_SET)


async def is_valid_user(session: SessionState, name: str) -> Reply:
    """ISVALIDUSER: whether a user may log in."""
    found = await session.services.accounts.find(name)
    known = found is not None and not found.closed
    return Say(Phrase.USER_KNOWN if known else Phrase.USER_NOT_KNOWN)


async def query_admin(session: SessionState, name: str) -> Reply:
    """QUERYADMIN: whether a user is an administrator."""
    found = await session.services.accounts.balance(name)
    return Say(Phrase.IS_ADMIN if found.admin else Phrase.IS_NOT_ADMIN)


async def change_password(session: SessionState, name: str, secret: str) -> Reply:
    """CHPASS: a new password for oneself; for anybody, by an administrator."""
    caller, change = session.caller, session.services.accounts.change
    if name != caller.name and not caller.admin:
        found = await session.services.accounts.find(name)
        if found is None or found.name != caller.name:
            raise Refused(Phrase.DENIED)
    if name.casefold() != caller.name.casefold():
        await change(caller.name, name, password=secret)
        return Say(Phrase.PASSWORD_CHANGED)
    # Other sessions of the account end with the old password, and not the one that replaced it.
    session.give_permit_back()
    try:
        changed = await change(caller.name, name, password=secret)
        if changed.name == caller.name:
            session.has_password(changed)
    finally:
        session.hold_permit()
    return Say(Phrase.PASSWORD_CHANGED)


async def note(session: SessionState, words: str = "") -> Reply:
    """LOG: a line in the audit log."""
    await session.services.notes.add(session.caller.name, words)
    return Say(Phrase.NOTED)


async def shutdown(session: SessionState, restart: bool = False) -> Reply:
    """SHUTDOWN: stops the service gracefully, where the configuration lets it."""
    if session.services.shutdown is None:
        raise Refused(Phrase.NOT_IMPLEMENTED)
    session.services.shutdown(restart)
    return Say(Phrase.REBOOTING if restart else Phrase.STOPPING)
