"""A program that follows events and keeps each in a file, to be killed at any moment.

Usage: python -m tests.integration.event_reader ADDRESS FILE

The bearer token is in the environment variable TOKEN. Each line of the file is an event: its
cursor, kind and resource name. The program goes on after the last whole line.
"""

import os
import sys
from pathlib import Path

import grpc

from drink.v1 import event_service_pb2 as pb
from drink.v1 import event_service_pb2_grpc


def whole_lines(file: Path) -> list[list[str]]:
    """The fields of the lines that were written whole."""
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return [line.split(" ") for line in lines]


def follow(address: str, file: Path) -> None:
    """Appends events until the watch ends."""
    lines = whole_lines(file)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    # What a kill left of a line goes.
    size = sum(len(" ".join(line)) + 1 for line in lines)
    os.ftruncate(descriptor, size)
    os.lseek(descriptor, size, os.SEEK_SET)
    request = pb.WatchEventsRequest(cursor=lines[-1][0])
    metadata = (("authorization", f"Bearer {os.environ['TOKEN']}"),)
    with grpc.insecure_channel(address) as channel:
        stub = event_service_pb2_grpc.EventServiceStub(channel)
        for response in stub.WatchEvents(request, metadata=metadata, wait_for_ready=True):
            for event in response.events:
                kind = pb.Event.Kind.Name(event.kind).removeprefix("KIND_")
                os.write(descriptor, f"{event.cursor} {kind} {event.name}\n".encode())


if __name__ == "__main__":
    try:
        follow(sys.argv[1], Path(sys.argv[2]))
    except grpc.RpcError as error:
        sys.exit(str(error))
