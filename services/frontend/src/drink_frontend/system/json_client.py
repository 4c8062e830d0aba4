"""JSON over HTTPS from servers that are not trusted to be small, fast or there."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2

from drink_frontend.domain.id_tokens import ProviderUnavailableError

CONNECTIONS_MAX = 8
"""Connections to all providers at once."""

CONNECT_SHARE = 0.9
"""Of the time for an answer, what the connection with its handshake may take."""

SERVER_ERROR = 500
OK = 200


class JsonClient:
    """Asks for JSON objects; redirects are not followed, nor are proxies of the environment used.

    Args:
        ca_file: PEM file of the authority of the servers' certificates; None for the system's.
        limit_s: Seconds that an answer may take as a whole.
        bytes_max: Bytes of the largest answer.

    Raises:
        OSError: the file cannot be used.
    """

    def __init__(self, ca_file: Path | None, limit_s: float, bytes_max: int) -> None:
        self._limit_s = limit_s
        self._bytes_max = bytes_max
        self._client = httpx2.AsyncClient(
            verify=ssl.create_default_context(cafile=ca_file),
            # The limit is one for the whole answer. A handshake that it cut would leave its socket
            # open, which the library closes only at a limit of its own.
            timeout=httpx2.Timeout(None, connect=CONNECT_SHARE * limit_s),
            follow_redirects=False,
            trust_env=False,
            limits=httpx2.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=0),
            # A compressed answer could become larger than it is.
            headers={"accept": "application/json", "accept-encoding": "identity"},
        )

    async def close(self) -> None:
        """Ends all connections."""
        await self._client.aclose()

    async def get(self, url: str, *, token: str = "") -> Mapping[str, Any] | None:
        """The JSON object at an address; see `_ask`.

        Args:
            url: The address.
            token: Bearer token to send; empty for none.
        """
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return await self._ask("GET", url, headers=headers)

    async def post(
        self, url: str, form: Mapping[str, str], credentials: tuple[str, str]
    ) -> Mapping[str, Any] | None:
        """The JSON object that answers a form; see `_ask`.

        Args:
            url: The address.
            form: The fields of the form.
            credentials: Id and secret of the client that asks.
        """
        return await self._ask("POST", url, data=dict(form), auth=httpx2.BasicAuth(*credentials))

    async def _ask(self, method: str, url: str, **options: Any) -> Mapping[str, Any] | None:
        """The JSON object that the server answers with; None if it refuses with a status of 4xx.

        Raises:
            ProviderUnavailableError: it does not answer in time, or not with a JSON object of the
                size that is allowed.
        """
        try:
            async with asyncio.timeout(self._limit_s):
                async with self._client.stream(method, url, **options) as response:
                    if 400 <= response.status_code < SERVER_ERROR:
                        return None
                    if response.status_code != OK:
                        raise ProviderUnavailableError(f"the status is {response.status_code}")
                    body = await self._body(response)
            answer = json.loads(body)
        except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise ProviderUnavailableError(f"no answer: {type(error).__name__}") from None
        except (ValueError, RecursionError):
            raise ProviderUnavailableError("the answer is no JSON") from None
        if not isinstance(answer, dict):
            raise ProviderUnavailableError("the answer is no JSON object")
        return answer

    async def _body(self, response: httpx2.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self._bytes_max:
                raise ProviderUnavailableError("the answer is too large")
        return bytes(body)
