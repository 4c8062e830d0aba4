"""MachineService: anyone can list and watch machines, administrators can change their slots."""
# ruff: noqa: N802 - the methods are named by the protocol

from collections.abc import AsyncGenerator
from contextlib import aclosing

from drink.v1 import machine_service_pb2 as pb
from drink.v1 import machine_service_pb2_grpc
from drink_frontend.domain.entities import Machine
from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.items import NO_ITEM
from drink_frontend.rpc.calls import Context, administrator, current_call
from drink_frontend.rpc.conversion import (
    machine_message,
    page_limit,
    page_token,
    parse_item,
    parse_machine,
    parse_page_token,
    parse_slot,
    slot_message,
)
from drink_frontend.rpc.response_limits import PageLimits
from drink_frontend.rpc.stock_conversion import movement_message, movement_selection, stock_order
from drink_frontend.rpc.temperature_conversion import (
    parse_place,
    place_token,
    temperature_message,
    temperature_query,
)
from drink_frontend.usecases.machines import Machines
from drink_frontend.usecases.temperatures import Temperatures
from drink_frontend.usecases.watches import Watches

NAMES_MAX = 100
"""Most machines named in one watch; without names a watch shows all machines."""


class MachineService(machine_service_pb2_grpc.MachineServiceServicer):
    """The RPCs of drink.v1.MachineService.

    Args:
        machines: The use cases of machines and slots.
        temperatures: Temperatures of machines through time.
        watches: Limits watches.
        pages: Limits pages of lists.
    """

    def __init__(
        self, machines: Machines, temperatures: Temperatures, watches: Watches, pages: PageLimits
    ) -> None:
        self._machines = machines
        self._temperatures = temperatures
        self._watches = watches
        self._pages = pages
        self._last_shown: dict[str, tuple[Machine, pb.WatchMachinesResponse]] = {}

    async def ListMachines(
        self, _request: pb.ListMachinesRequest, _context: Context
    ) -> pb.ListMachinesResponse:
        """Returns all machines, by name."""
        machines = await self._machines.list()
        return pb.ListMachinesResponse(machines=[machine_message(each) for each in machines])

    async def GetMachine(
        self, request: pb.GetMachineRequest, _context: Context
    ) -> pb.GetMachineResponse:
        """Returns one machine."""
        machine = await self._machines.get(parse_machine(request.name, "name"))
        return pb.GetMachineResponse(machine=machine_message(machine))

    async def WatchMachines(
        self, request: pb.WatchMachinesRequest, _context: Context
    ) -> AsyncGenerator[pb.WatchMachinesResponse, None]:
        """Sends the machines now, and each one again after a change."""
        if len(request.names) > NAMES_MAX:
            raise FieldInvalidError("names", f"must be at most {NAMES_MAX}")
        names = [parse_machine(name, "names") for name in request.names]
        call = current_call()
        owner = call.place if call.account is None else call.account.id
        updates = self._watches.follow(owner, self._machines.watch(names))
        async with aclosing(updates):
            async for machine in updates:
                yield self._shown(machine)

    def _shown(self, machine: Machine) -> pb.WatchMachinesResponse:
        """The response that shows the machine, encoded once for all watches."""
        last = self._last_shown.get(machine.name)
        if last is not None and last[0] is machine:
            return last[1]
        message = pb.WatchMachinesResponse(machine=machine_message(machine))
        self._last_shown[machine.name] = (machine, message)
        return message

    async def UpdateSlot(
        self, request: pb.UpdateSlotRequest, _context: Context
    ) -> pb.UpdateSlotResponse:
        """Changes the fields of a slot that the request contains."""
        actor = administrator("change machines")
        machine, number = parse_slot(request.name, "name")
        slot = await self._machines.update_slot(
            actor,
            machine,
            number,
            item=request.item if request.HasField("item") else None,
            price=request.price if request.HasField("price") else None,
            enabled=request.enabled if request.HasField("enabled") else None,
            available=request.available if request.HasField("available") else None,
            sold_item=_sold_item(request.sold_item) if request.HasField("sold_item") else None,
            capacity=request.capacity if request.HasField("capacity") else None,
            low_stock_mark=request.low_stock_mark if request.HasField("low_stock_mark") else None,
        )
        return pb.UpdateSlotResponse(slot=slot_message(slot))

    async def CreateMachine(
        self, request: pb.CreateMachineRequest, _context: Context
    ) -> pb.CreateMachineResponse:
        """Creates a machine without slots."""
        actor = administrator("make machines").id
        name = parse_machine(request.name, "name")
        display_name = _named(request.display_name)
        machine = await self._machines.create(actor, name, display_name, request.location)
        return pb.CreateMachineResponse(machine=machine_message(machine))

    async def UpdateMachine(
        self, request: pb.UpdateMachineRequest, _context: Context
    ) -> pb.UpdateMachineResponse:
        """Changes the fields of a machine that the request sets."""
        actor = administrator("change machines").id
        machine = await self._machines.change(
            actor,
            parse_machine(request.name, "name"),
            display_name=(
                _named(request.display_name) if request.HasField("display_name") else None
            ),
            location=request.location if request.HasField("location") else None,
            enabled=request.enabled if request.HasField("enabled") else None,
        )
        return pb.UpdateMachineResponse(machine=machine_message(machine))

    async def CreateSlot(
        self, request: pb.CreateSlotRequest, _context: Context
    ) -> pb.CreateSlotResponse:
        """Creates a slot with the given item, price and number of items."""
        actor = administrator("make slots").id
        machine, number = parse_slot(request.name, "name")
        slot = await self._machines.create_slot(
            actor,
            machine,
            number,
            item=request.item,
            price=request.price,
            available=request.available,
            sold_item=_sold_item(request.sold_item),
            capacity=request.capacity,
            low_stock_mark=request.low_stock_mark,
        )
        return pb.CreateSlotResponse(slot=slot_message(slot))

    async def DeleteSlot(
        self, request: pb.DeleteSlotRequest, _context: Context
    ) -> pb.DeleteSlotResponse:
        """Deletes a slot without items and open drops."""
        actor = administrator("delete slots")
        await self._machines.delete_slot(actor, *parse_slot(request.name, "name"))
        return pb.DeleteSlotResponse()

    async def AdjustStock(
        self, request: pb.AdjustStockRequest, _context: Context
    ) -> pb.AdjustStockResponse:
        """Changes the number of items in a slot, once for each request."""
        actor = administrator("change stock")
        movement, slot = await self._machines.adjust_stock(actor, stock_order(request))
        return pb.AdjustStockResponse(movement=movement_message(movement), slot=slot_message(slot))

    async def ListStockMovements(
        self, request: pb.ListStockMovementsRequest, _context: Context
    ) -> pb.ListStockMovementsResponse:
        """One page of movements of stock, newest first."""
        account = administrator("see movements of stock")
        selection = movement_selection(request)
        limit = page_limit(request.page_size)
        scope = f"movements {selection}"
        before = parse_page_token(request.page_token, scope)
        async with self._pages.turn(account.id, limit):
            found = await self._machines.stock_movements(account, before, limit, selection)
            messages, token = self._pages.page(
                found, movement_message, limit, lambda each: page_token(each.sequence, scope)
            )
            return pb.ListStockMovementsResponse(movements=messages, next_page_token=token)

    async def ListTemperatures(
        self, request: pb.ListTemperaturesRequest, _context: Context
    ) -> pb.ListTemperaturesResponse:
        """One page of what thermometers showed, by machine and time."""
        query = temperature_query(request)
        limit = page_limit(request.page_size)
        scope = f"temperatures {query}"
        place = parse_place(request.page_token, scope)
        call = current_call()
        owner = call.place if call.account is None else call.account.id
        async with self._pages.turn(owner, limit):
            found = await self._temperatures.list(query, place, limit)
            messages, token = self._pages.page(
                found,
                temperature_message,
                limit,
                lambda row: place_token(row, query.step_ms, scope),
            )
            return pb.ListTemperaturesResponse(temperatures=messages, next_page_token=token)

    async def IssueAgentToken(
        self, request: pb.IssueAgentTokenRequest, _context: Context
    ) -> pb.IssueAgentTokenResponse:
        """Issues a new token for a machine's agent; a link that uses the previous token ends."""
        actor = administrator("issue tokens of agents").id
        token = await self._machines.new_token(actor, parse_machine(request.name, "name"))
        return pb.IssueAgentTokenResponse(token=token)

    async def RevokeAgentToken(
        self, request: pb.RevokeAgentTokenRequest, _context: Context
    ) -> pb.RevokeAgentTokenResponse:
        """Takes the token of a machine's agent away; the link with it ends."""
        actor = administrator("revoke tokens of agents").id
        machine = await self._machines.revoke_token(actor, parse_machine(request.name, "name"))
        return pb.RevokeAgentTokenResponse(machine=machine_message(machine))


def _named(display_name: str) -> str:
    """The name of a machine for people, which is not empty."""
    if not display_name.strip():
        raise FieldInvalidError("display_name", "must not be empty")
    return display_name


def _sold_item(name: str) -> int:
    """The number of the item in a request; NO_ITEM for none."""
    return parse_item(name, "sold_item") if name else NO_ITEM
