from benchmarks.postgres_turns import TurnCounts, TurnExchange, Turns

BEGIN = b"Q...BEGIN ISOLATION LEVEL SERIALIZABLE"
OPEN = b"Z\0\0\0\x05T"
IDLE = b"Z\0\0\0\x05I"
NOTICE = b"N\0\0\0\x08ZZZI"


def pass_through(exchange: TurnExchange, *steps: tuple[float, bytes, bytes]) -> None:
    """What a client says at a time, and the answer that it gets a second later."""
    for at, asked, answer in steps:
        exchange.asked(asked, at)
        exchange.answers(answer, at + 1)
        exchange.answered()


def test_a_turn_is_counted_from_its_first_statement_to_the_answer_to_its_commit() -> None:
    turns = Turns()
    statements = [(10.0, BEGIN, OPEN), (12.0, b"one", OPEN), (14.0, b"COMMIT", IDLE)]
    pass_through(TurnExchange(turns), *statements)
    assert turns.counts == TurnCounts([3], 5)


def test_a_pipeline_is_one_round_trip_and_its_answers_may_come_in_pieces() -> None:
    turns = Turns()
    exchange = TurnExchange(turns)
    exchange.asked(BEGIN, 1)
    exchange.asked(b"one", 2)
    for piece in (OPEN, NOTICE[:2], NOTICE[2:] + IDLE[:5]):
        exchange.answers(piece, 3)
        exchange.answered()
    assert turns.counts == TurnCounts()
    exchange.answers(IDLE[5:], 4)
    assert turns.counts == TurnCounts([1], 3)


def test_a_turn_that_waits_for_another_frontends_is_held_from_the_end_of_that_one() -> None:
    turns = Turns()
    first, second = TurnExchange(turns), TurnExchange(turns)
    first.asked(BEGIN, 1)
    second.asked(BEGIN, 2)
    first.answers(IDLE, 5)
    second.answers(IDLE, 6)
    assert turns.counts == TurnCounts([1, 1], 5)


def test_what_readers_ask_is_no_turn() -> None:
    turns = Turns()
    pass_through(TurnExchange(turns), (1, b"BEGIN READ ONLY", OPEN), (2, b"COMMIT", IDLE))
    assert turns.counts == TurnCounts()
