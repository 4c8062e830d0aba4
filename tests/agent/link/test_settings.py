from dataclasses import replace
from pathlib import Path

import pytest

from drink_agent.link.settings import DEFAULT_TOKEN_FILE, LinkSettings, address_problem


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
    assert LinkSettings(addresses=(address,)).plain_text is plain
    assert LinkSettings(addresses=(address,), insecure=True).plain_text
    assert not LinkSettings(addresses=(address,), ca_file=Path("ca.pem")).plain_text


def test_plain_text_needs_every_frontend_on_this_host() -> None:
    assert not LinkSettings(addresses=("localhost:1", "10.0.0.1:1")).plain_text


def test_a_token_is_expected_unless_there_is_a_certificate() -> None:
    own = LinkSettings(cert_file=Path("a"), key_file=Path("b"))
    assert LinkSettings().token_path == DEFAULT_TOKEN_FILE
    assert own.token_path is None
    assert replace(own, token_file=Path("c")).token_path == Path("c")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"addresses": ()}, "addresses"),
        ({"addresses": ("a:1", "")}, "addresses"),
        ({"addresses": ("a:1",) * 17}, "addresses"),
        ({"cert_file": Path("a")}, "key_file"),
        ({"key_file": Path("a")}, "cert_file"),
        ({"insecure": True, "ca_file": Path("a")}, "ca_file"),
        ({"proxy": "proxy.example.org:3128"}, "proxy"),
        ({"proxy": "http://proxy.example.org"}, "proxy"),
        ({"proxy": "http://user:secret@proxy.example.org:3128"}, "proxy"),
        ({"proxy": "https://proxy.example.org:3128"}, "proxy"),
        ({"proxy": "http://proxy.example.org:port"}, "proxy"),
        ({"proxy": "http://proxy.example.org:3128/path"}, "proxy"),
        ({"welcome_limit_s": 0}, "welcome_limit_s"),
        ({"backoff_first_s": -1}, "backoff_first_s"),
        ({"outbox_limit": 0}, "outbox_limit"),
        ({"wanted_limit": 0}, "wanted_limit"),
    ],
)
def test_contradictory_settings_are_refused(values: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        LinkSettings(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "address",
    [
        "localhost:50051",
        "frontend.example.org:1",
        "frontend_1:65535",
        "192.0.2.1:50051",
        "[::1]:50051",
        "[fe80::1%eth0]:50051",
        "dns:frontend:50051",
        "dns:///frontend:50051",
        "dns://8.8.8.8/frontend:50051",
        "ipv4:192.0.2.1:50051,192.0.2.2:50051",
        "ipv6:[2001:db8::1]:50051",
        "unix:/run/drink.sock",
        "unix:///run/drink.sock",
        "unix-abstract:drink",
    ],
)
def test_an_address_that_grpc_can_dial_is_accepted(address: str) -> None:
    assert address_problem(address) == ""


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("http://frontend:50051", "without http://"),
        ("https://frontend.example.org", "without https://"),
        ("grpc://frontend:50051", "without grpc://"),
        ("frontend.example.org", "must have a port"),
        ("frontend.example.org:", "must have a port"),
        ("dns:///frontend", "must have a port"),
        ("dns:frontend", "must have a port"),
        ("ipv4:192.0.2.1:1,192.0.2.2", "must have a port"),
        ("[::1]", "must have a port"),
        ("frontend:0", "port from 1 to 65535"),
        ("frontend:65536", "port from 1 to 65535"),
        ("frontend:port", "port from 1 to 65535"),
        ("frontend:50051/", "must be host:port"),
        ("front end:50051", "must be host:port"),
        ("frontend:50051 ", "must be host:port"),
        ("::1", "in brackets"),
        ("2001:db8::1:50051", "in brackets"),
        (":50051", "must be host:port"),
        ("a:1,b:2", "must be host:port"),
    ],
)
def test_an_unusable_address_is_refused(address: str, problem: str) -> None:
    assert problem in address_problem(address)
