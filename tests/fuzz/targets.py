"""What must bear any bytes: one small function for each parser that strangers can reach.

A target returns if all is well; it raises whatever the parser must not raise, or an AssertionError
if what was parsed is not so. `make fuzz` looks for bytes that make one raise.
"""

import asyncio
import contextlib
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from google.protobuf.message import DecodeError

from drink.v1.drop_service_pb2 import DropRequest
from drink.v1.machine_link_service_pb2 import ConnectRequest, ConnectResponse
from drink_agent.board.drivers import DRIVERS
from drink_agent.board.drivers import tini_codec as tini
from drink_agent.board.emulator.board import EmulatedBoard
from drink_agent.board.emulator.control import answer
from drink_agent.board.emulator.hosts import Host
from drink_agent.board.emulator.spec import BoardSpec
from drink_agent.board.settings import BoardSettings
from drink_agent.board.streams import parse_peers, parse_url
from drink_agent.config import ConfigError as AgentConfigError
from drink_agent.config import parse as parse_agent_config
from drink_agent.domain.recovery import ImpossibleHistoryError, replay
from drink_agent.journal.format import BrokenFrameError, Header, decode, encode_frame, encode_header
from drink_agent.link import convert
from drink_agent.link.convert import LinkViolationError
from drink_frontend.config import ConfigError as FrontendConfigError
from drink_frontend.config import load
from drink_frontend.domain.errors import FieldInvalidError, LinkProtocolError
from drink_frontend.rpc import conversion
from drink_frontend.rpc.drop_conversion import drop_order
from drink_frontend.rpc.link_conversion import agent_message
from drink_frontend.sessions.codec import LineDecoder
from drink_frontend.sessions.commands import begins_command, parse
from drink_frontend.sessions.dialects import DIALECTS
from drink_frontend.sessions.proxy_header import (
    SIGNATURE,
    V2_BYTES_MAX,
    ProxyHeader,
    ProxyHeaderError,
    read_header,
)
from drink_frontend.sessions.reply_codes import Refused
from drink_frontend.sessions.telnet import IAC_MAX
from tests.support.board_bench import DriverBench

Target = Callable[[bytes], None]

LINE_MAX = 64
"""Bytes of a line: short, so that what happens at the limit happens often."""


def session_lines(data: bytes) -> None:
    """Lines of a session: the same however the bytes are cut."""
    whole, bytewise = LineDecoder(LINE_MAX), LineDecoder(LINE_MAX)
    for start in range(0, len(data), IAC_MAX):
        whole.feed(data[start : start + IAC_MAX])
    lines, same = list(iter(whole.next_event, None)), []
    for byte in data:
        bytewise.feed(bytes([byte]))
        same += list(iter(bytewise.next_event, None))
    assert lines == same
    assert bytewise.backlog <= LINE_MAX + 1


def proxy_headers(data: bytes) -> None:
    """Headers of proxies: the same however the bytes are cut, and within their limit."""
    for begin in (b"", SIGNATURE, b"PROXY "):
        found = _proxy_header(begin + data)
        if isinstance(found, ProxyHeader):
            whole = begin + data[: found.size - len(begin)]
            assert _proxy_header(whole) == found
            assert all(_proxy_header(whole[:size]) is None for size in range(len(whole)))
        elif found is None:
            assert len(begin + data) < V2_BYTES_MAX


def _proxy_header(data: bytes) -> ProxyHeader | str | None:
    try:
        return read_header(data)
    except ProxyHeaderError as error:
        return str(error)


def session_commands(data: bytes) -> None:
    """Commands of a session, in every dialect."""
    half = len(data) // 2
    for dialect in DIALECTS.values():
        if begins_command(data[:half], data[half:], dialect.argument_limits):
            begun = parse(data[:half].decode(), dialect.argument_limits)
            assert begun is not None
            assert begun.arity_fits
    decoder = LineDecoder(512)
    decoder.feed(data + b"\n")
    events = iter(decoder.next_event, None)
    lines = [event for event in events if isinstance(event, str) and event.strip()]
    for line in lines:
        for dialect in DIALECTS.values():
            command = parse(line, dialect.argument_limits)
            if command is not None and command.arity_fits:
                with contextlib.suppress(Refused):
                    command.values()
                secret = command.arguments if command.verb.grammar.secret else ()
                # A short one may be part of the verb or of the mask by chance.
                assert not any(len(each) > 12 and each in command.redacted for each in secret)


def boards(data: bytes) -> None:
    """Any bytes from a board of any type, one by one or at once; a drop has exactly one outcome."""
    for dialect in DRIVERS:
        for cut in (1, len(data) or 1):
            settings = BoardSettings(url="serial:///dev/null", dialect=dialect, max_slot=6)
            board, half = DriverBench(settings), len(data) // 2
            board.connect()
            board.now += 1
            for start in range(0, half, cut):
                board.receive(data[start : min(start + cut, half)])
            board.now += 1
            board.dispense("drop", 1)
            board.now += 1
            for start in range(half, len(data), cut):
                board.receive(data[start : start + cut])
            board.pass_s(17)
            board.lose()
            assert len(board.ended) == 1
            assert len(board.settled) <= 1


