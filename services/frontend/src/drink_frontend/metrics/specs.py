"""Every metric of the frontend: its name, unit, labels and meaning.

Names follow the conventions of Prometheus: base units, `_total` for counters. Every label has a
bounded number of values; none is an account, a drop or free text. `Spec.help` is also the text of
docs/metrics.md.
"""

from dataclasses import dataclass
from typing import Literal

from drink_frontend.domain.agents import MOTOR_TIMES_S

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Limits of histograms of times, in seconds."""

UNITS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Limits of histograms of the size of a batch."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One metric.

    Attributes:
        name: As Prometheus shows it; a histogram also has `_bucket`, `_sum` and `_count`.
        help: What it measures, in one line.
        labels: Names of its labels.
        kind: Its type.
        buckets: Upper limits of a histogram.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Literal["counter", "gauge", "histogram"] = "gauge"
    buckets: tuple[float, ...] = ()


def _counter(name: str, text: str, *labels: str) -> Spec:
    return Spec(name, text, labels, "counter")


def _times(name: str, text: str, *labels: str) -> Spec:
    return Spec(name, text, labels, "histogram", SECONDS)


# --- drops ---

DROPS_PLACED = _counter(
    "drink_drops_placed_total", "Drops that this frontend has reserved.", "machine"
)
DROPS = _counter(
    "drink_drops_total",
    "Drops that reached an outcome here: dispensed, not_dispensed or unknown, and why."
    " A drop that was unknown is counted again when it is settled.",
    "machine",
    "outcome",
    "cause",
)
DROP_SECONDS = _times(
    "drink_drop_seconds",
    "Time of each stage of a drop, by a monotonic clock: `queued` from its reservation to its"
    " dispatch, `motor` from there to the arrival of its result, `settling` from there to the"
    " commit, and `total` of all three. Only of drops that this run of the frontend has placed.",
    "stage",
)
REPORTS = _counter(
    "drink_agent_reports_total",
    "Results that agents reported, by what became of them: moved, repeated, contradicted, refused"
    " or orphan (of no drop of its machine).",
    "verdict",
)
DROPS_OPEN = Spec(
    "drink_drops_open",
    "Drops without a final outcome in the database, by state.",
    ("state",),
)
DROPS_UNKNOWN_AGE = Spec(
    "drink_drops_unknown_oldest_seconds",
    "Time since the oldest drop with an unknown outcome was reserved, by the host's clock; 0 if"
    " there is none.",
)
DROPS_WAITING_AGE = Spec(
    "drink_drops_waiting_oldest_seconds",
    "Time since the oldest drop that waits for its dispatch was reserved, by the host's clock; 0 if"
    " none waits.",
)
CREDITS_HELD = Spec(
    "drink_credits_held",
    "Credits that are held for drops without a final outcome, by state.",
    ("state",),
)

# --- machines and slots, as the database has them ---

MACHINES = Spec("drink_machines", "Machines of the house.")
MACHINES_UNLISTED = Spec(
    "drink_machines_unlisted",
    "Machines without series of their own, above `metrics.machines_max`. Those with the first names"
    " have series.",
)
MACHINE_ENABLED = Spec(
    "drink_machine_enabled", "Whether a person has put the machine into service.", ("machine",)
)
MACHINE_LINKED = Spec(
    "drink_machine_linked",
    "Whether the machine's agent has a link, to whichever frontend.",
    ("machine",),
)
MACHINE_READY = Spec(
    "drink_machine_ready",
    "Whether the machine's agent has a link and its board answers.",
    ("machine",),
)
MACHINE_TEMPERATURE = Spec(
    "drink_machine_temperature_celsius",
    "What the machine's thermometer shows; absent without one.",
    ("machine",),
)
SLOT_ENABLED = Spec("drink_slot_enabled", "Whether the slot sells.", ("machine", "slot"))
SLOT_AVAILABLE = Spec(
    "drink_slot_available_items",
    "Items that can be bought now; 0 while the slot's sensor reads empty.",
    ("machine", "slot"),
)
SLOT_LOW_MARK = Spec(
    "drink_slot_low_stock_mark_items",
    "So few available items are low stock; absent for a slot without a mark.",
    ("machine", "slot"),
)
HOUSE_READ = Spec(
    "drink_house_read_success",
    "Whether the database answered the last question for these metrics. If it did not, what comes"
    " from the database is absent.",
)

# --- agents, as they report over the links to this frontend ---

LINKS = Spec("drink_links", "Links of agents to this frontend.")
LINK_READY = Spec(
    "drink_link_board_ready",
    "Whether the board of the machine answers, of the links to this frontend.",
    ("machine",),
)
AGENT_INFO = Spec(
    "drink_agent_info", "Always 1; version of the agent's software.", ("machine", "version")
)
AGENT_UPTIME = Spec("drink_agent_uptime_seconds", "Time since the agent's start.", ("machine",))
AGENT_LINKS_LOST = _counter(
    "drink_agent_links_lost_total", "Links of the agent that were open and ended.", "machine"
)
AGENT_BOARD_LOSSES = _counter(
    "drink_agent_board_losses_total", "Times that the board stopped being ready.", "machine"
)
AGENT_BOARD_CONNECTS = _counter(
    "drink_agent_board_connects_total",
    "Attempts of the agent to open the connection to its board.",
    "machine",
)
AGENT_BOARD_TIMEOUTS = _counter(
    "drink_agent_board_timeouts_total", "Commands that the board did not answer in time.", "machine"
)
AGENT_MOTOR_SECONDS = Spec(
    "drink_agent_motor_seconds",
    "Time from a motor command to the board's answer.",
    ("machine",),
    "histogram",
    MOTOR_TIMES_S,
)
AGENT_JOURNAL = Spec("drink_agent_journal_bytes", "Size of the agent's journal.", ("machine",))
AGENT_DISK_FREE = Spec(
    "drink_agent_disk_free_bytes", "Free space on the disk of the agent's journal.", ("machine",)
)
AGENT_DISK = Spec(
    "drink_agent_disk_bytes", "Size of the disk of the agent's journal.", ("machine",)
)
AGENT_MEMORY = Spec(
    "drink_agent_memory_bytes", "Memory that the agent's process uses.", ("machine",)
)

# --- the database ---

STORAGE_TURN_SECONDS = _times(
    "drink_storage_turn_seconds",
    "Time of a turn: one batch of units of work (`write`) or queries (`read`), to its end.",
    "work",
)
STORAGE_TURN_UNITS = Spec(
    "drink_storage_turn_units",
    "Units of work (`write`) or queries (`read`) in a turn.",
    ("work",),
    "histogram",
    UNITS,
)
STORAGE_COMMITS = _counter("drink_storage_commits_total", "Successful commits.")
STORAGE_FAILED = _counter(
    "drink_storage_failed_commits_total", "Batches that the database refused as a whole."
)
STORAGE_RETRIES = _counter("drink_storage_retries_total", "Repetitions of batches.")
STORAGE_ROUND_TRIPS = _counter(
    "drink_storage_round_trips_total",
    "Round trips to PostgreSQL, each a statement or a pipeline of statements, of units of work"
    " (`write`) and queries (`read`); absent on SQLite.",
    "work",
)
STORAGE_WAITING = Spec(
    "drink_storage_waiting",
    "Units of work (`write`) and queries (`read`) that are not finished.",
    ("work",),
)

# --- calls, sessions and logins ---

RPC_CALLS = _counter(
    "drink_rpc_calls_total",
    "Calls that have ended, by method and status code; calls of methods that do not exist have the"
    " method `unknown`.",
    "method",
    "code",
)
RPC_SECONDS = _times(
    "drink_rpc_seconds",
    "Time of calls with one answer, by method; streams are not counted.",
    "method",
)
RPC_IN_FLIGHT = Spec("drink_rpc_calls_in_flight", "Calls that have not ended, streams included.")
WATCHES = Spec("drink_watches", "Open watches: streams of changes.")
SESSIONS = Spec("drink_sessions", "Open sessions, with and without a login.", ("login",))
LOGINS = _counter(
    "drink_logins_total",
    "Attempts to log in: accepted, refused because of wrong credentials, or limited because too"
    " many failed before.",
    "result",
)

# --- the process ---

SERVING = Spec(
    "drink_serving",
    "Whether the frontend tells clients that it serves: its database takes changes and answers.",
)
BUILD_INFO = Spec("drink_build_info", "Always 1; version of the frontend.", ("version",))
LOOP_LAG = _times(
    "drink_event_loop_lag_seconds",
    "By how much a timer of the event loop was late, measured twice a second.",
)
CERTIFICATE = Spec(
    "drink_certificate_expiry_timestamp_seconds",
    "When the certificate of a listener ends, as Unix time; absent without a certificate.",
    ("listener",),
)
SCRAPES_REFUSED = _counter(
    "drink_scrapes_refused_total",
    "Connections to the port of the metrics that were refused or cut: too many at once, no"
    " complete request in time, or an answer that was not read.",
)

SECTIONS: tuple[tuple[str, tuple[Spec, ...]], ...] = (
    (
        "Drops",
        (
            DROPS_PLACED,
            DROPS,
            DROP_SECONDS,
            REPORTS,
            DROPS_OPEN,
            DROPS_UNKNOWN_AGE,
            DROPS_WAITING_AGE,
            CREDITS_HELD,
        ),
    ),
    (
        "Machines and slots",
        (
            MACHINES,
            MACHINES_UNLISTED,
            MACHINE_ENABLED,
            MACHINE_LINKED,
            MACHINE_READY,
            MACHINE_TEMPERATURE,
            SLOT_ENABLED,
            SLOT_AVAILABLE,
            SLOT_LOW_MARK,
            HOUSE_READ,
        ),
    ),
    (
        "Agents",
        (
            LINKS,
            LINK_READY,
            AGENT_INFO,
            AGENT_UPTIME,
            AGENT_LINKS_LOST,
            AGENT_BOARD_LOSSES,
            AGENT_BOARD_CONNECTS,
            AGENT_BOARD_TIMEOUTS,
            AGENT_MOTOR_SECONDS,
            AGENT_JOURNAL,
            AGENT_DISK_FREE,
            AGENT_DISK,
            AGENT_MEMORY,
        ),
    ),
    (
        "Database",
        (
            STORAGE_TURN_SECONDS,
            STORAGE_TURN_UNITS,
            STORAGE_COMMITS,
            STORAGE_FAILED,
            STORAGE_RETRIES,
            STORAGE_ROUND_TRIPS,
            STORAGE_WAITING,
        ),
    ),
    (
        "Calls, sessions and logins",
        (RPC_CALLS, RPC_SECONDS, RPC_IN_FLIGHT, WATCHES, SESSIONS, LOGINS),
    ),
    ("The process", (SERVING, BUILD_INFO, LOOP_LAG, CERTIFICATE, SCRAPES_REFUSED)),
)
"""All metrics by what they are about, in the order of docs/metrics.md."""
