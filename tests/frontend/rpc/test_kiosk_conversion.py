"""Kiosks as drink.v1 messages."""

import pytest

from drink.v1 import kiosk_service_pb2 as pb
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.kiosks import Kiosk, KioskState
from drink_frontend.rpc.kiosk_conversion import STATES, kiosk_message, kiosk_name, parse_kiosk


def test_names_are_parsed_as_they_are_written() -> None:
    assert parse_kiosk(kiosk_name(12), "name") == 12
    for name in ("", "12", "kiosks/", "kiosks/0", "kiosks/x", "kiosks/1/2", "kiosks/" + "9" * 19):
        with pytest.raises(FieldInvalidError):
            parse_kiosk(name, "name")


def test_a_message_says_how_far_the_kiosk_is() -> None:
    assert set(STATES) == set(KioskState)
    made = Kiosk("d", None, 1_000, 2_000, sequence=3)
    message = kiosk_message(made, 1_500)
    assert (message.name, message.machine) == ("kiosks/3", "machines/d")
    assert (message.display_name, message.state) == ("", pb.Kiosk.STATE_PAIRING)
    assert message.pairing_expire_time.seconds == 2
    assert not message.HasField("pair_time")
    assert kiosk_message(made, 2_000).state == pb.Kiosk.STATE_ENDED
