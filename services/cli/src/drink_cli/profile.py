"""Profiles: which server the commands talk to, and the token for it.

`config.toml` names the servers; each token is a file of its own that only its owner can read.
"""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from drink_cli.errors import CommandError, Exit
from drink_cli.files import config_folder, remove, state_folder, write_private

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
    """

    name: str = DEFAULT_NAME
    server: str = DEFAULT_SERVER
    authority: Path | None = None
    plain: bool = False

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
            CommandError: it can be read by others, or is no token.
        """
        token = os.environ.get("DRINK_TOKEN", "").strip()
        if not token:
            token = self._stored_token()
        if token and not _TOKEN.fullmatch(token):
            raise CommandError("the stored token is damaged; log in again", Exit.LOGIN)
        return token

    def _stored_token(self) -> str:
        path = self._token_file
        try:
            if path.stat().st_mode & 0o077:
                raise CommandError(
                    f"others can read {path}: run `chmod 600` on it, or log in again", Exit.LOGIN
                )
            return path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""

    def store_token(self, token: str) -> None:
        """Keeps the token for later commands, in a file with mode 0600."""
        write_private(self._token_file, token + "\n")

    def forget_token(self) -> bool:
        """Removes the stored token; returns whether there was one."""
        return remove(self._token_file)


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
        return _profile(re.sub(r"[^A-Za-z0-9]+", "-", f"at-{server}")[:32], {"server": server})
    return profile


def make_profile(name: str, server: str, authority: Path | None, plain: bool) -> Profile:
    """A profile from what was given on the command line.

    Raises:
        CommandError: the server's address is wrong, or the file cannot be read.
    """
    table: dict[str, Any] = {"server": server, "plain": plain}
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
    plain = table.get("plain", False)
    if not isinstance(server, str) or not isinstance(plain, bool):
        raise CommandError(
            f"profile {name}: `server` is a text, `plain` is true or false", Exit.USAGE
        )
    if authority is not None and not isinstance(authority, str):
        raise CommandError(f"profile {name}: `authority` is the path of a file", Exit.USAGE)
    return Profile(
        name=name,
        server=_with_port(server),
        authority=None if authority is None else Path(authority),
        plain=plain,
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
