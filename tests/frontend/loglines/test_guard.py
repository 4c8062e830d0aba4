"""What may be logged."""

import logging
import sys

import pytest

from drink_frontend.loglines import guard
from drink_frontend.loglines.guard import ALWAYS, HIDDEN, Guard, Repeats

SECRET = "s3cr3t-t0k3n"


@pytest.mark.parametrize(
    "text",
    [
        f"authorization: Bearer {SECRET}",
        f"Authorization: bearer   {SECRET}",
        f"Bearer\u00a0{SECRET}",
        repr(f"Bearer {SECRET}".encode("latin-1") + b"\xa0"),
        repr(f"Bearer\u00a0{SECRET}".encode()),
        f"('authorization', '{SECRET}')",
        f"{{'password': '{SECRET}'}}",
        f'{{"password": "{SECRET}"}}',
        f"password={SECRET}",
        f"token = b'{SECRET}'",
        f"Authorization: Basic {SECRET}",
        f"postgresql://drink:{SECRET}@db/drink",
        f"https://{SECRET}@example.org",
    ],
)
def test_a_secret_is_hidden(text: str) -> None:
    cleaned = guard.foreign(text)
    assert SECRET not in cleaned
    assert HIDDEN in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "password authentication failed for user drink",
        "the token of this machine has been revoked",
        "http://example.org/a?b=c",
        "",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert guard.foreign(text) == text


def test_what_a_terminal_would_act_on_is_escaped() -> None:
    assert guard.foreign("a\x1b[2Jb\nc\u202ed\udcff\u00e4") == "a\\x1b[2Jb\\nc\\u202ed\\udcff\u00e4"


def test_a_long_text_loses_its_middle() -> None:
    cleaned = guard.foreign("a" * 100_000 + "b" * 100_000)
    assert len(cleaned) < guard.TEXT_MAX + 100
    assert cleaned.startswith("aaa")
    assert cleaned.endswith("bbb")
    assert "characters left out" in cleaned


def test_a_traceback_without_the_words_of_its_exception() -> None:
    try:
        int(SECRET)
    except ValueError:
        text = guard.frames_of(sys.exc_info())
    assert SECRET not in text
    assert text.endswith("ValueError")
    assert "test_guard.py" in text


def test_an_event_passes_so_often_in_any_minute() -> None:
    now = 0.0
    repeats = Repeats(3, lambda: now)
    assert [repeats.passes("a") for _ in range(5)] == [0, 0, 0, None, None]
    assert repeats.passes("b") == 0
    now = 59.9
    assert repeats.passes("a") is None
    now = 60.0
    assert [repeats.passes("a") for _ in range(4)] == [3, 0, 0, None]


def test_lines_late_in_a_minute_count_for_the_next_one_too() -> None:
    now = 0.0
    repeats = Repeats(3, lambda: now)
    assert repeats.passes("a") == 0
    now = 59.0
    assert [repeats.passes("a") for _ in range(3)] == [0, 0, None]
    now = 61.0
    assert [repeats.passes("a") for _ in range(2)] == [1, None]
    now = 119.0
    assert [repeats.passes("a") for _ in range(3)] == [1, 0, None]


def test_many_events_together_write_hardly_more_than_one() -> None:
    now = 0.0
    repeats = Repeats(40, lambda: now)
    times: list[float] = []
    for tick in range(3_000):
        now = tick * 0.1
        times += [now for event in range(8) for _ in range(2) if repeats.passes(event) is not None]
    assert max(sum(start <= at < start + 60 for at in times) for start in times) <= 40 + 8 * ALWAYS


def test_no_event_is_hidden_by_the_others() -> None:
    repeats = Repeats(40, lambda: 0.0)
    for number in range(1_000):
        repeats.passes(number % 10)
    assert [repeats.passes("rare") for _ in range(ALWAYS + 1)] == [0] * ALWAYS + [None]


def test_so_many_events_are_told_apart_and_no_more() -> None:
    repeats = Repeats(1, lambda: 0.0)
    for number in range(3 * guard.KEYS_MAX):
        assert repeats.passes(number) == 0
    assert len(repeats._counts) <= guard.KEYS_MAX


def test_what_happens_to_drops_is_always_logged() -> None:
    own = Guard(2, lambda: 0.0)
    facts = [{"drop_id": f"D{number}"} for number in range(100)]
    assert all(own.own("drop_result", logging.INFO, each) for each in facts)
    assert all(own.own("database_broken", logging.CRITICAL, {}) for _ in range(100))
    assert all(own.own("rpc_started", logging.DEBUG, {}) for _ in range(100))


def test_every_machine_has_its_own_limit_and_the_rest_is_counted() -> None:
    now = 0.0
    own = Guard(2, lambda: now)
    assert sum(own.own("link_lost", logging.WARNING, {"machine": "d"}) for _ in range(9)) == 2
    assert sum(own.own("link_lost", logging.WARNING, {"machine": "s"}) for _ in range(9)) == 2
    now = 61.0
    facts: dict[str, object] = {"machine": "d", "unlogged": 5}
    assert own.own("link_lost", logging.WARNING, facts)
    assert facts["unlogged"] == 12


def test_the_service_s_own_facts_are_cleaned() -> None:
    own = Guard(9, lambda: 0.0)
    facts: dict[str, object] = {"password": SECRET, "detail": f"token={SECRET} \n", "port": 1}
    assert own.own("odd", logging.WARNING, facts)
    assert facts == {"password": HIDDEN, "detail": f"token={HIDDEN} \\n", "port": 1}


def test_all_messages_of_a_library_count_as_one_event() -> None:
    now = 0.0
    own = Guard(2, lambda: now)
    assert [own.library("grpc", {}) for _ in range(3)] == [True, True, False]
    now = 61.0
    facts: dict[str, object] = {}
    assert own.library("grpc", facts)
    assert facts == {"unlogged": 1}
