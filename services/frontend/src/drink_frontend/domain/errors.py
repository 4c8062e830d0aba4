"""The errors for which a request is refused, as types with facts.

Each type carries its reason and status, so that all edges answer alike.
"""

from typing import ClassVar


class DrinkError(Exception):
    """Base class of all refusals.

    Attributes:
        reason: Name of the drink.v1.ErrorReason value, without its prefix.
        code: Name of the google.rpc.Code value, from which gRPC and HTTP have their status codes.
        retry_after_s: Seconds after which the same request may succeed; None where it will not. A
            fact `retry_after_seconds` of the error itself takes precedence.
        facts: Typed facts for the client, by name; never secrets.
    """

    reason: ClassVar[str]
    code: ClassVar[str]
    retry_after_s: ClassVar[int | None] = None

    def __init__(self, message: str, **facts: str | int) -> None:
        super().__init__(message)
        self.facts = facts


class FieldInvalidError(DrinkError):
    """A field is missing or out of its range; fact `field`."""

    reason = "FIELD_INVALID"
    code = "INVALID_ARGUMENT"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}", field=field)


class RequestIdReusedError(DrinkError):
    """The request_id was used before for another request."""

    reason = "REQUEST_ID_REUSED"
    code = "INVALID_ARGUMENT"


class TokenInvalidError(DrinkError):
    """No bearer token, or one that is unknown or has expired."""

    reason = "TOKEN_INVALID"
    code = "UNAUTHENTICATED"


class CredentialsInvalidError(DrinkError):
    """Account and password, or the iButton or card, are wrong; the error does not say which."""

    reason = "CREDENTIALS_INVALID"
    code = "UNAUTHENTICATED"


class CertificateInvalidError(DrinkError):
    """The agent's certificate names no machine, or another one than the agent's Hello."""

    reason = "CERTIFICATE_INVALID"
    code = "UNAUTHENTICATED"


class AdminRequiredError(DrinkError):
    """The caller is not an administrator."""

    reason = "ADMIN_REQUIRED"
    code = "PERMISSION_DENIED"


class NotOwnerError(DrinkError):
    """The resource belongs to another account."""

    reason = "NOT_OWNER"
    code = "PERMISSION_DENIED"


class TokenScopeError(DrinkError):
    """The token is valid, but its scope does not include the method; fact `scope`."""

    reason = "TOKEN_SCOPE"
    code = "PERMISSION_DENIED"


class RateLimitedError(DrinkError):
    """Too many attempts; fact `retry_after_seconds`."""

    reason = "RATE_LIMITED"
    code = "RESOURCE_EXHAUSTED"
    retry_after_s = 10


class MachineNotFoundError(DrinkError):
    """No such machine."""

    reason = "MACHINE_NOT_FOUND"
    code = "NOT_FOUND"


class SlotNotFoundError(DrinkError):
    """The machine has no such slot."""

    reason = "SLOT_NOT_FOUND"
    code = "NOT_FOUND"


class AccountNotFoundError(DrinkError):
    """No such account."""

    reason = "ACCOUNT_NOT_FOUND"
    code = "NOT_FOUND"


class DropNotFoundError(DrinkError):
    """No such drop, or a drop of another account."""

    reason = "DROP_NOT_FOUND"
    code = "NOT_FOUND"


class AlarmNotFoundError(DrinkError):
    """No such alarm."""

    reason = "ALARM_NOT_FOUND"
    code = "NOT_FOUND"


class AlarmStandsError(DrinkError):
    """An alarm about a drop in the state UNKNOWN ends when the drop is resolved."""

    reason = "ALARM_STANDS"
    code = "FAILED_PRECONDITION"


class AlarmClosedError(DrinkError):
    """The alarm is closed, so that nobody can acknowledge it."""

    reason = "ALARM_CLOSED"
    code = "FAILED_PRECONDITION"


class TokenNotFoundError(DrinkError):
    """The account has no such token."""

    reason = "TOKEN_NOT_FOUND"
    code = "NOT_FOUND"


class AccountOpenError(DrinkError):
    """Only a closed account can be erased."""

    reason = "ACCOUNT_OPEN"
    code = "FAILED_PRECONDITION"


class AccountNotSettledError(DrinkError):
    """The account owns, owes or holds credits; facts `posted` and `held`."""

    reason = "ACCOUNT_NOT_SETTLED"
    code = "FAILED_PRECONDITION"


