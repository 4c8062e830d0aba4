from drink_agent.domain.evidence import Cause, Direction, Evidence, Line, Outcome, Sensor
from drink_agent.domain.records import Accepted, Acked, Commanded, Entry, Result
from drink_agent.journal.format import Contents, Header
from drink_agent.tools.show_journal import lines_of

EVIDENCE = Evidence(
    (Line(Direction.SENT, 0, "31"), Line(Direction.RECEIVED, 3501, "4")),
    Sensor.STOCKED,
    Sensor.EMPTY,
    "something else",
)
ENTRIES = (
    Entry(1, Accepted("a", 1, 10_000, 5, "boot")),
    Entry(2, Commanded("a", 1, Sensor.STOCKED)),
    Entry(3, Accepted("b", 2, 10_000, 6, "boot")),
    Entry(4, Result("a", 1, Outcome.DISPENSED, Cause.BOARD_ACK, EVIDENCE)),
    Entry(5, Acked("a", 1)),
)


def test_a_drop_is_told_with_its_evidence() -> None:
    lines = list(lines_of(Contents(Header("id"), ENTRIES, 900, 0), 10))
    assert lines[0] == "journal id, 5 entries written"
    assert [line for line in lines if line.startswith("drop")] == ["drop b", "drop a"]
    told = "\n".join(lines)
    for part in (
        "accepted for slot 1",
        "commanded in slot 1, sensor STOCKED",
        "DISPENSED, BOARD_ACK, revision 1",
        "+0 ms > 31",
        "+3501 ms < 4",
        "sensor STOCKED, then EMPTY",
        "contradicted: something else",
        "revision 1 acknowledged",
    ):
        assert part in told


def test_only_the_last_drops_are_told() -> None:
    contents = Contents(Header("id", through=9, kept=5), ENTRIES, 900, 17)
    lines = list(lines_of(contents, 1))
    assert [line for line in lines if line.startswith("drop")] == ["drop a"]
    assert any("compacted up to entry 9" in line for line in lines)
    assert any("17 bytes" in line for line in lines)
    assert not any(line.startswith("drop") for line in lines_of(contents, 0))
