from google.protobuf.struct_pb2 import Struct

from drink.v1 import drop_service_pb2 as drops
from drink_web.pages.facts import fact_lines, told


def test_evidence_is_told_in_its_order() -> None:
    record = drops.DropRecord(kind="DROP_MOVED")
    record.facts.update(
        {
            "from": "DISPATCHED",
            "to": "UNKNOWN",
            "cause": "BOARD_SILENT",
            "revision": 2,
            "evidence": {
                "lines": [
                    {"direction": "SENT", "offset_ms": 0, "text": "31"},
                    {"direction": "RECEIVED", "offset_ms": 1565, "text": "71"},
                ],
                "sensor_before": "STOCKED",
                "contradiction": "",
            },
        }
    )
    assert told(record) == [
        "DISPATCHED → UNKNOWN",
        "cause: BOARD_SILENT",
        "revision: 2",
        "+0.0 s → 31",
        "+1.6 s ← 71",
        "sensor_before: STOCKED",
    ]
    assert told(drops.DropRecord()) == []


def test_facts_of_an_alarm_are_lines() -> None:
    facts = Struct()
    facts.update({"slots": [1, 2], "count": 3, "nothing": "", "address": "192.0.2.1"})
    assert list(fact_lines(facts)) == ["address: 192.0.2.1", "count: 3", "slots: [1.0, 2.0]"]
