"""Cursors after a restore, on the command line."""

from drink_frontend.storage.database import Database
from tests.frontend.admin.conftest import Operator


def test_all_cursors_of_before_end(operator: Operator) -> None:
    async def mark(storage: Database) -> str:
        return await storage.read(lambda tx: tx.events.mark())

    before = operator.look(lambda drink: mark(drink.storage))
    assert "begins anew" in operator.admin("end-cursors")
    after = operator.look(lambda drink: mark(drink.storage))
    assert len(bytes.fromhex(after)) == 8
    assert after != before
