"""A link of somebody who has stolen a machine's token."""

import itertools
from collections.abc import Iterable

import grpc

from drink.v1 import machine_link_service_pb2 as pb
from drink.v1 import machine_link_service_pb2_grpc
from drink.v1.drop_service_pb2 import Drop
from scripts.local_system import LocalSystem
from tests.integration.audited_system import reason

LIMIT_S = 60

Message = pb.ConnectRequest

EVIDENCE = pb.Evidence(
    lines=[pb.Evidence.Line(text="\x00" * 200) for _ in range(32)], contradiction="\x00" * 200
)


def result(drop: str, revision: int) -> Message:
    """Says of a drop that its board refused it."""
    return Message(
        result=pb.Result(
            drop=f"drops/{drop}",
            revision=revision,
            outcome=Drop.STATE_NOT_DISPENSED,
            cause=Drop.CAUSE_BOARD_REFUSED,
            evidence=EVIDENCE,
        )
    )


def link(
    system: LocalSystem, messages: Iterable[Message], machine: str = "ld", boot: str = "thief"
) -> str:
    """Runs one link of the thief to its end; returns why it ended, empty if it was not cut.

    Args:
        system: The system.
        messages: What it sends after its Hello.
        machine: Whose token it has.
        boot: The run of the agent that it says to be.
    """
    token = (system.folder / f"{machine}.token").read_text().strip()
    hello = pb.Hello(
        machine=f"machines/{machine}", protocol_version=1, boot_id=boot, journal_id="thief"
    )
    with grpc.insecure_channel(system.address) as channel:
        stub = machine_link_service_pb2_grpc.MachineLinkServiceStub(channel)
        call = stub.Connect(
            itertools.chain([Message(hello=hello)], messages),
            metadata=(("authorization", f"Bearer {token}"),),
            timeout=LIMIT_S,
        )
        try:
            for _ in call:
                pass
        except grpc.RpcError as error:
            return reason(error)
    return ""
