"""What is to happen later happens then, in order, unless its reason is gone."""

from drink_agent.board.emulator.agenda import Agenda, Scope


def test_actions_run_in_order_with_their_own_times() -> None:
    agenda, ran = Agenda(), list[tuple[str, float]]()

    def add(name: str, due: float) -> None:
        agenda.add(due, Scope.POWER, lambda at: ran.append((name, at)))

    for name, due in (("b", 2.0), ("a", 1.0), ("c", 2.0), ("d", 9.0)):
        add(name, due)
    agenda.run(2.0)
    assert ran == [("a", 1.0), ("b", 2.0), ("c", 2.0)]
    assert agenda.next_due == 9.0


def test_what_an_action_adds_runs_too_if_it_is_due() -> None:
    agenda, ran = Agenda(), list[float]()
    agenda.add(1.0, Scope.POWER, lambda at: agenda.add(at + 1, Scope.POWER, ran.append))
    agenda.run(5.0)
    assert ran == [2.0]


def test_a_lost_connection_stops_only_what_belongs_to_it() -> None:
    agenda, ran = Agenda(), list[float]()
    agenda.add(1.0, Scope.CONNECTION, ran.append)
    agenda.add(2.0, Scope.POWER, ran.append)
    agenda.drop(Scope.CONNECTION)
    agenda.run(5.0)
    assert ran == [2.0]
    assert agenda.next_due is None
