"""The rows that more than one module reads."""

from sqlalchemy import literal_column

from drink_frontend.storage.mappings import ACCOUNT, DROP, OPEN_DROP, shown_name


def test_what_is_computed_is_not_written() -> None:
    assert not {"posted", "held", "name"} & set(ACCOUNT.written)
    assert not {"refunded", "buyer", "decider", "sequence"} & set(DROP.written)


def test_open_drops_are_read_like_others() -> None:
    assert len(OPEN_DROP.columns) == len(DROP.columns)


def test_a_name_is_looked_up_by_the_id() -> None:
    text = str(shown_name(literal_column("actor")))
    assert text.startswith("coalesce((SELECT shown.name")
