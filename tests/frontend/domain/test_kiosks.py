"""How far a kiosk is, and what people call it."""

from dataclasses import replace

from drink_frontend.domain.kiosks import Kiosk, KioskState, kiosk_subject

MADE = Kiosk("d", None, 100, 200, sequence=7)


def test_a_kiosk_waits_for_its_code_until_it_expires() -> None:
    assert MADE.state(199) is KioskState.PAIRING
    assert MADE.state(200) is KioskState.ENDED


def test_a_paired_kiosk_outlives_its_code_until_it_is_ended() -> None:
    paired = replace(MADE, paired_ms=150)
    assert paired.state(10_000) is KioskState.PAIRED
    assert replace(paired, ended_ms=300).state(300) is KioskState.ENDED


def test_a_kiosk_is_called_by_its_name_or_number() -> None:
    assert MADE.label == "kiosk 7"
    assert replace(MADE, name="by the door").label == "by the door"
    assert kiosk_subject(7) == "kiosks/7"