class AccountErasedError(DrinkError):
    """The name of the account was erased, so that it stays closed."""

    reason = "ACCOUNT_ERASED"
    code = "FAILED_PRECONDITION"


class CardNotFoundError(DrinkError):
    """The account has no such card."""

    reason = "CARD_NOT_FOUND"
    code = "NOT_FOUND"


class KioskRequiredError(DrinkError):
    """Such a card logs in only at a paired kiosk: its number can be guessed or copied."""

    reason = "KIOSK_REQUIRED"
    code = "FAILED_PRECONDITION"


class KioskNotFoundError(DrinkError):
    """No such kiosk, or it was ended before."""

    reason = "KIOSK_NOT_FOUND"
    code = "NOT_FOUND"


class TooManyKiosksError(DrinkError):
    """There are as many kiosks as there may be; fact `kiosks_max`."""

    reason = "TOO_MANY_KIOSKS"
    code = "FAILED_PRECONDITION"


class CardKeyUnavailableError(DrinkError):
    """There is no key for the numbers of cards, or another one than that of other cards."""

    reason = "CARD_KEY_UNAVAILABLE"
    code = "FAILED_PRECONDITION"


class CardCodeInvalidError(DrinkError):
    """No card waits for this code: it is wrong, was used, or is too old."""

    reason = "CARD_CODE_INVALID"
    code = "NOT_FOUND"


class TooManyCardsError(DrinkError):
    """The account has as many cards as it may have; fact `cards_max`."""

    reason = "TOO_MANY_CARDS"
    code = "FAILED_PRECONDITION"


class ItemNotFoundError(DrinkError):
    """No such item."""

    reason = "ITEM_NOT_FOUND"
    code = "NOT_FOUND"


class PictureNotFoundError(DrinkError):
    """The item has no picture."""

    reason = "PICTURE_NOT_FOUND"
    code = "NOT_FOUND"


class PictureChangedError(DrinkError):
    """The picture was replaced or removed while it was read."""

    reason = "PICTURE_CHANGED"
    code = "ABORTED"


class ItemSoldError(DrinkError):
    """Slots sell the item; fact `slots`, their number."""

    reason = "ITEM_SOLD"
    code = "FAILED_PRECONDITION"


class TooManyItemsError(DrinkError):
    """There are as many items as there may be; fact `items_max`."""

    reason = "TOO_MANY_ITEMS"
    code = "FAILED_PRECONDITION"


class SlotSellsItemError(DrinkError):
    """The slot sells an item, and so has its name and price; fact `item`, its resource name."""

    reason = "SLOT_SELLS_ITEM"
    code = "FAILED_PRECONDITION"


class InsufficientCreditsError(DrinkError):
    """The account cannot pay; facts `available` and `price` in credits."""

    reason = "INSUFFICIENT_CREDITS"
    code = "FAILED_PRECONDITION"


class SlotEmptyError(DrinkError):
    """The slot is empty."""

    reason = "SLOT_EMPTY"
    code = "FAILED_PRECONDITION"


class SlotDisabledError(DrinkError):
    """The slot is out of service."""

    reason = "SLOT_DISABLED"
    code = "FAILED_PRECONDITION"


class PriceAboveCeilingError(DrinkError):
    """The price is above the maximum that the caller gave; fact `price` in credits."""

    reason = "PRICE_ABOVE_CEILING"
    code = "FAILED_PRECONDITION"


class DropNotCancellableError(DrinkError):
    """The drop can no longer be cancelled."""

    reason = "DROP_NOT_CANCELLABLE"
    code = "FAILED_PRECONDITION"


class DropNotUnknownError(DrinkError):
    """Only a drop in the state UNKNOWN can be resolved by an operator."""

    reason = "DROP_NOT_UNKNOWN"
    code = "FAILED_PRECONDITION"


class DropUnderWayError(DrinkError):
    """The drop has no outcome yet about which somebody could report."""

    reason = "DROP_UNDER_WAY"
    code = "FAILED_PRECONDITION"


class DropReportedError(DrinkError):
    """The drop has as many reports as are kept; fact `reports`."""

    reason = "DROP_REPORTED"
    code = "FAILED_PRECONDITION"


class BalanceChangedError(DrinkError):
    """The account owns another number of credits than was expected; fact `posted` in credits."""

    reason = "BALANCE_CHANGED"
    code = "FAILED_PRECONDITION"


class DropNotPaidError(DrinkError):
    """Only a drop that was paid can be refunded."""

    reason = "DROP_NOT_PAID"
    code = "FAILED_PRECONDITION"


