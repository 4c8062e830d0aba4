import pytest

from drink_frontend.domain import errors, sign_in_errors
from drink_frontend.domain.drop import Cause
from drink_frontend.domain.errors import (
    AccountNotFoundError,
    CredentialsInvalidError,
    DrinkError,
    FieldInvalidError,
    MachineNotFoundError,
    OutcomeUnknownError,
    RequestIdReusedError,
    StorageUnavailableError,
)
from drink_frontend.sessions.commands import Verb
from drink_frontend.sessions.reply_codes import ERRORS, FAILED_DROPS, Refused, ReplyCode

FAULTS = {
    # Sessions make each request_id once, give no price ceiling, and use no tokens.
    "RequestIdReusedError",
    "PriceAboveCeilingError",
    "TokenInvalidError",
    "TokenNotFoundError",
    "TokenScopeError",
    # No command cancels, resolves, reports or refunds.
    "DropNotFoundError",
    "DropNotCancellableError",
    "DropNotPaidError",
    "DropNotUnknownError",
    "DropRefundedError",
    "DropReportedError",
    "DropUnderWayError",
    "RefundTooLateError",
    # No command names the balance or the stock that it expects, or an alarm, or deletes a slot.
    "BalanceChangedError",
    "SlotChangedError",
    "SlotInUseError",
    "AlarmClosedError",
    "AlarmNotFoundError",
    "AlarmStandsError",
    # No command erases, renames or changes an account by its id.
    "AccountErasedError",
    "AccountNotSettledError",
    "AccountOpenError",
    # No command adds, lists or removes cards, and IBUTTON takes long numbers only.
    "CardCodeInvalidError",
    "CardKeyUnavailableError",
    "CardNotFoundError",
    "KioskRequiredError",
    "TooManyCardsError",
    # No command pairs kiosks.
    "KioskNotFoundError",
    "TooManyKiosksError",
    # No command names an item, and EDITSLOT removes the link of a slot to one.
    "ItemNotFoundError",
    "ItemSoldError",
    "PictureChangedError",
    "PictureNotFoundError",
    "SlotSellsItemError",
    "TooManyItemsError",
    # No command links identities.
    "IdentityNotFoundError",
    "TooManyIdentitiesError",
    # No command watches events.
    "CursorExpiredError",
    "CursorForeignError",
    "WatchTooSlowError",
    # Between agents and links.
    "CertificateInvalidError",
    "LinkSupersededError",
    "AgentTooOldError",
    "LinkProtocolError",
}


def test_every_error_has_a_code_or_is_a_fault() -> None:
    known = {
        name
        for module in (errors, sign_in_errors)
        for name, kind in vars(module).items()
        if isinstance(kind, type) and DrinkError in kind.__bases__
    }
    named = {kind.__name__ for kind in ERRORS} | {"FieldInvalidError", "StorageUnavailableError"}
    assert named | FAULTS == known
    assert not named & FAULTS


def test_codes_with_the_same_text_are_different_codes() -> None:
    assert len(ReplyCode) == len(ReplyCode.__members__)
    assert len({code.text for code in ReplyCode}) < len(ReplyCode)


def test_a_refusal_carries_its_code() -> None:
    assert Refused(ReplyCode.POOR).code is ReplyCode.POOR


def test_a_doubtful_commit_is_called_what_a_refused_one_is() -> None:
    for verb in Verb:
        doubt, refusal = OutcomeUnknownError("who knows"), StorageUnavailableError("no")
        assert verb.grammar.code_for(doubt) is verb.grammar.code_for(refusal)


@pytest.mark.parametrize(
    ("error", "verb", "code"),
    [
        (AccountNotFoundError("x"), Verb.GETBALANCE, ReplyCode.UNKNOWN_USER),
        (AccountNotFoundError("x"), Verb.SENDCREDITS, ReplyCode.UNKNOWN_RECIPIENT),
        (MachineNotFoundError("x"), Verb.MACHINE, ReplyCode.UNKNOWN_MACHINE),
        (MachineNotFoundError("x"), Verb.STAT, ReplyCode.NO_MACHINE),
        (CredentialsInvalidError("x"), Verb.PASS, ReplyCode.WRONG_PASSWORD),
        (CredentialsInvalidError("x"), Verb.IBUTTON, ReplyCode.WRONG_IBUTTON),
        (StorageUnavailableError("x"), Verb.DROP, ReplyCode.FAULT),
        (StorageUnavailableError("x"), Verb.PASS, ReplyCode.NOT_READY),
        (StorageUnavailableError("x"), Verb.ADDUSER, ReplyCode.USER_NOT_CREATED),
        (FieldInvalidError("recipient", "x"), Verb.SENDCREDITS, ReplyCode.UNKNOWN_RECIPIENT),
        (FieldInvalidError("password", "x"), Verb.CHPASS, ReplyCode.BAD_PASSWORD),
        (FieldInvalidError("item", "x"), Verb.EDITSLOT, ReplyCode.BAD_PARAMETERS),
        (RequestIdReusedError("x"), Verb.DROP, None),
    ],
)
def test_codes(error: DrinkError, verb: Verb, code: ReplyCode | None) -> None:
    assert verb.grammar.code_for(error) is code


def test_a_change_that_may_have_been_made_is_never_called_not_ready() -> None:
    changing = {
        Verb.DROP, Verb.RAND, Verb.ADDCREDITS, Verb.EDITUSER, Verb.EDITSLOT, Verb.CHPASS,
        Verb.LOG, Verb.SENDCREDITS, Verb.ADDUSER, Verb.RMUSER, Verb.SETADMIN,
    }  # fmt: skip
    for verb in changing:
        assert verb.grammar.code_for(StorageUnavailableError("x")) is not ReplyCode.NOT_READY


def test_only_what_was_never_commanded_is_called_unreachable() -> None:
    assert {cause for cause, code in FAILED_DROPS.items() if code is ReplyCode.UNREACHABLE} == {
        Cause.BOARD_UNREACHABLE,
        Cause.EXPIRED,
        Cause.MACHINE_OFFLINE,
        Cause.NOT_RECEIVED,
    }
