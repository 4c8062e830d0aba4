"""Signing in with an OpenID provider on another device (RFC 8628).

Nothing that the provider answers is believed here: the server verifies the ID token.
"""

import ipaddress
import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2

from drink.v1 import account_service_pb2 as pb
from drink_cli.errors import CommandError, Exit

GRANT = "urn:ietf:params:oauth:grant-type:device_code"

ANSWER_LIMIT_S = 10.0
"""Seconds that the provider may take to answer a question."""

ANSWER_BYTES_MAX = 131_072
"""Bytes of the largest answer: tokens with many groups have some 10,000."""

LIFE_MAX_S = 900
"""Seconds that somebody may take at the most, whatever the provider allows."""

INTERVAL_S, INTERVAL_MAX_S = 5, 60
"""Seconds between two questions where the provider names none, and the most that it may name."""

SLOWER_S = 5
"""Seconds that are added when the provider asks for patience: RFC 8628, section 3.5."""

TEXT_MAX = 2_000


@dataclass(frozen=True, slots=True)
class DevicePrompt:
    """What a person has to do.

    Attributes:
        address: Where to go.
        code: What to type there.
        complete: An address that has the code in it; empty if there is none.
        device_code: With which the provider is asked for the outcome.
        interval_s: Seconds between two questions.
        life_s: Seconds until it is too late.
    """

    address: str
    code: str
    complete: str
    device_code: str
    interval_s: int
    life_s: int


def sign_in(
    provider: pb.SignInProvider,
    tell: Callable[[DevicePrompt], None],
    wait: Callable[[float], None] = time.sleep,
) -> pb.OidcCredentials:
    """What the provider gives once a person has signed in there.

    Args:
        provider: The provider, as the server lists it.
        tell: Shows a person what to do.
        wait: Waits for so many seconds.

    Raises:
        CommandError: the person or the provider refused, it took too long, or the provider does
            not answer.
    """
    trust = ssl.create_default_context()
    with httpx2.Client(verify=trust, timeout=ANSWER_LIMIT_S, follow_redirects=False) as client:
        prompt = begin(client, provider)
        tell(prompt)
        tokens = _wait(client, provider, prompt, wait)
    id_token = tokens.get("id_token")
    if not isinstance(id_token, str):
        raise _broken(provider, "it gives no ID token; the scope `openid` is missing")
    access_token = tokens.get("access_token")
    return pb.OidcCredentials(
        provider=provider.name,
        id_token=id_token,
        access_token=access_token if isinstance(access_token, str) else "",
    )


def begin(client: httpx2.Client, provider: pb.SignInProvider) -> DevicePrompt:
    """Asks the provider for a code.

    Raises:
        CommandError: it gives none, or not one that can be shown.
    """
    form = {"client_id": provider.device_client_id, "scope": provider.scopes}
    answer = _ask(client, provider, provider.device_authorization_endpoint, form)
    if "error" in answer:
        raise _broken(provider, f"it refuses to begin: {_word(answer.get('error'))}")
    address, code, device_code = (
        _text(answer.get(name)) for name in ("verification_uri", "user_code", "device_code")
    )
    if not (address and code and device_code) or not _is_private(address):
        raise _broken(provider, "its answer lacks an address or a code")
    complete = _text(answer.get("verification_uri_complete"))
    return DevicePrompt(
        address=address,
        code=code,
        complete=complete if _is_private(complete) else "",
        device_code=device_code,
        interval_s=_seconds(answer.get("interval"), INTERVAL_S, INTERVAL_MAX_S),
        life_s=_seconds(answer.get("expires_in"), LIFE_MAX_S, LIFE_MAX_S),
    )


def _wait(
    client: httpx2.Client,
    provider: pb.SignInProvider,
    prompt: DevicePrompt,
    wait: Callable[[float], None],
) -> Mapping[str, Any]:
    interval_s, waited_s = prompt.interval_s, 0
    form = {
        "grant_type": GRANT,
        "device_code": prompt.device_code,
        "client_id": provider.device_client_id,
    }
    while waited_s < prompt.life_s:
        wait(interval_s)
        waited_s += interval_s
        try:
            answer = _ask(client, provider, provider.token_endpoint, form)
        except CommandError as error:
            if error.code is not Exit.UNREACHABLE:
                raise
            # RFC 8628, section 3.5: after a time-out, more slowly.
            interval_s = min(2 * interval_s, INTERVAL_MAX_S)
            continue
        match answer.get("error"):
            case None:
                return answer
            case "authorization_pending":
                pass
            case "slow_down":
                interval_s += SLOWER_S
            case "access_denied":
                raise CommandError(f"{provider.display_name} or you have refused", Exit.LOGIN)
            case "expired_token":
                break
            case other:
                raise _broken(provider, f"it refuses: {_word(other)}")
    raise CommandError("that took too long; `drink login` begins again", Exit.LOGIN)


def _ask(
    client: httpx2.Client, provider: pb.SignInProvider, url: str, form: Mapping[str, str]
) -> Mapping[str, Any]:
    """The answer to a form, also one with an error in it.

    Raises:
        CommandError: there is none.
    """
    if not _is_private(url):
        raise _broken(provider, "it has no address with TLS for this")
    body = bytearray()
    try:
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        with client.stream("POST", url, data=dict(form), headers=headers) as answer:
            for chunk in answer.iter_raw():
                body += chunk
                if len(body) > ANSWER_BYTES_MAX:
                    raise _broken(provider, "its answer is too large")
            is_answer = answer.is_success or answer.is_client_error
    except (httpx2.HTTPError, OSError) as error:
        what = f"{provider.display_name} does not answer: {type(error).__name__}"
        raise CommandError(what, Exit.UNREACHABLE) from None
    if not is_answer:
        what = f"{provider.display_name} does not answer as it should"
        raise CommandError(what, Exit.UNREACHABLE)
    try:
        found = json.loads(bytes(body))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _broken(provider, "its answer is no JSON object")
    return found


def _broken(provider: pb.SignInProvider, why: str) -> CommandError:
    return CommandError(f"{provider.display_name} cannot be used: {why}", Exit.FAULT)


def _is_private(url: str) -> bool:
    """Whether nobody on the way reads what is sent there; loopback needs no TLS."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    try:
        return parts.scheme == "http" and ipaddress.ip_address(host).is_loopback
    except ValueError:
        return parts.scheme == "http" and host == "localhost"


def _text(value: Any) -> str:
    """A text that a terminal can show; empty for anything else."""
    fits = isinstance(value, str) and value.isprintable() and len(value) <= TEXT_MAX
    return value if fits else ""


def _word(value: Any) -> str:
    return _text(value)[:100] or "for no reason that can be shown"


def _seconds(value: Any, default: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        return default
    return min(value, most)
