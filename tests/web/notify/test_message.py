"""The texts of messages."""

from google.protobuf.timestamp_pb2 import Timestamp

from drink.v1 import alarm_service_pb2 as pb
from drink_web.notify.message import digest_message, news_message, stories, trial_message
from drink_web.texts import LANGUAGES

OPENED, CLOSED = pb.Notification.NEWS_OPENED, pb.Notification.NEWS_CLOSED
ZONE = "Europe/Berlin"


def alarm(number: int, kind: str = "BOARD_DOWN", **more: object) -> pb.Alarm:
    facts = {"subject": f"machines/m{number}", "severity": pb.Alarm.SEVERITY_WARNING} | more
    return pb.Alarm(
        name=f"alarms/{number}",
        kind=kind,
        create_time=Timestamp(seconds=1_796_000_000),
        close_time=Timestamp(seconds=1_796_000_600),
        **facts,  # type: ignore[arg-type]
    )


def news(about: pb.Alarm, what: pb.Notification.News.ValueType = OPENED) -> pb.Notification:
    return pb.Notification(news=what, alarm=about)


def test_what_opened_and_what_is_over_is_one_message_the_gravest_first() -> None:
    hot = alarm(3, "TOO_WARM", severity=pb.Alarm.SEVERITY_CRITICAL)
    told = stories(
        [
            news(alarm(1)),
            news(alarm(2), CLOSED),
            news(hot),
            news(alarm(4)),
            news(alarm(4), CLOSED),
            pb.Notification(news=pb.Notification.NEWS_DIGEST),
        ]
    )
    message = news_message(told, "en", ZONE, 20)
    assert message.title == "Drink: 2 alarms, 2 are over"
    assert message.body.split("\n\n") == [
        (
            "[now] A machine is too warm: m3, since 2026-11-30 01:53\n"
            "Next: See whether its door is closed and whether it cools; take out what spoils."
        ),
        (
            "[today] A machine's electronics do not answer: m1, since 2026-11-30 01:53\n"
            "Next: Check the machine's power and the serial cable between computer and electronics."
        ),
        (
            "Over: A machine's electronics do not answer: m2,"
            " from 2026-11-30 01:53 to 2026-11-30 02:03"
        ),
        (
            "It was, and is over: A machine's electronics do not answer: m4,"
            " from 2026-11-30 01:53 to 2026-11-30 02:03"
        ),
    ]
    german = news_message(told[:1], "de", ZONE, 20)
    assert german.title == "Drink: ein Alarm"
    assert german.body.startswith("[sofort] Ein Automat ist zu warm: m3, seit 2026-11-30 01:53")


def test_a_burst_shows_some_and_says_how_many_more() -> None:
    told = stories([news(alarm(number)) for number in range(500)])
    message = news_message(told, "en", "UTC", 20)
    assert message.title == "Drink: 500 alarms"
    assert len(message.body.split("\n\n")) == 21
    assert message.body.endswith("... and 480 more.")


def test_a_digest_has_all_open_alarms_or_says_that_there_are_none() -> None:
    message = digest_message([alarm(number) for number in range(3)], "en", "UTC", 2)
    assert message.title == "Drink: open alarms: 3"
    assert message.body.endswith("... and 1 more.")
    assert digest_message([], "de", "UTC", 2).title == "Drink: kein offener Alarm"


def test_a_name_adds_no_line_and_a_newer_kind_is_told() -> None:
    told = stories([news(alarm(1, "NEW_KIND", subject="machines/a\nOver: b", severity=0))])
    message = news_message(told, "en", "UTC", 20)
    assert message.body == "NEW_KIND: a Over: b, since 2026-11-30 00:53"
    assert news_message(stories([news(alarm(1, subject="house"))]), "en", "UTC", 2).body.count(
        "whole house"
    )


def test_every_language_has_a_trial() -> None:
    assert len({trial_message(language).body for language in LANGUAGES}) == len(LANGUAGES)


def test_a_drop_is_named_with_its_machine() -> None:
    about = alarm(1, "DROP_UNKNOWN", subject="drops/01M8N7C1D9", machine="machines/ld")
    body = news_message(stories([news(about)]), "en", ZONE, 20).body
    assert "Nobody knows whether a can fell: ld, 01M8N7C1D9, since" in body
