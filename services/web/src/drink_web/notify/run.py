"""The process: all channels side by side, until SIGTERM."""

import asyncio
import logging
import signal
from collections.abc import Sequence

from drink_web.api import Api
from drink_web.metrics.port import MetricsPort
from drink_web.notify.channel import Channel
from drink_web.notify.message import trial_message
from drink_web.notify.metrics import ChannelFacts, NotifyMetrics
from drink_web.notify.sender import Sender, silence_libraries
from drink_web.notify_settings import ChannelSettings
from drink_web.settings import ConfigError, Settings

_log = logging.getLogger(__name__)

TOKEN_BYTES_MAX = 4_096
"""Bytes of the largest file with a token."""


async def notify(settings: Settings) -> None:
    """Tells people of alarms until SIGTERM or SIGINT.

    Raises:
        ConfigError: a setting is missing or wrong, or a file cannot be used.
    """
    chosen = settings.notify
    token = _token(settings)
    senders = _senders(settings)
    api = Api(settings.frontend)
    facts = {each.name: ChannelFacts() for each, _ in senders}
    channels = [
        Channel(each, chosen, sender, (api, api.caller(token)), facts[each.name])
        for each, sender in senders
    ]
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    names = [channel.name for channel in channels]
    _log.info("notifying", extra={"facts": {"channels": names}})
    works = [asyncio.create_task(channel.run(), name=channel.name) for channel in channels]
    if chosen.metrics_listen:
        served = settings.metrics.model_copy(update={"listen": chosen.metrics_listen})
        port = MetricsPort(served, NotifyMetrics(facts))
        works.append(asyncio.create_task(port.run(), name="metrics port"))
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        done, _ = await asyncio.wait([*works, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopping}:
            task.result()
        _log.info("stopped")
    finally:
        for task in (*works, stopping):
            task.cancel()
        await asyncio.gather(*works, stopping, return_exceptions=True)
        await api.close()


async def try_out(settings: Settings) -> Sequence[tuple[str, str]]:
    """Sends a message to every channel; returns each one's name and how it failed, empty if not.

    Raises:
        ConfigError: a setting is missing or wrong, or a file cannot be used.
    """
    senders = _senders(settings)
    failures = await asyncio.gather(
        *(sender.send(trial_message(each.language)) for each, sender in senders)
    )
    return [(each.name, failure) for (each, _), failure in zip(senders, failures, strict=True)]


def _senders(settings: Settings) -> Sequence[tuple[ChannelSettings, Sender]]:
    silence_libraries()
    chosen = settings.notify
    if not chosen.channels:
        raise ConfigError("notify.channels: there is none")
    return [(each, Sender(each, chosen.send_limit_s)) for each in chosen.channels]


def _token(settings: Settings) -> str:
    path = settings.notify.token_file
    if path is None:
        raise ConfigError("notify.token_file: required")
    try:
        with path.open(encoding="ascii") as file:
            token = file.read(TOKEN_BYTES_MAX).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"notify.token_file: {error}") from None
    if not token or not token.isprintable():
        raise ConfigError("notify.token_file: it has no token")
    return token
