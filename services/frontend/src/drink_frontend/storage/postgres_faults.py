"""What each error of a PostgreSQL server means for what was under way: one table, by SQLSTATE.

The states are those of PostgreSQL's documentation, appendix A. A server's administrator can cause
most of them at any moment: by limits, by ending sessions, by taking rights away, by a restart. None
of these may end the process or be taken for a mistake of a caller's request.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from drink_frontend.storage.engine import Fault


class Answer(Enum):
    """What is done about an error."""

    REPEAT = auto()
    """The whole batch is carried out again, a few times; then it is refused."""
    REFUSE = auto()
    """The callers get STORAGE_UNAVAILABLE and may ask again; the frontend goes on."""
    END = auto()
    """The process ends: what the database holds can no longer be trusted."""
    MISTAKE = auto()
    """The one unit of work is undone, and its caller gets the error: repeating it is of no use."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done about the errors of one SQLSTATE, or of all that begin alike.

    Attributes:
        answer: What is done.
        why: The reason, for who reads the table.
        renew: Whether the session itself is no longer as it was set up, so that the next
            transaction needs a new connection.
        doubt: Whether the error leaves it open, at a COMMIT, whether that was carried out. An error
            with which the connection ends always does.
    """

    answer: Answer
    why: str
    renew: bool = False
    doubt: bool = False


_REPEAT, _REFUSE, _END, _MISTAKE = Answer.REPEAT, Answer.REFUSE, Answer.END, Answer.MISTAKE

RULES: Mapping[str, Rule] = {
    "08": Rule(_REPEAT, "the connection is lost", renew=True, doubt=True),
    "0A": Rule(_REPEAT, "a table was changed, so that prepared plans no longer fit", renew=True),
    "22": Rule(_MISTAKE, "a value does not fit its column"),
    "23": Rule(_MISTAKE, "a rule of the tables forbids the change"),
    "25": Rule(_REPEAT, "the transaction is not in the state that it should be in", renew=True),
    "25006": Rule(_REPEAT, "the server is a standby or takes no changes now", renew=True),
    "25P02": Rule(_REPEAT, "an earlier statement has failed the transaction"),
    "25P03": Rule(_REPEAT, "idle_in_transaction_session_timeout ended the session", renew=True),
    "25P04": Rule(_REPEAT, "transaction_timeout ended the session", renew=True),
    "26": Rule(_REPEAT, "prepared statements were discarded (DISCARD, a pooler)", renew=True),
    "28": Rule(_REFUSE, "the role may not log in, or its password is another one"),
    "3B": Rule(_REPEAT, "a savepoint is gone with its transaction", renew=True),
    "3D": Rule(_REFUSE, "the database was dropped or renamed"),
    "3F": Rule(_REFUSE, "the schema was dropped or renamed", renew=True),
    "40": Rule(_REPEAT, "another transaction was in the way"),
    "40003": Rule(_REPEAT, "nobody knows whether the statement was carried out", doubt=True),
    "42501": Rule(_REFUSE, "rights were taken from the role"),
    "42703": Rule(_REFUSE, "a column was dropped or renamed", renew=True),
    "42704": Rule(_REFUSE, "something that a table needs was dropped", renew=True),
    "42883": Rule(_REFUSE, "a function was dropped", renew=True),
    "42P01": Rule(_REFUSE, "a table was dropped or renamed, or search_path changed", renew=True),
    "42P05": Rule(_REPEAT, "another session's prepared statements (a pooler)", renew=True),
    "53": Rule(_REFUSE, "no resources: disk, memory, connections, a configured limit"),
    "54": Rule(_REFUSE, "a limit of the program"),
    "55": Rule(_REFUSE, "a lock is held for longer than lock_timeout, an object is in use"),
    "57": Rule(_REFUSE, "the statement was cancelled, by a limit or a person"),
    "57P": Rule(_REPEAT, "the server shuts down, restarts, or ended the session", renew=True),
    "58": Rule(_REFUSE, "the server's disk or system failed; what is committed it recovers"),
    "72": Rule(_REPEAT, "the snapshot is too old (old_snapshot_threshold)"),
    "F0": Rule(_REFUSE, "the server's configuration cannot be read"),
    "HV": Rule(_REFUSE, "a foreign table's server failed"),
    "XX": Rule(_REFUSE, "an internal error of the server"),
    "XX001": Rule(_END, "a table is damaged: books that may be wrong sell nothing"),
    "XX002": Rule(_END, "an index is damaged, and with it every rule that rests on it"),
}
"""Every state, or beginning of states, of which something is known; the longest one counts."""

LOST = Rule(_REPEAT, "the driver's own error: the connection is gone", renew=True, doubt=True)
"""For errors without a state, which are the driver's own."""

OTHER = Rule(_MISTAKE, "the statement itself is wrong: a mistake of the program")
"""For every other state."""

_FAULTS = {
    Answer.REPEAT: Fault.UNDONE,
    Answer.REFUSE: Fault.UNAVAILABLE,
    Answer.END: Fault.BROKEN,
    Answer.MISTAKE: None,
}


def rule_of(sqlstate: str | None) -> Rule:
    """The rule for an error's state; None stands for an error that has none."""
    if sqlstate is None:
        return LOST
    beginnings = (sqlstate[:length] for length in range(len(sqlstate), 1, -1))
    return next((RULES[each] for each in beginnings if each in RULES), OTHER)


def fault_of(sqlstate: str | None) -> Fault | None:
    """What an error with that state means for a unit of work; None for a mistake."""
    return _FAULTS[rule_of(sqlstate).answer]
