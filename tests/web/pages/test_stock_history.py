import time
from pathlib import Path

import pytest

from drink_frontend.usecases.stock import StockOrder
from drink_web.pages import stock_history
from tests.web.pages.test_admin import root
from tests.web.visitor import running_house


async def test_a_slot_shows_its_stock_through_time(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin, bench = await root(house), house.bench
        bench.clock.wall_ms = int(time.time() * 1000)
        administrator = await bench.account("root")
        for request_id, change in (("a", 5), ("b", -2)):
            order = StockOrder(request_id=request_id, machine="d", slot=1, change=change)
            await bench.machines.adjust_stock(administrator, order)
        await bench.report(await bench.dispatched())
        await house.bench.machines.create_slot("test", "ld", 9, item="New", price=1)
        empty = await admin.get("/admin/machines/ld/9")
        assert "Nothing has changed in 30 days." in empty.text
        page = " ".join((await admin.get("/admin/machines/d/1")).text.split())
        assert "In 30 days 1 sold and 8 put in." in page
        assert "<td>taken out</td>" in page
        assert '<td class="number">-2</td>' in page
        assert '<path class="line" d="M0 ' in page


async def test_a_slot_that_sells_much_shows_the_newest_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stock_history, "MOVEMENTS_MAX", 2)
    async with running_house(tmp_path) as house:
        admin, bench = await root(house), house.bench
        bench.clock.wall_ms = int(time.time() * 1000)
        administrator = await bench.account("root")
        for number in range(3):
            order = StockOrder(request_id=f"r{number}", machine="d", slot=1, change=1)
            await bench.machines.adjust_stock(administrator, order)
        page = " ".join((await admin.get("/admin/machines/d/1")).text.split())
        assert "0 sold and 2 put in. The newest 2 changes are shown." in page
