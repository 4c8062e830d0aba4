"""Limits that frontend and agent each keep in one place, and have to agree on."""

from drink_agent.board.settings import BoardSettings
from drink_agent.domain import evidence
from drink_frontend.domain import limits


def test_both_services_number_slots_alike() -> None:
    assert evidence.SLOT_MAX == limits.SLOT_MAX
    assert BoardSettings(url="serial:///dev/ttyUSB0").max_slot == limits.SLOT_MAX
