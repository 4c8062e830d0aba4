from collections import defaultdict
from pathlib import Path

import pytest

from drink_frontend.sessions.commands import Verb
from drink_frontend.sessions.dialects import (
    CLASSIC,
    DIALECTS,
    DRINKD,
    DRINKD_ITEM_BYTES_MAX,
    DRINKJS,
    Dialect,
    DialectName,
    clean,
)
from drink_frontend.sessions.reply_codes import ReplyCode
from tests.support.entities import make_slot

LONGEST = {
    "credits": 1_000_000,
    "count": 99,
    "degrees": 123.456,
    "drop": "D" * 26,
    "version": "10.10.10",
    "since": "Mon, 23 Nov 2026 03:50:40 GMT",
    "json": "{}",
}
"""The longest value of what replies name; what is not here may be as long as the longest text."""

LONGEST_TEXT = "x" * 80

every_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda d: d.name)


def test_every_name_has_its_dialect() -> None:
    assert {name: dialect.name for name, dialect in DIALECTS.items()} == {
        name: name for name in DialectName
    }


@every_dialect
def test_every_phrase_has_a_text_of_at_most_100_bytes(dialect: Dialect) -> None:
    assert set(dialect.texts) == set(ReplyCode)
    for said in [*dialect.texts.values(), *dialect.wrong_arity.values()]:
        line = said.format_map(defaultdict(lambda: LONGEST_TEXT, LONGEST)) + dialect.eol
        assert len(line.encode()) <= 100, "the Qt client reads no more"
        assert line.removesuffix(dialect.eol).isprintable()


@every_dialect
def test_refusals_are_refusals(dialect: Dialect) -> None:
    successes = set(list(ReplyCode)[: list(ReplyCode).index(ReplyCode.GOODBYE) + 1])
    for phrase, said in dialect.texts.items():
        assert said.startswith(("ERR ", "WARN ")) == (phrase not in successes), phrase
    assert all(said.startswith("ERR ") for said in dialect.wrong_arity.values())


@pytest.mark.parametrize("dialect", [CLASSIC, DRINKJS], ids=lambda d: d.name)
def test_refusals_carry_a_number(dialect: Dialect) -> None:
    for said in dialect.texts.values():
        if said.startswith("ERR"):
            assert said.split()[1].rstrip(":").isdigit()


def test_drinkd_has_no_numbers() -> None:
    for said in DRINKD.texts.values():
        if said.startswith("ERR"):
            assert not any(character.isdigit() for character in said)


def test_drinkjs_says_ok_with_a_colon() -> None:
    for phrase, said in DRINKJS.texts.items():
        if said.startswith("OK") and phrase is not ReplyCode.SLOTS_LISTED:
            assert said.startswith("OK:"), phrase


@pytest.mark.parametrize(
    ("dialect", "phrase", "said"),
    [
        (CLASSIC, ReplyCode.DROPPED, "OK Credits remaining: {credits}"),
        (CLASSIC, ReplyCode.NO_MACHINE, "ERR 413 No machine selected."),
        (CLASSIC, ReplyCode.IDLE, "ERR 450 Timeout, disconnecting."),
        (CLASSIC, ReplyCode.SESSIONS_FULL, "ERR 205 Maximum user count reached."),
        (CLASSIC, ReplyCode.OUTCOME_UNKNOWN, "ERR 103 Unknown Failure. Credits held, drop {drop}"),
        (DRINKJS, ReplyCode.DROPPED, "OK:  Dropping drink"),
        (DRINKJS, ReplyCode.UNKNOWN_RECIPIENT, "ERR 208 Transfer error - user doesnt exist"),
        (
            DRINKJS,
            ReplyCode.DROP_IN_PROGRESS,
            "WARN 152 Drop in progress, please wait before dropping again",
        ),
        (DRINKD, ReplyCode.POOR, "ERR Insuficient Credits."),
        (DRINKD, ReplyCode.SLOT_EMPTY, "ERR Slot appears to be empty"),
        (DRINKD, ReplyCode.UNKNOWN_USER, "ERR Invalid user."),
    ],
)
def test_texts(dialect: Dialect, phrase: ReplyCode, said: str) -> None:
    assert dialect.texts[phrase] == said


@pytest.mark.parametrize(
    ("dialect", "verb", "said"),
    [
        (CLASSIC, Verb.MACHINE, "ERR 452 Invalid command."),
        (DRINKJS, Verb.PASS, "ERR 206 Invalid number of args USAGE: PASS <username>"),
        (DRINKJS, Verb.DROP, "ERR 409 Invalid slot."),
        (DRINKD, Verb.USER, "ERR Username required."),
        (DRINKD, Verb.DROP, "ERR You must specify slot"),
    ],
)
def test_texts_for_wrong_arity(dialect: Dialect, verb: Verb, said: str) -> None:
    assert dialect.wrong_arity[verb] == said


def test_slot_lines() -> None:
    slot = make_slot("d", 2, "Mountain Dew", 50, 15, dispensed=199, enabled=False)
    assert CLASSIC.slot_line(2, slot) == '2 "Mountain Dew" 50 15 199 false'
    assert DRINKJS.slot_line(2, slot) == '2 "Mountain Dew" 50 15 0'
    assert DRINKD.slot_line(1, slot) == "1 Mountain_Dew 50 15 199"


@pytest.mark.parametrize("item", ["", " ", '"', 'Bob\'s "Best"', "a\nb", "x" * 64, "é" * 64])
@every_dialect
def test_no_item_breaks_a_slot_line(dialect: Dialect, item: str) -> None:
    line = dialect.slot_line(99, make_slot("d", 99, item, 1_000_000, 10_000, dispensed=10**9))
    assert line.isprintable()
    if dialect is DRINKD:
        assert len(line.split(" ")) == 5
        assert len(line.split(" ")[1].encode()) <= DRINKD_ITEM_BYTES_MAX
        assert len(line.encode()) < 100, "the client's line buffer"
    else:
        assert line.count('"') == 2


def test_clean_cuts_between_characters() -> None:
    assert clean("éé", 3) == "é"
    assert clean("a\r\nb\0", 10) == "a??b?"


def test_the_documentation_names_every_command_and_every_classic_text() -> None:
    page = (Path(__file__).parents[3] / "docs" / "sunday-protocol.md").read_text()
    for verb in Verb:
        assert f"| `{verb}" in page, verb
    for said in CLASSIC.texts.values():
        if said.startswith(("ERR", "WARN")):
            assert said.replace("{drop}", "<id>") in page, said
