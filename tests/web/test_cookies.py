from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from starlette.requests import Request
from starlette.responses import Response

from drink_web.cookies import Cookies, Guest, Login, Offer
from drink_web.settings import ConfigError, CookieSettings

LOGIN = Login("token-of-ann", "accounts/ann")


def request(scheme: str = "http", cookie: str = "") -> Request:
    headers = [(b"host", b"localhost"), (b"cookie", cookie.encode())]
    return Request(
        {
            "type": "http",
            "method": "GET",
            "path": "/",
            "query_string": b"",
            "scheme": scheme,
            "headers": headers,
            "server": ("localhost", 80),
        }
    )


def written(cookies: Cookies, scheme: str) -> str:
    response = Response()
    cookies.write(request(scheme), response, LOGIN)
    return response.headers["set-cookie"]


def cookies_in(folder: Path) -> Cookies:
    return Cookies(CookieSettings(key_file=folder / "keys"))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_login_comes_back_also_after_a_restart(tmp_path: Path, scheme: str) -> None:
    cookie = written(cookies_in(tmp_path), scheme).partition(";")[0]
    assert cookies_in(tmp_path).read(request(scheme, cookie)) == LOGIN
    assert "token-of-ann" not in cookie


def test_over_https_only_this_host_can_set_it(tmp_path: Path) -> None:
    header = written(cookies_in(tmp_path), "https")
    assert header.startswith("__Host-drink=")
    for word in ("Secure", "HttpOnly", "SameSite=lax", "Path=/"):
        assert word in header
    assert "Domain" not in header


def test_plain_http_has_a_cookie_of_another_name(tmp_path: Path) -> None:
    cookies = cookies_in(tmp_path)
    cookie = written(cookies, "http").partition(";")[0]
    assert cookie.startswith("drink=")
    assert cookies.read(request("https", cookie)) is None


@pytest.mark.parametrize("text", ["", "x", "drink", "a" * 5_000, "gAAAAA", "\x7f"])
def test_a_foreign_cookie_is_no_login(tmp_path: Path, text: str) -> None:
    assert cookies_in(tmp_path).read(request("http", f"drink={text}")) is None


def test_another_house_has_other_keys(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    cookie = written(cookies_in(tmp_path / "a"), "http").partition(";")[0]
    assert cookies_in(tmp_path / "b").read(request("http", cookie)) is None


def test_keys_can_be_changed_while_people_are_logged_in(tmp_path: Path) -> None:
    cookie = written(cookies_in(tmp_path), "http").partition(";")[0]
    keys = tmp_path / "keys"
    keys.write_text(Fernet.generate_key().decode() + "\n" + keys.read_text())
    assert cookies_in(tmp_path).read(request("http", cookie)) == LOGIN


def test_the_file_of_the_keys_is_private(tmp_path: Path) -> None:
    cookies_in(tmp_path)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600
    (tmp_path / "keys").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        cookies_in(tmp_path)


@pytest.mark.parametrize("text", ["", "no key\n"])
def test_wrong_keys_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys").touch(0o600)
    (tmp_path / "keys").write_text(text)
    with pytest.raises(ConfigError, match="key"):
        cookies_in(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing"):
        Cookies(CookieSettings(key_file=tmp_path / "missing" / "keys"))


def test_a_sealed_value_is_of_its_class_and_of_this_house(tmp_path: Path) -> None:
    cookies = cookies_in(tmp_path)
    sealed = cookies.seal(Offer("123456"))
    assert "123456" not in sealed
    assert cookies.unseal(Offer, sealed, 30) == Offer("123456")
    assert cookies.unseal(Guest, sealed, 30) is None
    assert cookies.unseal(Offer, sealed, -1) is None
    (tmp_path / "other").mkdir()
    assert cookies_in(tmp_path / "other").unseal(Offer, sealed, 30) is None
