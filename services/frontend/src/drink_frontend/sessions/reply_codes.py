"""Reply codes: every reply of one line, in the words of the classic dialect.

`dialects` has the words of the other dialects where they differ. The tables at the end map errors
of use cases and outcomes of drops to reply codes.
"""

# ruff: noqa: PIE796  codes with the same text are different codes

from collections.abc import Mapping
from enum import Enum
from typing import Self

from drink_frontend.domain.drop import Cause
from drink_frontend.domain.errors import (
    AccountClosedError,
    AccountNotFoundError,
    AdminRequiredError,
    AlreadyExistsError,
    BoardUnreachableError,
    CredentialsInvalidError,
    DrinkError,
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
    TooManyWaitingError,
)
from drink_frontend.domain.sign_in_errors import (
    DirectoryUnavailableError,
    IdentityNotLinkedError,
    NotMemberError,
)


class ReplyCode(Enum):
    """A reply of one line.

    Attributes:
        text: The line in the classic dialect; the fields of the reply are in braces.
    """

    text: str

    def __new__(cls, text: str) -> Self:
        """A code of its own for each name: several have the same text in the classic dialect."""
        code = object.__new__(cls)
        code._value_ = len(cls.__members__)
        code.text = text
        return code

    # Each code equals only itself; that of Enum is a function in Python.
    __hash__ = object.__hash__

    # Success.
    GREETING = "OK Welcome to {name}"
    PASSWORD_WANTED = "OK Password required."  # noqa: S105  a reply, not a password
    BALANCE = "OK Credits: {credits}"
    USERNAME = "OK Username: {name}"
    MACHINE_CHOSEN = "OK Welcome to {name}"
    SLOTS_LISTED = "OK {count} Slots retrieved"
    MACHINES_LISTED = "OK {count} Machines retrieved"
    DROPPED = "OK Credits remaining: {credits}"
    TEMPERATURE = "OK {degrees:.4f}"  # Fahrenheit
    CREDITS_SENT = "OK Credits remaining: {credits}"
    CREDITS_ADDED = "OK Added credits."
    SAVED = "OK Changes saved."
    USER_CREATED = "OK User created."
    USER_REMOVED = "OK User removed."
    ADMIN_FLAG_SET = "OK Admin flag set."
    USER_KNOWN = "OK true User is known."
    USER_NOT_KNOWN = "OK false User is not known."
    IS_ADMIN = "OK true User is an administrator."
    IS_NOT_ADMIN = "OK false User is not an administrator."
    PASSWORD_CHANGED = "OK Password changed."  # noqa: S105
    NOTED = "OK Message added to log file."
    LOCATION = "OK {place}."
    ACCOUNTS_READY = "OK Account server subsystem running."
    VERSION = "OK Drink {version}"
    UPTIME = "OK Up since: {since}"  # a date as in HTTP
    SERVER_STATE = "OK {json}"
    STOPPING = "OK Shutting down server."
    REBOOTING = "OK Rebooting."
    GOODBYE = "OK Disconnecting."

    # The line or one of its arguments is wrong.
    UNKNOWN_COMMAND = "ERR 452 Invalid command."
    GARBLED = "ERR 406 Invalid parameters."  # the line is too long, or not text
    WRONG_ARITY = "ERR 406 Invalid parameters."
    NOT_IMPLEMENTED = "ERR 451 Not implemented."
    BAD_PARAMETERS = "ERR 406 Invalid parameters."
    BAD_ADMIN_FLAG = "ERR 400 Invalid admin flag."
    BAD_COST = "ERR 401 Invalid cost."
    BAD_CREDITS = "ERR 402 Invalid credits."
    BAD_AMOUNT = "ERR 402 Invalid credits."  # of credits to send
    BAD_DELAY = "ERR 403 Invalid delay."
    BAD_ENABLED_FLAG = "ERR 404 Invalid enable flag."
    BAD_DROPPED_COUNT = "ERR 405 Invalid num_dropped."
    BAD_PASSWORD = "ERR 407 Invalid password."  # noqa: S105
    BAD_QUANTITY = "ERR 408 Invalid quantity."
    BAD_SLOT = "ERR 409 Invalid slot."
    BAD_REBOOT_FLAG = "ERR 411 Invalid reboot flag."

    # The caller may not do this.
    LOGIN_NEEDED = "ERR 204 You need to login."
    USER_NEEDED = "ERR 201 USER command needs to be issued first."
    LOGGED_IN_ALREADY = "ERR 201 USER command needs to be issued first."  # PASS without a new USER
    WRONG_PASSWORD = "ERR 202 Invalid username or password."  # noqa: S105
    WRONG_IBUTTON = "ERR 202 Invalid username or password."
    THROTTLED = "ERR 350 Account server subsystem is not ready."
    DENIED = "ERR 200 Access denied."
    LAST_ADMINISTRATOR = "ERR 200 Access denied: this is the last administrator."

    # The state of accounts, machines or slots does not allow it.
    NO_MACHINE = "ERR 413 No machine selected."
    UNKNOWN_MACHINE = "ERR 0 Invalid machine."
    NO_MACHINES = "ERR 501 No machines connected."
    UNKNOWN_SLOT = "ERR 409 Invalid slot."
    UNKNOWN_USER = "ERR 410 Invalid user."
    UNKNOWN_RECIPIENT = "ERR 410 Invalid user."
    USER_EXISTS = "ERR 412 User already registered."
    POOR = "ERR 203 User is poor."
    SLOT_EMPTY = "ERR 100 Slot empty."
    SLOT_DISABLED = "ERR 102 Slot disabled."
    NO_SLOTS = "ERR 104 No slots available."
    MACHINE_BUSY = "ERR 150 Unable to initialize hardware for drop."
    UNREACHABLE = "ERR 151 Unable to communicate with hardware. Contact an admin."
    NO_TEMPERATURE = "ERR 351 Unable to determine temperature."

    # Outcomes of a drop other than a dispensed item.
    DROP_FAILED = "ERR 101 Drop failed, contact an admin."  # {credits} can be spent
    OUTCOME_UNKNOWN = "ERR 103 Unknown Failure. Credits held, drop {drop}"
    DROP_IN_PROGRESS = "WARN 152 Drop in progress, please wait before dropping again"

    # Faults of the service or its database.
    FAULT = "ERR 103 Unknown Failure."
    NOT_READY = "ERR 350 Account server subsystem is not ready."
    DIRECTORY_AWAY = "ERR 350 Account server subsystem is not ready."
    STOCK_UNREADABLE = "ERR 350 Account server subsystem is not ready."
    TRANSFER_FAILED = "ERR 103 Unknown Failure."
    USER_NOT_CREATED = "ERR 352 Unable to create user."
    USER_NOT_REMOVED = "ERR 353 Could not remove user."
    ADMIN_FLAG_NOT_SET = "ERR 354 Unable to set admin flag."

    # The last line before the server closes the connection.
    SESSIONS_FULL = "ERR 205 Maximum user count reached."
    IDLE = "ERR 450 Timeout, disconnecting."


