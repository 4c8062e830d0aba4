"""The rules of one link: what may be said in which phase, and when it counts as lost."""

from typing import Any

import pytest

from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import Result
from drink_frontend.domain.errors import (
    AgentTooOldError,
    LinkProtocolError,
    LinkSupersededError,
    NotOwnerError,
)
from drink_frontend.links.messages import (
    AgentMessage,
    BoardStatus,
    CardRead,
    Goodbye,
    GoodbyeReason,
    Heartbeat,
    NotReceived,
)
from drink_frontend.links.state import MISSED_HEARTBEATS, PROTOCOL_MIN, AgentRun, LinkState, Phase
from tests.fakes.agent import READY, hello

LATER: list[AgentMessage] = [
    Result("D1", 1, State.DISPENSED, Cause.BOARD_ACK, {}, 1),
    NotReceived("D1"),
    BoardStatus(ready=False),
    Heartbeat(1),
    Goodbye(GoodbyeReason.SHUTTING_DOWN),
]


def link(phase: Phase = Phase.OPEN) -> LinkState:
    """A link of machine d in that phase; D1 is wanted."""
    state = LinkState("d", 10, now=100)
    if phase is not Phase.GREETING:
        state.greet(hello(), None)
        state.opened(7, ["D1"], READY)
    if phase is Phase.CLOSED:
        state.close()
    return state


def test_a_link_begins_with_hello() -> None:
    state = link(Phase.GREETING)

    assert state.greet(hello(), None) == hello()
    assert (state.phase, state.ready) == (Phase.GREETING, False)


@pytest.mark.parametrize("message", LATER)
def test_nothing_is_said_before_hello(message: AgentMessage) -> None:
    with pytest.raises(LinkProtocolError):
        link(Phase.GREETING).greet(message, None)


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.CLOSED])
def test_hello_is_said_once(phase: Phase) -> None:
    with pytest.raises(LinkProtocolError):
        link(phase).greet(hello(), None)
    with pytest.raises(LinkProtocolError):
        link(phase).receive(hello(), 101)


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.CLOSED])
@pytest.mark.parametrize("message", LATER)
def test_everything_else_is_taken_in_any_order(phase: Phase, message: AgentMessage) -> None:
    state = link(phase)
    state.receive(message, 105)

    assert state.lost_at == 105 + 10 * MISSED_HEARTBEATS
    assert state.phase is phase


@pytest.mark.parametrize("version", [PROTOCOL_MIN, PROTOCOL_MIN + 1, 1_000])
def test_fault_22_newer_agents_are_welcome(version: int) -> None:
    newer = hello(protocol_version=version)
    assert link(Phase.GREETING).greet(newer, None) == newer


@pytest.mark.parametrize("version", [PROTOCOL_MIN - 1, 0, -1])
def test_fault_22_an_agent_that_is_too_old_is_told_the_oldest_version(version: int) -> None:
    with pytest.raises(AgentTooOldError) as refused:
        link(Phase.GREETING).greet(hello(protocol_version=version), None)
    assert refused.value.facts == {"oldest": PROTOCOL_MIN}


def test_fault_19_a_token_speaks_only_for_its_own_machine() -> None:
    with pytest.raises(NotOwnerError):
        link(Phase.GREETING).greet(hello("ld"), None)


@pytest.mark.parametrize("lacking", [{"journal_id": ""}, {"boot_id": ""}, {"journal_sequence": -1}])
def test_hello_names_journal_and_boot(lacking: dict[str, Any]) -> None:
    with pytest.raises(LinkProtocolError):
        link(Phase.GREETING).greet(hello(**lacking), None)


def test_fault_17_a_hello_that_was_long_under_way_is_refused() -> None:
    with pytest.raises(LinkSupersededError):
        link(Phase.GREETING).greet(hello(journal_sequence=8), AgentRun("boot-1", 9))


@pytest.mark.parametrize(("boot_id", "sequence"), [("boot-1", 8), ("boot-1", 3), ("boot-2", 9)])
def test_a_hello_of_now_or_of_another_run_is_heard(boot_id: str, sequence: int) -> None:
    message = hello(journal_sequence=8)
    assert link(Phase.GREETING).greet(message, AgentRun(boot_id, sequence)) == message


def test_a_link_is_ready_while_it_is_open_and_its_board_answers() -> None:
    state = link()
    assert (state.epoch, state.ready) == (7, True)

    state.board = BoardStatus(ready=False)
    assert not state.ready

    state.board = READY
    assert state.ready

    state.close()
    assert not state.ready


def test_a_drop_is_proven_missing_only_when_it_was_asked_about() -> None:
    """Invariant 8: a command that was sent on this link may still be on its way."""
    with pytest.raises(LinkProtocolError):
        link().receive(NotReceived("D2"), 101)


def test_a_drop_is_proven_missing_once() -> None:
    state = link()
    state.receive(NotReceived("D1"), 101)

    with pytest.raises(LinkProtocolError):
        state.receive(NotReceived("D1"), 102)


def test_welcome_is_said_once() -> None:
    with pytest.raises(AssertionError):
        link().opened(8, [], READY)


def test_fault_14_silence_for_three_heartbeats_is_a_loss() -> None:
    state = link()

    assert state.lost_at == 100 + 30
    state.receive(Heartbeat(1), 125)
    assert state.lost_at == 125 + 30


def test_a_card_does_not_show_that_the_loop_of_the_agent_is_alive() -> None:
    state = link()
    state.receive(Heartbeat(1), 105)
    lost_at = state.lost_at
    state.receive(CardRead("04a2b3c4"), 110)
    assert state.lost_at == lost_at
    state.receive(Heartbeat(2), 110)
    assert state.lost_at == lost_at + 5
