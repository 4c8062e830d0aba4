"""The layout check finds what it is there to find."""

import pytest

from scripts import check_layout


def function(lines: int) -> str:
    return 'def long():\n    """Text."""\n' + "    pass\n" * lines


def test_a_long_module_is_found() -> None:
    limit = check_layout.MODULE_LINES_MAX
    assert list(check_layout.long_parts("m.py", "x = 1\n" * limit)) == []
    assert list(check_layout.long_parts("m.py", "x = 1\n" * (limit + 1))) == [
        f"m.py: {limit + 1} lines, {limit} at most"
    ]


@pytest.mark.parametrize("prefix", ["", "async "])
def test_a_long_function_is_found(prefix: str) -> None:
    limit = check_layout.FUNCTION_LINES_MAX
    assert list(check_layout.long_parts("m.py", prefix + function(limit))) == []
    assert list(check_layout.long_parts("m.py", prefix + function(limit + 1))) == [
        f"m.py:1: long has {limit + 1} lines, {limit} at most"
    ]


@pytest.mark.parametrize("mark", ["TODO", "FIXME", "XXX", "HACK"])
def test_marks_of_unfinished_work_are_found(mark: str) -> None:
    assert list(check_layout.leftovers("a.md", f"fine\nnot yet: {mark}\n")) == [
        "a.md:2: a mark of unfinished work"
    ]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("see /home/ann/drink", True),
        ("`/Users/ann/drink`", True),
        ("/root/keys", True),
        ("https://example.org/home/ann", False),
        ("services/home/ann", False),
        ("ProtectHome=yes, /var/lib/drink, ~/home", False),
    ],
)
def test_paths_of_one_machine_are_found(line: str, found: bool) -> None:
    assert bool(list(check_layout.leftovers("a.md", line))) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[x](README.md)", False),
        ("[x](protos/README.md#errors)", False),
        ("[x](https://example.org/missing.md)", False),
        ("[x](#here)", False),
        ("[x](missing.md)", True),
    ],
)
def test_links_to_nothing_are_found(text: str, found: bool) -> None:
    assert bool(list(check_layout.dead_links("a.md", text))) == found


def test_links_start_at_the_page_that_has_them() -> None:
    assert list(check_layout.dead_links("protos/a.md", "[x](drink/v1) [y](../README.md)")) == []


@pytest.mark.parametrize(
    ("source", "does"),
    [
        ('"""Text."""\nLIMIT = 3\n', False),
        ('class Port(Protocol):\n    def read(self) -> int:\n        """Reads."""\n', False),
        ("class Port(Protocol):\n    def read(self) -> int: ...\n", False),
        ("def one():\n    return 1\n", True),
        ("class A:\n    async def one(self):\n        return 1\n", True),
    ],
)
def test_only_modules_that_do_something_need_tests(source: str, does: bool) -> None:
    assert check_layout.does_something(source) == does


SOURCE = "services/machine_agent/src/drink_agent/board/tini.py"
BUSY = "def one():\n    return 1\n"


@pytest.mark.parametrize(
    "test", ["tests/agent/board/test_tini.py", "tests/contract/board/test_tini.py"]
)
def test_a_module_has_its_tests_at_its_own_path(test: str) -> None:
    assert list(check_layout.untested({SOURCE: BUSY, test: ""}, {})) == []


def test_a_module_without_tests_is_found() -> None:
    assert list(check_layout.untested({SOURCE: BUSY}, {})) == [
        f"{SOURCE}: tests/agent/board/test_tini.py is missing"
    ]


@pytest.mark.parametrize(
    "name", ["scripts/x.py", SOURCE.replace("tini", "__init__"), SOURCE.replace(".py", ".typed")]
)
def test_what_is_no_module_of_a_service_needs_no_tests(name: str) -> None:
    assert list(check_layout.untested({name: BUSY}, {})) == []


def test_a_module_may_be_tested_elsewhere() -> None:
    tested_by = {SOURCE: "tests/agent/test_app.py"}
    assert (
        list(check_layout.untested({SOURCE: BUSY, "tests/agent/test_app.py": ""}, tested_by)) == []
    )
    (missing,) = check_layout.untested({SOURCE: BUSY}, tested_by)
    assert "names tests/agent/test_app.py, which is missing" in missing
    (idle,) = check_layout.untested({"tests/agent/test_app.py": ""}, tested_by)
    assert f"names {SOURCE} without need" in idle


def test_two_migrations_with_one_number_are_found() -> None:
    folder = check_layout.MIGRATIONS
    names = [f"{folder}{name}.py" for name in ("__init__", "r0001_a", "r0002_b", "r0002_c")]
    assert list(check_layout.numbered_twice(names)) == [
        f"{folder}r0002_c.py: another migration has this number"
    ]