class Refused(Exception):  # noqa: N818  a refusal is an answer, not a failure of the service
    """Ends a command with a reply code."""

    def __init__(self, code: ReplyCode) -> None:
        super().__init__(code.name)
        self.code = code


ERRORS: Mapping[type[DrinkError], ReplyCode] = {
    AccountClosedError: ReplyCode.DENIED,
    AccountNotFoundError: ReplyCode.UNKNOWN_USER,
    AdminRequiredError: ReplyCode.DENIED,
    AlreadyExistsError: ReplyCode.USER_EXISTS,
    BoardUnreachableError: ReplyCode.UNREACHABLE,
    CredentialsInvalidError: ReplyCode.WRONG_PASSWORD,
    DirectoryUnavailableError: ReplyCode.DIRECTORY_AWAY,
    IdentityNotLinkedError: ReplyCode.DENIED,
    InsufficientCreditsError: ReplyCode.POOR,
    LastAdministratorError: ReplyCode.LAST_ADMINISTRATOR,
    MachineBusyError: ReplyCode.MACHINE_BUSY,
    MachineDisabledError: ReplyCode.SLOT_DISABLED,
    MachineNotFoundError: ReplyCode.NO_MACHINE,
    MachineOfflineError: ReplyCode.UNREACHABLE,
    NotMemberError: ReplyCode.DENIED,
    NotOwnerError: ReplyCode.DENIED,
    RateLimitedError: ReplyCode.THROTTLED,
    ShuttingDownError: ReplyCode.NOT_READY,
    SlotDisabledError: ReplyCode.SLOT_DISABLED,
    SlotEmptyError: ReplyCode.SLOT_EMPTY,
    SlotNotFoundError: ReplyCode.UNKNOWN_SLOT,
    StockInvalidError: ReplyCode.BAD_QUANTITY,
    TooManyWaitingError: ReplyCode.MACHINE_BUSY,
}
"""The code of each error, unless the grammar of the command has another one."""

FIELD_ERRORS: Mapping[str, ReplyCode] = {
    "account": ReplyCode.UNKNOWN_USER,
    "available": ReplyCode.BAD_QUANTITY,
    "credits": ReplyCode.BAD_CREDITS,
    "delay": ReplyCode.BAD_DELAY,
    "password": ReplyCode.BAD_PASSWORD,
    "posted_credits": ReplyCode.BAD_CREDITS,
    "price": ReplyCode.BAD_COST,
    "recipient": ReplyCode.UNKNOWN_RECIPIENT,
    "slot": ReplyCode.UNKNOWN_SLOT,
}
"""The code of a FieldInvalidError by its field; BAD_PARAMETERS for any other field."""

FAILED_DROPS: Mapping[Cause, ReplyCode] = {
    Cause.BOARD_UNREACHABLE: ReplyCode.UNREACHABLE,
    Cause.EXPIRED: ReplyCode.UNREACHABLE,
    Cause.MACHINE_OFFLINE: ReplyCode.UNREACHABLE,
    Cause.NOT_RECEIVED: ReplyCode.UNREACHABLE,
}
"""The code of a drop that was not dispensed, by its cause; DROP_FAILED for any other cause."""
