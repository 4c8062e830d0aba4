import random
from collections.abc import Iterator
from itertools import pairwise

from hyperframe.frame import DataFrame, HeadersFrame, PingFrame, SettingsFrame

from benchmarks.link_messages import MessageCounts, Messages
from tests.support.http2 import PREFACE, grpc_message


def frames(*messages: bytes) -> bytes:
    """An end of a stream that says some messages, one of them in two frames, two in one."""
    data = b"".join(map(grpc_message, messages))
    cuts = [0, 3, len(data) // 2, len(data)]
    return b"".join(
        [
            SettingsFrame(0).serialize(),
            HeadersFrame(1, data=b"headers", flags=["END_HEADERS"]).serialize(),
            *(DataFrame(1, data=data[begin:end]).serialize() for begin, end in pairwise(cuts)),
            PingFrame(0, opaque_data=b"12345678").serialize(),
        ]
    )


def pieces(data: bytes, rng: random.Random) -> Iterator[bytes]:
    while data:
        size = rng.randint(1, 20)
        yield data[:size]
        data = data[size:]


def test_messages_are_counted_however_the_bytes_are_cut() -> None:
    for seed in range(50):
        rng = random.Random(seed)
        counter = Messages()
        first, second = counter.exchange(), counter.exchange()
        for exchange in (first, second):
            for piece in pieces(PREFACE + frames(b"hello", b"", b"x" * 300), rng):
                exchange.asked(piece, 0)
            for piece in pieces(frames(b"welcome", b"y" * 20), rng):
                exchange.answers(piece, 0)
        assert counter.take() == MessageCounts(from_agents=6, to_agents=4), f"seed {seed}"
        assert counter.take() == MessageCounts()
