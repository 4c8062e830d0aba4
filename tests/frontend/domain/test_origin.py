"""One spelling for each address, and the place that it stands for."""

import ipaddress

import pytest

from drink_frontend.domain.origin import is_address, is_within, normalized, place, site


@pytest.mark.parametrize(
    ("address", "spelled", "counted", "held"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:201", "192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:1::0:1", "2001:db8:0:1::1", "2001:db8:0:1::/64", "2001:db8::/48"),
        ("2001:db8:0:1:ffff::", "2001:db8:0:1:ffff::", "2001:db8:0:1::/64", "2001:db8::/48"),
        ("2001:db8:0:2::1", "2001:db8:0:2::1", "2001:db8:0:2::/64", "2001:db8::/48"),
        ("fe80::1%eth0", "fe80::1", "fe80::/64", "fe80::/48"),
        ("fe80::1%2", "fe80::1", "fe80::/64", "fe80::/48"),
        ("::1", "::1", "::/64", "::/48"),
        ("local", "local", "local", "local"),
        ("", "", "", ""),
    ],
)
def test_each_address_has_one_spelling_and_one_place(
    address: str, spelled: str, counted: str, held: str
) -> None:
    assert normalized(address) == spelled
    assert normalized(spelled) == spelled
    assert place(address) == place(spelled) == counted
    assert site(address) == site(spelled) == held


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("192.0.2.1", True),
        ("2001:db8::1", True),
        ("::ffff:192.0.2.1", True),
        ("192.0.2.1:80", False),
        ("[2001:db8::1]", False),
        (" 192.0.2.1", False),
        ("192.0.2.1\n", False),
        ("192.0.2.01", False),
        ("192.0.2", False),
        ("192.0.2.1, 192.0.2.2", False),
        ("example.org", False),
        ("", False),
    ],
)
def test_nothing_but_an_address_is_one(text: str, is_one: bool) -> None:
    assert is_address(text) == is_one


def test_networks_of_both_families() -> None:
    networks = (ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/32"))

    assert is_within("192.0.2.9", networks)
    assert is_within("::ffff:192.0.2.9", networks)
    assert is_within("2001:db8:ffff::1%eth0", networks)
    assert not is_within("192.0.3.1", networks)
    assert not is_within("2001:db9::1", networks)
    assert not is_within("local", networks)
    assert not is_within("192.0.2.9", ())
