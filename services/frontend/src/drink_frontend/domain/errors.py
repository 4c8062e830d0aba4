"""Everything a request can be refused for, as types with facts; the edges turn them into words."""

from typing import ClassVar


class DrinkError(Exception):
    """Root of every refusal.

    Attributes:
        reason: Name of the drink.v1.ErrorReason value, without its prefix.
        facts: Typed facts for the client, by name; never secrets.
    """

    reason: ClassVar[str]

    def __init__(self, message: str, **facts: str | int) -> None:
        super().__init__(message)
        self.facts = facts


class FieldInvalidError(DrinkError):
    """A field is missing or out of its range; fact `field`."""

    reason = "FIELD_INVALID"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}", field=field)


class RequestIdReusedError(DrinkError):
    """The request_id was used before for another request."""

    reason = "REQUEST_ID_REUSED"


class TokenInvalidError(DrinkError):
    """No bearer token, or one that is unknown or has expired."""

    reason = "TOKEN_INVALID"


class CredentialsInvalidError(DrinkError):
    """Account and password, or iButton, do not match. Never says which."""

    reason = "CREDENTIALS_INVALID"


class CertificateInvalidError(DrinkError):
    """The agent's certificate names no machine, or not the one that it speaks for."""

    reason = "CERTIFICATE_INVALID"


class AdminRequiredError(DrinkError):
    """The caller is not an administrator."""

    reason = "ADMIN_REQUIRED"


class NotOwnerError(DrinkError):
    """The resource belongs to another account."""

    reason = "NOT_OWNER"


class RateLimitedError(DrinkError):
    """Too many attempts; fact `retry_after_seconds`."""

    reason = "RATE_LIMITED"


class MachineNotFoundError(DrinkError):
    """No such machine."""

    reason = "MACHINE_NOT_FOUND"


class SlotNotFoundError(DrinkError):
    """The machine has no such slot."""

    reason = "SLOT_NOT_FOUND"


class AccountNotFoundError(DrinkError):
    """No such account."""

    reason = "ACCOUNT_NOT_FOUND"


class DropNotFoundError(DrinkError):
    """No such drop, or a drop of another account."""

    reason = "DROP_NOT_FOUND"


class InsufficientCreditsError(DrinkError):
    """The account cannot pay; facts `available` and `price` in credits."""

    reason = "INSUFFICIENT_CREDITS"


class SlotEmptyError(DrinkError):
    """Nothing is left in the slot."""

    reason = "SLOT_EMPTY"


class SlotDisabledError(DrinkError):
    """The slot is out of service."""

    reason = "SLOT_DISABLED"


class PriceAboveCeilingError(DrinkError):
    """The price is above the caller's ceiling; fact `price` in credits."""

    reason = "PRICE_ABOVE_CEILING"


class DropNotCancellableError(DrinkError):
    """The drop can no longer be cancelled."""

    reason = "DROP_NOT_CANCELLABLE"


class DropNotUnknownError(DrinkError):
    """Only a drop in the state UNKNOWN can be resolved by an operator."""

    reason = "DROP_NOT_UNKNOWN"


class AccountClosedError(DrinkError):
    """The account is closed."""

    reason = "ACCOUNT_CLOSED"


class AlreadyExistsError(DrinkError):
    """The account, machine or slot exists."""

    reason = "ALREADY_EXISTS"


class LastAdministratorError(DrinkError):
    """Nobody would be left who administers."""

    reason = "LAST_ADMINISTRATOR"


class StockInvalidError(DrinkError):
    """A stock count would fall below zero or rise above its limit."""

    reason = "STOCK_INVALID"


class MachineOfflineError(DrinkError):
    """The machine's agent is not connected; nothing was commanded."""

    reason = "MACHINE_OFFLINE"


class BoardUnreachableError(DrinkError):
    """The machine's board does not answer; nothing was commanded."""

    reason = "BOARD_UNREACHABLE"


class MachineDisabledError(DrinkError):
    """The machine is out of service."""

    reason = "MACHINE_DISABLED"


class MachineBusyError(DrinkError):
    """Too many drops wait for this machine."""

    reason = "MACHINE_BUSY"


class ShuttingDownError(DrinkError):
    """The frontend is shutting down."""

    reason = "SHUTTING_DOWN"


class StorageUnavailableError(DrinkError):
    """The database did not take the change, or nobody knows whether it did.

    The same request_id finds out.
    """

    reason = "STORAGE_UNAVAILABLE"


class OutcomeUnknownError(StorageUnavailableError):
    """The database was lost at the commit, and nobody knows whether the change was made."""


class LinkSupersededError(DrinkError):
    """A newer link of the same machine has taken over."""

    reason = "LINK_SUPERSEDED"


class AgentTooOldError(DrinkError):
    """The agent speaks a link protocol that is too old."""

    reason = "AGENT_TOO_OLD"


class LinkProtocolError(DrinkError):
    """The agent broke the link protocol."""

    reason = "LINK_PROTOCOL"
