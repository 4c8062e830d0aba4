"""Clients of an installation: one that speaks gRPC, one that types into a session."""

import socket
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import (
    account_service_pb2_grpc,
    drop_service_pb2_grpc,
    event_service_pb2_grpc,
    kiosk_service_pb2_grpc,
    machine_service_pb2_grpc,
    statistics_service_pb2_grpc,
)
from drink.v1 import drop_service_pb2 as drops
from drink.v1 import machine_service_pb2 as machines
from scripts.processes import wait_until

T = TypeVar("T")

CALL_LIMIT_S = 60
"""Seconds that a call may take, a drop's outcome included."""

OPEN_STATES = (
    drops.Drop.STATE_SCHEDULED,
    drops.Drop.STATE_RESERVED,
    drops.Drop.STATE_DISPATCHED,
)
"""States of a drop on its way."""


def open_channel(
    address: str, authority: Path | None = None, options: Sequence[tuple[str, int]] = ()
) -> grpc.Channel:
    """A channel to a frontend whose certificate this authority has signed; None: plain text.

    It is dialled directly, whatever proxy the environment names.
    """
    options = (("grpc.enable_http_proxy", 0), *options)
    if authority is None:
        return grpc.insecure_channel(address, options)
    credentials = grpc.ssl_channel_credentials(authority.read_bytes())
    return grpc.secure_channel(address, credentials, options)


def wait_reach(
    address: str,
    names: Iterable[str],
    authority: Path | None = None,
    reach: machines.Machine.Reach.ValueType = machines.Machine.REACH_READY,
    limit_s: float = 60,
) -> None:
    """Waits until a frontend says that of the machines; the frontend or its database may be away.

    Raises:
        TimeoutError: it did not within `limit_s` seconds.
    """
    wanted = {f"machines/{name}" for name in names}
    with open_channel(address, authority) as channel:
        stub = machine_service_pb2_grpc.MachineServiceStub(channel)

        def so() -> bool:
            try:
                found = stub.ListMachines(
                    machines.ListMachinesRequest(), timeout=CALL_LIMIT_S, wait_for_ready=True
                ).machines
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    return False
                raise
            return wanted <= {each.name for each in found if each.reach == reach}

        what = machines.Machine.Reach.Name(reach)
        wait_until(so, f"{', '.join(sorted(wanted))} {what}", limit_s)


