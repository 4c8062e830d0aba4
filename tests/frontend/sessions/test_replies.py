from dataclasses import replace

import pytest

from drink_frontend.sessions.commands import Verb
from drink_frontend.sessions.dialects import CLASSIC, DRINKD, DRINKJS, Dialect
from drink_frontend.sessions.finger import answer
from drink_frontend.sessions.replies import (
    STAT_REPLIES_MAX,
    MachineList,
    Reply,
    SlotList,
    StatReplies,
    StatusLine,
    WrongArity,
    encode,
    greeting,
    machine_location,
    machine_title,
)
from drink_frontend.sessions.reply_codes import ReplyCode
from tests.support.entities import make_machine, make_slot
from tests.support.sessions import Typist, World

SLOTS = SlotList((make_slot("d", 1, "Coke", 50, 13, dispensed=7), make_slot("d", 2, "Jolt", 5, 0)))
MACHINES = MachineList((make_machine("d", "Big Drink", []), make_machine("s", "Snack", [])))


@pytest.mark.parametrize(
    ("dialect", "said"),
    [
        (CLASSIC, b"OK Welcome to Big Drink\n"),
        (DRINKJS, b"Welcome to Big Drink\n"),
        (DRINKD, b"Drink Server 1.2.3 Ready\n\0"),
    ],
)
def test_greetings(dialect: Dialect, said: bytes) -> None:
    assert greeting(dialect, "Big Drink", "1.2.3") == said


@pytest.mark.parametrize(
    ("dialect", "body", "trailer"),
    [
        (CLASSIC, b'1 "Coke" 50 13 7 true\n2 "Jolt" 5 0 0 true\n', b"OK 2 Slots retrieved\n"),
        (DRINKJS, b'1 "Coke" 50 13 1\n2 "Jolt" 5 0 1\n', b"OK 2 Slots retrieved\r\n"),
        (DRINKD, b"0 Coke 50 13 7\n\x001 Jolt 5 0 0\n\0", b"OK 2 Slots retrieved\n\0"),
    ],
)
def test_slots_come_as_body_and_trailer(dialect: Dialect, body: bytes, trailer: bytes) -> None:
    assert encode(dialect, SLOTS, to_stat=True) == (body, trailer)


def test_no_slots_are_a_trailer_alone() -> None:
    assert encode(CLASSIC, SlotList(()), to_stat=True) == (b"OK 0 Slots retrieved\n",)


def test_a_refused_stat_ends_as_its_lines_do() -> None:
    refusal = StatusLine(ReplyCode.NO_MACHINE)
    assert encode(DRINKD, refusal, to_stat=True) == (b"ERR No machine selected.\n\0",)
    assert encode(DRINKD, refusal) == (b"ERR No machine selected.\n",)


@pytest.mark.parametrize(
    ("dialect", "said"),
    [
        (CLASSIC, b"d - Big Drink\ns - Snack\nOK 2 Machines retrieved\n"),
        (DRINKJS, b"OK: connected machines\nd - Big Drink\ns - Snack\n\r\n"),
        (DRINKD, b"d - Big Drink\ns - Snack\nOK 2 Machines retrieved\n"),
    ],
)
def test_machines(dialect: Dialect, said: bytes) -> None:
    assert encode(dialect, MACHINES) == (said,)


@pytest.mark.parametrize(
    ("dialect", "reply", "said"),
    [
        (CLASSIC, StatusLine(ReplyCode.BALANCE, {"credits": 5}), b"OK Credits: 5\n"),
        (DRINKJS, StatusLine(ReplyCode.BALANCE, {"credits": 5}), b"OK: 5\r\n"),
        (CLASSIC, StatusLine(ReplyCode.TEMPERATURE, {"degrees": 38.3}), b"OK 38.3000\n"),
        (CLASSIC, StatusLine(ReplyCode.USERNAME, {"name": "{0}"}), b"OK Username: {0}\n"),
        (CLASSIC, WrongArity(Verb.DROP), b"ERR 406 Invalid parameters.\n"),
        (DRINKJS, WrongArity(Verb.RAND), b"ERR 206 Invalid number of args\r\n"),
    ],
)
def test_lines(dialect: Dialect, reply: Reply, said: bytes) -> None:
    assert encode(dialect, reply) == (said,)


