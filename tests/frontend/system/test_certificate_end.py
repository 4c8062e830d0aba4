"""When a certificate ends."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from drink_frontend.system.authority import Authority
from drink_frontend.system.certificate_end import certificate_end_ms

NOW = datetime.now(UTC).replace(microsecond=0)


def test_the_first_certificate_of_the_file_counts(tmp_path: Path) -> None:
    authority = Authority.load(Authority.create("Test", 300, NOW))
    own = authority.server(["localhost"], 30, NOW)
    file = tmp_path / "server.pem"
    file.write_bytes(own.certificate + Authority.create("Other", 900, NOW).certificate)
    assert certificate_end_ms(file) == round(NOW.timestamp() * 1000) + 30 * 86_400_000


def test_a_file_without_one_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "server.pem"
    with pytest.raises(OSError, match="server"):
        certificate_end_ms(file)
    file.write_text("nothing")
    with pytest.raises(ValueError, match="PEM"):
        certificate_end_ms(file)
