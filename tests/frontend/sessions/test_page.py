"""The page for writers of clients says what sessions do: its tables, command by command."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from drink_frontend.domain.entities import Reach
from drink_frontend.domain.ledger import CREDITS_MAX
from drink_frontend.domain.limits import DELAY_MAX_S, PASSWORD_BYTES_MAX, PASSWORD_MAX
from drink_frontend.domain.stock import STOCK_MAX
from drink_frontend.sessions.commands import Access, Verb
from drink_frontend.sessions.dialects import CLASSIC, DIALECTS
from drink_frontend.sessions.replies import greeting
from drink_frontend.sessions.reply_codes import ReplyCode
from drink_frontend.sessions.settings import CLASSIC_IDLE_LIMIT_S, SessionSettings
from tests.support.sessions import IBUTTON, Typist, World

PAGE = (Path(__file__).parents[3] / "docs" / "sunday-protocol.md").read_text()
RELEASE = re.match(r"[0-9.]*[0-9]", version("drink-frontend"))


def table(heading: str, number: int = 0) -> list[list[str]]:
    """The cells of the rows of a table under a heading, without its head."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    tables = re.findall(r"(?:^\|.*\|\n)+", section, flags=re.MULTILINE)
    rows = [line.strip("| \n").split(" | ") for line in tables[number].splitlines()[2:]]
    return [[cell.strip() for cell in row] for row in rows]


def first_code(cell: str) -> str:
    """The first words in the type of code."""
    return cell.split("`")[1]


ARGUMENTS = {
    "<name>": "user",
    "<password>": "pw",
    "<16 hexadecimal digits>": IBUTTON,
    "<machine>": "d",
    "<slot>": "1",
    "<user>": "user2",
    "<credits>": "5",
    '<"name">': '"Cherry Coke"',
    "<price>": "60",
    "<quantity>": "43",
    "<dropped>": "307",
    "<true/false>": "true",
}
"""An argument for each required parameter on the page."""

TYPED = {
    Verb.CHPASS: "CHPASS user new",
    Verb.ADDUSER: "ADDUSER newcomer secret",
    Verb.QUERYADMIN: "QUERYADMIN admin",
    Verb.LOG: "LOG I was here",
}
"""Commands that need other arguments than those."""


def typed(form: str) -> str:
    """A command as somebody types it, from its form on the page."""
    name, *parameters = re.findall(r"<[^>]*>|\[[^]]*\]|\S+", form)
    required = [ARGUMENTS[each] for each in parameters if each.startswith("<")]
    return TYPED.get(Verb[name], " ".join([name, *required]))


def test_every_command_is_on_the_page_with_who_may_use_it() -> None:
    who = {Access.ANYONE: "anyone", Access.USER: "users", Access.ADMIN: "administrators"}
    listed = {first_code(row[0]).split()[0]: row[1] for row in table("Commands")}
    assert set(listed) == set(Verb)
    for verb, said in listed.items():
        if verb != Verb.CHPASS:
            assert said.startswith(who[Verb[verb].grammar.access]), verb


@pytest.mark.parametrize("row", table("Commands"), ids=lambda row: first_code(row[0]))
async def test_the_reply_on_the_page_is_the_one_that_comes(world: World, row: list[str]) -> None:
    verb = Verb[first_code(row[0]).split()[0]]
    await world.reach("ld", Reach.OFFLINE)
    typist = await Typist(world, may_stop=True).login(
        "admin" if verb.grammar.access is Access.ADMIN else "user"
    )
    if verb is Verb.PASS:
        await typist.type("USER user")
    *_, said = (await typist.type(typed(first_code(row[0])))).splitlines()
    examples = [code for cell in row[2:] for code in cell.split("`")[1::2]]
    if verb is Verb.RAND:
        examples = [first_code(row[2]) for row in table("Commands") if "DROP <" in row[0]]
    assert any(alike(said, example) for example in examples), (said, examples)


def alike(said: str, example: str) -> bool:
    """Whether two replies differ in numbers only, and JSON in its machines."""
    if "{" in said:
        return example.startswith("OK {") and said.startswith(example[: example.index(":true")])
    return re.sub(r"[0-9.]+", "0", said) == re.sub(r"[0-9.]+", "0", example)


def test_every_refusal_is_on_the_page_word_by_word() -> None:
    said = {text for text in CLASSIC.texts.values() if text.startswith("ERR") and "{" not in text}
    listed = {first_code(row[1]): row[0] for row in table("Errors")}
    assert set(listed) == said
    assert all(text.startswith(f"ERR {code} ") for text, code in listed.items())
    assert "`ERR 103 Unknown Failure. Credits held, drop <id>`" in PAGE


def test_the_dialects_are_as_the_page_says() -> None:
    rows = {row[0]: row[1:] for row in table("Dialects")}
    assert RELEASE is not None
    for number, dialect in enumerate(DIALECTS.values()):
        facts = {"credits": 100, "name": "user"}
        hello = greeting(dialect, "Big Drink", RELEASE[0]).decode().strip("\n\0")
        assert first_code(rows["greeting"][number]) == hello
        said = {
            "balance": dialect.texts[ReplyCode.BALANCE].format(**facts),
            "DROP done": dialect.texts[ReplyCode.DROPPED].format(credits=50),
            "errors": dialect.texts[ReplyCode.SLOT_EMPTY],
            "unknown command": dialect.texts[ReplyCode.UNKNOWN_COMMAND],
        }
        for name, text in said.items():
            assert first_code(rows[name][number]) == text, name
        assert ("unknown" in rows["an empty line"][number]) == dialect.blank_is_unknown
        assert ("silence" in rows["no line end"][number]) == dialect.silence_ends_line
        assert ("152" in rows["a second DROP meanwhile"][number]) == dialect.refuses_second_drop


def test_the_limits_are_as_the_page_says() -> None:
    settings = SessionSettings()
    rows = {row[0]: row[1] for row in table("Limits")}
    assert rows["bytes of a line"] == str(settings.line_bytes_max)
    assert rows["failed logins"] == str(settings.login_failures_max)
    assert rows["sessions"].startswith(f"{settings.sessions_max:,}")
    assert rows["bytes without a line end"] == f"{settings.endless_line_bytes_max:,}"
    assert rows["bytes of commands that wait"] == f"{settings.backlog_bytes_max:,}"
    unread = f"{settings.unread_bytes_max:,}, for {settings.unread_limit_s:g} s"
    assert rows["bytes of replies left unread"] == unread
    assert rows["seconds without a command"].startswith(f"{CLASSIC_IDLE_LIMIT_S:g} in `classic`")
    errors = {row[0]: row[2] for row in table("Errors")}
    assert f"{CREDITS_MAX:,}" in errors["401"]
    assert f"{DELAY_MAX_S}" in errors["403"]
    assert f"{STOCK_MAX:,}" in errors["408"]
    assert f"1 to {PASSWORD_MAX} printable" in PAGE
    assert f"{PASSWORD_BYTES_MAX} bytes" in PAGE


def test_the_version_on_the_page_is_this_one() -> None:
    assert RELEASE is not None
    assert f"`OK Drink {RELEASE[0]}`" in PAGE
