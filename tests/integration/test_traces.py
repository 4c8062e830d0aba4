"""A drop is one trace, from the page to the motor and back, whoever is killed in between."""

import re
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from drink.v1 import drop_service_pb2 as pb
from scripts.client import session
from scripts.processes import wait_until
from tests.integration.audited_system import ALICE, COUPLE, AuditedSystem, id_of, outcome
from tests.support.collector import Collector, Mood, Seen, running_collector

LIMIT_S = 30

PAGE_OF_TRACES = (Path(__file__).resolve().parents[2] / "docs/tracing.md").read_text("utf-8")

STEPS: dict[str, str] = dict(
    re.findall(r"(?m)^\| `([a-z.]+)` \| `[a-z-]+` \| `(\S+)` \|", PAGE_OF_TRACES)
)
"""The spans below `drop`, each with its parent, as docs/tracing.md lists them."""

PAGE = "POST /drops"
CALL = "drink.v1.DropService/Drop"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with running_collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def standing(
    tmp_path_factory: pytest.TempPathFactory, templates: Path, collector: Collector
) -> Iterator[AuditedSystem]:
    """The running system, whose frontend and page send their spans."""
    (said,) = re.findall(r"(?m)^    \[tracing\]\n((?:    .+\n)+)", PAGE_OF_TRACES)
    settings = said.replace("http://localhost:4318/v1/traces", collector.endpoint)
    assert settings != said
    tracing = {
        "tracing": f"{settings}interval_s = 0.05\n"
        "request_limit_s = 1.0\nqueue_spans_max = 256\nstop_limit_s = 1.0"
    }
    plan = replace(
        COUPLE,
        web_port=0,
        motor_s=0.2,
        frontend=tracing,
        web=tracing,
        agent={"log": 'format = "json"\nlevel = "DEBUG"'},
    )
    with AuditedSystem(tmp_path_factory.mktemp("system"), plan, templates) as system:
        system.set_up()
        yield system


class Browser:
    """A browser of the simplest kind, logged in."""

    def __init__(self, system: AuditedSystem) -> None:
        self._origin = system.origin
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar())
        )
        self.post("/login", user=ALICE.name, password=ALICE.password)

    def post(self, path: str, headers: dict[str, str] | None = None, **form: str) -> str:
        """Sends a form; returns the path of the page that it leads to."""
        request = urllib.request.Request(
            self._origin + path,
            urllib.parse.urlencode(form).encode(),
            {"sec-fetch-site": "same-origin", **(headers or {})},
        )
        with self._opener.open(request, timeout=LIMIT_S) as answer:
            return str(urllib.parse.urlsplit(answer.url).path)

    def buy(self, slot: str = "d/1", headers: dict[str, str] | None = None) -> str:
        """Orders an item; returns the drop's id."""
        machine, _, number = slot.partition("/")
        name = f"machines/{machine}/slots/{number}"
        order = {"request_id": f"t-{time.monotonic_ns()}", "slot": name, "price": "50"}
        path = self.post("/drops", headers, **order, delay="0")
        assert path.startswith("/drops/"), path
        return path.removeprefix("/drops/")


def check_tree(spans: list[Seen], *above: tuple[str, str]) -> dict[str, Seen]:
    """Checks names and parents of a whole trace, and that each span is within the drop's.

    Args:
        spans: The trace.
        above: Service and name of each span above `drop`, the first of the trace first.

    Returns:
        The spans by service and name.
    """
    by_name = {(span.service, span.name): span for span in spans}
    assert len(by_name) == len(spans), sorted(span.name for span in spans)
    drop = by_name["drink-frontend", "drop"]
    expected = {*above, ("drink-frontend", "drop")}
    for name, parent in STEPS.items():
        service = "drink-frontend" if name.startswith("drop.") else "drink-machine-agent"
        expected.add((service, name))
        span = by_name[service, name]
        (above_it,) = [each for each in spans if each.span_id == span.parent_id]
        assert above_it.name == parent, (name, above_it.name)
        assert above_it.began_ns <= span.began_ns <= span.ended_ns <= above_it.ended_ns, name
        assert drop.began_ns <= span.began_ns <= span.ended_ns <= drop.ended_ns
    assert set(by_name) == expected
    parent_id = by_name[above[0]].parent_id
    for key in (*above, ("drink-frontend", "drop")):
        assert by_name[key].parent_id == parent_id, key
        parent_id = by_name[key].span_id
    assert all(span.trace_id == drop.trace_id for span in spans)
    return {name: span for (_, name), span in by_name.items()}