def tini_lines(data: bytes) -> None:
    """Lines of a tini-board: the same however the bytes are cut."""
    whole, bytewise = tini.TiniDecoder(LINE_MAX), tini.TiniDecoder(LINE_MAX)
    assert whole.feed(data) == [line for byte in data for line in bytewise.feed(bytes([byte]))]


def emulated_board(data: bytes) -> None:
    """Whatever an agent says to an emulated board; the cans stay counted."""
    board = EmulatedBoard(BoardSpec(cans={1: 2, 12: 1}, motor_s=0.1))
    board.connect(0.0)
    for number, byte in enumerate(data):
        board.receive(bytes([byte]), number * 0.01)
        board.tick(number * 0.01)
    board.tick(len(data) + 10.0)
    fallen = sum(board.counts.dispensed.values())
    assert fallen + sum(board.counts.cans.values()) == 3
    assert fallen <= board.counts.motor_runs


class _Desk(Host):
    """A host that is connected to nothing."""

    where = "nowhere"

    async def start(self) -> None:
        self._connected()

    def _send(self, data: bytes) -> None:
        """Nobody listens."""

    def _close(self, *, silently: bool) -> None:
        """Nothing is open."""

    def _reopen(self, *, silently: bool) -> None:
        self._connected()

    async def wait_until(self, condition: Callable[[EmulatedBoard], bool], limit_s: float) -> bool:
        """What is not so at once is not so."""
        return condition(self.board)


def emulator_requests(data: bytes) -> None:
    """Whatever somebody types into an emulator's control socket; each line has one answer."""

    async def ask() -> None:
        async with _Desk(EmulatedBoard(BoardSpec(cans={1: 2}, motor_s=0.1))) as host:
            for line in data.splitlines():
                json.dumps(await answer({"board": host}, line))

    asyncio.run(ask())


def journal(data: bytes) -> None:
    """A journal's bytes, as they are and behind a sound header."""
    for text in (data, encode_header(Header("id")) + data):
        with contextlib.suppress(BrokenFrameError, ImpossibleHistoryError):
            contents = decode(text)
            assert contents.sound_bytes + contents.torn_bytes == len(text)
            assert decode(text[: contents.sound_bytes]).entries == contents.entries
            replay(contents.entries, remembered_drops=10)


def journal_entries(data: bytes) -> None:
    """A journal whose frames are sound, whatever is in them."""
    with contextlib.suppress(ValueError, RecursionError):
        journal(encode_frame(json.loads(data)))


def link_to_frontend(data: bytes) -> None:
    """What somebody with an agent's token sends."""
    with contextlib.suppress(DecodeError, LinkProtocolError):
        agent_message(ConnectRequest.FromString(data))


def link_to_agent(data: bytes) -> None:
    """What a frontend sends."""
    with contextlib.suppress(DecodeError, LinkViolationError):
        convert.link_events(ConnectResponse.FromString(data), 0)


def drop_request(data: bytes) -> None:
    """What a buyer sends."""
    with contextlib.suppress(DecodeError, FieldInvalidError):
        drop_order(DropRequest.FromString(data), "ann", "digest")


def resource_names(data: bytes) -> None:
    """Names and page tokens; what is a name is read back as it was written."""
    text = data.decode(errors="replace")
    for read, write in (
        (conversion.parse_drop, conversion.drop_name),
        (conversion.parse_account, conversion.account_name),
        (conversion.parse_machine, conversion.machine_name),
    ):
        with contextlib.suppress(FieldInvalidError):
            assert write(read(text, "name")) == text
    with contextlib.suppress(FieldInvalidError):
        assert conversion.slot_name(*conversion.parse_slot(text, "name")) == text
    with contextlib.suppress(FieldInvalidError):
        sequence = conversion.parse_page_token(text, "list")
        assert sequence is None or sequence >= 0


def agent_config(data: bytes) -> None:
    """An agent's configuration file."""
    with contextlib.suppress(UnicodeDecodeError, tomllib.TOMLDecodeError):
        values = tomllib.loads(data.decode())
        with contextlib.suppress(AgentConfigError):
            parse_agent_config(values)


def frontend_config(data: bytes) -> None:
    """The frontend's configuration file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "frontend.toml"
        path.write_bytes(data)
        with contextlib.suppress(FrontendConfigError):
            load(path)


def board_urls(data: bytes) -> None:
    """URLs of boards, and addresses of those that may dial in."""
    text = data.decode(errors="replace")
    with contextlib.suppress(ValueError):
        parse_url(text)
    with contextlib.suppress(ValueError):
        parse_peers(tuple(text.split(",")))


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        session_lines,
        proxy_headers,
        session_commands,
        boards,
        tini_lines,
        emulated_board,
        emulator_requests,
        journal,
        journal_entries,
        link_to_frontend,
        link_to_agent,
        drop_request,
        resource_names,
        agent_config,
        frontend_config,
        board_urls,
    )
}
"""By name."""
