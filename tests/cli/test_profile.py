from pathlib import Path

import pytest

from drink_cli.errors import CommandError, Exit
from drink_cli.files import config_folder
from drink_cli.profile import Profile, load_profile, make_profile, save_profile


def test_without_files_it_is_the_server_on_this_computer() -> None:
    assert load_profile() == Profile("default", "localhost:50051")


def test_a_profile_is_kept() -> None:
    home = make_profile("home", "drink.example.org", None, plain=False)
    lab = make_profile("lab", "10.0.0.5:6000", Path("/etc/ca.pem"), plain=True)

    save_profile(home)
    save_profile(lab)

    assert load_profile() == home == Profile("home", "drink.example.org:50051")
    assert load_profile("lab") == lab


def test_the_environment_names_the_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    save_profile(make_profile("home", "one.example.org", None, plain=False))
    save_profile(make_profile("lab", "two.example.org", None, plain=False))
    monkeypatch.setenv("DRINK_PROFILE", "lab")

    assert load_profile().server == "two.example.org:50051"


def test_another_server_in_the_environment_does_not_get_the_profiles_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = make_profile("home", "one.example.org", None, plain=False)
    save_profile(home)
    home.store_token("secret")
    monkeypatch.setenv("DRINK_SERVER", "thief.example.org")

    other = load_profile()

    assert (other.server, other.token()) == ("thief.example.org:50051", "")


@pytest.mark.parametrize(
    ("server", "address"),
    [
        ("a.example.org", "a.example.org:50051"),
        ("127.0.0.1:7", "127.0.0.1:7"),
        ("::1", "[::1]:50051"),
        ("[2001:db8::1]:7", "[2001:db8::1]:7"),
    ],
)
def test_the_port_may_be_left_out(server: str, address: str) -> None:
    assert make_profile("p", server, None, plain=False).server == address


@pytest.mark.parametrize("server", ["", ":1", "a:0", "a:65536", "a:b", "a b", "a:1:"])
def test_what_is_no_address_is_refused(server: str) -> None:
    with pytest.raises(CommandError, match="address of a server") as refused:
        make_profile("p", server, None, plain=False)

    assert refused.value.code is Exit.USAGE


@pytest.mark.parametrize("server", ["localhost", "127.0.0.5", "::1"])
def test_this_computer_is_talked_to_without_tls(server: str) -> None:
    assert not make_profile("p", server, None, plain=False).uses_tls


def test_any_other_server_is_talked_to_with_tls() -> None:
    assert make_profile("p", "a.example.org", None, plain=False).uses_tls
    assert not make_profile("p", "a.example.org", None, plain=True).uses_tls
    assert make_profile("p", "localhost", Path("ca.pem"), plain=True).uses_tls


def test_a_token_that_others_can_read_is_not_used(folders: Path) -> None:
    profile = load_profile()
    profile.store_token("secret")
    (folders / "state/drink/tokens/default").chmod(0o644)

    with pytest.raises(CommandError, match="others can read") as refused:
        profile.token()

    assert refused.value.code is Exit.LOGIN
    assert "secret" not in str(refused.value)


def test_a_damaged_token_is_not_sent() -> None:
    profile = load_profile()
    profile.store_token("one two")

    with pytest.raises(CommandError, match="damaged"):
        profile.token()


def test_the_environment_may_hold_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRINK_TOKEN", "given")

    assert load_profile().token() == "given"


@pytest.mark.parametrize(
    "text",
    ["default = 1", "profiles = 1\n[", "[profiles.default]\nserver = 5", "default = '../x'"],
)
def test_wrong_settings_are_told(text: str) -> None:
    config_folder().mkdir(parents=True)
    (config_folder() / "config.toml").write_text(text)

    with pytest.raises(CommandError) as refused:
        load_profile()

    assert refused.value.code is Exit.USAGE


def test_a_profile_that_is_not_there_is_told() -> None:
    with pytest.raises(CommandError, match="no profile lab"):
        load_profile("lab")