FROM_PAGE = (("drink-web", PAGE), ("drink-web", CALL), ("drink-frontend", CALL))


def test_a_drop_from_the_page_to_the_motor_and_back_is_one_trace(
    system: AuditedSystem, collector: Collector
) -> None:
    before_ns = time.time_ns()
    drop_id = Browser(system).buy()
    done = system.alice.settled(f"drops/{drop_id}")
    spans = collector.wait_for(drop_id, "drop", "drop.settle", PAGE, CALL)
    after_ns = time.time_ns()
    found = check_tree(spans, *FROM_PAGE)
    assert found[PAGE].parent_id == ""
    assert all(before_ns <= span.began_ns <= span.ended_ns <= after_ns for span in spans)
    # The row has whole milliseconds.
    assert found["drop"].began_ns >= done.create_time.ToNanoseconds() - 1_000_000
    assert found["motor"].ended_ns - found["motor"].began_ns >= 0.19e9
    about = found["drop"].about
    assert about == {
        "drink.drop": drop_id,
        "drink.machine": "d",
        "drink.slot": 1,
        "drink.state": "DISPENSED",
        "drink.cause": "BOARD_ACK",
    }
    assert not any(span.is_error for span in spans)
    assert not any("alice" in str(span) for span in spans)


def test_the_log_lines_of_a_drop_have_its_trace(
    system: AuditedSystem, collector: Collector
) -> None:
    drop_id = Browser(system).buy()
    system.alice.settled(f"drops/{drop_id}")
    (trace_id, *_) = {span.trace_id for span in collector.wait_for(drop_id, "drop")}
    assert system.frontend.wait_for("drop_reported", drop_id=drop_id)["trace_id"] == trace_id
    agent = system.agents["d"]
    for event in ("drop_commanded", "drop_result", "drop_acknowledged"):
        assert agent.wait_for(event, drop_id=drop_id)["trace_id"] == trace_id


def test_a_drop_whose_frontend_is_killed_while_its_motor_turns_is_one_trace(
    system: AuditedSystem, collector: Collector
) -> None:
    browser, runs = Browser(system), system.runs("d")
    system.boards["d"].fault("slow", slot=1, seconds=2)
    drop_id = browser.buy()
    system.wait_for_motor("d", runs + 1)
    # What a process was killed with is lost, and none of it is made again.
    collector.wait_for(drop_id, "drop.reserve", "drop.dispatch", PAGE, CALL)
    wait_until(
        lambda: [s.service for s in collector.of_drop(drop_id) if s.name == CALL].count(
            "drink-frontend"
        ),
        "the call's span",
    )
    system.frontend.kill()
    system.start_frontend()
    system.alice.settled(f"drops/{drop_id}")
    spans = collector.wait_for(drop_id, "drop", "drop.settle")
    found = check_tree(spans, *FROM_PAGE)
    assert found["motor"].ended_ns - found["motor"].began_ns >= 1.9e9


def test_a_drop_whose_agent_is_killed_while_its_motor_turns_says_what_is_not_known(
    system: AuditedSystem, collector: Collector
) -> None:
    browser, runs, agent = Browser(system), system.runs("d"), system.agents["d"]
    system.boards["d"].fault("slow", slot=1, seconds=1)
    drop_id = browser.buy()
    system.wait_for_motor("d", runs + 1)
    agent.kill()
    agent.start()
    settled = system.alice.settled(f"drops/{drop_id}")
    spans = {span.name: span for span in collector.wait_for(drop_id, "drop", "drop.settle")}
    assert set(spans) & STEPS.keys() == {
        *("drop.reserve", "drop.dispatch", "drop.link", "drop.settle")
    }
    assert spans["drop.link"].about["drink.agent_times"] == "untold"
    about = spans["drop"].about
    assert (about["drink.state"], about["drink.cause"]) == outcome(settled)
    system.wait_ready("d")
    if outcome(settled)[0] == "UNKNOWN":  # else the board's answer came to the new agent
        system.resolve(settled)


def test_a_call_with_a_traceparent_joins_that_trace(
    system: AuditedSystem, collector: Collector
) -> None:
    trace_id, parent_id = "a1" * 16, "b2" * 8
    drop = place(system, f"00-{trace_id}-{parent_id}-01")
    spans = collector.wait_for(id_of(drop), "drop", CALL)
    found = check_tree(spans, ("drink-frontend", CALL))
    assert found[CALL].trace_id == trace_id
    assert found[CALL].parent_id == parent_id


