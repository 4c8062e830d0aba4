"""The cards that the reader at a kiosk's machine reads, through restarts of the frontend."""

import asyncio

from drink.v1 import kiosk_service_pb2 as pb
from drink_web.api import Api, Metadata
from drink_web.errors import CallError
from drink_web.follow import RETRY_FIRST_S, RETRY_LIMIT_S

LASTING = ("INVALID_ARGUMENT", "PERMISSION_DENIED", "UNAUTHENTICATED", "UNIMPLEMENTED")
"""What the frontend answers to a watch that is of no use to try again. One of before this version
does not know the method; its kiosks read cards themselves."""


class CardWatch:
    """The cards of one kiosk; `run` keeps watching.

    Args:
        api: The frontend.
        caller: The kiosk.
    """

    def __init__(self, api: Api, caller: Metadata) -> None:
        self._api = api
        self._caller = caller
        self._changed = asyncio.Event()
        self._answer: pb.LogInCardResponse | None = None
        self.is_begun = False
        """Whether the frontend watches."""
        self.is_ended = False
        """Whether the kiosk was ended."""

    def take(self) -> pb.LogInCardResponse | None:
        """What came of the card that was read last, once; None for nothing new."""
        answer, self._answer = self._answer, None
        return answer

    async def changed(self) -> None:
        """Waits until a card was read, or the watch has begun or ended."""
        await self._changed.wait()

    async def run(self) -> None:
        """Watches until the kiosk is ended, or watched elsewhere."""
        delay_s = RETRY_FIRST_S
        while True:
            try:
                await self._watch()
            except CallError as error:
                if error.status in LASTING:
                    self.is_ended = error.is_logged_out
                    break
            else:
                # The kiosk has a newer watch.
                break
            if self.is_begun:
                delay_s = RETRY_FIRST_S
            self._tell(is_begun=False)
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, RETRY_LIMIT_S)
        self._tell(is_begun=False)

    async def _watch(self) -> None:
        request = pb.WatchCardsRequest()
        watch = self._api.watch(self._api.kiosks.WatchCards, request, self._caller)
        async with watch as messages:
            async for message in messages:
                if message.HasField("login"):
                    self._answer = message.login
                self._tell(is_begun=True)

    def _tell(self, *, is_begun: bool) -> None:
        self.is_begun = is_begun
        self._changed.set()
        self._changed = asyncio.Event()
