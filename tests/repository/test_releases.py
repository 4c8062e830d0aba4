"""Released wheels and migrations stay unchanged, and the next release is packed completely."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from scripts.release import CHECKS, PACKAGES, build, problems_of
from tests.releases import release

ROOT = Path(__file__).parents[2]
VERSIONS = "drink_frontend/storage/migrations/versions/"


def released_migrations(version: str) -> dict[str, bytes]:
    """The migrations of a release by file name."""
    (wheel,) = (path for path in release.wheels(version) if path.name.startswith("drink_frontend"))
    with zipfile.ZipFile(wheel) as archive:
        return {
            Path(name).name: archive.read(name)
            for name in archive.namelist()
            if name.startswith(f"{VERSIONS}r")
        }


@pytest.mark.parametrize(
    "version", sorted(path.parent.name for path in ROOT.glob("tests/releases/*/protos.binpb"))
)
def test_released_migrations_are_unchanged(version: str) -> None:
    migrations = released_migrations(version)
    assert migrations
    for name, source in migrations.items():
        path = ROOT / "services/frontend/src" / VERSIONS / name
        assert path.read_bytes() == source, f"{name} was released: write a new revision instead"


def test_an_installed_release_runs_its_own_code(tmp_path: Path) -> None:
    commands = release.install(release.FIRST, tmp_path)
    assert {path.name for path in commands.iterdir()} >= {
        "drink-frontend",
        "drink-machine-agent",
        "tini-emulator",
    }
    look = "import drink_frontend, drink_agent, drink.v1.drop_service_pb2 as stubs\n" + "".join(
        f"print({module}.__file__)\n" for module in ("drink_frontend", "drink_agent", "stubs")
    )
    site = tmp_path / "site"
    program = f"import sys; sys.path.insert(0, {str(site)!r})\n{look}"
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert len(found) == 3
    assert all(Path(file).is_relative_to(site) for file in found)


def test_the_next_release_packs_every_file(tmp_path: Path) -> None:
    for name, wheel in build(tmp_path).items():
        assert list(problems_of(wheel, ROOT / PACKAGES[name])) == []


def test_every_command_of_a_wheel_is_tried_before_a_release() -> None:
    for project in ("services/frontend", "services/machine_agent"):
        about = tomllib.loads((ROOT / project / "pyproject.toml").read_text("utf-8"))["project"]
        tried = {command for command, *_ in CHECKS[about["name"].replace("-", "_")]}
        assert tried >= about["scripts"].keys()


def test_an_incomplete_wheel_is_noticed(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    for name in ("same.py", "other.py", "missing.mako"):
        (package / name).write_text(name)
    wheel = tmp_path / "package-9.9-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("package/same.py", "same.py")
        archive.writestr("package/other.py", "changed")
        archive.writestr("package/foreign.py", "")
        archive.writestr("package-9.9.dist-info/METADATA", "")
    lacking, foreign, changed, version = problems_of(wheel, package)
    assert "lacks package/missing.mako" in lacking
    assert "has package/foreign.py" in foreign
    assert "has another package/other.py" in changed
    assert "is not of version" in version
