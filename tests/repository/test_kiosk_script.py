"""deploy/kiosk/drink-kiosk: the browser starts once the page answers, and again at its end."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from scripts.processes import wait_until

SCRIPT = Path(__file__).parents[2] / "deploy/kiosk/drink-kiosk"


class Page(BaseHTTPRequestHandler):
    """Answers 503 to the first question whether the page is there."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200 if len(self.asked) > 1 else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        del format, args


@contextmanager
def serving(asked: list[str]) -> Iterator[str]:
    handler = type("Handler", (Page,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/kiosk"
        finally:
            server.shutdown()
            thread.join()


def test_the_browser_waits_for_the_page_and_is_started_again(tmp_path: Path) -> None:
    started = tmp_path / "started"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$@" >> {started}\nexit 1\n')
    browser.chmod(0o755)
    asked: list[str] = []
    with serving(asked) as url:
        settings = tmp_path / "settings"
        settings.write_text(f"DRINK_KIOSK_URL={url}\n")
        environment = os.environ | {
            "DRINK_KIOSK_SETTINGS": str(settings),
            "DRINK_KIOSK_BROWSER": str(browser),
            "DRINK_KIOSK_PROFILE": str(tmp_path / "profile"),
            "no_proxy": "127.0.0.1",
        }
        script = subprocess.Popen([SCRIPT], env=environment, process_group=0)
        try:
            wait_until(
                lambda: started.exists() and len(started.read_text().splitlines()) >= 2,
                "the browser was started twice",
            )
        finally:
            os.killpg(script.pid, 15)
            script.wait()
    first = started.read_text().splitlines()[0].split()
    assert asked[:2] == ["/healthz", "/healthz"]
    assert first[0] == "--kiosk"
    assert first[-1] == url
    assert f"--user-data-dir={tmp_path / 'profile'}" in first
