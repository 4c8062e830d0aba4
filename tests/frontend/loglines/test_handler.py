"""The way of the standard library's records to the output."""

import logging
import os
from collections.abc import Iterator

import pytest

from drink_frontend.loglines.filter import LogFilter
from drink_frontend.loglines.handler import OutputHandler
from drink_frontend.loglines.output import Output

LIMIT_S = 30

SECRET = "s3cr3t-t0k3n"


class Log:
    """What a handler has written."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        self.output = Output(self._writer, queue_max=100, lost_line=lambda lines: f"lost {lines}")
        self.handler = OutputHandler(self.output, LogFilter(3, lambda: 0.0), LIMIT_S)
        self.handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))

    def log(
        self, name: str, message: object, *args: object, error: Exception | None = None
    ) -> None:
        logger = logging.getLogger(name)
        logger.addHandler(self.handler)
        logger.propagate = False
        try:
            logger.error(message, *args, exc_info=error)
        finally:
            logger.removeHandler(self.handler)
            logger.propagate = True

    def read(self) -> str:
        self.handler.flush()
        os.set_blocking(self._reader, False)
        try:
            return os.read(self._reader, 65_536).decode()
        except BlockingIOError:
            return ""

    def close(self) -> None:
        self.output.close(LIMIT_S)
        os.close(self._reader)
        os.close(self._writer)


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    yield log
    log.close()


def test_a_library_s_message_is_cleaned_and_limited(log: Log) -> None:
    for _ in range(9):
        log.log("some.library", "password=%s\x07", SECRET)
    assert log.read() == "ERROR password=[hidden]\n" * 3


def test_what_peers_sent_is_not_filled_into_grpc_s_messages(log: Log) -> None:
    error = ValueError(f"cannot decode {SECRET}")
    log.log("grpc._cython.cygrpc", "Invalid encoding on %s", SECRET.encode(), error=error)
    text = log.read()
    assert text.startswith("ERROR Invalid encoding on %s\n")
    assert SECRET not in text
    assert "ValueError" in text


def test_a_response_that_a_client_did_not_wait_for_is_no_error(log: Log) -> None:
    message = "ExecuteBatchError raised in core by servicer method [/drink.v1.DropService/Drop]"
    log.log("grpc._cython.cygrpc", message, error=ValueError("failed"))
    log.log("grpc._cython.cygrpc", "another message")
    assert log.read() == "ERROR another message\n"


def test_a_message_that_cannot_be_made_is_logged_without_its_facts(log: Log) -> None:
    log.log("some.library", "%d cans", "many")
    assert log.read() == "ERROR %d cans\n"


def test_a_line_that_cannot_be_made_is_lost_and_no_error(log: Log) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    log.log("some.library", Broken())
    assert log.read() == "lost 1\n"


def test_the_service_s_own_exceptions_keep_their_words_but_secrets(log: Log) -> None:
    log.log("drink_frontend.x", "rpc_failed", error=ValueError(f"odd: token={SECRET}"))
    text = log.read()
    assert "ValueError: odd: token=[hidden]" in text


def test_other_handlers_see_the_record_as_it_was(log: Log) -> None:
    facts = {"name": "some.library", "msg": "token=%s", "args": (SECRET,)}
    record = logging.makeLogRecord(facts)
    log.handler.handle(record)
    assert SECRET not in log.read()
    assert record.getMessage() == f"token={SECRET}"
