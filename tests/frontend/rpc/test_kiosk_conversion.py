"""Kiosks as drink.v1 messages."""

import pytest

from drink.v1 import kiosk_service_pb2 as pb
from drink_frontend.domain.entities import Account
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.kiosks import Kiosk, KioskState
from drink_frontend.domain.ledger import AccountKind
from drink_frontend.rpc.kiosk_conversion import (
    STATES,
    card_answer,
    kiosk_message,
    kiosk_name,
    parse_kiosk,
)
from drink_frontend.usecases.card_logins import KioskCardLogin, RefusedCard
from tests.support.ids import ANN


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


def test_a_card_logs_in_or_is_refused_with_a_code() -> None:
    ann = Account(ANN, "ann", AccountKind.USER, False, False, None, 7, 0)
    login = card_answer(KioskCardLogin(ann, "secret", 61_000, 60))
    assert (login.token, login.account.available_credits) == ("secret", 7)
    assert (login.expire_time.seconds, login.buy_duration.seconds) == (61, 60)
    assert not login.HasField("refused_card")
    refused = card_answer(RefusedCard("123456", 300))
    assert (refused.token, refused.HasField("account")) == ("", False)
    assert refused.refused_card.code == "123456"
    assert refused.refused_card.code_duration.seconds == 300
    hopeless = card_answer(RefusedCard("", 0))
    assert hopeless.HasField("refused_card")
    assert not hopeless.refused_card.HasField("code_duration")
