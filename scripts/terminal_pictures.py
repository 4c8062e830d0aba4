"""Draws pictures of `drink` in a real terminal, from a run of the real thing.

It starts the demo's system, types commands into tmux at two widths, and photographs what the
terminal shows with Debian's Chromium, light and dark. One picture is kept for the documentation;
with a folder all of them go there, to be looked at.

Usage: python -m scripts.terminal_pictures [FOLDER]
"""

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Self

from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, MONOKAI, TerminalTheme
from rich.text import Text

from scripts.demo.plan import ADMIN, ALICE, DEMO
from scripts.local_system import LocalSystem
from scripts.plan import UserPlan
from scripts.processes import BIN, wait_until

KEPT = Path(__file__).resolve().parent.parent / "docs/pictures/terminal.png"

WIDTHS = (80, 200)
"""Columns of a terminal as it opens, and of one that fills a screen."""

THEMES: dict[str, TerminalTheme] = {"light": DEFAULT_TERMINAL_THEME, "dark": MONOKAI}

LINES = 60
"""Lines of the terminal: as many as the longest output."""

LIMIT_S = 60
"""Seconds that a command may take."""

FIRST = ("machines", "drop d/1", "history")
"""Commands of the picture that is kept."""

MEMBER = (
    "whoami", "balance", "machines", "machines d", "items", "drop d/1", "drop d/2 --delay 1s",
    "drop ld/2", "send 5 bob --why pizza", "history", "history --entries", "preferences",
    "favourites add d/1", "favourites list", "tokens list", "cards list", "drop --resume",
    "drop d/9", "drop", "show UNKNOWN", "report UNKNOWN --did-not-fall", "--help", "drop --help",
    "stats",
)  # fmt: skip
"""Commands of a member."""

OPERATOR = (
    "admin user list", "admin user show alice", "admin credits add alice 20 --why cash",
    "admin machine list", "admin slot load d/1 4 --why crate", "admin slot movements",
    "admin item add Club-Mate --price 50", "admin drops list", "admin drops show UNKNOWN",
    "admin alarms", "admin export balances --csv", "admin import plan.toml --dry-run",
    "admin user change bob --close", "admin --help", "admin stats --month 2026-11",
    "admin drops resolve UNKNOWN --dispensed --why seen",
)  # fmt: skip
"""Commands of an administrator."""


class Terminal:
    """A terminal of tmux with a shell in it; a context manager.

    Args:
        columns: Its width.
        folder: Where the shell is, and its home.
    """

    def __init__(self, columns: int, folder: Path) -> None:
        self._socket = f"drink-{uuid.uuid4().hex}"
        self._columns = columns
        self._folder = folder

    def __enter__(self) -> Self:
        environment = {
            "HOME": str(self._folder),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PS1": "$ ",
            # The shell says when a command has ended.
            "PROMPT_COMMAND": "tmux wait-for -S prompt",
            "LANG": "C.UTF-8",
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        }
        variables = ["=".join(each) for each in environment.items()]
        shell = shlex.join(["env", *variables, "bash", "--norc", "--noprofile"])
        size = ["-x", str(self._columns), "-y", str(LINES)]
        self._tmux("new-session", "-d", *size, "-c", str(self._folder), shell)
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._tmux("kill-server")

    def show(self, *commands: str) -> str:
        """Types commands one after the other; what the terminal shows then, with its colours."""
        for command in ("clear", *commands):
            self._tmux("send-keys", "-l", command)
            self._tmux("send-keys", "Enter")
            self._wait()
        return self._tmux("capture-pane", "-e", "-p").rstrip().removesuffix("$").rstrip()

    def _wait(self) -> None:
        """Waits until the shell has ended its command and shows the next prompt."""
        self._tmux("wait-for", "prompt")
        wait_until(lambda: self._tmux("capture-pane", "-p").rstrip().endswith("$"), "a prompt")

    def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-L", self._socket, "-f", os.devnull, *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT_S)
        return done.stdout


class Photographer:
    """Makes pictures of what a terminal shows.

    Args:
        page: Of a browser.
    """

    def __init__(self, page: Page) -> None:
        self._page = page

    def photograph(self, shown: str, columns: int, theme: str, path: Path) -> None:
        """Writes a picture as PNG."""
        console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True)
        console.print(Text.from_ansi(shown), soft_wrap=True)
        page = console.export_html(theme=THEMES[theme], inline_styles=True)
        self._page.set_content(
            f"<style>pre {{ display: inline-block; font-size: 13px }}</style>{page}"
        )
        self._page.screenshot(path=path, clip=self._page.locator("pre").bounding_box())


def _log_in(system: LocalSystem, user: UserPlan, home: Path) -> None:
    home.mkdir()
    environment = {**os.environ, "HOME": str(home)}
    for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        environment.pop(variable, None)
    environment["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
    command = [str(BIN / "drink"), "login", user.name, "--server", system.address]
    subprocess.run(command, env=environment, input=user.password, text=True, check=True)


def _pictures(
    system: LocalSystem, homes: dict[str, Path], *, few: bool
) -> Iterator[tuple[str, int, str]]:
    """Name, columns and what is shown, of each picture."""
    with Terminal(WIDTHS[0], homes["alice"]) as terminal:
        yield "terminal", WIDTHS[0], terminal.show(*(f"drink {each}" for each in FIRST))
        if few:
            return
        system.boards["d"].fault("silent", slot=2)
        shown = terminal.show("drink drop d/2")
        yield "unknown", WIDTHS[0], shown
    found = re.search(r"drinkshow(\w{26})", re.sub(r"\s", "", shown))
    assert found
    for columns in WIDTHS:
        for person, commands in (("alice", MEMBER), ("admin", OPERATOR)):
            with Terminal(columns, homes[person]) as terminal:
                for number, command in enumerate(commands):
                    typed = f"drink {command.replace('UNKNOWN', found[1])}"
                    yield f"{person}-{number:02}", columns, terminal.show(typed)


def main() -> None:
    """Draws them."""
    everything = Path(sys.argv[1]) if sys.argv[1:] else None
    chromium = shutil.which("chromium") or "/usr/bin/chromium"
    plan = replace(DEMO, web_port=None)
    with (
        tempfile.TemporaryDirectory(prefix="drink-pictures-") as made,
        LocalSystem(Path(made) / "house", plan) as system,
        sync_playwright() as playwright,
    ):
        system.set_up()
        homes = {}
        for user in (ALICE, ADMIN):
            homes[user.name] = Path(made) / user.name
            _log_in(system, user, homes[user.name])
        shutil.copy(system.folder / "plan.toml", homes["admin"])
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        photographer = Photographer(browser.new_page(viewport={"width": 1800, "height": 1100}))
        for name, columns, shown in _pictures(system, homes, few=everything is None):
            if name == "terminal":
                photographer.photograph(shown, columns, "dark", KEPT)
            if everything is not None:
                everything.mkdir(parents=True, exist_ok=True)
                for theme in THEMES:
                    path = everything / f"{name}-{columns}-{theme}.png"
                    photographer.photograph(shown, columns, theme, path)
        browser.close()
        system.stop()


if __name__ == "__main__":
    main()
