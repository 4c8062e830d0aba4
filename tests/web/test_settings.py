from pathlib import Path

import pytest

from drink_web.settings import ConfigError, Settings, is_loopback, load, reference, show


def test_the_defaults_are_valid_and_private() -> None:
    settings = load(None)
    assert settings.http.address == "127.0.0.1"
    assert settings.frontend.gateway_token_file is None


def test_the_environment_has_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "web.toml"
    path.write_text("[http]\nport = 81\n")
    assert load(path).http.port == 81
    monkeypatch.setenv("DRINK_WEB_HTTP__PORT", "82")
    assert load(path).http.port == 82


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[http]\nprot = 1", "http.prot"),
        ("[http]\nport = 70000", "http.port"),
        ('[http]\naddress = "0.0.0.0"', "http"),
        ('[http]\nproxies = ["not a network"]', "http.proxies"),
        ("[streams]\nmax = 0", "streams.max"),
        ("_env_file = 1", "_env_file"),
        ("not toml", "toml"),
    ],
)
def test_wrong_keys_are_named(tmp_path: Path, text: str, key: str) -> None:
    path = tmp_path / "web.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=key):
        load(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing"):
        load(tmp_path / "missing")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.1", True), ("[::1]", True), ("10.0.0.1", False), ("x", False)],
)
def test_loopback_is_known(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_the_reference_has_every_key() -> None:
    page = reference()
    for name, section in Settings.model_fields.items():
        assert f"## [{name}]" in page
        model = section.annotation
        assert model is not None
        for key in model.model_fields:
            assert f"`{key} = " in page or f"[[{name}.{key}]]" in page
    assert '"port": 8080' in show(load(None))
