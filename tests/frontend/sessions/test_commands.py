import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.limits import check_password
from drink_frontend.sessions.commands import (
    ArgumentLimits,
    Command,
    Verb,
    begins_command,
    parse,
    words,
)
from drink_frontend.sessions.reply_codes import Refused, ReplyCode


def parsed(line: str) -> Command:
    command = parse(line)
    assert command is not None
    return command


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1 2", ["1", "2"]),
        ("  1   2 ", ["1", "2"]),
        ('1 "Mountain Dew" 50', ["1", "Mountain Dew", "50"]),
        ('""', [""]),
        ('"a"b', ['"a"b']),
        ('a"b c"', ['a"b', 'c"']),
        ('"open end', ['"open', "end"]),
        ("", []),
    ],
)
def test_words(line: str, expected: list[str]) -> None:
    assert words(line) == expected


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_words_hold_everything_but_blanks_and_quotes(line: str) -> None:
    kept = "".join(words(line)).replace('"', "").replace(" ", "")
    assert kept == line.replace('"', "").replace(" ", "")


@given(st.text())
def test_no_line_breaks_the_parser(line: str) -> None:
    command = parse(line)
    if command is not None and command.arity_fits:
        with contextlib.suppress(Refused):
            command.values()


@pytest.mark.parametrize("line", ["drop 1", "Drop 1", "DROP 1", "  dRoP   1  "])
def test_any_case_and_blanks(line: str) -> None:
    assert parsed(line) == Command(Verb.DROP, ("1",))


def test_arguments_keep_their_case() -> None:
    assert parsed("machine LD").arguments == ("LD",)


@pytest.mark.parametrize(
    "line", ["FOO", "DROPX 1", "\u017ftat", "\uff33TAT", "DROP\u00a01", '"STAT"']
)
def test_what_is_no_command(line: str) -> None:
    assert parse(line) is None


def test_a_dialect_may_ignore_arguments() -> None:
    assert parse("STAT 1 2", ArgumentLimits({Verb.STAT: 0})) == Command(Verb.STAT, ())


def test_log_takes_the_rest_of_the_line() -> None:
    assert parsed('LOG  the "big"  machine ').arguments == ('the "big"  machine',)
    assert parsed("LOG").arguments == ()


@pytest.mark.parametrize(
    ("line", "fits"),
    [
        ("DROP", False),
        ("DROP 1", True),
        ("DROP 1 2", True),
        ("DROP 1 2 3", False),
        ("STAT", True),
        ("USER", False),
        ("QUIT now please", True),
        ("CODE 1 abc d", True),
        ('EDITSLOT 1 "Mountain Dew" 50 43 307 true', True),
        ("EDITSLOT 1 Mountain Dew 50 43 307 true", False),
    ],
)
def test_arity(line: str, fits: bool) -> None:
    assert parsed(line).arity_fits is fits


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("DROP 3 10", (3, 10)),
        ("DROP 007", (7,)),
        ("ADDCREDITS user -5", ("user", -5)),
        ('EDITSLOT 1 "Mountain Dew" 50 43 307 TRUE', (1, "Mountain Dew", 50, 43, 307, True)),
        ("SETADMIN user false", ("user", False)),
        ("SHUTDOWN -r", (True,)),
    ],
)
def test_values(line: str, values: tuple[object, ...]) -> None:
    assert parsed(line).values() == values


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("DROP x", ReplyCode.BAD_SLOT),
        ("DROP -1", ReplyCode.BAD_SLOT),
        ("DROP 1.5", ReplyCode.BAD_SLOT),
        ("DROP 1e3", ReplyCode.BAD_SLOT),
        ("DROP +1", ReplyCode.BAD_SLOT),
        ("DROP 1_0", ReplyCode.BAD_SLOT),
        ("DROP ٣", ReplyCode.BAD_SLOT),
        ("DROP 99999999999999999999", ReplyCode.BAD_SLOT),
        ("DROP 1;DELETE", ReplyCode.BAD_SLOT),
        ("DROP 1 x", ReplyCode.BAD_DELAY),
        ("DROP 1 -1", ReplyCode.BAD_DELAY),
        ("DROP 1 301", ReplyCode.BAD_DELAY),
        ("DROP x x", ReplyCode.BAD_SLOT),
        ("RAND 1.5", ReplyCode.BAD_DELAY),
        ("SENDCREDITS 0 user", ReplyCode.BAD_AMOUNT),
        ("SENDCREDITS -5 user", ReplyCode.BAD_AMOUNT),
        ("SENDCREDITS 1000001 user", ReplyCode.BAD_AMOUNT),
        ("ADDCREDITS user x", ReplyCode.BAD_CREDITS),
        ("EDITUSER user -1", ReplyCode.BAD_CREDITS),
        ("EDITUSER user 1 maybe", ReplyCode.BAD_ADMIN_FLAG),
        ("EDITSLOT x Coke 1 1 1 true", ReplyCode.BAD_SLOT),
        ("EDITSLOT 1 Coke -5 1 1 true", ReplyCode.BAD_COST),
        ("EDITSLOT 1 Coke 5 -1 1 true", ReplyCode.BAD_QUANTITY),
        ("EDITSLOT 1 Coke 5 1 x true", ReplyCode.BAD_DROPPED_COUNT),
        ("EDITSLOT 1 Coke 5 1 1 yes", ReplyCode.BAD_ENABLED_FLAG),
        ("SHUTDOWN now", ReplyCode.BAD_REBOOT_FLAG),
    ],
)
def test_the_first_bad_value_is_named(line: str, code: ReplyCode) -> None:
    with pytest.raises(Refused) as refused:
        parsed(line).values()
    assert refused.value.code is code