class DropRefundedError(DrinkError):
    """The drop was refunded before; fact `refunded` in credits."""

    reason = "DROP_REFUNDED"
    code = "FAILED_PRECONDITION"


class RefundTooLateError(DrinkError):
    """The time in which a buyer may refund the drop has passed."""

    reason = "REFUND_TOO_LATE"
    code = "FAILED_PRECONDITION"


class AccountClosedError(DrinkError):
    """The account is closed."""

    reason = "ACCOUNT_CLOSED"
    code = "FAILED_PRECONDITION"


class AlreadyExistsError(DrinkError):
    """The account, machine, slot, item or barcode exists."""

    reason = "ALREADY_EXISTS"
    code = "ALREADY_EXISTS"


class LastAdministratorError(DrinkError):
    """The last open account of an administrator cannot be closed or demoted."""

    reason = "LAST_ADMINISTRATOR"
    code = "FAILED_PRECONDITION"


class CursorExpiredError(DrinkError):
    """Events after the cursor are no longer kept."""

    reason = "CURSOR_EXPIRED"
    code = "FAILED_PRECONDITION"


class CursorForeignError(DrinkError):
    """The cursor is of another database, or from before a backup was restored."""

    reason = "CURSOR_FOREIGN"
    code = "FAILED_PRECONDITION"


class WatchTooSlowError(DrinkError):
    """The watcher reads more slowly than events happen."""

    reason = "WATCH_TOO_SLOW"
    code = "RESOURCE_EXHAUSTED"
    retry_after_s = 1


class StockInvalidError(DrinkError):
    """A stock count would fall below zero or rise above its limit."""

    reason = "STOCK_INVALID"
    code = "FAILED_PRECONDITION"


class SlotChangedError(DrinkError):
    """The slot's item or stock is another than was expected; fact `on_hand` in items."""

    reason = "SLOT_CHANGED"
    code = "FAILED_PRECONDITION"


class SlotInUseError(DrinkError):
    """The slot has items, or drops without an outcome; facts `on_hand`, `reserved`, `unknown`."""

    reason = "SLOT_IN_USE"
    code = "FAILED_PRECONDITION"


class MachineOfflineError(DrinkError):
    """The machine's agent is not connected; nothing was commanded."""

    reason = "MACHINE_OFFLINE"
    code = "UNAVAILABLE"
    # An agent connects again after its longest back-off of 30 s, mostly within a few seconds.
    retry_after_s = 5


class BoardUnreachableError(DrinkError):
    """The machine's board does not answer; nothing was commanded."""

    reason = "BOARD_UNREACHABLE"
    code = "UNAVAILABLE"
    retry_after_s = 5


class MachineDisabledError(DrinkError):
    """The machine is out of service."""

    reason = "MACHINE_DISABLED"
    code = "FAILED_PRECONDITION"


class MachineBusyError(DrinkError):
    """Too many drops wait for this machine."""

    reason = "MACHINE_BUSY"
    code = "RESOURCE_EXHAUSTED"
    # In this time two drops of 3.5 s each leave the queue.
    retry_after_s = 7


class TooManyWaitingError(DrinkError):
    """Too many drops of the account wait for this machine; fact `waiting_max`."""

    reason = "TOO_MANY_WAITING"
    code = "RESOURCE_EXHAUSTED"
    # As for a full queue; those before them may be the account's own.
    retry_after_s = 7


class ShuttingDownError(DrinkError):
    """The frontend is shutting down."""

    reason = "SHUTTING_DOWN"
    code = "UNAVAILABLE"
    retry_after_s = 1


class StorageUnavailableError(DrinkError):
    """The change was not committed, or it is not known whether it was.

    A repetition with the same request_id finds out.
    """

    reason = "STORAGE_UNAVAILABLE"
    code = "UNAVAILABLE"
    retry_after_s = 1


class OutcomeUnknownError(StorageUnavailableError):
    """The connection was lost at the commit, and it is not known whether the change was made."""


class LinkSupersededError(DrinkError):
    """A newer link of the same machine has taken over."""

    reason = "LINK_SUPERSEDED"
    code = "ABORTED"


class AgentTooOldError(DrinkError):
    """The agent speaks a link protocol that is too old."""

    reason = "AGENT_TOO_OLD"
    code = "FAILED_PRECONDITION"


class LinkProtocolError(DrinkError):
    """The agent broke the link protocol."""

    reason = "LINK_PROTOCOL"
    code = "INVALID_ARGUMENT"
