"""The notifier's process: it loses nothing when it is killed, and says what is wrong."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from subprocess import run

import pytest

from drink_frontend.domain.alarms import Alarm, AlarmKind
from drink_frontend.domain.entities import Proof
from drink_frontend.domain.tokens import Scope
from drink_frontend.storage.transaction import Transaction
from tests.fakes.receivers import WebHook
from tests.support.rpc_frontend import Frontend, running_frontend

BIN = Path(sys.executable).parent
LIMIT_S = 30
LEASE_S = 6


class Desk:
    """A frontend, and the files of a notifier that tells a webhook."""

    def __init__(self, frontend: Frontend, folder: Path, hook: WebHook) -> None:
        self.frontend = frontend
        self.folder = folder
        self.hook = hook
        self.config = folder / "web.toml"

    def configure(self, token: str) -> None:
        (self.folder / "token").write_text(f"{token}\n")
        (self.folder / "hook.url").write_text(f"{self.hook.url}\n")
        self.config.write_text(f"""
[frontend]
address = "localhost:{self.frontend.port}"
[notify]
token_file = "{self.folder}/token"
look_s = 0.1
group_s = 0
pause_s = 0.1
lease_s = {LEASE_S}
metrics_listen = ""
send_limit_s = 4
retry_first_s = 0.2
[[notify.channels]]
name = "hook"
url_file = "{self.folder}/hook.url"
[log]
format = "json"
""")

    async def start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(BIN / "drink-web", f"--config={self.config}", "notify"),
            stdout=asyncio.subprocess.DEVNULL,
        )

    async def raise_alarms(self, numbers: Iterable[int]) -> None:
        now_ms = self.frontend.bench.clock.now_ms()

        def unit(tx: Transaction) -> None:
            for each in numbers:
                subject = f"machines/m{each}"
                tx.alarms.add(Alarm(AlarmKind.BOARD_DOWN, subject, None, now_ms, now_ms, 1, {}))

        await self.frontend.bench.storage.write(unit)

    def told(self, number: int) -> int:
        return len(self.hook.lines(f": m{number}, since"))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    with WebHook() as hook:
        async with running_frontend() as frontend:
            root = await frontend.bench.account("root")
            tokens = frontend.bench.accounts.tokens
            token, _ = await tokens.issue(root, Proof.PASSWORD, scope=Scope.NOTIFY)
            made = Desk(frontend, tmp_path, hook)
            made.configure(token)
            yield made


async def until(condition: object) -> None:
    """Waits until a condition of another thread is true."""
    assert callable(condition)
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 - nothing tells this loop
            await asyncio.sleep(0.02)


async def test_nothing_is_lost_when_it_is_killed(desk: Desk) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    draw = random.Random(seed)
    for number in range(3):
        await desk.raise_alarms([number])
        # Killed while it tells, or at some moment around that.
        desk.hook.delay_s = draw.choice([0, 1])
        asked = desk.hook.asked
        process = await desk.start()
        await until(lambda asked=asked: desk.hook.asked > asked)
        await asyncio.sleep(draw.choice([0, 0.01, 0.1]))
        process.kill()
        assert await process.wait() == -9
        desk.frontend.bench.clock.pass_s(LEASE_S)
    desk.hook.delay_s = 0
    process = await desk.start()
    try:
        await desk.raise_alarms([3])
        await until(lambda: all(desk.told(number) for number in range(4)))
        assert desk.told(3) == 1
    finally:
        process.terminate()
        assert await process.wait() == 0


async def test_a_test_message_goes_to_every_channel(desk: Desk) -> None:
    async def tried() -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *(BIN / "drink-web", f"--config={desk.config}", "notify", "--test"),
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()

    assert await tried() == (0, "hook: sent\n")
    assert desk.hook.messages == [("Drink: a test", "This channel works.")]
    desk.hook.status = 500
    assert await tried() == (1, "hook: the server answered 500\n")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("token_file", "#", "notify.token_file: required"),
        ("/token", "/none", "notify.token_file: [Errno 2]"),
        ("hook.url", "none.url", "notify.channels.hook: No such file"),
        ("[[notify.channels]]", "[[notify.channel]]", "notify.channel: Extra inputs"),
    ],
)
def test_what_is_missing_is_told(tmp_path: Path, old: str, new: str, says: str) -> None:
    config = tmp_path / "web.toml"
    (tmp_path / "token").write_text("token\n")
    (tmp_path / "hook.url").write_text("json://127.0.0.1:9/\n")
    text = (
        f'[notify]\ntoken_file = "{tmp_path}/token"\n'
        f'[[notify.channels]]\nname = "hook"\nurl_file = "{tmp_path}/hook.url"\n'
    )
    config.write_text(text.replace(old, new))
    command = [str(BIN / "drink-web"), f"--config={config}", "notify"]
    done = run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert done.returncode == 2
    assert says in done.stderr
