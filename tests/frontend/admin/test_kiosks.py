"""Kiosks from the command line."""

import re

from tests.frontend.admin.conftest import Operator


def test_a_kiosk_is_paired_listed_and_ended(operator: Operator) -> None:
    operator.admin("machine", "add", "d", "Big Drink")
    made = operator.admin("kiosks", "pair", "d", "--name", "by the door")
    assert re.fullmatch(r"kiosk 1: pairing code \d{8} until .+Z\n", made)
    assert operator.admin("kiosks", "list").splitlines()[1].split() == [
        *("1", "d", "-", "by", "the", "door")
    ]
    operator.admin("kiosks", "unpair", "1")
    assert len(operator.admin("kiosks", "list").splitlines()) == 1
    assert operator.refused("kiosks", "unpair", "1").startswith("KIOSK_NOT_FOUND: ")
    assert operator.refused("kiosks", "pair", "nowhere").startswith("MACHINE_NOT_FOUND: ")
