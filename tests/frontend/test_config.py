"""The frontend's settings."""

import json
from pathlib import Path

import pytest

from drink_frontend.config import ConfigError, Settings, load, reference, show

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


def written(folder: Path, text: str) -> Path:
    path = folder / "frontend.toml"
    path.write_text(text)
    return path


def test_without_a_file_the_defaults_are_in_force() -> None:
    settings = load(None)
    assert settings == Settings()
    assert (settings.rpc.port, settings.sessions.listeners[0].port) == (50051, 4242)


def test_a_file_sets_and_the_environment_overrides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "[rpc]\nport = 1\nwatches_max = 7\n[drops]\nwaiting_max = 3\n")
    monkeypatch.setenv("DRINK_RPC__PORT", "2")
    settings = load(path)
    assert settings.rpc.port == 2
    assert settings.rpc.watches_max == 7
    assert settings.drops.waiting_max == 3


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("unknown = 1", "unknown"),
        ("_env_file = 1", "_env_file"),
        ("_cli_parse_args = true", "_cli_parse_args"),
        ("[rpc]\nprot = 1", "rpc.prot"),
        ("[storage]\nfile = 'x'", "storage.file"),
        ("[rpc]\nport = 'many'", "rpc.port"),
        ("[rpc]\nport = 70000", "rpc.port"),
        ("[links]\nheartbeat_interval_s = 0", "links.heartbeat_interval_s"),
        ("[rpc]\nport = '50051'", "rpc.port"),
        ("[rpc]\nport = true", "rpc.port"),
        ("[rpc]\nport = 2026-11-23", "rpc.port"),
        ("[rpc]\nallow_plain_remote = 'yes'", "rpc.allow_plain_remote"),
        ("[rpc]\nallow_plain_remote = 1", "rpc.allow_plain_remote"),
        ("[[sessions.listeners]]\nport = '4242'", "sessions.listeners.0.port"),
        ("rpc = 1", "rpc"),
        ("[drops]\nwaiting_max = 1.5", "drops.waiting_max"),
        ("[[sessions.listeners]]\ndialect = 'klingon'", "sessions.listeners.0.dialect"),
        ("[log]\nlevel = 'loud'", "log.level"),
    ],
)
def test_a_wrong_key_or_value_is_an_error_that_names_it(
    tmp_path: Path, text: str, key: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{key}: "):
        load(written(tmp_path, text))


def test_a_key_of_the_file_may_need_one_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRINK_RPC__TLS_KEY", "/etc/drink/key.pem")
    settings = load(written(tmp_path, "[rpc]\ntls_certificate = '/etc/drink/cert.pem'\n"))
    assert settings.rpc.tls


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, "[rpc]\nport = -1\n[log]\nformat = 'xml'"))
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1"])
def test_plain_text_beyond_loopback_must_be_allowed_in_so_many_words(
    tmp_path: Path, address: str
) -> None:
    for section in ("[rpc]", "[[sessions.listeners]]"):
        text = f"{section}\naddress = '{address}'\n"
        with pytest.raises(ConfigError, match="allow_plain_remote"):
            load(written(tmp_path, text))
        load(written(tmp_path, text + "allow_plain_remote = true\n"))


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    assert load(written(tmp_path, "\ufeff[rpc]\r\nport = 1\r\n")).rpc.port == 1


def test_a_file_that_is_missing_or_no_toml_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml"):
        load(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match=r"frontend\.toml"):
        load(written(tmp_path, "= ="))


def test_what_is_in_force_is_shown_as_json() -> None:
    shown = json.loads(show(load(None)))
    assert shown["links"]["heartbeat_interval_s"] == 10


def test_every_key_is_documented() -> None:
    def undocumented(model: type, path: str) -> list[str]:
        missing = []
        for name, field in model.model_fields.items():  # type: ignore[attr-defined]
            if not field.description:
                missing.append(f"{path}{name}")
            if hasattr(field.annotation, "model_fields"):
                missing += undocumented(field.annotation, f"{path}{name}.")
        return missing

    assert undocumented(Settings, "") == []


def test_the_document_is_the_reference() -> None:
    assert DOCUMENT.read_text() == reference(), "run: drink-frontend config reference"
