"""Where the database is said to be."""

import pytest
from pydantic import ValidationError

from drink_frontend.config import Settings, show
from drink_frontend.storage.settings import StorageSettings


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://drink@db.example/drink?sslmode=verify-full&sslrootcert=/etc/drink/ca.pem",
        "postgresql://one,two:5433/drink",
        "postgres:///drink?host=/run/postgresql",
    ],
)
def test_an_address_is_taken_as_libpq_takes_it(url: str) -> None:
    assert StorageSettings(url=url).url == url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://drink:secret@db.example/drink",
        "postgresql://db.example/drink?user=drink&password=secret",
    ],
)
def test_a_password_does_not_go_into_the_address_nor_into_the_error(url: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        StorageSettings(url=url)
    (error,) = refusal.value.errors(include_url=False, include_input=False)
    assert error["msg"].endswith("must not hold a password: put it into password_file")
    assert "secret" not in str(error["msg"])


def test_another_database_is_refused() -> None:
    with pytest.raises(ValidationError, match="must begin with postgresql://"):
        StorageSettings(url="mysql://db.example/drink")


def test_what_is_shown_of_the_settings_has_no_password() -> None:
    storage = StorageSettings.model_validate(
        {"url": "postgresql://drink@db.example/drink", "password_file": "/run/secrets/drink"}
    )
    assert "/run/secrets/drink" in show(Settings(storage=storage))
