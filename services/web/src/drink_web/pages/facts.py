"""Facts of drop records and alarms as lines of text."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from drink.v1 import drop_service_pb2 as drops


def told(record: drops.DropRecord) -> Sequence[str]:
    """What a record tells, a line each: the step, its facts, then the evidence in its order.

    A line that the board was sent begins with the seconds since the command and an arrow to the
    right, one that it answered with an arrow to the left.
    """
    facts = MessageToDict(record.facts)
    evidence = facts.pop("evidence", None)
    before, after = facts.pop("from", ""), facts.pop("to", "")
    lines = [f"{before} → {after}" if before else str(after)] if after else []
    lines += fact_lines(facts)
    if isinstance(evidence, dict):
        spoken = evidence.pop("lines", None)
        for each in spoken if isinstance(spoken, list) else ():
            arrow = "→" if each.get("direction") == "SENT" else "←"
            offset_s = float(each.get("offset_ms") or 0) / 1000
            lines.append(f"{offset_s:+.1f} s {arrow} {each.get('text', '')}")
        lines += fact_lines(evidence)
    return lines


def fact_lines(facts: Mapping[str, Any] | Struct) -> Iterator[str]:
    """The facts of a record or an alarm, one line each, in order of their names."""
    plain = MessageToDict(facts) if isinstance(facts, Struct) else facts
    for key, value in sorted(plain.items()):
        if value in ("", None, "NONE"):
            continue
        # The API's Struct has no whole numbers.
        shown = int(value) if isinstance(value, float) and value.is_integer() else value
        text = shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)
        yield f"{key}: {text}"
