"""Profiles: which server the commands talk to, and the token for it.

`config.toml` names the servers; each token is in the keyring of the desktop, or in a file of its
own that only its owner can read.
"""

import json
import os
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from drink_cli import keyrings
from drink_cli.errors import CommandError, Exit
from drink_cli.files import config_folder, remove, state_folder, write_private
from drink_cli.keyrings import KeyringError

DEFAULT_NAME = "default"
DEFAULT_SERVER = "localhost:50051"
PORT = 50051

_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")


@dataclass(frozen=True, slots=True)
class Profile:
    """One server and how to talk to it.

    Attributes:
        name: 1 to 32 characters of `A-Za-z0-9_-`.
        server: `host:port` of a frontend or of what stands before it.
        authority: PEM file of the authority that signed the server's certificate; None for those
            that the system trusts.
        plain: Whether to talk without TLS to a server that is not on this computer.
        keyring: Whether the token is in the keyring; None if no login has decided it.
    """

    name: str = DEFAULT_NAME
    server: str = DEFAULT_SERVER
    authority: Path | None = None
    plain: bool = False
    keyring: bool | None = None

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted: always, but on loopback or where `plain` is set."""
        if self.authority is not None:
            return True
        return not (self.plain or _is_loopback(self.server))

    @property
    def _token_file(self) -> Path:
        return state_folder() / "tokens" / self.name

    @property
    def purchases_folder(self) -> Path:
        """Where the purchases are kept whose end has not been seen."""
        return state_folder() / "purchases" / self.name

    def token(self) -> str:
        """The token of the last login, or of `DRINK_TOKEN`; empty if there is none.

        Raises:
            CommandError: it can be read by others, or is no token, or the keyring is locked.
        """
        token = os.environ.get("DRINK_TOKEN", "").strip()
        if not token:
            token = self._stored_token()
        if token and not _TOKEN.fullmatch(token):
            raise CommandError("the stored token is damaged; log in again", Exit.LOGIN)
        return token

    def _stored_token(self) -> str:
        if self.keyring:
            try:
                return keyrings.read(self._keyring_user)
            except KeyringError as error:
                raise CommandError(
                    f"{error}; unlock it, or `drink login --no-keyring` keeps a token in a file",
                    Exit.LOGIN,
                ) from None
        path = self._token_file
        try:
            if path.stat().st_mode & 0o077:
                raise CommandError(
                    f"others can read {path}: run `chmod 600` on it, or log in again", Exit.LOGIN
                )
            return path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""

    def store_token(self, token: str) -> "Profile":
        """Keeps the token for later commands, in the keyring or a file with mode 0600.

        Where the keyring cannot be used the token goes to the file, and this is told once: the
        profile then has the file, until a login asks for the keyring again.

        Returns:
            The profile with the place of its token.

        Raises:
            OSError: the file cannot be written.
        """
        is_in_keyring = self._store_in_keyring(token)
        if is_in_keyring:
            remove(self._token_file)
        else:
            write_private(self._token_file, token + "\n")
        return replace(self, keyring=is_in_keyring)

    def _store_in_keyring(self, token: str) -> bool | None:
        """Whether the keyring has the token; None if there is none and nobody wanted one."""
        if self.keyring is False:
            return False
        failure = "there is no keyring, or drink-cli[keyring] is not installed"
        try:
            if keyrings.is_there(any_backend=bool(self.keyring)):
                keyrings.store(self._keyring_user, token)
                return True
        except KeyringError as error:
            failure = str(error)
        else:
            if self.keyring is None:
                return None
        sys.stderr.write(f"drink: {failure}; the token is kept in {self._token_file}\n")
        return False

    def forget_token(self) -> bool:
        """Removes the stored token; returns whether there was one.

        Raises:
            CommandError: the keyring cannot be used.
        """
        was_there = remove(self._token_file)
        if self.keyring:
            try:
                return keyrings.forget(self._keyring_user) or was_there
            except KeyringError as error:
                raise CommandError(f"{error}; the token is still in it", Exit.FAULT) from None
        return was_there

    @property
    def _keyring_user(self) -> str:
        # With the server, so that no other one is ever sent the token.
        return f"{self.name}@{self.server}"


def load_profile(name: str | None = None) -> Profile:
    """The profile to use.

    Args:
        name: Of the profile; None for that of `DRINK_PROFILE`, then for the default one.

    Raises:
        CommandError: there is no such profile, or `config.toml` is wrong.
    """
    settings = _read()
    chosen = name or os.environ.get("DRINK_PROFILE", "") or settings.get("default", DEFAULT_NAME)
    if not isinstance(chosen, str) or not _NAME.fullmatch(chosen):
        raise CommandError("a profile's name has 1 to 32 characters of A-Za-z0-9_-", Exit.USAGE)
    profiles = settings.get("profiles", {})
    table = profiles.get(chosen) if isinstance(profiles, dict) else None
    server = os.environ.get("DRINK_SERVER", "")
    if table is None:
        if name and not server:
            raise CommandError(
                f"there is no profile {name}; `drink --profile {name} login --server HOST:PORT` "
                "makes one",
                Exit.USAGE,
            )
        table = {}
    profile = _profile(chosen, table)
    if server and _with_port(server) != profile.server:
        # The profile's token belongs to the profile's server and must not be sent to another one.
        other = re.sub(r"[^A-Za-z0-9]+", "-", f"at-{server}")[:32]
        known = profiles.get(other, {}) if isinstance(profiles, dict) else {}
        return _profile(other, {"server": server, "keyring": known.get("keyring")})
    return profile


def make_profile(
    name: str, server: str, authority: Path | None, plain: bool, keyring: bool | None = None
) -> Profile:
    """A profile from what was given on the command line.

    Raises:
        CommandError: the server's address is wrong, or the file cannot be read.
    """
    table: dict[str, Any] = {"server": server, "plain": plain, "keyring": keyring}
    if authority is not None:
        table["authority"] = str(authority.absolute())
    return _profile(name, table)


def save_profile(profile: Profile) -> None:
    """Keeps a profile in `config.toml`, and makes the first one the default."""
    settings = _read()
    profiles = dict(settings.get("profiles", {}))
    table: dict[str, Any] = {"server": profile.server}
    if profile.authority is not None:
        table["authority"] = str(profile.authority)
    if profile.plain:
        table["plain"] = True
    if profile.keyring is not None:
        table["keyring"] = profile.keyring
    profiles[profile.name] = table
    default = settings.get("default", profile.name)
    lines = [f"default = {json.dumps(default)}"]
    for name, entries in sorted(profiles.items()):
        lines += ["", f"[profiles.{name}]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in entries.items()]
    write_private(config_folder() / "config.toml", "\n".join(lines) + "\n")


def _read() -> Mapping[str, Any]:
    path = config_folder() / "config.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CommandError(f"{path}: {error}", Exit.USAGE) from None


def _profile(name: str, table: Mapping[str, Any]) -> Profile:
    server, authority = table.get("server", DEFAULT_SERVER), table.get("authority")
    plain, keyring = table.get("plain", False), table.get("keyring")
    if not isinstance(server, str) or not isinstance(plain, bool):
        raise CommandError(
            f"profile {name}: `server` is a text, `plain` is true or false", Exit.USAGE
        )
    if not isinstance(keyring, bool | None):
        raise CommandError(f"profile {name}: `keyring` is true or false", Exit.USAGE)
    if authority is not None and not isinstance(authority, str):
        raise CommandError(f"profile {name}: `authority` is the path of a file", Exit.USAGE)
    return Profile(
        name=name,
        server=_with_port(server),
        authority=None if authority is None else Path(authority),
        plain=plain,
        keyring=keyring,
    )


def _with_port(server: str) -> str:
    host, port = _split(server)
    is_port = port.isdecimal() and 1 <= int(port) <= 65_535
    if not is_port or not _is_host(host):
        raise CommandError(
            f"not the address of a server: {server!r}; HOST or HOST:PORT", Exit.USAGE
        )
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _split(server: str) -> tuple[str, str]:
    if server.startswith("["):
        host, _, rest = server[1:].partition("]")
        return host, rest.removeprefix(":") or str(PORT)
    if server.count(":") > 1:
        return server, str(PORT)
    host, _, port = server.partition(":")
    return host, port or str(PORT)


def _is_host(host: str) -> bool:
    if ":" not in host:
        return bool(re.fullmatch(r"[A-Za-z0-9._-]{1,253}", host))
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(server: str) -> bool:
    host, _ = _split(server)
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
