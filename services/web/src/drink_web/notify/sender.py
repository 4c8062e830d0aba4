"""Sends messages by Apprise, within a time limit and without following redirects."""

import asyncio
import logging
import os
import re

from apprise import LOGGER_NAME, Apprise, AppriseAsset, AppriseResult

from drink_web.notify.message import Message
from drink_web.notify_settings import URL_BYTES_MAX, ChannelSettings, check_url
from drink_web.settings import ConfigError

CONNECT_LIMIT_S = 10.0
"""Seconds that a connection to a channel's server may take."""

_LIBRARIES = ("requests", "urllib3", "requests_oauthlib", "oauthlib")

_STATUS = re.compile(r"\berror=([1-5]\d\d)\b")
_UNREACHED = re.compile("connection error", re.IGNORECASE)
"""What Apprise's lines say of an answer, and of a server that is not reached."""


def silence_libraries() -> None:
    """Keeps the libraries from logging: their lines hold addresses with passwords."""
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    # Apprise keeps warnings for its results as far as its logger lets them through.
    apprise = logging.getLogger(LOGGER_NAME)
    apprise.setLevel(logging.WARNING)
    apprise.propagate = False
    if not apprise.handlers:
        apprise.addHandler(logging.NullHandler())


class Sender:
    """One channel's connection to the world.

    Args:
        settings: The channel.
        limit_s: Seconds that a message may take.

    Raises:
        ConfigError: its address is missing or wrong; the message does not show it.
    """

    def __init__(self, settings: ChannelSettings, limit_s: float) -> None:
        where = f"notify.channels.{settings.name}"
        # A redirect could lead to an address inside the house: it counts as a failure.
        asset = AppriseAsset(
            app_id="Drink",
            app_desc="Drink",
            http_redirects=False,
            secure_logging=True,
            storage_mode="memory",
            service_timeout=limit_s,
        )
        self._limit_s = limit_s
        self._apprise = Apprise(asset=asset)
        try:
            url = check_url(_address(settings))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(f"{where}: {reason}") from None
        if not self._apprise.add(url):
            raise ConfigError(f"{where}: the address is no Apprise URL that works")
        for server in self._apprise:
            # An address can ask for the contrary of these.
            server.redirects = False
            server.socket_connect_timeout = min(CONNECT_LIMIT_S, limit_s)
            server.socket_read_timeout = limit_s

    async def send(self, message: Message) -> str:
        """Sends a message; returns how that failed, in words without secrets; empty if it did not.

        A message that took too long may still arrive.
        """
        try:
            async with asyncio.timeout(self._limit_s):
                sent = await self._apprise.async_notify(
                    body=message.body, title=message.title, body_format="text"
                )
        except TimeoutError:
            return f"no answer within {self._limit_s:g} s"
        except Exception as error:
            return type(error).__name__
        return "" if sent else _why(sent)


def _why(result: AppriseResult) -> str:
    """How sending failed, as far as it is known; no line of Apprise is shown."""
    lines = [entry.message for entry in result.logs()]
    for line in lines:
        status = _STATUS.search(line)
        if status is not None:
            return f"the server answered {status[1]}"
    if any(_UNREACHED.search(line) for line in lines):
        return "the server was not reached"
    return "it was not accepted"


def _address(settings: ChannelSettings) -> str:
    if settings.url_file is None:
        address = os.environ.get(settings.url_env, "")
        if not address:
            raise ValueError(f"{settings.url_env} is not in the environment")
        return address
    with settings.url_file.open(encoding="utf-8") as file:
        return file.read(URL_BYTES_MAX).strip()
