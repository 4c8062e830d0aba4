"""Whom a board's password lets in."""

import pytest

from drink_agent.board.login import MAX_LOGIN_BYTES, LoginGate, Verdict, judge
from drink_agent.board.settings import BoardSettings
from drink_agent.board.tini import Login

WITH = BoardSettings(url="listen://:4343", password="password")
WITHOUT = BoardSettings(url="serial:///dev/ttyUSB0")
DIGITS = BoardSettings(url="listen://:4343", password="1234")


@pytest.mark.parametrize(
    ("settings", "password", "verdict"),
    [
        (WITH, b"password", Verdict.ADMITTED),
        (WITH, b"Password", Verdict.REFUSED),
        (WITH, b"passwor", Verdict.REFUSED),
        (WITH, b"password\x00", Verdict.REFUSED),
        (WITH, b"", Verdict.UNDECIDED),
        (WITH, b"`5 1", Verdict.UNDECIDED),
        (WITH, b"password0password", Verdict.ADMITTED),
        (WITH, b"passwo0password", Verdict.ADMITTED),
        (WITH, b"passwopassword", Verdict.REFUSED),
        (WITH, b"passwo0passwor", Verdict.REFUSED),
        (WITH, b"\xff", Verdict.REFUSED),
        (WITHOUT, b"password", Verdict.ADMITTED),
        (WITHOUT, b"`5 1", Verdict.UNDECIDED),
        (DIGITS, b"1234", Verdict.ADMITTED),
        (DIGITS, b"4321", Verdict.UNDECIDED),
    ],
)
def test_logins(settings: BoardSettings, password: bytes, verdict: Verdict) -> None:
    assert judge(settings, Login(password)) is verdict


def test_a_gate_holds_all_bytes_for_the_driver() -> None:
    gate = LoginGate(WITH)
    assert gate.feed(b"72 1\n0pass") is Verdict.UNDECIDED
    assert gate.feed(b"word\n73 1\n") is Verdict.ADMITTED
    assert bytes(gate.held) == b"72 1\n0password\n73 1\n"


def test_a_gate_hears_only_so_much_before_the_login() -> None:
    gate = LoginGate(WITH)
    assert gate.feed(b"9\n" * (MAX_LOGIN_BYTES // 2 - 1)) is Verdict.UNDECIDED
    assert gate.feed(b"9\n") is Verdict.REFUSED


def test_a_wrong_password_is_refused_at_once() -> None:
    assert LoginGate(WITH).feed(b"0wrong\n0password\n") is Verdict.REFUSED