def test_facts_cannot_add_lines() -> None:
    reply = StatusLine(ReplyCode.MACHINE_CHOSEN, {"name": "Big\nOK Credits: 1000000"})
    assert encode(CLASSIC, reply) == (b"OK Welcome to Big?OK Credits: 1000000\n",)


def test_long_names_are_cut() -> None:
    (line,) = encode(DRINKJS, StatusLine(ReplyCode.MACHINE_CHOSEN, {"name": "é" * 200}))
    assert len(line) <= 100
    line.decode()


class TestStatReplies:
    @pytest.mark.parametrize("dialect", [CLASSIC, DRINKJS, DRINKD])
    def test_the_same_slots_are_put_into_words_once(self, dialect: Dialect) -> None:
        replies = StatReplies()
        said = replies.encode(dialect, SLOTS)
        assert said == encode(dialect, SLOTS, to_stat=True)
        assert replies.encode(dialect, SlotList(SLOTS.slots)) is said

    def test_each_dialect_has_its_own(self) -> None:
        replies = StatReplies()
        said = [replies.encode(dialect, SLOTS) for dialect in (CLASSIC, DRINKJS, DRINKD, CLASSIC)]
        assert len(set(said)) == 3

    def test_other_slots_have_other_words(self) -> None:
        replies = StatReplies()
        replies.encode(CLASSIC, SLOTS)
        fewer = SlotList((SLOTS.slots[0], replace(SLOTS.slots[1], on_hand=4)))
        assert replies.encode(CLASSIC, fewer) == encode(CLASSIC, fewer, to_stat=True)

    def test_one_slot_takes_no_replies_place(self) -> None:
        replies = StatReplies()
        said = replies.encode(CLASSIC, SLOTS)
        one = SlotList(SLOTS.slots[:1])
        assert replies.encode(CLASSIC, one) == encode(CLASSIC, one, to_stat=True)
        assert replies.encode(CLASSIC, SLOTS) is said
        assert replies.encode(CLASSIC, SlotList(())) == encode(CLASSIC, SlotList(()), to_stat=True)

    def test_the_page_kept_longest_makes_room(self) -> None:
        replies = StatReplies()
        lists = [
            SlotList((make_slot(f"m{number}", 1, "Coke", 50, 1),) * 2)
            for number in range(STAT_REPLIES_MAX + 1)
        ]
        said = [replies.encode(CLASSIC, slots) for slots in lists]
        assert replies.encode(CLASSIC, lists[-1]) is said[-1]
        assert replies.encode(CLASSIC, lists[0]) is not said[0]


@pytest.mark.parametrize(
    ("location", "said"),
    [("NRH (North)", "NRH (North)"), ("Hall.", "Hall"), ("", "Unknown"), (" . ", "Unknown")],
)
def test_a_place_is_in_words(location: str, said: str) -> None:
    assert machine_location(make_machine("d", "Big Drink", [], location=location)) == said


@pytest.mark.parametrize(("display_name", "said"), [("Big Drink", "Big Drink"), (" ", "d")])
def test_a_machine_is_always_called_something(display_name: str, said: str) -> None:
    assert machine_title(make_machine("d", display_name, [])) == said


async def test_a_machine_without_words_of_its_own_breaks_no_reply(world: World) -> None:
    await world.change_machine("d", display_name="", location="")
    typist = Typist(world)
    assert await typist.type("LOCATION") == "OK Unknown.\n"
    assert await typist.type("MACHINE d") == "OK Welcome to d\n"
    assert (await typist.type("MACHINES")).startswith("d - d\n")
    assert '"machine_name":"d"' in await typist.type("SERVERSTAT")
    assert await Typist(world, DRINKJS).type("LOCATION") == "OK: Unknown.\r\n"
    assert answer("", [world.machines["d"]], None)[:2] == [
        "Motd:      Welcome to d!",
        "Location:  Unknown",
    ]
