"""The attackers' process: `python -m tests.siege.attacker`; what they know comes on its input.

It prints `attacking` once it begins, and at its end what was done, as JSON.
"""

import asyncio
import json
import os
import sys
from dataclasses import asdict, dataclass

from drink_frontend.system.descriptors import raise_file_limit
from tests.siege.attacks import Origin, Siege, Target
from tests.siege.every import ATTACKS


@dataclass(frozen=True)
class Order:
    """What is to be done.

    Attributes:
        attack: Its name.
        origin: Whose addresses the attackers have.
        seconds: How long.
        seed: Of every choice.
        target: What is attacked, as JSON.
        core: The only core that the attackers may use; None: any.
    """

    attack: str
    origin: str
    seconds: float
    seed: str
    target: str
    core: int | None = None

    def to_json(self) -> str:
        """For another process."""
        return json.dumps(asdict(self))


def main() -> None:
    """Attacks as the first line of the input says."""
    order = Order(**json.loads(sys.stdin.readline()))
    raise_file_limit()
    if order.core is not None:
        os.sched_setaffinity(0, {order.core})
    siege = Siege(Target.from_json(order.target), Origin(order.origin), order.seconds, order.seed)
    print("attacking", flush=True)
    asyncio.run(siege.run(ATTACKS[order.attack]))
    print(json.dumps({name: count for name, count in siege.counts.items() if count}), flush=True)


if __name__ == "__main__":
    main()
