"""What a unit of work will read, as far as its caller knows it beforehand."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields


@dataclass(slots=True)
class Needs:
    """Keys of rows, which are loaded for all units of work of a batch together.

    What is not named here is loaded when it is asked for: naming it only saves round trips.

    Attributes:
        tokens: Digests of bearer tokens; their accounts are loaded with them.
        accounts: Ids of accounts.
        names: Names or ids of accounts.
        drops: Ids of drops; their buyers' accounts and their slots are loaded with them.
        requests: Accounts' ids, each with the request_id of a drop.
        machines: Names of machines.
        slots: Names of machines, each with the number of a slot.
        moves: Accounts' ids, each with the request_id of a MOVE that it makes.
        grants: The request_ids of MOVEs from or to the funding account.
        queues: Names of machines whose drops without an outcome are needed.
        new_drops: Most drops that are added.
        new_transfers: Most transfers that are added.
    """

    tokens: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    drops: set[str] = field(default_factory=set)
    requests: set[tuple[str, str]] = field(default_factory=set)
    machines: set[str] = field(default_factory=set)
    slots: set[tuple[str, int]] = field(default_factory=set)
    moves: set[tuple[str, str]] = field(default_factory=set)
    grants: set[str] = field(default_factory=set)
    queues: set[str] = field(default_factory=set)
    new_drops: int = 0
    new_transfers: int = 0


def together(several: "Iterable[Needs | None]") -> Needs:
    """What several units of work need; None for one that names nothing."""
    whole = Needs()
    naming = [each for each in several if each is not None]
    if len(naming) == 1:
        return naming[0]
    for each in naming:
        for name in _SETS:
            getattr(whole, name).update(getattr(each, name))
        whole.new_drops += each.new_drops
        whole.new_transfers += each.new_transfers
    return whole


_SETS = tuple(each.name for each in fields(Needs) if not each.name.startswith("new_"))
