import asyncio
import stat
from pathlib import Path

from drink_agent.runtime.status import serve_status, socket_of
from drink_agent.tools.reports import read_status
from tests.support.logwatch import watching


async def test_whoever_asks_gets_the_state_of_now(tmp_path: Path) -> None:
    path = socket_of(tmp_path / "journal")
    count = 0

    def describe() -> dict[str, object]:
        nonlocal count
        count += 1
        return {"count": count}

    async with serve_status(path, describe):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert await asyncio.to_thread(read_status, path) == {"count": 1}
        assert await asyncio.to_thread(read_status, path) == {"count": 2}
    assert not path.exists()


async def test_a_socket_left_by_a_killed_agent_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "journal.sock"
    abandoned = await asyncio.start_unix_server(lambda *_: None, path)
    abandoned.close()
    async with serve_status(path, lambda: {"alive": True}):
        assert await asyncio.to_thread(read_status, path) == {"alive": True}


async def test_without_a_socket_the_agent_works_all_the_same(tmp_path: Path) -> None:
    with watching("drink_agent.status", "status_unavailable") as said:
        async with serve_status(tmp_path / ("x" * 200), dict):
            assert said.is_set()
