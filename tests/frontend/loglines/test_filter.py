"""What may be logged."""

import logging
import sys

import pytest

from drink_frontend.loglines import filter as log_filter
from drink_frontend.loglines.filter import ALWAYS, REDACTED, LogFilter, LogRateLimiter

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
    cleaned = log_filter.sanitize(text)
    assert SECRET not in cleaned
    assert REDACTED in cleaned


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
    assert log_filter.sanitize(text) == text


def test_what_a_terminal_would_act_on_is_escaped() -> None:
    assert (
        log_filter.sanitize("a\x1b[2Jb\nc\u202ed\udcff\u00e4")
        == "a\\x1b[2Jb\\nc\\u202ed\\udcff\u00e4"
    )


def test_a_long_text_loses_its_middle() -> None:
    cleaned = log_filter.sanitize("a" * 100_000 + "b" * 100_000)
    assert len(cleaned) < log_filter.TEXT_MAX + 100
    assert cleaned.startswith("aaa")
    assert cleaned.endswith("bbb")
    assert "characters left out" in cleaned


def test_a_traceback_without_the_words_of_its_exception() -> None:
    try:
        int(SECRET)
    except ValueError:
        text = log_filter.traceback_without_message(sys.exc_info())
    assert SECRET not in text
    assert text.endswith("ValueError")
    assert "test_filter.py" in text


def test_an_event_passes_so_often_in_any_minute() -> None:
    limiter = LogRateLimiter(2, 60)
    assert [limiter.passes(1.0) for _ in range(5)] == [0, 0, None, None, None]
    assert limiter.passes(60.9) is None
    assert [limiter.passes(61.0) for _ in range(3)] == [4, 0, None]


def test_lines_late_in_a_minute_count_for_the_next_one_too() -> None:
    limiter = LogRateLimiter(3, 60)
    assert limiter.passes(0.0) == 0
    assert [limiter.passes(59.0) for _ in range(3)] == [0, 0, None]
    assert [limiter.passes(61.0) for _ in range(2)] == [1, None]
    assert [limiter.passes(119.0) for _ in range(3)] == [1, 0, None]


def test_many_events_together_write_hardly_more_than_one() -> None:
    now = 0.0
    own = LogFilter(40, lambda: now)
    times: list[float] = []
    for tick in range(3_000):
        now = tick * 0.1
        times += [
            now
            for event in "abcdefgh"
            for _ in range(2)
            if own.accept_library_message(event, logging.WARNING, {})
        ]
    assert max(sum(start <= at < start + 60 for at in times) for start in times) <= 40 + 8 * ALWAYS


def test_no_event_is_hidden_by_the_others() -> None:
    own = LogFilter(40, lambda: 0.0)
    for number in range(1_000):
        own.accept_library_message(str(number % 10), logging.WARNING, {})
    rare = [own.accept_library_message("rare", logging.WARNING, {}) for _ in range(ALWAYS + 1)]
    assert rare == [True] * ALWAYS + [False]


def test_the_number_of_counters_is_limited() -> None:
    own = LogFilter(1, lambda: 0.0)
    for number in range(3 * log_filter.EVENTS_MAX):
        assert own.accept_library_message(str(number), logging.WARNING, {})
    assert len(own._limiters) <= log_filter.EVENTS_MAX


def test_what_happens_to_drops_is_always_logged() -> None:
    own = LogFilter(2, lambda: 0.0)
    facts = [{"drop_id": f"D{number}"} for number in range(100)]
    assert all(own.accept_event("drop_result", logging.INFO, each) for each in facts)
    assert all(own.accept_event("database_broken", logging.CRITICAL, {}) for _ in range(100))
    assert all(own.accept_event("rpc_started", logging.DEBUG, {}) for _ in range(100))


def test_every_machine_has_its_own_limit_and_the_rest_is_counted() -> None:
    now = 0.0
    own = LogFilter(2, lambda: now)
    assert (
        sum(own.accept_event("link_lost", logging.WARNING, {"machine": "d"}) for _ in range(9)) == 2
    )
    assert (
        sum(own.accept_event("link_lost", logging.WARNING, {"machine": "s"}) for _ in range(9)) == 2
    )
    now = 61.0
    facts: dict[str, object] = {"machine": "d", "unlogged": 5}
    assert own.accept_event("link_lost", logging.WARNING, facts)
    assert facts["unlogged"] == 12


def test_the_service_s_own_facts_are_cleaned() -> None:
    own = LogFilter(9, lambda: 0.0)
    facts: dict[str, object] = {"password": SECRET, "detail": f"token={SECRET} \n", "port": 1}
    assert own.accept_event("odd", logging.WARNING, facts)
    assert facts == {"password": REDACTED, "detail": f"token={REDACTED} \\n", "port": 1}


def test_all_messages_of_a_library_count_as_one_event() -> None:
    now = 0.0
    own = LogFilter(2, lambda: now)
    expected = [True, True, False]
    assert [own.accept_library_message("grpc", logging.WARNING, {}) for _ in range(3)] == expected
    now = 61.0
    facts: dict[str, object] = {}
    assert own.accept_library_message("grpc", logging.WARNING, facts)
    assert facts == {"unlogged": 1}


def test_debug_messages_of_libraries_do_not_hide_events() -> None:
    own = LogFilter(2 * ALWAYS, lambda: 0.0)
    for number in range(1_000):
        own.accept_library_message(str(number % 10), logging.DEBUG, {})
    logged = [own.accept_event("link_lost", logging.WARNING, {}) for _ in range(3 * ALWAYS)]
    assert sum(logged) == 2 * ALWAYS
