"""All attacks: importing this module registers them."""

from tests.siege import calls, floods, frames, purchases, sockets, thieves, typed
from tests.siege.attacks import ATTACKS

__all__ = ["ATTACKS", "calls", "floods", "frames", "purchases", "sockets", "thieves", "typed"]
