import pytest

from drink_frontend.domain import errors
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
from drink_frontend.sessions.phrases import Phrase
from drink_frontend.sessions.refusals import BY_CAUSE, BY_ERROR, BY_VERB, phrase_for

FAULTS = {
    # Sessions make each request_id once, give no price ceiling, and use no tokens.
    "RequestIdReusedError",
    "PriceAboveCeilingError",
    "TokenInvalidError",
    # No command cancels or resolves.
    "DropNotFoundError",
    "DropNotCancellableError",
    "DropNotUnknownError",
    # Between agents and links.
    "CertificateInvalidError",
    "LinkSupersededError",
    "AgentTooOldError",
    "LinkProtocolError",
}


def test_every_error_has_a_phrase_or_is_a_fault() -> None:
    known = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and DrinkError in kind.__bases__
    }
    named = {kind.__name__ for kind in BY_ERROR} | {"FieldInvalidError"}
    assert named | FAULTS == known
    assert not named & FAULTS


def test_a_doubtful_commit_is_called_what_a_refused_one_is() -> None:
    for verb in Verb:
        doubt, refusal = OutcomeUnknownError("who knows"), StorageUnavailableError("no")
        assert phrase_for(doubt, verb) is phrase_for(refusal, verb)


@pytest.mark.parametrize(
    ("error", "verb", "phrase"),
    [
        (AccountNotFoundError("x"), Verb.GETBALANCE, Phrase.UNKNOWN_USER),
        (AccountNotFoundError("x"), Verb.SENDCREDITS, Phrase.UNKNOWN_RECIPIENT),
        (MachineNotFoundError("x"), Verb.MACHINE, Phrase.UNKNOWN_MACHINE),
        (MachineNotFoundError("x"), Verb.STAT, Phrase.NO_MACHINE),
        (CredentialsInvalidError("x"), Verb.PASS, Phrase.WRONG_PASSWORD),
        (CredentialsInvalidError("x"), Verb.IBUTTON, Phrase.WRONG_IBUTTON),
        (StorageUnavailableError("x"), Verb.DROP, Phrase.FAULT),
        (StorageUnavailableError("x"), Verb.PASS, Phrase.NOT_READY),
        (StorageUnavailableError("x"), Verb.ADDUSER, Phrase.USER_NOT_CREATED),
        (FieldInvalidError("recipient", "x"), Verb.SENDCREDITS, Phrase.UNKNOWN_RECIPIENT),
        (FieldInvalidError("password", "x"), Verb.CHPASS, Phrase.BAD_PASSWORD),
        (FieldInvalidError("item", "x"), Verb.EDITSLOT, Phrase.BAD_PARAMETERS),
        (RequestIdReusedError("x"), Verb.DROP, None),
    ],
)
def test_phrases(error: DrinkError, verb: Verb, phrase: Phrase | None) -> None:
    assert phrase_for(error, verb) is phrase


def test_a_change_that_may_have_been_made_is_never_called_not_ready() -> None:
    changing = {
        Verb.DROP, Verb.RAND, Verb.ADDCREDITS, Verb.EDITUSER, Verb.EDITSLOT, Verb.CHPASS,
        Verb.LOG, Verb.SENDCREDITS, Verb.ADDUSER, Verb.RMUSER, Verb.SETADMIN,
    }  # fmt: skip
    for verb in changing:
        assert phrase_for(StorageUnavailableError("x"), verb) is not Phrase.NOT_READY
    assert changing <= set(BY_VERB)


def test_only_what_was_never_commanded_is_called_unreachable() -> None:
    assert {cause for cause, phrase in BY_CAUSE.items() if phrase is Phrase.UNREACHABLE} == {
        Cause.BOARD_UNREACHABLE,
        Cause.EXPIRED,
        Cause.MACHINE_OFFLINE,
        Cause.NOT_RECEIVED,
    }
