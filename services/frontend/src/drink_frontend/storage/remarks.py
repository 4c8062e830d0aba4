"""What release 0.1.0 may have left in the books that is no mistake, and a person should know."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

REMARKS_MAX = 100
"""Most remarks of one kind."""

_QUERIES = {
    "the accounts {} and {} differ only in case: each is found by its exact name only": """
        SELECT one.name, other.name FROM accounts AS one
        JOIN accounts AS other ON lower(one.name) = lower(other.name) AND one.name < other.name
        ORDER BY one.name, other.name""",
    "the request_id {} gave or took credits {} times, by {} and {}: see whether all were meant": """
        SELECT request_id, COUNT(*), MIN(actor), MAX(actor) FROM transfers
        WHERE kind = 'MOVE' AND (debit_account = 'funding' OR credit_account = 'funding')
        GROUP BY request_id HAVING COUNT(*) > 1 ORDER BY request_id""",
}


def remarks_on(ask: Callable[[str], Iterable[Sequence[Any]]]) -> list[str]:
    """The remarks on a database; none if nothing is left over.

    Args:
        ask: Gives the rows of a query.
    """
    remarks: list[str] = []
    for sentence, query in _QUERIES.items():
        found = [sentence.format(*row) for row in ask(query)]
        remarks += found[:REMARKS_MAX]
        if len(found) > REMARKS_MAX:
            remarks.append(f"and {len(found) - REMARKS_MAX} more like the last one")
    return remarks
