import pytest

from drink_agent.link.address import problem_of_address


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
def test_what_grpc_can_dial_is_taken(address: str) -> None:
    assert problem_of_address(address) == ""


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
def test_what_no_frontend_can_be_reached_at_is_refused(address: str, problem: str) -> None:
    assert problem in problem_of_address(address)
