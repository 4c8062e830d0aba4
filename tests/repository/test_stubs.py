"""The stubs ask no more of a client than drink-protos says."""

import re
import tomllib
from pathlib import Path

import pytest

PROTOS = Path(__file__).parents[2] / "protos"
STUBS = sorted((PROTOS / "python").rglob("*_pb2*.py"))


def lower_bounds() -> dict[str, str]:
    project = tomllib.loads((PROTOS / "pyproject.toml").read_text())["project"]
    return dict(requirement.split(">=") for requirement in project["dependencies"])


@pytest.mark.parametrize("stub", STUBS, ids=lambda path: path.stem)
def test_stubs_import_only_what_drink_protos_depends_on(stub: Path) -> None:
    imported = re.findall(r"^(?:from|import) (\S+)", stub.read_text(), re.MULTILINE)
    foreign = {name for name in imported if not re.match(r"(grpc|google\.protobuf|drink)\b", name)}
    assert foreign <= {"warnings"}


@pytest.mark.parametrize("stub", STUBS, ids=lambda path: path.stem)
def test_the_lower_bounds_are_the_versions_that_generated_the_stubs(stub: Path) -> None:
    text = stub.read_text()
    if stub.stem.endswith("_grpc"):
        found = re.search(r"GRPC_GENERATED_VERSION = '(.+)'", text)
        assert found
        assert found[1] == lower_bounds()["grpcio"]
    else:
        found = re.search(r"Domain\.PUBLIC,\s+(\d+),\s+(\d+),\s+(\d+),", text)
        assert found
        assert ".".join(found.groups()) == lower_bounds()["protobuf"]
