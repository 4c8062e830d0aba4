"""The table of a siege, for people and for docs/security.md."""

from collections import Counter
from collections.abc import Iterator, Sequence

from tests.siege.verdict import LINES_MOST, NEWCOMERS_LEAST, P99_MOST, RATE_LEAST, Row, Span


def as_text(row: Row) -> str:
    """One attack, in a few lines."""
    lines = [f"{row.name} ({row.who}): {row.what}"]
    lines += [
        f"  {name:7}{_drops(span)}"
        for name, span in (("before", row.before), ("during", row.during), ("after", row.after))
    ]
    health = Counter(answer for answer, _ in row.health)
    lines.append(
        f"  memory {row.memory_kib >> 10} MB, {row.files} files, database"
        f" {row.stored_bytes / 1024:+.0f} KB, log {_per_minute(row):,.0f} bytes"
        f" and {row.lines_per_minute:.0f} lines a minute about it"
    )
    lines.append(f"  logged {_counted(row.logged.attack)}; health {_counted(health)}")
    lines.append(f"  attackers: {_counted(Counter(row.done))}")
    for name, examples in (
        ("no JSON", row.logged.raw),
        ("secret", row.logged.secret),
        ("mistake", row.logged.mistakes),
    ):
        lines += [f"  {name}: {example}" for example in examples[:2]]
    broken = row.broken()
    lines.append(f"  BROKEN: {'; '.join(broken)}" if broken else "  held")
    return "\n".join(lines)


def as_markdown(rows: Sequence[Row]) -> str:
    """The table of docs/security.md."""
    header = (
        "| attack | from | what | drops/s before, during, after | p99 ms | newcomers served"
        " | memory | files | database | log lines a minute | health | |"
    )
    lines = [
        header,
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for row in rows:
        spans = (row.before, row.during, row.after)
        broken = row.broken()
        cells = (
            f"`{row.attack}`",
            row.origin,
            f"{row.who}: {row.what}{_sockets(row)}",
            ", ".join(f"{span.per_second:.1f}" for span in spans),
            ", ".join(_milliseconds(span) for span in spans),
            f"{row.during.newcomers - len(row.during.turned_away)}/{row.during.newcomers}",
            f"{row.memory_kib >> 10} MB",
            str(row.files),
            f"{row.stored_bytes / 1024:+.0f} KB",
            f"{row.lines_per_minute:.0f}",
            "true" if not row.untrue else f"untrue {len(row.untrue)}/{len(row.health)}",
            f"**{'; '.join(broken)}**" if broken else "held",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def merged(earlier: str, table: str) -> str:
    """The table, with the rows of an earlier one that it does not have.

    Args:
        earlier: A text with an earlier table in it, or with none.
        table: What `as_markdown` made.
    """
    header, *rows = _rows(table)
    mine = {_key(row) for row in rows}
    kept = [row for row in _rows(earlier)[1:] if _key(row) not in mine]
    rule = table.splitlines()[1]
    return "\n".join([header, rule, *kept, *rows]) + "\n"


def _rows(text: str) -> list[str]:
    """The header and the rows of a table of attacks."""
    return [line for line in text.splitlines() if line.startswith(("| attack |", "| `"))]


def _key(row: str) -> tuple[str, ...]:
    """Attack and origin."""
    return tuple(row.split(" | ")[:2])


def verdicts(rows: Sequence[Row]) -> Iterator[str]:
    """What must be shown, and which attacks do not show it."""
    promises = (
        (f"honest drops keep {RATE_LEAST:g} of their rate", "rate fell"),
        (f"p99 at most {P99_MOST:g} times", "p99 rose"),
        (f"{NEWCOMERS_LEAST:.0%} of newcomers from other addresses are served", "newcomers"),
        ("something is sold", "nothing was sold"),
        ("no process is killed", "was killed"),
        ("everybody is served afterwards", "afterwards"),
        ("memory stays below the limit", "MB of memory"),
        ("health is true", "health said"),
        ("no attack is silent in the log", "silent"),
        (f"none writes more than {LINES_MOST} lines a minute", "log lines a minute"),
        ("every line is JSON", "log lines are no JSON"),
        ("no line tells a secret", "tell a secret"),
        ("no line tells of a mistake of the program", "mistakes"),
    )
    for promise, mark in promises:
        breakers = [row.name for row in rows if any(mark in each for each in row.broken())]
        told = f"not in {', '.join(breakers)}" if breakers else "held"
        yield f"{promise}: {told}"


def _drops(span: Span) -> str:
    text = f"{span.per_second:6.1f} drops/s, p99 {_milliseconds(span)} ms"
    text += f", newcomers {span.newcomers - len(span.turned_away)}/{span.newcomers}"
    if span.failures:
        text += f", failures {_counted(Counter(span.failures))}"
    if span.turned_away:
        text += f", turned away {_counted(Counter(span.turned_away))}"
    return text


def _milliseconds(span: Span) -> str:
    return f"{span.p99_ms:.0f}" if span.p99_ms != float("inf") else "-"


def _sockets(row: Row) -> str:
    """What became of the sockets of an attack that only opens them."""
    if "held" not in row.done:
        return ""
    counts = Counter(row.done)
    refused = counts["refused"] + counts["unanswered"]
    return (
        f"; {counts['held']:,} held at most, {refused:,} refused,"
        f" {counts['closed']:,} closed by the frontend"
    )


def _counted(counts: "Counter[str]") -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.most_common(6)) or "nothing"


def _per_minute(row: Row) -> float:
    return row.logged.size * 60 / row.during.seconds
