"""Which phrase of refusal stands for which error, and for which outcome of a drop."""

from collections.abc import Mapping

from drink_frontend.domain.drop import Cause
from drink_frontend.domain.errors import (
    AccountClosedError,
    AccountNotFoundError,
    AdminRequiredError,
    AlreadyExistsError,
    BoardUnreachableError,
    CredentialsInvalidError,
    DrinkError,
    FieldInvalidError,
    InsufficientCreditsError,
    LastAdministratorError,
    MachineBusyError,
    MachineDisabledError,
    MachineNotFoundError,
    MachineOfflineError,
    NotOwnerError,
    RateLimitedError,
    ShuttingDownError,
    SlotDisabledError,
    SlotEmptyError,
    SlotNotFoundError,
    StockInvalidError,
    StorageUnavailableError,
)
from drink_frontend.sessions.commands import Verb
from drink_frontend.sessions.phrases import Phrase

BY_ERROR: Mapping[type[DrinkError], Phrase] = {
    AccountClosedError: Phrase.DENIED,
    AccountNotFoundError: Phrase.UNKNOWN_USER,
    AdminRequiredError: Phrase.DENIED,
    AlreadyExistsError: Phrase.USER_EXISTS,
    BoardUnreachableError: Phrase.UNREACHABLE,
    CredentialsInvalidError: Phrase.WRONG_PASSWORD,
    InsufficientCreditsError: Phrase.POOR,
    LastAdministratorError: Phrase.LAST_ADMINISTRATOR,
    MachineBusyError: Phrase.MACHINE_BUSY,
    MachineDisabledError: Phrase.SLOT_DISABLED,
    MachineNotFoundError: Phrase.NO_MACHINE,
    MachineOfflineError: Phrase.UNREACHABLE,
    NotOwnerError: Phrase.DENIED,
    RateLimitedError: Phrase.THROTTLED,
    ShuttingDownError: Phrase.NOT_READY,
    SlotDisabledError: Phrase.SLOT_DISABLED,
    SlotEmptyError: Phrase.SLOT_EMPTY,
    SlotNotFoundError: Phrase.UNKNOWN_SLOT,
    StockInvalidError: Phrase.BAD_QUANTITY,
    StorageUnavailableError: Phrase.NOT_READY,
}
"""What each error is called. An error that is not listed is a fault of ours."""

BY_FIELD: Mapping[str, Phrase] = {
    "account": Phrase.UNKNOWN_USER,
    "available": Phrase.BAD_QUANTITY,
    "credits": Phrase.BAD_CREDITS,
    "delay": Phrase.BAD_DELAY,
    "password": Phrase.BAD_PASSWORD,
    "price": Phrase.BAD_COST,
    "recipient": Phrase.UNKNOWN_RECIPIENT,
    "slot": Phrase.UNKNOWN_SLOT,
}
"""What FieldInvalidError is called, by its field; BAD_PARAMETERS for any other."""

BY_VERB: Mapping[Verb, Mapping[type[DrinkError], Phrase]] = {
    # Nobody knows then whether the change was made.
    Verb.DROP: {StorageUnavailableError: Phrase.FAULT},
    Verb.RAND: {StorageUnavailableError: Phrase.FAULT},
    Verb.ADDCREDITS: {StorageUnavailableError: Phrase.FAULT},
    Verb.EDITUSER: {StorageUnavailableError: Phrase.FAULT},
    Verb.EDITSLOT: {StorageUnavailableError: Phrase.FAULT},
    Verb.CHPASS: {StorageUnavailableError: Phrase.FAULT},
    Verb.LOG: {StorageUnavailableError: Phrase.FAULT},
    Verb.SENDCREDITS: {
        AccountNotFoundError: Phrase.UNKNOWN_RECIPIENT,
        AccountClosedError: Phrase.UNKNOWN_RECIPIENT,
        StorageUnavailableError: Phrase.TRANSFER_FAILED,
    },
    Verb.ADDUSER: {StorageUnavailableError: Phrase.USER_NOT_CREATED},
    Verb.RMUSER: {StorageUnavailableError: Phrase.USER_NOT_REMOVED},
    Verb.SETADMIN: {StorageUnavailableError: Phrase.ADMIN_FLAG_NOT_SET},
    Verb.STAT: {StorageUnavailableError: Phrase.STOCK_UNREADABLE},
    Verb.MACHINE: {MachineNotFoundError: Phrase.UNKNOWN_MACHINE},
    Verb.IBUTTON: {CredentialsInvalidError: Phrase.WRONG_IBUTTON},
}
"""Where an error is called otherwise in reply to one command."""

BY_CAUSE: Mapping[Cause, Phrase] = {
    Cause.BOARD_UNREACHABLE: Phrase.UNREACHABLE,
    Cause.EXPIRED: Phrase.UNREACHABLE,
    Cause.MACHINE_OFFLINE: Phrase.UNREACHABLE,
    Cause.NOT_RECEIVED: Phrase.UNREACHABLE,
}
"""Why a drop was not dispensed; DROP_FAILED for any other cause."""


def phrase_for(error: DrinkError, verb: Verb) -> Phrase | None:
    """What to call the error in reply to the command; None if it should not have happened."""
    if isinstance(error, FieldInvalidError):
        return BY_FIELD.get(str(error.facts["field"]), Phrase.BAD_PARAMETERS)
    by_verb = BY_VERB.get(verb, {})
    for kind in type(error).__mro__:
        if phrase := by_verb.get(kind) or BY_ERROR.get(kind):
            return phrase
    return None
