"""KioskService: pairing kiosks with machines, and logging in at one with a card."""
# ruff: noqa: N802 - the methods are named by the protocol

from google.protobuf.duration_pb2 import Duration

from drink.v1 import kiosk_service_pb2 as pb
from drink.v1 import kiosk_service_pb2_grpc
from drink_frontend.rpc.calls import Context, administrator, current_call, current_kiosk
from drink_frontend.rpc.conversion import (
    account_message,
    machine_message,
    parse_machine,
    timestamp,
)
from drink_frontend.rpc.kiosk_conversion import kiosk_message, parse_kiosk
from drink_frontend.usecases.kiosks import Kiosks


class KioskService(kiosk_service_pb2_grpc.KioskServiceServicer):
    """The RPCs of drink.v1.KioskService.

    Args:
        kiosks: The use cases of kiosks.
    """

    def __init__(self, kiosks: Kiosks) -> None:
        self._kiosks = kiosks

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
        login = await self._kiosks.log_in(current_kiosk(), request.number)
        return pb.LogInCardResponse(
            token=login.token,
            expire_time=timestamp(login.buys_until_ms),
            account=account_message(login.account),
            buy_duration=Duration(seconds=login.buys_s),
        )
