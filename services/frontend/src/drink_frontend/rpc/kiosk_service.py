"""KioskService: pairing kiosks with machines, and logging in at one with a card."""
# ruff: noqa: N802 - the methods are named by the protocol

from collections.abc import AsyncGenerator
from contextlib import aclosing

from drink.v1 import kiosk_service_pb2 as pb
from drink.v1 import kiosk_service_pb2_grpc
from drink_frontend.domain.kiosks import kiosk_subject
from drink_frontend.rpc.calls import Context, administrator, current_call, current_kiosk
from drink_frontend.rpc.conversion import machine_message, parse_machine
from drink_frontend.rpc.kiosk_conversion import card_answer, kiosk_message, parse_kiosk
from drink_frontend.usecases.kiosks import Kiosks
from drink_frontend.usecases.watches import Watches


class KioskService(kiosk_service_pb2_grpc.KioskServiceServicer):
    """The RPCs of drink.v1.KioskService.

    Args:
        kiosks: The use cases of kiosks.
        watches: Limits watches.
    """

    def __init__(self, kiosks: Kiosks, watches: Watches) -> None:
        self._kiosks = kiosks
        self._watches = watches

    async def PairKiosk(
        self, request: pb.PairKioskRequest, _context: Context
    ) -> pb.PairKioskResponse:
        """Makes a kiosk, and the code that pairs it."""
        actor = administrator("pair kiosks").id
        machine = parse_machine(request.machine, "machine")
        kiosk, code = await self._kiosks.pair(actor, machine, request.display_name)
        return pb.PairKioskResponse(
            kiosk=kiosk_message(kiosk, self._kiosks.now_ms()), pairing_code=code
        )

    async def ListKiosks(
        self, _request: pb.ListKiosksRequest, _context: Context
    ) -> pb.ListKiosksResponse:
        """All kiosks that have not ended."""
        administrator("see kiosks")
        now_ms = self._kiosks.now_ms()
        found = await self._kiosks.list()
        return pb.ListKiosksResponse(kiosks=[kiosk_message(each, now_ms) for each in found])

    async def UnpairKiosk(
        self, request: pb.UnpairKioskRequest, _context: Context
    ) -> pb.UnpairKioskResponse:
        """Ends a kiosk, and every login that was made at it."""
        actor = administrator("unpair kiosks").id
        kiosk = await self._kiosks.unpair(actor, parse_kiosk(request.name, "name"))
        return pb.UnpairKioskResponse(kiosk=kiosk_message(kiosk, self._kiosks.now_ms()))

    async def RedeemPairingCode(
        self, request: pb.RedeemPairingCodeRequest, _context: Context
    ) -> pb.RedeemPairingCodeResponse:
        """Gives a kiosk its token."""
        origin = current_call().origin
        kiosk, token = await self._kiosks.redeem(request.pairing_code, origin)
        return pb.RedeemPairingCodeResponse(
            kiosk=kiosk_message(kiosk, self._kiosks.now_ms()), token=token
        )

    async def GetKiosk(
        self, _request: pb.GetKioskRequest, _context: Context
    ) -> pb.GetKioskResponse:
        """The kiosk of the call, with its machine."""
        kiosk = current_kiosk()
        machine = await self._kiosks.shown(kiosk)
        return pb.GetKioskResponse(
            kiosk=kiosk_message(kiosk, self._kiosks.now_ms()), machine=machine_message(machine)
        )

    async def LogInCard(
        self, request: pb.LogInCardRequest, _context: Context
    ) -> pb.LogInCardResponse:
        """Logs the owner of a card in at the kiosk of the call."""
        kiosk, cards = current_kiosk(), self._kiosks.cards
        read = cards.answer if request.offer_code else cards.log_in
        return card_answer(await read(kiosk, request.number))

    async def WatchCards(
        self, _request: pb.WatchCardsRequest, _context: Context
    ) -> AsyncGenerator[pb.WatchCardsResponse, None]:
        """What comes of the cards that the reader of the kiosk's machine reads."""
        kiosk = current_kiosk()
        owner = kiosk_subject(kiosk.sequence)
        answers = self._watches.follow(owner, self._kiosks.cards.watch(kiosk))
        async with aclosing(answers):
            async for answer in answers:
                yield pb.WatchCardsResponse(login=None if answer is None else card_answer(answer))