class Client:
    """A gRPC client that is logged in.

    Args:
        address: `host:port` of the frontend.
        user: Who logs in.
        password: The user's password.
        authority: PEM file of the authority that signed the frontend's certificate; None: plain
            text.
    """

    def __init__(
        self, address: str, user: str, password: str, authority: Path | None = None
    ) -> None:
        self.user = user
        options = [
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 500),
            # Clients in one process share connections otherwise, and so each other's faults.
            ("grpc.use_local_subchannel_pool", 1),
        ]
        self._channel = open_channel(address, authority, options)
        self.drops = drop_service_pb2_grpc.DropServiceStub(self._channel)
        self.events = event_service_pb2_grpc.EventServiceStub(self._channel)
        self.machines = machine_service_pb2_grpc.MachineServiceStub(self._channel)
        self.accounts = account_service_pb2_grpc.AccountServiceStub(self._channel)
        self.kiosks = kiosk_service_pb2_grpc.KioskServiceStub(self._channel)
        self.statistics = statistics_service_pb2_grpc.StatisticsServiceStub(self._channel)
        credentials = accounts.PasswordCredentials(account=f"accounts/{user}", password=password)
        login = self.accounts.Login(
            accounts.LoginRequest(password=credentials), timeout=CALL_LIMIT_S, wait_for_ready=True
        )
        self.metadata = (("authorization", f"Bearer {login.token}"),)

    def account(self, name: str = "") -> accounts.Account:
        """The user's account as it stands, or that of another for an administrator."""
        request = accounts.GetAccountRequest(name=f"accounts/{name}" if name else "")
        return self.call(self.accounts.GetAccount, request).account

    def slot(self, slot: str) -> machines.Slot:
        """A slot such as `d/1` as it stands."""
        name = _slot_name(slot)
        request = machines.GetMachineRequest(name=name.partition("/slots/")[0])
        found = self.call(self.machines.GetMachine, request).machine.slots
        return next(each for each in found if each.name == name)

    def call(self, method: Callable[..., T], request: Message) -> T:
        """Calls a method as the user; waits for the frontend if it is away."""
        return method(request, metadata=self.metadata, timeout=CALL_LIMIT_S, wait_for_ready=True)

    def start(self, slot: str, request_id: str = "", delay_s: int = 0) -> Any:
        """Asks for a drop from a slot such as `d/1`, without waiting: the call, a future."""
        return self.drops.Drop.future(
            _drop_request(slot, request_id, delay_s),
            metadata=self.metadata,
            timeout=CALL_LIMIT_S,
            wait_for_ready=True,
        )

    def drop(self, slot: str, request_id: str = "", delay_s: int = 0) -> drops.Drop:
        """Buys from a slot such as `d/1` and waits for the outcome."""
        return self.call(self.drops.Drop, _drop_request(slot, request_id, delay_s)).drop

    def place(self, slot: str, request_id: str = "", delay_s: int = 0) -> drops.Drop:
        """Buys without waiting for the outcome: the call is given up, the drop is not."""
        request_id = request_id or str(uuid.uuid4())
        call = self.start(slot, request_id, delay_s)

        def placed() -> drops.Drop | None:
            if call.done() and call.exception() is not None:
                raise call.exception()
            return next((drop for drop in self.recent() if drop.request_id == request_id), None)

        drop = wait_until(placed, "the drop is placed")
        call.cancel()
        return drop

    def recent(self) -> Sequence[drops.Drop]:
        """The user's last drops, newest first."""
        return self.call(self.drops.ListDrops, drops.ListDropsRequest()).drops

    def get(self, name: str) -> drops.Drop:
        """A drop as it stands."""
        return self.call(self.drops.GetDrop, drops.GetDropRequest(name=name)).drop

    def answered(self, name: str, limit_s: float = CALL_LIMIT_S) -> drops.Drop:
        """A drop once it is DISPENSED, NOT_DISPENSED or UNKNOWN."""
        return self._once(name, lambda drop: drop.state not in OPEN_STATES, "answered", limit_s)

    def settled(self, name: str, limit_s: float = CALL_LIMIT_S) -> drops.Drop:
        """A drop once it is DISPENSED or NOT_DISPENSED."""
        open_states = (*OPEN_STATES, drops.Drop.STATE_UNKNOWN)
        return self._once(name, lambda drop: drop.state not in open_states, "settled", limit_s)

    def _once(
        self, name: str, so: Callable[[drops.Drop], bool], what: str, limit_s: float
    ) -> drops.Drop:
        def seen() -> drops.Drop | None:
            drop = self.get(name)
            return drop if so(drop) else None

        return wait_until(seen, f"{name} {what}", limit_s)

    def close(self) -> None:
        """Ends its connection."""
        self._channel.close()


def _slot_name(slot: str) -> str:
    machine, number = slot.split("/")
    return f"machines/{machine}/slots/{number}"


def _drop_request(slot: str, request_id: str, delay_s: int) -> drops.DropRequest:
    request = drops.DropRequest(request_id=request_id or str(uuid.uuid4()), slot=_slot_name(slot))
    if delay_s:
        request.delay.FromSeconds(delay_s)
    return request


def session(port: int, lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Types lines into a TCP session, and yields each with its reply; the greeting comes first."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as connection,
        connection.makefile("r", newline="\n", encoding="utf-8") as replies,
    ):
        yield "", replies.readline().rstrip()
        for line in lines:
            connection.sendall(f"{line}\n".encode())
            reply = [replies.readline().rstrip()]
            # STAT answers a line a slot, then its trailer.
            while line.upper().startswith("STAT") and not reply[-1].startswith(("OK", "ERR")):
                reply.append(replies.readline().rstrip())
            yield line, "\n".join(reply)
