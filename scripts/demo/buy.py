"""Buys one can over gRPC: python -m scripts.demo.buy ADDRESS USER PASSWORD d/1 [CA_FILE]."""

import sys
from pathlib import Path

from drink.v1 import drop_service_pb2 as drops
from scripts.client import Client


def main() -> int:
    """The exit code: 0 if the can fell."""
    address, user, password, slot, *ca = sys.argv[1:]
    drop = Client(address, user, password, Path(*ca) if ca else None).drop(slot)
    print(drop)
    return 0 if drop.state == drops.Drop.STATE_DISPENSED else 1


if __name__ == "__main__":
    sys.exit(main())
