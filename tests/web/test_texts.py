import re
from pathlib import Path

import pytest

import drink_web
from drink_web import texts
from drink_web.texts import ENUMS, LANGUAGES, TEXTS, preferred

SOURCES = Path(drink_web.__file__).parent

NUMBERS = {"n", "price", "available", "posted", "held", "days", "sold", "put"}
"""Facts in texts that are numbers."""

READ_RIGHT = {
    "left",
    "short",
    "slot",
    "in_seconds",
    "in_minutes",
    "expected",
    "statistics_longest",
    "statistics_highest",
    "statistics_held",
    "statistics_refunded",
    "stock_summary",
    "stock_none",
    "stock_more",
    "statistics_cut",
    "INSUFFICIENT_CREDITS",
    "PRICE_ABOVE_CEILING",
    "to_decide",
    "it_fell",
    "it_did_not",
    "event_credits",
    "notify_more",
    "notify_digest",
    "refund_credits",
    "SLOT_IN_USE",
    "kiosk_quiet",
}
"""Texts with numbers that read right with each number that they are given."""


def test_every_text_has_every_language_and_the_same_facts() -> None:
    for section in texts._ALL.values():
        for key, words in section.items():
            assert set(words) == set(LANGUAGES), key
            facts = [set(re.findall(r"{(\w+)}", text)) for text in words.values()]
            assert all(each == facts[0] for each in facts), key


def test_every_value_of_the_api_has_words() -> None:
    for section, enum in ENUMS.items():
        names = {name for name in enum.keys() if not name.endswith("_UNSPECIFIED")}  # noqa: SIM118
        assert set(texts._ALL[section]) == names


def test_a_value_of_a_newer_server_is_shown() -> None:
    assert TEXTS["en"].word("state", 99) == "state 99"


def test_every_text_that_counts_reads_right_for_one() -> None:
    counting = set()
    for key, words in texts._ALL["text"].items():
        facts = set(re.findall(r"{(\w+)}", words["en"]))
        if facts & NUMBERS and key.removesuffix("_one") not in READ_RIGHT:
            counting.add(key)
    assert {key for key in counting if not TEXTS["en"].has(f"{key}_one")} == set()


def test_what_has_a_text_for_one_is_asked_for_by_its_number() -> None:
    counted = {key for key in texts._ALL["text"] if TEXTS["en"].has(f"{key}_one")}
    assert "credits" in counted
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in (*SOURCES.rglob("*.html"), *SOURCES.rglob("*.py"))
    )
    asked = set(re.findall(r"""\bcounted\(\s*["'](\w+)["']""", source))
    assert asked == counted
    # The countdown has both, for the script that counts on.
    plain = set(re.findall(r"""\b(?:t|texts)\(\s*["'](\w+)["'],?[^~]""", source))
    assert plain & {*counted, *(f"{key}_one" for key in counted)} == {"seconds", "seconds_one"}


def test_every_text_that_a_template_asks_for_is_there() -> None:
    asked = set()
    for path in (*SOURCES.rglob("*.html"), *SOURCES.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        asked |= set(re.findall(r"""\b(?:t|texts)\(\s*["'](\w+)["'],?[^~]""", source))
    assert len(asked) > 50
    assert not {key for key in asked if not TEXTS["en"].has(key) and not key.endswith("_")}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("en;q=0.5,de;q=0.7", "de"),
        ("fr,en;q=0.5", "en"),
        ("fr", "en"),
        ("de;q=0,en", "en"),
        ("de;q=x", "en"),
        ("de," * 1_000_000, "de"),
    ],
)
def test_the_browser_is_heard(header: str, expected: str) -> None:
    assert preferred(header) == expected


def test_numbers_are_written_as_the_language_does() -> None:
    assert TEXTS["de"].degrees(4.25) == "4,2 °C"
    assert TEXTS["en"].degrees(4.25) == "4.2 °C"
    assert TEXTS["en"].credits(1) == "1 credit"
    assert TEXTS["de"].credits(2) == "2 Credits"
    assert TEXTS["de"].counted("unknown_held", 1) == "1 Credit ist festgehalten, nicht bezahlt."
    assert TEXTS["en"].counted("problem_take", "1") == "Only 1 credit can be taken back."
    assert TEXTS["en"].counted("problem_take", "?") == "Only ? credits can be taken back."
