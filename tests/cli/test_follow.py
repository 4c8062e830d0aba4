import io
from collections.abc import Iterator
from typing import Any, cast

import pytest
from rich.console import Console

from drink.v1 import drop_service_pb2 as pb
from drink_cli.api import Api
from drink_cli.errors import CallError
from drink_cli.follow import AGAIN_MAX_S, Progress, progress_line, states
from drink_cli.output import Output


def _drop(state: str) -> pb.Drop:
    return pb.Drop(
        name="drops/01",
        slot="machines/d/slots/1",
        item="Coke",
        price=50,
        state=pb.Drop.State.Value(f"STATE_{state}"),
    )


class ScriptedApi:
    """Watches as a test writes them: states, then how the stream ends."""

    def __init__(self, *watches: tuple[str | Exception, ...]) -> None:
        self.drops = type("Stub", (), {"WatchDrop": None})
        self._watches = list(watches)
        self.now = 0.0
        self.waited: list[float] = []

    def watch(self, _method: Any, request: pb.WatchDropRequest) -> Iterator[Any]:
        assert request.name == "drops/01"
        for step in self._watches.pop(0):
            if isinstance(step, Exception):
                raise step
            yield pb.WatchDropResponse(drop=_drop(step))

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds

    def follow(self, first: str, limit_s: float = 60) -> list[str]:
        found = states(
            cast("Api", self),
            _drop(first),
            limit_s,
            sleep=self.sleep,
            monotonic=lambda: self.now,
        )
        return [pb.Drop.State.Name(each.state).removeprefix("STATE_") for each in found]


AWAY = CallError("UNAVAILABLE", "", "no answer", {})


def test_a_drop_with_an_outcome_is_not_watched() -> None:
    assert ScriptedApi().follow("DISPENSED") == ["DISPENSED"]


@pytest.mark.parametrize("end", ["DISPENSED", "NOT_DISPENSED", "UNKNOWN"])
def test_a_drop_is_followed_until_it_is_answered(end: str) -> None:
    api = ScriptedApi(("RESERVED", "DISPATCHED", end, "DISPATCHED"))

    assert api.follow("RESERVED") == ["RESERVED", "RESERVED", "DISPATCHED", end]


def test_a_broken_watch_is_opened_again() -> None:
    api = ScriptedApi(("DISPATCHED", AWAY), (AWAY,), (AWAY,), ("DISPENSED",))

    assert api.follow("RESERVED") == ["RESERVED", "DISPATCHED", "DISPENSED"]
    assert api.waited == [0.5, 1.0, 2.0]


def test_a_watch_that_the_server_ends_is_opened_again() -> None:
    assert ScriptedApi((), ("DISPENSED",)).follow("RESERVED") == ["RESERVED", "DISPENSED"]


def test_a_server_that_stays_away_is_given_up() -> None:
    api = ScriptedApi(*[(AWAY,)] * 100)

    with pytest.raises(CallError):
        api.follow("RESERVED", limit_s=30)

    assert max(api.waited) == AGAIN_MAX_S
    assert 30 < api.now < 30 + 2 * AGAIN_MAX_S


def test_a_refusal_is_told_at_once() -> None:
    refused = CallError("UNAUTHENTICATED", "TOKEN_INVALID", "no", {})

    with pytest.raises(CallError):
        ScriptedApi((refused,)).follow("RESERVED")


def test_without_a_terminal_each_state_is_a_line() -> None:
    text = io.StringIO()
    output = Output(is_json=False, console=Console(file=text, width=80))

    with Progress(output) as progress:
        for state in ("RESERVED", "RESERVED", "DISPATCHED", "DISPENSED"):
            progress.show(_drop(state))

    assert text.getvalue().splitlines() == [
        "Coke from d/1, 50 credits held: in line",
        "Coke from d/1, 50 credits held: at the motor",
    ]


def test_on_a_terminal_a_line_counts_down() -> None:
    text, now = io.StringIO(), [100.0]
    console = Console(file=text, width=80, force_terminal=True)
    output = Output(is_json=False, console=console)

    with Progress(output, delay_s=3, monotonic=lambda: now[0]) as progress:
        progress.show(_drop("SCHEDULED"))

    assert "falls in 3 s" in text.getvalue()


@pytest.mark.parametrize(
    ("ahead", "words"), [(None, "in line"), (0, "in line, next"), (2, "in line, 2 before it")]
)
def test_a_line_tells_the_place(ahead: int | None, words: str) -> None:
    drop = _drop("RESERVED")
    if ahead is not None:
        drop.drops_ahead = ahead
    assert progress_line(drop).endswith(f": {words}")


@pytest.mark.parametrize(
    ("state", "passed_s", "words"),
    [
        ("RESERVED", 0, "in line, about 8 s"),
        ("RESERVED", 3.5, "in line, about 5 s"),
        ("RESERVED", 9, "in line, 9 s"),
        ("DISPATCHED", 0, f"at the motor [{'-' * 20}] 0 s"),
        ("DISPATCHED", 4, f"at the motor [{'#' * 10}{'-' * 10}] 4 s"),
        ("DISPATCHED", 20, f"at the motor [{'#' * 20}] 20 s"),
    ],
)
def test_on_a_terminal_a_line_shows_the_expected_time(
    state: str, passed_s: float, words: str
) -> None:
    text, now = io.StringIO(), [100.0]
    console = Console(file=text, width=120, force_terminal=True, color_system=None)
    drop = _drop(state)
    drop.expected_duration.FromSeconds(8)

    with Progress(Output(is_json=False, console=console), monotonic=lambda: now[0]) as progress:
        progress.show(drop)
        now[0] += passed_s
        progress.show(drop)

    assert words in text.getvalue()


def test_programs_get_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(Output(is_json=True)) as progress:
        progress.show(_drop("RESERVED"))

    assert capsys.readouterr().out == ""


def test_each_state_on_the_way_has_a_line() -> None:
    lines = {progress_line(_drop(state)) for state in ("SCHEDULED", "RESERVED", "DISPATCHED")}

    assert len(lines) == 3