@pytest.mark.parametrize(
    ("line", "redacted"),
    [
        ("PASS s3cret", "PASS ****"),
        ("auth user s3cret", "AUTH ****"),
        ("ibutton 1234567890ABCDEF", "IBUTTON ****"),
        ("ADDUSER user s3cret", "ADDUSER ****"),
        ("CHPASS user s3cret", "CHPASS ****"),
        ("PASS s3cret and more", "PASS ****"),
        ("PASS", "PASS"),
        ("DROP 1 5", "DROP 1 5"),
    ],
)
def test_secrets_are_redacted(line: str, redacted: str) -> None:
    assert parsed(line).redacted == redacted


@pytest.mark.parametrize(
    ("line", "more"),
    [
        ("USER bob", "PASS x"),
        ("USER bob", "pass x\n"),
        ("user bob", "Pass"),
        ("STAT", "TEMP"),
        ("STAT", "MACHINES"),
        ("MACHINE ld", "DROP 1\n"),
        ("DROP 3", "stat"),
        ("DROP 3 5 ", "stat"),
        ("QUIT ", "STAT"),
        ("ADDUSER bob", "STAT"),
        ("SENDCREDITS 5 bob", "WHOAMI"),
    ],
)
def test_a_complete_command_ends_where_another_begins(line: str, more: str) -> None:
    assert begins_command(line.encode(), more.encode())


@pytest.mark.parametrize(
    ("line", "more"),
    [
        # What follows is no command.
        ("USER bob", "by"),
        ("DROP 1", "0"),
        ("DROP 1", " STAT"),
        ("MACHINE d", "STATION"),
        ("STAT", "PA"),
        ("STAT", ""),
        ("STAT", "\u017ftat"),
        # What came before is not complete.
        ("", "STAT"),
        ("USER", "PASS x"),
        ("USER ", "PASS"),
        ("MACHINE ", "STAT"),
        ("EDITSLOT 1 ", "DROP 50 1 1 true"),
        ("HELLO", "STAT"),
        ("\xe9", "STAT"),
        # An argument is still to come.
        ("DROP 3 ", "STAT"),
        ("GETBALANCE ", "quit"),
        ("LOG nobody should ", "DROP anything"),
        # A password may begin so.
        ("PASS x", "STAT"),
        ("pass drop", "STAT"),
        ("PASS ", "STAT"),
        ("AUTH bob x", "STAT"),
        ("CHPASS bob x", "STAT"),
        ("ADDUSER bob x", "STAT"),
        ("ADDUSER bob ", "STAT"),
    ],
)
def test_any_other_line_goes_on(line: str, more: str) -> None:
    assert not begins_command(line.encode("latin-1"), more.encode())


def test_arguments_that_the_dialect_ignores_are_not_waited_for() -> None:
    assert begins_command(b"STAT ", b"TEMP", ArgumentLimits({Verb.STAT: 0}))


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("drop 3", ("3",)),
        ("drop 3 now", ("3",)),
        ("drop 3 now 10", ("3",)),
        ("drop 3 10 please", ("3", "10")),
        ("drop 3 10 20 30", ("3", "10")),
        ("drop 3 -5", ("3", "-5")),
        ("drop three", ("three",)),
        ("drop", ()),
    ],
)
def test_where_only_numbers_count_other_words_are_ignored(
    line: str, arguments: tuple[str, ...]
) -> None:
    limits = ArgumentLimits({Verb.DROP: 2}, frozenset({Verb.DROP}))
    assert parse(line, limits) == Command(Verb.DROP, arguments)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
@example('""')
@example('"a"')
def test_every_password_that_is_taken_can_be_typed(password: str) -> None:
    with contextlib.suppress(FieldInvalidError):
        check_password(password)
        for line in (f"PASS {password}", f"AUTH user {password}", f"CHPASS user {password}"):
            command = parse(line)
            assert command is not None
            assert command.arguments[-1] == password
