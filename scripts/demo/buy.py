"""Buys one can over gRPC: python -m scripts.demo.buy ADDRESS USER PASSWORD machines/d/slots/1."""

import sys
import uuid

from drink.v1 import drop_service_pb2 as drops
from scripts.installation import Client


def main() -> int:
    """The exit code: 0 if the can fell."""
    address, user, password, slot = sys.argv[1:]
    client = Client(address, user, password)
    request = drops.DropRequest(request_id=str(uuid.uuid4()), slot=slot)
    answer = client.drops.Drop(request, metadata=client.metadata, timeout=120)
    print(answer)
    return 0 if answer.drop.state == drops.Drop.STATE_DISPENSED else 1


if __name__ == "__main__":
    sys.exit(main())
