"""Valid and invalid URLs of boards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink_agent.board.streams import StreamUrl, parse_peers, parse_url


@pytest.mark.parametrize(
    ("url", "parsed"),
    [
        ("serial:///dev/ttyUSB0", StreamUrl("serial", path="/dev/ttyUSB0")),
        (
            "serial:///dev/serial/by-id/usb-x?baudrate=19200",
            StreamUrl("serial", path="/dev/serial/by-id/usb-x", baudrate=19200),
        ),
        ("listen://0.0.0.0:4343", StreamUrl("listen", "0.0.0.0", 4343)),
        ("listen://:4343", StreamUrl("listen", "", 4343)),
        ("listen://[::1]:0", StreamUrl("listen", "::1", 0)),
        ("tcp://board.example:7000", StreamUrl("tcp", "board.example", 7000)),
        ("rfc2217://10.0.0.2:7000?baudrate=300", StreamUrl("rfc2217", "10.0.0.2", 7000, "", 300)),
    ],
)
def test_urls(url: str, parsed: StreamUrl) -> None:
    assert parse_url(url) == parsed


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("", "must begin with"),
        ("/dev/ttyUSB0", "must begin with"),
        ("socket://host:1", "must begin with"),
        ("serial://dev/ttyUSB0", "needs a device"),
        ("serial://", "needs a device"),
        ("serial:///dev/x?baudrate=fast", "no usual baud rate"),
        ("serial:///dev/x?baudrate=9601", "no usual baud rate"),
        ("serial:///dev/x?parity=even", "unknown option 'parity'"),
        ("tcp://host", "needs a port"),
        ("tcp://host:99999", "needs a port"),
        ("tcp://host:port", "needs a port"),
        ("tcp://:7000", "needs a host and a port"),
        ("tcp://host:0", "needs a host and a port"),
        ("tcp://host:1/x", "must end after the port"),
        ("tcp://user@host:1", "unknown option"),
        ("tcp://host:1?baudrate=9600", "unknown option"),
        ("listen://host", "needs a port"),
    ],
)
def test_bad_urls_are_refused_with_the_reason(url: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        parse_url(url)


@given(st.text())
def test_no_other_error_comes_of_any_text(text: str) -> None:
    for prefix in ("", "tcp://", "serial:///"):
        try:
            parse_url(prefix + text)
        except ValueError:
            continue


def test_peers_are_addresses_or_networks() -> None:
    assert len(parse_peers(("10.0.0.1", "10.0.0.0/8", "::1"))) == 3
    with pytest.raises(ValueError, match="board"):
        parse_peers(("board.example",))
