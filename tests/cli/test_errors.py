import pytest

from drink.v1 import error_reason_pb2
from drink_cli.errors import REASONS, CallError, Exit


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        ("UNAUTHENTICATED", "TOKEN_INVALID", Exit.LOGIN),
        ("FAILED_PRECONDITION", "SLOT_EMPTY", Exit.REFUSED),
        ("UNAVAILABLE", "MACHINE_OFFLINE", Exit.REFUSED),
        ("UNAVAILABLE", "PROVIDER_UNAVAILABLE", Exit.BUSY),
        ("UNAVAILABLE", "STORAGE_UNAVAILABLE", Exit.UNREACHABLE),
        ("RESOURCE_EXHAUSTED", "MACHINE_BUSY", Exit.BUSY),
        ("DATA_LOSS", "", Exit.FAULT),
    ],
)
def test_each_refusal_has_an_exit_code(status: str, reason: str, code: Exit) -> None:
    assert CallError(status, reason, "no", {}).code is code


def test_a_call_without_an_answer_may_have_been_carried_out() -> None:
    assert CallError("UNAVAILABLE", "", "no", {}).is_lost
    assert CallError("DEADLINE_EXCEEDED", "", "no", {}).is_lost
    assert CallError("UNAVAILABLE", "STORAGE_UNAVAILABLE", "no", {}).is_lost


def test_a_call_that_was_refused_was_not_carried_out() -> None:
    assert not CallError("UNAVAILABLE", "SHUTTING_DOWN", "no", {}).is_lost
    assert not CallError("UNAVAILABLE", "MACHINE_OFFLINE", "no", {}).is_lost
    assert not CallError("NOT_FOUND", "SLOT_NOT_FOUND", "no", {}).is_lost


def test_every_reason_with_a_code_of_its_own_is_one_of_the_api() -> None:
    for reason in REASONS:
        error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{reason}")
