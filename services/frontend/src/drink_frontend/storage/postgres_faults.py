"""What the storage does about each error of a PostgreSQL server, by SQLSTATE.

The states are listed in appendix A of PostgreSQL's documentation. A server's administrator can
cause most of them at any time: by limits, by ending sessions, by revoking rights, by a restart.
These must neither end the process nor be reported as mistakes of a caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from drink_frontend.storage.engine import Fault


class ErrorAction(Enum):
    """What is done about an error."""

    REPEAT = auto()
    """Repeat the whole batch, up to `storage.write_tries_max` times; then refuse it."""
    REFUSE = auto()
    """Refuse the batch with STORAGE_UNAVAILABLE; callers may repeat their requests."""
    END = auto()
    """End the process: what the database holds can no longer be trusted."""
    MISTAKE = auto()
    """Undo the one unit of work and raise the error to its caller: a repetition would fail too."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done about the errors of one SQLSTATE, or of all with one beginning.

    Attributes:
        action: What is done.
        why: What the state means here.
        renew: Whether the next transaction needs a new connection, because the session has lost
            its settings or prepared statements.
        doubt: Whether a COMMIT with this error may have been carried out. With an error that ends
            the connection it always may.
    """

    action: ErrorAction
    why: str
    renew: bool = False
    doubt: bool = False


_REPEAT, _REFUSE, _END, _MISTAKE = (
    ErrorAction.REPEAT,
    ErrorAction.REFUSE,
    ErrorAction.END,
    ErrorAction.MISTAKE,
)

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
    "40003": Rule(_REPEAT, "it is not known whether the statement was carried out", doubt=True),
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
"""States or beginnings of states with a known meaning; the longest match counts."""

LOST = Rule(_REPEAT, "the driver's own error: the connection is gone", renew=True, doubt=True)
"""For errors without a state, which the driver itself raises."""

OTHER = Rule(_MISTAKE, "the statement itself is wrong: a mistake of the program")
"""For every other state."""

_FAULTS = {
    ErrorAction.REPEAT: Fault.UNDONE,
    ErrorAction.REFUSE: Fault.UNAVAILABLE,
    ErrorAction.END: Fault.BROKEN,
    ErrorAction.MISTAKE: None,
}


def rule_of(sqlstate: str | None) -> Rule:
    """The rule for an error's state; None: an error without a state."""
    if sqlstate is None:
        return LOST
    beginnings = (sqlstate[:length] for length in range(len(sqlstate), 1, -1))
    return next((RULES[each] for each in beginnings if each in RULES), OTHER)


def fault_of(sqlstate: str | None) -> Fault | None:
    """The fault of an error with that state; None for a mistake of the program."""
    return _FAULTS[rule_of(sqlstate).action]
