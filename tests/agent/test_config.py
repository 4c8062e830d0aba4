import dataclasses
from pathlib import Path
from typing import Any

import pytest

from drink_agent.config import ConfigError, describe, load, parse

EXAMPLE = Path("services/machine_agent/examples/agent.toml")
MINIMAL: dict[str, Any] = {"machine": "d", "board": {"url": "serial:///dev/ttyUSB0"}}


def written(folder: Path, text: str) -> Path:
    path = folder / "agent.toml"
    path.write_text(text)
    return path


def test_the_example_is_sound() -> None:
    config = load(EXAMPLE, {})
    assert config.machine == "d"
    assert not config.link.plain_text


def test_missing_keys_have_their_defaults() -> None:
    config = parse(MINIMAL)
    assert config.journal.path == Path("/var/lib/drink-machine-agent/journal")
    assert config.board.response_limit_s == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"machine": None}, "machine: must be a string"),
        ({"machine": "Big Drink"}, "machine must be"),
        ({"machines": "d"}, "machines: unknown key"),
        ({"board": "serial:///dev/x"}, "board: must be a section"),
        ({"board": {}}, "board.url: required"),
        ({"board": {"url": "serial:///dev/x", "password": "x"}}, "board.password: "),
        ({"board": {"url": "serial:///dev/x", "password_file": 3}}, "board.password_file: must be"),
        (
            {"board": {"url": "serial:///dev/x", "dialect": "pepsi"}},
            "must be one of tini, coke1994",
        ),
        ({"board": {"url": "serial:///dev/x", "response_limit_s": -1}}, "board.response_limit_s"),
        ({"board": {"url": "listen://0.0.0.0:4343"}}, "board.password_file: required"),
        ({"board": {"url": "usb:x"}}, "board.url 'usb:x': must begin with"),
        ({"board": {"url": "serial:///dev/x", "allowed_peers": "x"}}, "must be a list of strings"),
        ({"link": {"addres": "x"}}, "link.addres: unknown key"),
        ({"link": {"addresses": 3}}, "link.addresses: must be a list of strings"),
        ({"link": {"insecure": "yes"}}, "link.insecure: must be true or false"),
        ({"link": {"insecure": 1}}, "link.insecure: must be true or false"),
        ({"link": {"outbox_limit": 1.5}}, "link.outbox_limit: must be a whole number"),
        ({"link": {"outbox_limit": True}}, "link.outbox_limit: must be a whole number"),
        ({"link": {"welcome_limit_s": "1"}}, "link.welcome_limit_s: must be a number"),
        ({"link": {"ca_file": 1}}, "link.ca_file: must be a path"),
        ({"link": {"addresses": ["http://a:1"]}}, "link.addresses: 'http://a:1' must be host:port"),
        ({"link": {"addresses": ["a"]}}, "link.addresses: 'a' must have a port"),
        ({"link": {"proxy": "a:1"}}, "link.proxy must be http://"),
        ({"board": {"url": "serial:///dev/x", "allowed_peers": ["x"]}}, "board.allowed_peers: "),
        ({"link": {"cert_file": "a"}}, "link.cert_file and key_file"),
        ({"journal": {"path": ""}}, "journal.path: must be a path"),
        ({"log": {"level": "LOUD"}}, "log.level: must be one of"),
    ],
)
def test_a_wrong_key_or_value_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(MINIMAL | change)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match="machine: required"):
        parse({"board": MINIMAL["board"]})
    with pytest.raises(ConfigError, match=r"board\.url: required"):
        parse({"machine": "d"})


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, 'machine = "d"\n[board]\nurl = "serial:///dev/x"\nmotor_s = 1.0')
    config = load(
        path,
        {
            "HOME": "/home",
            "DRINK_AGENT_MACHINE": "ld",
            "DRINK_AGENT_BOARD__MOTOR_S": "2",
            "DRINK_AGENT_BOARD__ALLOWED_PEERS": "192.0.2.1, 192.0.2.2",
            "DRINK_AGENT_LINK__INSECURE": "true",
            "DRINK_AGENT_LOG__LEVEL": "DEBUG",
            "DRINK_AGENT_JOURNAL__PATH": "/tmp/journal",
        },
    )
    assert config.machine == "ld"
    assert config.board.motor_s == 2.0
    assert config.board.allowed_peers == ("192.0.2.1", "192.0.2.2")
    assert config.link.insecure
    assert config.log.level == "DEBUG"
    assert config.journal.path == Path("/tmp/journal")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DRINK_AGENT_LINK__NOTHING", "1", "link.nothing: unknown key"),
        ("DRINK_AGENT_NOTHING", "1", "nothing: unknown key"),
        ("DRINK_AGENT_MACHINE__X", "1", "machine is not a section"),
        ("DRINK_AGENT_LINK__OUTBOX_LIMIT", "many", "link.outbox_limit: must be a whole number"),
        ("DRINK_AGENT_LINK__INSECURE", "1", "link.insecure: must be true or false"),
        ("DRINK_AGENT_LINK__WELCOME_LIMIT_S", "1\nx = 2", "link.welcome_limit_s: must be a number"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, name: str, value: str, message: str) -> None:
    path = written(tmp_path, 'machine = "d"\n[board]\nurl = "serial:///dev/x"')
    with pytest.raises(ConfigError, match=message):
        load(path, {name: value})


@pytest.mark.parametrize("text", ["machine = ", "\x00", "machine = 'd'\nmachine = 'd'"])
def test_text_that_is_not_toml_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="is not TOML"):
        load(written(tmp_path, text), {})


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, '\ufeffmachine = "d"\r\nboard.url = "serial:///dev/x"\r\n')
    assert load(path, {}).machine == "d"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "nothing", {})


def test_the_board_password_comes_from_its_file_and_is_never_shown(tmp_path: Path) -> None:
    password_file = tmp_path / "password"
    password_file.write_text("hunter2\n")
    board = {"url": "listen://0.0.0.0:4343", "password_file": str(password_file)}
    password_file.chmod(0o644)
    with pytest.raises(ConfigError, match=r"board\.password_file: .* may be read by others"):
        parse(MINIMAL | {"board": board})
    password_file.chmod(0o600)
    config = parse(MINIMAL | {"board": board})
    assert config.board.password == "hunter2"
    described = "\n".join(describe(config))
    assert "board.password = ********" in described
    assert "hunter2" not in described + repr(config)


def test_every_key_is_described_with_its_reason() -> None:
    config = parse(MINIMAL)
    described = list(describe(config))
    for section in dataclasses.fields(config):
        value = getattr(config, section.name)
        keys = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
        for key in keys:
            prefix = f"{section.name}.{key.name} = "
            assert any(line.startswith(prefix) for line in described), prefix
