import pytest

from drink_web.errors import CallError, PageError


@pytest.mark.parametrize(
    ("status", "reason", "away"),
    [
        ("UNAVAILABLE", "", True),
        ("UNAVAILABLE", "SHUTTING_DOWN", True),
        ("DEADLINE_EXCEEDED", "", True),
        ("UNAVAILABLE", "MACHINE_OFFLINE", False),
        ("UNAVAILABLE", "BOARD_UNREACHABLE", False),
        ("UNAVAILABLE", "PROVIDER_UNAVAILABLE", False),
        ("NOT_FOUND", "DROP_NOT_FOUND", False),
    ],
)
def test_an_answer_is_told_from_none(status: str, reason: str, away: bool) -> None:
    assert CallError(status, reason).is_away is away


def test_a_login_that_ended_is_known() -> None:
    assert CallError("UNAUTHENTICATED", "TOKEN_INVALID").is_logged_out
    assert not CallError("UNAUTHENTICATED", "CREDENTIALS_INVALID").is_logged_out


def test_a_page_error_names_its_text() -> None:
    assert PageError(404, "not_found").text == "not_found"
