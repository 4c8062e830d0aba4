"""docs/security.md names settings that there are, and nobody is promised what does not exist."""

import re
from pathlib import Path

from tests.siege.every import ATTACKS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
SETTING = re.compile(r"`((?:accounts|alarms|links|log|rpc|sessions)(?:\.[a-z_]+)+(?:\.\*)?)`")
SECTION = re.compile(r"^## \[+([\w.]+)\]+$|^`(\w+) = ", re.MULTILINE)


def settings() -> set[str]:
    """Every setting of the frontend, and every section with `.*`."""
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    found, section = set(), ""
    for match in SECTION.finditer(text):
        section = match[1] or section
        found.add(f"{section}.{match[2]}" if match[2] else f"{section}.*")
    return found


def test_the_settings_behind_each_attack_are_there() -> None:
    named = set(SETTING.findall(PAGE))
    assert len(named) > 30
    assert named - settings() == set()


def test_every_section_of_limits_on_strangers_is_named() -> None:
    limits = {"rpc.admission", "rpc.pace", "rpc.responses", "rpc.connections", "accounts.logins"}
    assert all(f"`{section}." in PAGE for section in limits)


def test_the_readme_and_the_promise_lead_here() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    promise = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert "(docs/security.md)" in readme
    assert "(SECURITY.md)" in readme
    assert "(docs/security.md)" in promise


def test_every_attack_says_what_it_does_at_which_rate() -> None:
    for attack in ATTACKS.values():
        assert attack.run.__doc__, attack.name
        assert re.search(r"\d|second agent|reads nothing", attack.what), attack.name
