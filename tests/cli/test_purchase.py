from pathlib import Path

import pytest

from drink_cli.errors import CommandError
from drink_cli.purchase import PendingPurchases, Purchase, new_purchase, slot_name


@pytest.mark.parametrize("text", ["d/1", "machines/d/slots/1"])
def test_a_slot_is_written_as_people_or_as_the_api_does(text: str) -> None:
    assert slot_name(text) == "machines/d/slots/1"


@pytest.mark.parametrize("text", ["", "d", "d/", "d/0", "d/100", "D/1", "d/1/2", "../1", "d/1\n"])
def test_what_is_no_slot_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="not a slot"):
        slot_name(text)


def test_each_purchase_has_a_request_id_of_its_own() -> None:
    one, two = (new_purchase("machines/d/slots/1", 0, None) for _ in range(2))

    assert one.request_id != two.request_id


def test_every_repeat_is_the_same_request() -> None:
    purchase = Purchase("r-1", "machines/d/slots/1", delay_s=5, price_ceiling=0)

    assert purchase.request() == purchase.request()
    assert purchase.request().delay.seconds == 5
    assert purchase.request().HasField("price_ceiling")
    assert purchase.request().no_wait


def test_purchases_are_kept_until_their_end_was_seen(tmp_path: Path) -> None:
    pending = PendingPurchases(tmp_path / "purchases")
    old = Purchase("b", "machines/d/slots/1", asked_at=1)
    new = Purchase("a", "machines/d/slots/2", delay_s=3, price_ceiling=50, asked_at=2)
    pending.keep(new)
    pending.keep(old)

    assert list(PendingPurchases(tmp_path / "purchases")) == [old, new]

    pending.forget(old)
    pending.forget(old)

    assert list(pending) == [new]


def test_what_cannot_be_kept_is_not_bought(tmp_path: Path) -> None:
    (tmp_path / "purchases").write_text("a file where the folder should be")

    with pytest.raises(CommandError, match="nothing was bought"):
        PendingPurchases(tmp_path / "purchases").keep(Purchase("a", "machines/d/slots/1"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"request_id": "b", "slot": "machines/d/slots/1"}',
        '{"request_id": "a", "slot": "d"}',
        '{"request_id": "a", "slot": "d/1", "colour": 1}',
    ],
)
def test_a_damaged_file_is_told_and_stays(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)

    with pytest.raises(CommandError, match="damaged"):
        list(PendingPurchases(tmp_path))

    assert (tmp_path / "a.json").exists()
