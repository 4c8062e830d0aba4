"""Each value of the domain has a drink.v1 value of the same name; names and page tokens."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink.v1 import machine_service_pb2
from drink_frontend.domain.entities import Machine, Reach
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.stock import Sensor
from drink_frontend.rpc import conversion

PARSERS = (
    conversion.parse_drop,
    conversion.parse_account,
    conversion.parse_machine,
    conversion.parse_slot,
)


def test_every_sensor_reading_has_its_name() -> None:
    assert {
        machine_service_pb2.Slot.Sensor.Name(wire): sensor
        for sensor, wire in conversion.SENSORS.items()
    } == {f"SENSOR_{sensor}": sensor for sensor in Sensor}


@pytest.mark.parametrize("reach", Reach)
def test_every_reach_has_its_name(reach: Reach) -> None:
    machine = Machine("d", "D", "", True, 1, None, 0, None, reach)
    wire = conversion.machine_message(machine).reach
    assert machine_service_pb2.Machine.Reach.Name(wire) == f"REACH_{reach}"


@pytest.mark.parametrize(
    ("asked", "given"), [(0, 50), (1, 1), (1_000, 1_000), (1_001, 1_000), (2**31 - 1, 1_000)]
)
def test_a_page_has_at_most_a_thousand_rows(asked: int, given: int) -> None:
    assert conversion.page_limit(asked) == given


def test_a_page_cannot_be_negative() -> None:
    with pytest.raises(FieldInvalidError):
        conversion.page_limit(-1)


ACCOUNTS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}", fullmatch=True)
MACHINES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True)
DROPS = st.from_regex(r"[0-9A-Z]{26}", fullmatch=True)
SEQUENCES = st.integers(1, 2**63 - 1)


@given(DROPS)
def test_drop_names_are_read_as_written(drop_id: str) -> None:
    assert conversion.parse_drop(conversion.drop_name(drop_id), "f") == drop_id


@given(ACCOUNTS)
def test_account_names_are_read_as_written(account: str) -> None:
    assert conversion.parse_account(conversion.account_name(account), "f") == account


@given(MACHINES, st.integers(1, 99))
def test_machine_and_slot_names_are_read_as_written(machine: str, number: int) -> None:
    assert conversion.parse_machine(conversion.machine_name(machine), "f") == machine
    assert conversion.parse_slot(conversion.slot_name(machine, number), "f") == (machine, number)


@given(SEQUENCES, st.text())
def test_page_tokens_are_read_as_written(sequence: int, scope: str) -> None:
    assert conversion.parse_page_token(conversion.page_token(sequence, scope), scope) == sequence


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize(
    "name",
    [
        "",
        "drops/",
        "drops/" + "0" * 25,
        "drops/" + "0" * 26 + "\n",
        "drops/" + "a" * 26,
        "drops/" + "\u0660" * 26,
        "accounts/",
        "accounts/-",
        "accounts/a/b",
        "accounts/alice\n",
        "accounts/" + "x" * 33,
        "machines/",
        "machines/-",
        "machines/D",
        "machines/d/",
        "machines/d/slots/",
        "machines/d/slots/0",
        "machines/d/slots/01",
        "machines/d/slots/100",
        "machines/d/slots/-1",
        "machines/d/slots/\u0661",
        "machines/d/slots/1/",
        "machines/d/e/slots/1",
        "/machines/d/slots/1",
        "Machines/d/slots/1",
    ],
)
def test_wrong_names_are_refused(parse: Callable[[str, str], object], name: str) -> None:
    with pytest.raises(FieldInvalidError) as caught:
        parse(name, "the.field")
    assert caught.value.facts == {"field": "the.field"}


@given(st.text())
def test_no_text_breaks_a_reader(text: str) -> None:
    for parse in PARSERS:
        with pytest.raises(FieldInvalidError):
            parse(text, "f")


@given(st.text(min_size=1))
def test_no_text_passes_for_a_page_token(text: str) -> None:
    with pytest.raises(FieldInvalidError) as caught:
        conversion.parse_page_token(text, "drops alice")
    assert caught.value.facts == {"field": "page_token"}


@given(SEQUENCES, ACCOUNTS, ACCOUNTS)
def test_a_page_token_is_good_for_its_own_list_only(sequence: int, one: str, other: str) -> None:
    if one != other:
        with pytest.raises(FieldInvalidError):
            conversion.parse_page_token(conversion.page_token(sequence, one), other)


@given(SEQUENCES, ACCOUNTS, st.data())
def test_a_page_token_that_was_changed_is_refused(
    sequence: int, scope: str, data: st.DataObject
) -> None:
    token = conversion.page_token(sequence, scope)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda each: each != token[place]))
    for changed in (token[:place] + other + token[place + 1 :], token[:-1], token + "=", token * 2):
        with pytest.raises(FieldInvalidError) as caught:
            conversion.parse_page_token(changed, scope)
        assert caught.value.facts == {"field": "page_token"}


def test_a_page_token_has_one_spelling() -> None:
    for sequence in range(1, 2_000):
        token = conversion.page_token(sequence, "drops alice")
        assert conversion.parse_page_token(token, "drops alice") == sequence
        for changed in {token.replace("-", "+").replace("_", "/"), token.rstrip("=")} - {token}:
            with pytest.raises(FieldInvalidError):
                conversion.parse_page_token(changed, "drops alice")


def test_the_first_page_has_no_token() -> None:
    assert conversion.parse_page_token("", "drops alice") is None


@pytest.mark.parametrize(
    ("account", "name"),
    [
        ("funding", "funding"),
        ("sales/d", "sales/d"),
        ("alice", "accounts/alice"),
        ("sales", "accounts/sales"),
    ],
)
def test_the_books_own_accounts_have_plain_names(account: str, name: str) -> None:
    assert conversion.counterpart_name(account) == name
