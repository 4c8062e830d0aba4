"""The list of a drop's functions in ARCHITECTURE.md names functions that exist, and stays short."""

import ast
import re

from scripts.check_layout import ROOT, Function

FUNCTIONS_MAX = 70
"""Most functions on a drop's way."""

PACKAGES = {
    "drink_frontend": ROOT / "services/frontend/src",
    "drink_agent": ROOT / "services/machine_agent/src",
}


def listed() -> list[tuple[str, str]]:
    """File and qualified name of each function in the list."""
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = page.partition("### Function by function")[2].partition("\n## ")[0]
    rows = re.findall(r"^\|[^|]*\| `(\S+\.py)` \| (.+) \|$", section, re.MULTILINE)
    return [(file, name) for file, names in rows for name in re.findall(r"`([^`]+)`", names)]


def defined(node: ast.AST, prefix: str = "") -> set[str]:
    """Qualified names of the functions within a module, class or function."""
    names = set()
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef):
            name = prefix + child.name
            names |= defined(child, f"{name}.")
            if isinstance(child, Function):
                names.add(name)
    return names


def test_each_function_on_a_drops_way_exists() -> None:
    files = {file for file, _ in listed()}
    exist = {
        (file, name)
        for file in files
        for name in defined(ast.parse((PACKAGES[file.partition("/")[0]] / file).read_text()))
    }
    assert not set(listed()) - exist


def test_a_drops_way_stays_short() -> None:
    names = listed()
    assert len(names) == len(set(names))
    # The list begins with the RPC, passes the motor's line and ends with the outcome.
    assert [name for _, name in names][:: len(names) - 1] == [
        "DropService.Drop",
        "Subscription.changed",
    ]
    assert ("drink_agent/board/serial_stream.py", "_write") in names
    assert len(names) <= FUNCTIONS_MAX
