"""The gRPC channel of a link: options, encryption and the machine's token."""

import json
from pathlib import Path
from typing import Any

import grpc

from drink_agent.link.authorities import system_authorities
from drink_agent.link.errors import LinkSetupError
from drink_agent.link.settings import LinkSettings
from drink_agent.secretfile import SecretFileError, read_secret

KEEPALIVE_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Without it the timeout above has no effect: the default of 60 s wins.
    ("grpc.http2.ping_timeout_ms", 10_000),
    # The default stops pinging a stream on which nothing is said.
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.initial_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 15_000),
)
"""Notices a half-open connection within 30 s. A frontend that hangs answers these pings all
the same, which is why there are heartbeats."""


SERVICE_CONFIG = json.dumps({"loadBalancingConfig": [{"pick_first": {"shuffleAddressList": True}}]})
"""Tries the IP addresses of one name in any order, so that agents spread over the frontends behind
it. A name is resolved anew for each link, since each has a channel of its own."""


def open_channel(settings: LinkSettings, address: str) -> grpc.aio.Channel:
    """Returns a new channel to the frontend at an address.

    Raises:
        LinkSetupError: A certificate or key cannot be read, or they do not fit.
    """
    options: list[tuple[str, Any]] = [
        *KEEPALIVE_OPTIONS,
        # A shared pool would put the next link on the old one's connection, dead as it may be.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_receive_message_length", settings.receive_bytes_limit),
        ("grpc.service_config", SERVICE_CONFIG),
        # By default gRPC takes a proxy from the environment, where Docker puts one.
        ("grpc.enable_http_proxy", int(settings.proxy is not None)),
    ]
    if settings.proxy is not None:
        options.append(("grpc.http_proxy", settings.proxy))
    if settings.plain_text:
        return grpc.aio.insecure_channel(address, options)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_pem(settings.ca_file) or system_authorities(),
        private_key=_pem(settings.key_file),
        certificate_chain=_pem(settings.cert_file),
    )
    return grpc.aio.secure_channel(address, credentials, options)


def authorization(settings: LinkSettings) -> tuple[tuple[str, str], ...]:
    """Returns the metadata that proves which machine the agent speaks for; none without a token.

    Raises:
        LinkSetupError: The token cannot be read.
    """
    path = settings.token_path
    if path is None:
        return ()
    try:
        return (("authorization", f"Bearer {read_secret(path)}"),)
    except SecretFileError as error:
        raise LinkSetupError(str(error)) from error


def _pem(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise LinkSetupError(f"{path} cannot be read: {error.strerror}") from error
