"""Buys one can over gRPC: python -m scripts.demo.buy ADDRESS USER PASSWORD d/1."""

import sys

from drink.v1 import drop_service_pb2 as drops
from scripts.client import Client


def main() -> int:
    """The exit code: 0 if the can fell."""
    address, user, password, slot = sys.argv[1:]
    drop = Client(address, user, password).drop(slot)
    print(drop)
    return 0 if drop.state == drops.Drop.STATE_DISPENSED else 1


if __name__ == "__main__":
    sys.exit(main())
