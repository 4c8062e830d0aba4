"""Converts between drink.v1 messages and kiosks, and what they are told of cards."""

import re

from google.protobuf.duration_pb2 import Duration

from drink.v1 import kiosk_service_pb2 as pb
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.kiosks import Kiosk, KioskState, kiosk_subject
from drink_frontend.rpc.conversion import (
    account_message,
    machine_name,
    optional_timestamp,
    timestamp,
)
from drink_frontend.usecases.card_logins import KioskCardLogin, RefusedCard

STATES = {state: pb.Kiosk.State.Value(f"STATE_{state}") for state in KioskState}
"""The drink.v1 value of each state of a kiosk."""

_NUMBER = re.compile(r"[1-9][0-9]{0,17}")


def kiosk_name(sequence: int) -> str:
    """`kiosks/{kiosk}`."""
    return kiosk_subject(sequence)


def parse_kiosk(name: str, field: str) -> int:
    """The kiosk's number in `kiosks/{kiosk}`; FieldInvalidError if the name is invalid."""
    number = name.removeprefix("kiosks/")
    if number == name or not _NUMBER.fullmatch(number):
        raise FieldInvalidError(field, "must be kiosks/{kiosk}")
    return int(number)


def kiosk_message(kiosk: Kiosk, now_ms: int) -> pb.Kiosk:
    """A kiosk as a drink.v1 message.

    Args:
        kiosk: The kiosk.
        now_ms: The time at which its state is told.
    """
    return pb.Kiosk(
        name=kiosk_name(kiosk.sequence),
        machine=machine_name(kiosk.machine),
        display_name=kiosk.name or "",
        state=STATES[kiosk.state(now_ms)],
        create_time=timestamp(kiosk.created_ms),
        pairing_expire_time=timestamp(kiosk.code_expires_ms),
        pair_time=optional_timestamp(kiosk.paired_ms),
    )


def card_answer(answer: KioskCardLogin | RefusedCard) -> pb.LogInCardResponse:
    """What comes of a card as a drink.v1 message."""
    if isinstance(answer, RefusedCard):
        refused = pb.RefusedCard(code=answer.code)
        if answer.code:
            refused.code_duration.FromSeconds(answer.good_s)
        return pb.LogInCardResponse(refused_card=refused)
    return pb.LogInCardResponse(
        token=answer.token,
        expire_time=timestamp(answer.buys_until_ms),
        account=account_message(answer.account),
        buy_duration=Duration(seconds=answer.buys_s),
    )