JUNK = (
    "",
    "junk",
    "00-" + "0" * 32 + "-" + "b" * 16 + "-01",
    "00-" + "a" * 32 + "-" + "0" * 16 + "-01",
    "ff-" + "a" * 32 + "-" + "b" * 16 + "-01",
    "00-" + "A" * 32 + "-" + "b" * 16 + "-01",
    "00-" + "a" * 32 + "-" + "b" * 16 + "-01-more",
    "00-" + "a" * 32 + "-" + "b" * 16 + "-01" + "0" * 4_000,
)


def test_junk_instead_of_a_traceparent_begins_a_trace(
    system: AuditedSystem, collector: Collector
) -> None:
    for header in JUNK:
        spans = collector.wait_for(id_of(place(system, header)), "drop", CALL)
        found = check_tree(spans, ("drink-frontend", CALL))
        assert found[CALL].parent_id == ""
    # A browser may send any bytes.
    drop_id = Browser(system).buy(headers={"traceparent": "00-ä-ÿ-01"})
    system.alice.settled(f"drops/{drop_id}")
    assert check_tree(collector.wait_for(drop_id, "drop", PAGE), *FROM_PAGE)


def test_who_does_not_trace_is_not_traced(system: AuditedSystem, collector: Collector) -> None:
    trace_id = "e5" * 16
    header = f"00-{trace_id}-{'f6' * 8}-00"
    unseen = id_of(place(system, header))
    by_page = Browser(system).buy(headers={"traceparent": header})
    system.alice.settled(f"drops/{by_page}")
    # One that comes after it is there, so that what came before it would be, too.
    collector.wait_for(id_of(place(system)), "drop")
    assert collector.of_drop(unseen) == collector.of_drop(by_page) == []
    assert collector.trace(trace_id) == []
    assert "trace_id" not in system.frontend.wait_for("drop_reported", drop_id=unseen)


def test_a_drop_of_a_session_begins_its_trace_at_the_line(
    system: AuditedSystem, collector: Collector
) -> None:
    lines = [f"USER {ALICE.name}", f"PASS {ALICE.password}", "MACHINE d", "DROP 2", "QUIT"]
    replies = dict(session(system.session_port, lines))
    assert "OK" in replies["DROP 2"]
    drop = system.alice.recent()[0]
    spans = collector.wait_for(id_of(drop), "drop", "session.drop")
    found = check_tree(spans, ("drink-frontend", "session.drop"))
    assert found["session.drop"].parent_id == ""


def test_a_drop_that_is_refused_by_its_board_is_an_error(
    system: AuditedSystem, collector: Collector
) -> None:
    system.boards["d"].fault("refuse", slot=1)
    drop = place(system)
    spans = {span.name: span for span in collector.wait_for(id_of(drop), "drop")}
    assert spans["drop"].is_error
    assert spans["drop"].about["drink.state"] == "NOT_DISPENSED"


@pytest.mark.parametrize("mood", [Mood.HANGS, Mood.FAILS, Mood.REFUSES, Mood.ENDLESS])
def test_drops_go_on_without_a_collector(
    system: AuditedSystem, collector: Collector, mood: Mood
) -> None:
    collector.mood = mood
    seen = collector.requests
    for _ in range(3):
        assert place(system).state == pb.Drop.STATE_DISPENSED
    wait_until(lambda: collector.requests > seen, "a request")
    if mood is Mood.HANGS:
        # The end does not wait for the collector for longer than its limit.
        began = time.monotonic()
        assert system.frontend.stop() == 0
        assert time.monotonic() - began < 15
        system.start_frontend()
        system.wait_ready("d", "ld")
    collector.mood = Mood.TAKES
    # What it missed is gone, and what comes now arrives.
    collector.wait_for(id_of(place(system)), "drop")


def test_a_page_without_a_collector_stops_in_time(
    system: AuditedSystem, collector: Collector
) -> None:
    collector.mood = Mood.HANGS
    drop_id = Browser(system).buy()
    system.alice.settled(f"drops/{drop_id}")
    began = time.monotonic()
    assert system.web.stop() == 0
    assert time.monotonic() - began < 15
    collector.mood = Mood.TAKES
    system.start_web()


def place(system: AuditedSystem, *headers: str) -> pb.Drop:
    """Buys with these headers `traceparent`, and waits for the outcome."""
    client = system.alice
    request = pb.DropRequest(request_id=f"t-{time.monotonic_ns()}", slot="machines/d/slots/1")
    metadata = (*client.metadata, *(("traceparent", header) for header in headers))
    drop: pb.Drop = client.drops.Drop(request, metadata=metadata, timeout=LIMIT_S).drop
    return drop
