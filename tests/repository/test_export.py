"""The exported protos generate as they are, with every compiler that is there."""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

from scripts.export_protos import GO_PACKAGE, JAVA_PACKAGE, exported, version, write_archive
from scripts.gen_protos import PROTOS
from tests.support import programs

LIMIT_S = 100
"""Seconds that a compiler may take."""

LOAD = """
const loader = require('@grpc/proto-loader'), grpc = require('@grpc/grpc-js')
for (const name of process.argv.slice(1)) {
  const definition = loader.loadSync(name, {includeDirs: ['.'], keepCase: true})
  console.log(Object.keys(grpc.loadPackageDefinition(definition).drink.v1).join(' '))
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked archive, in which commands run as its page says."""
    place = tmp_path_factory.mktemp("export")
    write_archive(exported(), place / "protos.tar.gz")
    with tarfile.open(place / "protos.tar.gz") as archive:
        archive.extractall(place, filter="data")
    unpacked = place / f"drink-protos-{version()}"
    (unpacked / "gen").mkdir()
    return unpacked


def sources(folder: Path, *packages: str) -> list[str]:
    return sorted(
        str(path.relative_to(folder))
        for package in packages
        for path in (folder / package).glob("*.proto")
    )


def run(folder: Path, command: Sequence[str]) -> str:
    done = programs.run(*command, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


BUNDLED = [sys.executable, "-m", "grpc_tools.protoc"]
"""The compiler that is always there; it generates Python and nothing else."""


def needed(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"no {program} here")
    return path


@pytest.mark.parametrize(
    ("language", "generated"),
    [
        ("cpp", "drink/v1/drop_service.pb.h"),
        ("java", "org/example/drink/v1/DropRequest.java"),
        ("csharp", "DropService.cs"),
    ],
)
def test_the_compilers_own_generators(folder: Path, language: str, generated: str) -> None:
    target = folder / "gen" / language
    target.mkdir(exist_ok=True)
    files = sources(folder, "drink/v1", "google/api")
    run(folder, [needed("protoc"), "-I", ".", f"--{language}_out={target}", *files])

    assert (target / generated).is_file()


def test_python(folder: Path) -> None:
    files = sources(folder, "drink/v1", "google/api")
    run(folder, [*BUNDLED, "-I", ".", "--python_out=gen", "--grpc_python_out=gen", *files])

    assert (folder / "gen/drink/v1/drop_service_pb2_grpc.py").is_file()
    assert (folder / "gen/google/api/field_behavior_pb2.py").is_file()


def test_nothing_but_the_folder_is_needed(folder: Path) -> None:
    """No import leads out of it, not even to what most compilers bring along."""
    for name in sources(folder, "drink/v1", "google/api", "google/protobuf"):
        for line in (folder / name).read_text("utf-8").splitlines():
            if line.startswith("import "):
                assert (folder / line.split('"')[1]).is_file()


def test_go_finds_its_package_in_every_file(folder: Path) -> None:
    image = folder / "image.binpb"
    files = sources(folder, "drink/v1")
    run(folder, [*BUNDLED, "-I", ".", f"--descriptor_set_out={image}", *files])
    found = descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes()).file

    assert len(found) == len(files)
    assert {file.options.go_package for file in found} == {GO_PACKAGE}
    assert {file.options.java_package for file in found} == {JAVA_PACKAGE}


def test_apart_from_these_options_it_says_what_the_repository_says(folder: Path) -> None:
    for path in PROTOS.glob("drink/**/*.proto"):
        there = (folder / path.relative_to(PROTOS)).read_text("utf-8")
        lines = [line for line in there.splitlines() if not line.startswith(("option ",))]
        assert [line for line in lines if line] == [
            line for line in path.read_text("utf-8").splitlines() if line
        ]


def test_go(folder: Path) -> None:
    for plugin in ("protoc-gen-go", "protoc-gen-go-grpc"):
        needed(plugin)
    options = [
        f"--{kind}{rest}"
        for kind in ("go", "go-grpc")
        for rest in ("_out=gen", "_opt=module=drink.example.org/protos")
    ]
    run(folder, [needed("protoc"), "-I", ".", *options, *sources(folder, "drink/v1")])

    assert (folder / "gen/drink/v1/drop_service.pb.go").is_file()
    assert (folder / "gen/drink/v1/drop_service_grpc.pb.go").is_file()


def test_node(folder: Path) -> None:
    """With @grpc/proto-loader, where Node finds it: installed globally and named by NODE_PATH."""
    node = needed("node")
    found = subprocess.run(
        [node, "-e", "require('@grpc/proto-loader'), require('@grpc/grpc-js')"],
        cwd=folder,
        check=False,
        capture_output=True,
        timeout=LIMIT_S,
        env=dict(os.environ),
    )
    if found.returncode:
        pytest.skip("no @grpc/proto-loader here")
    services = [name for name in sources(folder, "drink/v1") if name.endswith("_service.proto")]
    words = run(folder, [node, "-e", LOAD, *services]).split()

    assert {"DropService", "MachineService", "AccountService", "MachineLinkService"} <= set(words)


def test_the_same_protos_make_the_same_archive(tmp_path: Path) -> None:
    for name in ("one.tar.gz", "two.tar.gz"):
        write_archive(exported(), tmp_path / name)

    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()
