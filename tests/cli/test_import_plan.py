import string
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drink_cli.import_plan import PlanError, line_of, read_plan
from scripts.plan import MachinePlan, Plan, SlotPlan, UserPlan, import_toml

HOUSE = '''\
# The house.
[[machines]]
name = "d"
display_name = "Big Drink"
location = """
by the
stairs"""

[[machines.slots]]
number = 1
item = "Coke"
price = 50
available = 12

[[machines.slots]]
number = 2
item = "Dew"
price = 45

[[users]]
name = "alice"
password = "correct-horse"
credits = 500

[[users]]
name = "root"
admin = true
'''.replace('"""\nby the\nstairs"""', '"by the stairs"')


def test_a_file_has_machines_slots_and_users_with_their_lines() -> None:
    plan = read_plan(HOUSE)

    (machine,) = plan.machines
    assert (machine.name, machine.location, machine.line) == ("d", "by the stairs", 2)
    assert [(each.name, each.available, each.line) for each in machine.slots] == [
        ("machines/d/slots/1", 12, 7),
        ("machines/d/slots/2", 0, 13),
    ]
    assert [(each.name, each.credits, each.admin, each.line) for each in plan.users] == [
        ("alice", 500, False, 18),
        ("root", 0, True, 23),
    ]


def test_lines_are_right_where_values_look_like_headers() -> None:
    machine = '[[ machines ]]\nname = "d"\ndisplay_name = "D"\nlocation = "[[users]]"\n'
    slots = 'slots = [\n  {number = 1, item = "[[users]]", price = 1},\n]\n'
    headed = '[[machines."slots"]]\nnumber = 2\nprice = 1\nitem = """\\\n  [[users]]\\\n  """\n'
    user = '  [["users"]]\nname = "a"\n'

    plan = read_plan(machine + slots + user + user.replace('"a"', '"b"'))
    assert [each.line for each in plan.machines[0].slots] == [5]
    assert [each.line for each in plan.users] == [8, 10]

    plan = read_plan(machine + headed + user)
    assert [each.line for each in plan.machines[0].slots] == [5]
    assert [each.line for each in plan.users] == [11]

    plan = read_plan('users = [\n{name = "a"},\n{name = "b"}]\n')
    assert [each.line for each in plan.users] == [1, 1]


def test_a_file_of_many_users_is_parsed_a_few_times_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f'[[users]]\nname = "u{number}"\n' for number in range(1_000))
    parsed: list[int] = []
    loads = tomllib.loads

    def count(part: str) -> dict[str, Any]:
        parsed.append(len(part))
        return loads(part)

    monkeypatch.setattr(tomllib, "loads", count)
    assert [each.line for each in read_plan(text).users] == list(range(1, 2_000, 2))
    assert sum(parsed) < 3 * len(text)


def test_what_the_house_is_set_up_from_is_taken_as_it_is() -> None:
    house = Plan(
        machines=(MachinePlan("d", 'A "B" <b>', (SlotPlan(1, "=1+1", 50, 3),)),),
        users=(UserPlan("alice", "a'\\b", 5),),
    )

    plan = read_plan(import_toml(house))

    assert plan.machines[0].display_name == 'A "B" <b>'
    assert plan.machines[0].slots[0].item == "=1+1"
    assert plan.users[0].password == "a'\\b"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[[users]\n", 1, "Expected"),
        ('[[users]]\nname = "a"\n\nname = "b"\n', 4, "Cannot overwrite a value"),
        ('[[users]]\nname = "a"\n[[users]]\npassword = "x"\n', 3, "name: missing"),
        ('[[users]]\nname = "a"\n\ncolour = 1\n', 4, "colour: unknown key"),
        ('[[user]]\nname = "a"\n', 1, "user: unknown key"),
        ('users = [\n{name = "a"},\n3]\n', 1, "users: must be an array of tables"),
        ('users = [\n  {name = "a"},\n  {name = "b c"},\n]\n', 1, "name: must be 1 to 32"),
        ('[[users]]\nname = "a"\ncredits = 1.5\n', 3, "credits: must be a whole number"),
        ('[[users]]\nname = "a"\ncredits = true\n', 3, "credits: must be a whole number"),
        ('[[users]]\nname = "a"\ncredits = -1\n', 3, "credits: must be a whole number"),
        ('[[users]]\nname = "a"\nadmin = "no"\n', 3, "admin: must be true or false"),
        ('[[users]]\nname = "a"\npassword = """x\ny"""\n', 3, "password: must be"),
        ('[[users]]\nname = "a"\nibutton = "12"\n', 3, "ibutton: must be 16"),
        ('[[users]]\nname = "a"\n[[users]]\nname = "A"\n', 3, "the same user stands in line 1"),
        ('[[machines]]\nname = "D"\n', 2, "name: must be"),
        ('[[machines]]\nname = "d"\ndisplay_name = "a\\u001b[2J"\n', 3, "display_name: must be"),
    ],
)
def test_each_mistake_is_told_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(PlanError, match=message) as wrong:
        read_plan(text)
    assert wrong.value.line == line


@pytest.mark.parametrize(
    ("slot", "message"),
    [
        ('item = "x"\nprice = 1', "number: missing"),
        ('number = 0\nitem = "x"\nprice = 1', "number: must be a whole number from 1 to 99"),
        ("number = 1\nprice = 1", "item: missing"),
        ('number = 1\nitem = "\\u0007"\nprice = 1', "item: must be"),
        ('number = 1\nitem = "x"', "price: missing"),
        ('number = 1\nitem = "x"\nprice = 1000001', "price: must be"),
        ('number = 1\nitem = "x"\nprice = 1\navailable = 10001', "available: must be"),
    ],
)
def test_slots_are_checked(slot: str, message: str) -> None:
    machine = '[[machines]]\nname = "d"\ndisplay_name = "D"\n[[machines.slots]]\n'
    with pytest.raises(PlanError, match=message):
        read_plan(machine + slot)


def test_a_wrong_password_is_not_repeated() -> None:
    with pytest.raises(PlanError) as wrong:
        read_plan('[[users]]\nname = "a"\npassword = "my secret"\n')
    assert "secret" not in str(wrong.value)


@given(st.lists(st.text(string.ascii_letters + "\n ", max_size=20), min_size=1, max_size=5))
def test_the_line_of_a_value_is_that_of_its_key(texts: list[str]) -> None:
    lines, starts = ["# \u2028 is no end of a line"], []
    for number, text in enumerate(texts):
        starts.append(len(lines) + 1)
        lines += f'k{number} = """\n{text}"""'.split("\n")
    document = "\n".join(lines)
    assert [line_of(document, (f"k{number}",)) for number in range(len(texts))] == starts


@given(st.text(max_size=200))
def test_any_text_is_a_plan_or_a_mistake_in_one_of_its_lines(text: str) -> None:
    line = 1
    try:
        read_plan(text)
    except PlanError as error:
        line = error.line
    assert 1 <= line <= text.count("\n") + 1
