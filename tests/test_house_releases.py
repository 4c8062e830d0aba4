"""What was released stays as it was: its migrations, and its wheels."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.releases import release

ROOT = Path(__file__).parent.parent
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
