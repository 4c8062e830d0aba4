"""`python -m scripts.demo`: the show; `python -m scripts.demo run`: the installation only."""

import argparse
import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType

from scripts.books import compare
from scripts.demo.plan import ADMIN, ALICE, DEMO
from scripts.demo.show import Show, say
from scripts.local_system import LocalSystem
from scripts.plan import Plan
from scripts.processes import ProcessFailedError

RPC_PORT, SESSION_PORT, WEB_PORT = 50051, 4242, 8080
METRICS_PORT, WEB_METRICS_PORT = 9464, 9465
"""Where gRPC, the sessions, the page and the frontend's metrics are by default."""

COMMAND_LIMIT_S = 30
"""Seconds that a command may take."""

RUN_FOLDER = Path("run")
"""Where `make run` keeps its data."""


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _plan(interactive: bool) -> Plan:
    """The demo's system; on its customary ports where a person could use them."""
    customary = (RPC_PORT, SESSION_PORT, WEB_PORT, METRICS_PORT, WEB_METRICS_PORT)
    taken = [port for port in customary if not _free(port)]
    if not interactive or taken:
        if interactive:
            say(f"Port {' and '.join(map(str, taken))} is in use; taking others.")
        return DEMO
    return dataclasses.replace(
        DEMO,
        rpc_port=RPC_PORT,
        session_port=SESSION_PORT,
        web_port=WEB_PORT,
        metrics_port=METRICS_PORT,
        web_metrics_port=WEB_METRICS_PORT,
    )


def _show(installation: LocalSystem) -> bool:
    """Plays the acts and prints the books; whether they agree."""
    alice = installation.client(ALICE)
    Show(installation, alice).play()
    alice.close()
    admin = installation.client(ADMIN)
    books = compare(installation, admin)
    admin.close()
    say("\nThe frontend's books beside the boards' own counts\n")
    say(books.text)
    # It fails, and so does the demo, where the ledger contradicts itself.
    say(f"drink-frontend admin verify: {installation.admin('verify').strip()}")
    for problem in books.problems:
        say(problem)
    say("\nThe books and the cans DISAGREE." if books.problems else "\nEverything agrees.")
    _command_line(installation)
    return not books.problems


def _command_line(installation: LocalSystem) -> None:
    """Shows the machines with `drink`, as anybody sees them."""
    say("\nThe machines, by the command line: .venv/bin/drink machines\n")
    server = f"localhost:{installation.rpc_port}"
    # Its own settings, not those of whoever runs the demo.
    folders = {"XDG_CONFIG_HOME": installation.folder, "XDG_STATE_HOME": installation.folder}
    environment = os.environ | {name: str(folder) for name, folder in folders.items()}
    subprocess.run(
        [sys.executable, "-c", "from drink_cli.main import run; run()", "machines"],
        env=environment | {"DRINK_SERVER": server},
        check=True,
        timeout=COMMAND_LIMIT_S,
    )


def _stay(installation: LocalSystem) -> None:
    """Says how to connect, and waits for Ctrl-C."""
    say(
        f"\nThe installation stays up. In a browser, as alice with the password {ALICE.password}:\n"
        f"  {installation.origin}\n"
        f"or as an administrator, {ADMIN.name} with the password {ADMIN.password}.\n"
        f"From another terminal:\n"
        f"  nc localhost {installation.session_port}\n"
        f"     USER alice / PASS {ALICE.password} / STAT / DROP 1 / QUIT\n"
        f"  .venv/bin/drink login alice --server localhost:{installation.rpc_port}"
        f"   (password {ALICE.password})\n"
        f"  .venv/bin/drink drop d/1\n"
        f"Its files and logs are in {installation.folder}. Ctrl-C ends it."
    )
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    say("\nStopping.")
    installation.stop()


def _interrupted(number: int, frame: FrameType | None) -> None:
    del frame
    raise SystemExit(128 + number)


def main() -> int:
    """The exit code: 0 if the books agree with the cans."""
    parser = argparse.ArgumentParser(prog="python -m scripts.demo", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["show", "run"], default="show")
    show = parser.parse_args().what == "show"
    interactive = sys.stdout.isatty() or not show
    signal.signal(signal.SIGTERM, _interrupted)
    folder = Path(tempfile.mkdtemp(prefix="drink-demo-")) if show else RUN_FOLDER.absolute()
    agree = not show
    try:
        with LocalSystem(folder, _plan(interactive)) as installation:
            say("Setting up a frontend, three agents, three emulated boards and the page ...")
            installation.set_up()
            if show:
                agree = _show(installation)
            if interactive:
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
                _stay(installation)
            else:
                installation.stop()
                say("\n`make run` starts the same again, and says how to log in with drink.")
    except ProcessFailedError as error:
        say(f"\n{error}")
        agree = False
    finally:
        if show and agree:
            shutil.rmtree(folder, ignore_errors=True)
        elif show:
            say(f"Its files and logs are kept in {folder}.")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
