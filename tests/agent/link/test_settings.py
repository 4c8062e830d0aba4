from pathlib import Path

import pytest

from drink_agent.link.settings import LinkSettings


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("localhost:50051", True),
        ("127.0.0.1:50051", True),
        ("127.8.9.1:1", True),
        ("[::1]:50051", True),
        ("unix:/run/drink.sock", True),
        ("10.0.0.1:50051", False),
        ("[2001:db8::1]:50051", False),
        ("frontend.example.org:50051", False),
        ("localhost.example.org:50051", False),
        ("dns:///frontend:50051", False),
    ],
)
def test_plain_text_stays_on_this_host(address: str, plain: bool) -> None:
    assert LinkSettings(address=address).plain_text is plain
    assert LinkSettings(address=address, insecure=True).plain_text
    assert not LinkSettings(address=address, ca_file=Path("ca.pem")).plain_text


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"address": ""}, "address"),
        ({"cert_file": Path("a")}, "key_file"),
        ({"key_file": Path("a")}, "cert_file"),
        ({"insecure": True, "ca_file": Path("a")}, "ca_file"),
        ({"welcome_limit_s": 0}, "welcome_limit_s"),
        ({"backoff_first_s": -1}, "backoff_first_s"),
        ({"outbox_limit": 0}, "outbox_limit"),
        ({"wanted_limit": 0}, "wanted_limit"),
    ],
)
def test_what_makes_no_sense_is_refused(values: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        LinkSettings(**values)  # type: ignore[arg-type]
