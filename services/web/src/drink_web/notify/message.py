"""The messages: what has happened, in one text for each batch. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from drink.v1 import alarm_service_pb2 as pb
from drink_web.texts import TEXTS, Texts


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel sends.

    Attributes:
        title: One line.
        body: Some lines.
    """

    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Story:
    """What has happened to one alarm since it was told last.

    Attributes:
        alarm: The alarm as it is now.
        opened: Whether its opening is to be told.
        closed: Whether its closing is to be told.
    """

    alarm: pb.Alarm
    opened: bool
    closed: bool


def stories(notifications: Sequence[pb.Notification]) -> Sequence[Story]:
    """One for each alarm: the critical ones first, then those that are open, then in order."""
    news: dict[str, set[int]] = {}
    alarms: dict[str, pb.Alarm] = {}
    for each in notifications:
        if each.HasField("alarm"):
            news.setdefault(each.alarm.name, set()).add(each.news)
            alarms[each.alarm.name] = each.alarm
    told = [
        Story(
            alarms[name],
            pb.Notification.NEWS_OPENED in happened,
            pb.Notification.NEWS_CLOSED in happened,
        )
        for name, happened in news.items()
    ]
    return sorted(told, key=lambda story: (story.closed, -story.alarm.severity))


def news_message(told: Sequence[Story], language: str, zone: str, lines_max: int) -> Message:
    """What has happened.

    Args:
        told: Alarms and what happened to them; at least one.
        language: Language of the texts.
        zone: Time zone of the times.
        lines_max: Alarms that are shown.
    """
    texts = TEXTS[language]
    opened = sum(not story.closed for story in told)
    over = len(told) - opened
    parts = []
    if opened:
        parts.append(texts.counted("notify_opened", opened))
    if over:
        parts.append(texts.counted("notify_over", over))
    lines = [_story(story, texts, zone) for story in told[:lines_max]]
    if len(told) > lines_max:
        lines.append(texts("notify_more", n=len(told) - lines_max))
    return Message(f"Drink: {', '.join(parts)}", "\n\n".join(lines))


def digest_message(alarms: Sequence[pb.Alarm], language: str, zone: str, lines_max: int) -> Message:
    """All open alarms, or that there are none."""
    texts = TEXTS[language]
    if not alarms:
        return Message(f"Drink: {texts('notify_digest_none')}", texts("all_well"))
    ordered = sorted(alarms, key=lambda alarm: -alarm.severity)
    lines = [_open(alarm, texts, zone) for alarm in ordered[:lines_max]]
    if len(alarms) > lines_max:
        lines.append(texts("notify_more", n=len(alarms) - lines_max))
    return Message(f"Drink: {texts('notify_digest', n=len(alarms))}", "\n\n".join(lines))


def trial_message(language: str) -> Message:
    """A message that shows that a channel works."""
    texts = TEXTS[language]
    return Message(f"Drink: {texts('notify_trial')}", texts("notify_trial_text"))


def _story(story: Story, texts: Texts, zone: str) -> str:
    if not story.closed:
        return _open(story.alarm, texts, zone)
    alarm = story.alarm
    key = "notify_line_both" if story.opened else "notify_line_over"
    since, until = _clock(alarm.create_time, zone), _clock(alarm.close_time, zone)
    return texts(key, what=_what(alarm, texts), since=since, until=until)


def _open(alarm: pb.Alarm, texts: Texts, zone: str) -> str:
    since, urgency = _clock(alarm.create_time, zone), f"severity_{alarm.severity}"
    word = texts(urgency) if texts.has(urgency) else ""
    line = texts("notify_line_open", what=_what(alarm, texts), since=since)
    line = f"[{word}] {line}" if word else line
    todo = f"todo_{alarm.kind}"
    return f"{line}\n{texts('next_action')}: {texts(todo)}" if texts.has(todo) else line


def _what(alarm: pb.Alarm, texts: Texts) -> str:
    key, whole = f"alarm_{alarm.kind}", f"subject_{alarm.subject}"
    title = texts(key) if texts.has(key) else alarm.kind
    about = alarm.subject.partition("/")[2].replace("/slots/", "/")
    machine = alarm.machine.partition("/")[2]
    if machine and not alarm.subject.startswith("machines/"):
        # Of a drop or a kiosk: whoever reads it knows where to go.
        about = f"{machine}, {about}"
    shown = texts(whole) if texts.has(whole) else about
    # Names come from operators; a line break in one must not look like another alarm.
    return f"{title}: {' '.join(shown.split())}"


def _clock(stamp: object, zone: str) -> str:
    seconds = getattr(stamp, "seconds", 0)
    return (
        datetime.fromtimestamp(seconds, UTC).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")
    )
