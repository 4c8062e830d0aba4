"""Access tokens of OpenID providers that REST clients bring, and the frontend's tokens for them."""

import time
from collections import OrderedDict
from hashlib import sha256

from drink.v1 import account_service_pb2 as pb
from drink_web.api import Api
from drink_web.providers import Providers
from drink_web.settings import RestSettings


class AccessTokens:
    """What the frontend gives for access tokens, kept for a while.

    Args:
        api: The frontend, which verifies them.
        providers: Whether any provider's are taken.
        settings: How many are kept, and how long.
    """

    def __init__(self, api: Api, providers: Providers, settings: RestSettings) -> None:
        self._api = api
        self._providers = providers
        self._settings = settings
        # By the digest of the access token: the frontend's token, and when it is forgotten.
        self._kept: OrderedDict[str, tuple[str, float]] = OrderedDict()

    async def are_taken(self) -> bool:
        """Whether the frontend takes access tokens of any provider."""
        return any(each.takes_access_tokens for each in await self._providers.all())

    def kept(self, access_token: str) -> str | None:
        """The frontend's token for an access token that was verified a moment ago."""
        key = _key(access_token)
        token, until = self._kept.get(key, ("", 0.0))
        if time.monotonic() < until:
            return token
        self._kept.pop(key, None)
        return None

    def forget(self, access_token: str) -> None:
        """Forgets the frontend's token, which is no longer good."""
        self._kept.pop(_key(access_token), None)

    async def exchange(self, access_token: str, address: str) -> str:
        """The frontend's token for an access token.

        Args:
            access_token: What the client brought.
            address: The client's IP address.

        Raises:
            CallError: the frontend refuses it, or does not answer.
        """
        request = pb.LoginRequest(access_token=access_token, display_name="REST")
        answer = await self._api.call(
            self._api.accounts.Login, request, self._api.caller(address=address)
        )
        left_s = answer.expire_time.seconds - time.time()
        until = time.monotonic() + min(self._settings.access_keep_s, left_s)
        self._kept[_key(access_token)] = answer.token, until
        while len(self._kept) > self._settings.access_kept_max:
            self._kept.popitem(last=False)
        return str(answer.token)


def _key(access_token: str) -> str:
    return sha256(access_token.encode()).hexdigest()
