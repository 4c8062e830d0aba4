"""A mail server and a webhook on loopback, which keep what they are told, each on a thread."""

import email
import json
import threading
import time
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.ports import free_port

STEP_S = 0.05
"""Seconds between two looks at what was received."""


class Received:
    """Messages that were received, in order, each as its title and body."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []

    def wait(self, count: int, limit_s: float) -> list[tuple[str, str]]:
        """The messages once there are so many; an AssertionError if there are not in time."""
        deadline = time.monotonic() + limit_s
        while len(self.messages) < count:
            assert time.monotonic() < deadline, self.messages
            time.sleep(STEP_S)
        return list(self.messages)

    def wait_for(self, text: str, limit_s: float) -> tuple[str, str]:
        """The first message with a text in it."""
        deadline = time.monotonic() + limit_s
        while True:
            found = [each for each in self.messages if text in each[0] + each[1]]
            if found:
                return found[0]
            assert time.monotonic() < deadline, (text, self.messages)
            time.sleep(STEP_S)

    def lines(self, text: str) -> list[str]:
        """The lines of all bodies with a text in them."""
        return [line for _, body in self.messages for line in body.splitlines() if text in line]


class MailServer(Received):
    """Takes mail by SMTP; a context manager.

    Attributes:
        port: Where it listens.
    """

    def __enter__(self) -> Self:
        self.port = free_port()
        self._controller = Controller(
            self, hostname="127.0.0.1", port=self.port, server_hostname="test"
        )
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    @property
    def url(self) -> str:
        """Its address for Apprise."""
        return f"mailto://127.0.0.1:{self.port}?from=drink@house.example&to=ops@house.example"

    async def handle_DATA(  # noqa: N802 - aiosmtpd names it
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Keeps a mail."""
        content = envelope.content
        assert isinstance(content, bytes)
        mail = email.message_from_bytes(content, policy=default)
        body = mail.get_body(("plain", "html"))
        assert body is not None
        self.messages.append((str(mail["subject"]), str(body.get_content())))
        return "250 OK"


class WebHook(Received):
    """Takes JSON by HTTP; a context manager.

    Attributes:
        port: Where it listens.
        status: What it answers with; what is not 200 is not kept.
        delay_s: Seconds until it answers.
        location: Where a redirect leads.
        asked: How many requests there were.
    """

    def __init__(self) -> None:
        super().__init__()
        self.status = 200
        self.delay_s = 0.0
        self.location = ""
        self.asked = 0
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers.get("content-length", 0)))
                hook.take(self, json.loads(text or b"{}"))

            do_GET = do_POST  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Its address for Apprise."""
        return f"json://127.0.0.1:{self.port}/"

    def take(self, handler: BaseHTTPRequestHandler, told: dict[str, Any]) -> None:
        """Keeps a message, and answers as it is set to."""
        self.asked += 1
        status = self.status
        self._stop.wait(self.delay_s)
        if status == 200:
            self.messages.append((told.get("title", ""), told.get("message", "")))
        handler.send_response(status)
        if self.location:
            handler.send_header("location", self.location)
        handler.send_header("content-length", "0")
        handler.end_headers()
