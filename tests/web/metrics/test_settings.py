import pytest
from pydantic import ValidationError

from drink_web.metrics.settings import MetricsSettings


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:9465", ("127.0.0.1", 9465)),
        ("[::1]:0", ("::1", 0)),
        ("metrics.example.org:65535", ("metrics.example.org", 65_535)),
        ("", None),
    ],
)
def test_where_to_listen(listen: str, address: tuple[str, int] | None) -> None:
    assert MetricsSettings(listen=listen).address == address


def test_only_this_host_is_served_by_default() -> None:
    assert MetricsSettings().address == ("127.0.0.1", 9465)


@pytest.mark.parametrize(
    "listen", ["9465", ":9465", "127.0.0.1", "::1:9465", "h:65536", "h:x", " "]
)
def test_what_is_no_address_is_refused(listen: str) -> None:
    with pytest.raises(ValidationError, match="ADDRESS:PORT"):
        MetricsSettings(listen=listen)
