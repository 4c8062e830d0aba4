"""The tini-board's line protocol and its login: encoding, decoding, and any bytes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink_agent.board.drivers.tini_codec import (
    MAX_LOGIN_BYTES,
    Ack,
    Decoded,
    KeepAlive,
    Login,
    LoginAccepted,
    LoginGate,
    LoginRefused,
    LoginVerdict,
    Malformed,
    Message,
    Nack,
    RunMotor,
    SlotStatus,
    StatusRequest,
    Temperature,
    TiniDecoder,
    decode,
    encode,
    judge_login,
)

MAX_LINE = 256


def read(line: bytes) -> Message:
    return decode(line).message


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


def feed_all(pieces: list[bytes]) -> list[Decoded]:
    decoder = TiniDecoder(MAX_LINE)
    return [decoded for piece in pieces for decoded in decoder.feed(piece)]


MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(Login, st.binary().map(lambda raw: raw.hex().encode())),
    st.sampled_from([LoginAccepted(), LoginRefused(), Ack(), Nack(), StatusRequest(), KeepAlive()]),
    st.builds(RunMotor, st.integers(1, 999)),
    st.builds(
        SlotStatus,
        st.lists(st.tuples(st.integers(0, 999), st.booleans()), max_size=20).map(tuple),
    ),
    st.builds(Temperature, st.integers(-9999, 9999).map(lambda tenths: tenths / 10)),
)
WIRE = st.one_of(
    st.binary(max_size=600),
    st.lists(MESSAGES.map(encode), max_size=12).map(b"".join),
    st.text("0123456789 `.\n\r\t", max_size=600).map(str.encode),
)


class TestReading:
    @pytest.mark.parametrize(
        ("line", "message"),
        [
            (b"0password", Login(b"password")),
            (b"0 herpin_my_derp", Login(b"herpin_my_derp")),
            (b"1", LoginAccepted()),
            (b"2", LoginRefused()),
            (b"312", RunMotor(12)),
            (b"3 1", RunMotor(1)),
            (b"4", Ack()),
            (b"4\r", Ack()),
            (b"5 ", Nack()),
            (b"6", StatusRequest()),
            (b"6 3", StatusRequest()),
            (b"71 1`2 0`3 1", SlotStatus(((1, True), (2, False), (3, True)))),
            (b"7 1 1 ` 2 0 ` 3 1", SlotStatus(((1, True), (2, False), (3, True)))),
            (b"7 1 1 2 0 3 1", SlotStatus(((1, True), (2, False), (3, True)))),
            (b"71 1`2 0`", SlotStatus(((1, True), (2, False)))),
            (b"72 0", SlotStatus(((2, False),))),
            (b"7 0 1", SlotStatus(((0, True),))),
            (b"7", SlotStatus(())),
            (b"838.3", Temperature(38.3)),
            (b"8 38.3", Temperature(38.3)),
            (b"8-4", Temperature(-4.0)),
            (b"8 0.0", Temperature(0.0)),
            (b"9", KeepAlive()),
        ],
    )
    def test_every_dialect_is_read(self, line: bytes, message: Message) -> None:
        assert read(line) == message

    @pytest.mark.parametrize(
        "line",
        [
            b"",
            b"\r",
            b" 4",
            b"x",
            b"\x00\xff",
            b"4 71 1",
            b"471 1`2 1",
            b"472 0",
            b"45",
            b"3",
            b"30",
            b"3x",
            b"3-1",
            b"71",
            b"71 2",
            b"71 1`2",
            b"71 1 2",
            b"7a b",
            b"71 1`1 1 1",
            b"8",
            b"8hot",
            b"8nan",
            b"81e3",
            b"99",
            b"\xb2",
            "\u0664".encode(),
        ],
    )
    def test_fault_43_what_two_threads_mixed_up_is_no_message(self, line: bytes) -> None:
        assert isinstance(read(line), Malformed)


class TestWriting:
    @pytest.mark.parametrize(
        ("message", "line"),
        [
            (LoginAccepted(), b"1\n"),
            (LoginRefused(), b"2\n"),
            (RunMotor(1), b"31\n"),
            (RunMotor(12), b"312\n"),
            (StatusRequest(), b"6\n"),
            (StatusRequest(guarded=True), b"6000\n"),
            (Login(b"password"), b"0password\n"),
            (SlotStatus(((1, True), (2, False))), b"71 1`2 0\n"),
            (Temperature(38.3), b"838.3\n"),
        ],
    )
    def test_lines_are_the_firmwares(self, message: Message, line: bytes) -> None:
        assert encode(message) == line

    @given(MESSAGES)
    def test_what_is_written_is_read_as_the_same(self, message: Message) -> None:
        assert read(encode(message)[:-1]) == message

    def test_a_slot_counts_from_one(self) -> None:
        with pytest.raises(AssertionError):
            encode(RunMotor(0))


class TestFraming:
    @given(WIRE, st.lists(st.integers(0, 1000), max_size=30))
    def test_fault_43_any_cut_gives_the_same_messages(self, data: bytes, cuts: list[int]) -> None:
        whole = feed_all([data])
        assert feed_all(split(data, cuts)) == whole
        assert feed_all([data[at : at + 1] for at in range(len(data))]) == whole

    @given(st.lists(MESSAGES, max_size=20))
    def test_messages_in_one_segment_are_all_read(self, messages: list[Message]) -> None:
        decoded = feed_all([b"".join(encode(message) for message in messages)])
        assert [line.message for line in decoded] == messages

    def test_a_line_of_the_longest_length_is_read_and_a_longer_one_is_dropped(self) -> None:
        longest = b"0" + b"p" * (MAX_LINE - 1)
        decoded = feed_all([longest + b"\n" + longest + b"p\n4\n"])
        expected = [Login(longest[1:]), Malformed("too long"), Ack()]
        assert [line.message for line in decoded] == expected

    def test_a_megabyte_without_a_line_end_is_one_bad_line_and_takes_no_memory(self) -> None:
        decoder = TiniDecoder(MAX_LINE)
        decoded = [line for _ in range(256) for line in decoder.feed(b"4" * 4096)]
        assert [line.message for line in decoded] == [Malformed("too long")]
        assert len(decoded[0].line) == MAX_LINE
        assert len(decoder._line) <= MAX_LINE
        assert [line.message for line in decoder.feed(b"\n4\n")] == [Ack()]

    def test_no_password_shows_in_a_repr(self) -> None:
        assert "hunter2" not in repr(decode(b"0hunter2"))


@pytest.mark.parametrize(
    ("password", "login", "verdict"),
    [
        ("password", b"password", LoginVerdict.ADMITTED),
        ("password", b"Password", LoginVerdict.REFUSED),
        ("password", b"passwor", LoginVerdict.REFUSED),
        ("password", b"password\x00", LoginVerdict.REFUSED),
        ("password", b"", LoginVerdict.UNDECIDED),
        ("password", b"`5 1", LoginVerdict.UNDECIDED),
        ("password", b"password0password", LoginVerdict.ADMITTED),
        ("password", b"passwo0password", LoginVerdict.ADMITTED),
        ("password", b"passwopassword", LoginVerdict.REFUSED),
        ("password", b"passwo0passwor", LoginVerdict.REFUSED),
        ("password", b"\xff", LoginVerdict.REFUSED),
        ("", b"password", LoginVerdict.ADMITTED),
        ("", b"`5 1", LoginVerdict.UNDECIDED),
        ("1234", b"1234", LoginVerdict.ADMITTED),
        ("1234", b"4321", LoginVerdict.UNDECIDED),
    ],
)
def test_logins(password: str, login: bytes, verdict: LoginVerdict) -> None:
    assert judge_login(password, Login(login)) is verdict


def test_a_gate_holds_all_bytes_for_the_driver() -> None:
    gate = LoginGate("password", 1024)
    assert gate.feed(b"72 1\n0pass") is LoginVerdict.UNDECIDED
    assert gate.feed(b"word\n73 1\n") is LoginVerdict.ADMITTED
    assert bytes(gate.held) == b"72 1\n0password\n73 1\n"


def test_a_gate_hears_only_so_much_before_the_login() -> None:
    gate = LoginGate("password", 1024)
    assert gate.feed(b"9\n" * (MAX_LOGIN_BYTES // 2 - 1)) is LoginVerdict.UNDECIDED
    assert gate.feed(b"9\n") is LoginVerdict.REFUSED


def test_a_wrong_password_is_refused_at_once() -> None:
    assert LoginGate("password", 1024).feed(b"0wrong\n0password\n") is LoginVerdict.REFUSED
