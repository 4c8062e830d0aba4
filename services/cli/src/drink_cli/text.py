"""Words for people: states and causes of drops, times, names, and text that a terminal can show."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from drink.v1 import drop_service_pb2 as drops
from drink.v1 import machine_service_pb2 as machines

STATES = {
    drops.Drop.STATE_SCHEDULED: "scheduled",
    drops.Drop.STATE_RESERVED: "in line",
    drops.Drop.STATE_DISPATCHED: "at the motor",
    drops.Drop.STATE_DISPENSED: "dispensed",
    drops.Drop.STATE_NOT_DISPENSED: "not dispensed",
    drops.Drop.STATE_UNKNOWN: "unknown",
}

CAUSES = {
    drops.Drop.CAUSE_BOARD_ACK: "the board reported that it ran the motor",
    drops.Drop.CAUSE_BOARD_ACK_LATE: "the board reported late that it ran the motor",
    drops.Drop.CAUSE_SENSOR: "the slot's sensor went from stocked to empty",
    drops.Drop.CAUSE_DECLARED: "sent to a board that never answers",
    drops.Drop.CAUSE_OPERATOR: "an operator decided",
    drops.Drop.CAUSE_BOARD_REFUSED: "the board refused, the motor did not turn",
    drops.Drop.CAUSE_BOARD_REFUSED_LATE: "the board refused late, the motor did not turn",
    drops.Drop.CAUSE_BOARD_UNREACHABLE: "the board could not be reached",
    drops.Drop.CAUSE_EXPIRED: "the machine did not start it in time",
    drops.Drop.CAUSE_MACHINE_OFFLINE: "the machine was not connected in time",
    drops.Drop.CAUSE_NOT_RECEIVED: "the machine never received it",
    drops.Drop.CAUSE_CANCELLED: "cancelled",
    drops.Drop.CAUSE_BOARD_SILENT: "the board did not answer in time",
    drops.Drop.CAUSE_BOARD_LOST: "the connection to the board broke",
    drops.Drop.CAUSE_AGENT_RESTARTED: "the machine's agent restarted at that moment",
    drops.Drop.CAUSE_JOURNAL_REPLACED: "the machine's record of it was replaced",
    drops.Drop.CAUSE_AGENT_LOST: "nothing was heard of the machine since",
    drops.Drop.CAUSE_UNRECOGNIZED: "a reason that the server does not know",
}

REACHES = {
    machines.Machine.REACH_OFFLINE: "offline",
    machines.Machine.REACH_BOARD_DOWN: "board down",
    machines.Machine.REACH_READY: "ready",
}

MOVEMENTS = {
    machines.StockMovement.KIND_LOADED: "loaded",
    machines.StockMovement.KIND_TAKEN_OUT: "taken out",
    machines.StockMovement.KIND_COUNTED: "counted",
    machines.StockMovement.KIND_LOST: "lost",
    machines.StockMovement.KIND_SOLD: "sold",
    machines.StockMovement.KIND_RETURNED: "returned",
}


def state_word(state: int) -> str:
    """A drop's state in a word; of a newer server's states, the number."""
    return STATES.get(drops.Drop.State.ValueType(state), f"state {state}")


def cause_words(cause: int) -> str:
    """Why a drop is in its state; empty if there is no cause."""
    if cause == drops.Drop.CAUSE_UNSPECIFIED:
        return ""
    return CAUSES.get(drops.Drop.Cause.ValueType(cause), f"cause {cause}")


def reach_word(reach: int) -> str:
    """A machine's reach in a word."""
    return REACHES.get(machines.Machine.Reach.ValueType(reach), f"reach {reach}")


def movement_word(kind: int) -> str:
    """A kind of movement of stock in a word; of a newer server's kinds, the number."""
    return MOVEMENTS.get(machines.StockMovement.Kind.ValueType(kind), f"kind {kind}")


def short(name: str) -> str:
    """A resource name as people write it: `d/1` for `machines/d/slots/1`."""
    parts = name.split("/")
    return "/".join(parts[1::2]) if len(parts) % 2 == 0 else name


def printable(text: str) -> str:
    """The text without characters that a terminal would act on instead of showing them."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def local_time(stamp: Timestamp) -> str:
    """A time in the reader's zone, to the second; empty if it is not set."""
    if not stamp.seconds and not stamp.nanos:
        return ""
    return _local(stamp).strftime("%Y-%m-%d %H:%M:%S")


def iso_time(stamp: Timestamp) -> str | None:
    """A time for programs, ISO 8601 with its zone; None if it is not set."""
    if not stamp.seconds and not stamp.nanos:
        return None
    return stamp.ToJsonString()


def _local(stamp: Timestamp) -> datetime:
    return datetime.fromtimestamp(stamp.seconds).astimezone()
