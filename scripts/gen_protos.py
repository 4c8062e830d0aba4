"""Generates the Python stubs of protos/ into protos/python/.

The annotations of google/api are for readers and linters; they are taken out of what is generated,
so that the stubs need nothing at run time but grpcio and protobuf.

Usage: python scripts/gen_protos.py [--check]
"""

import argparse
import importlib.metadata
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from google.protobuf import descriptor_pb2

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
STUBS = PROTOS / "python"
ANNOTATIONS = ROOT / "third_party" / "googleapis"
WELL_KNOWN = Path(str(files("grpc_tools"))) / "_proto"

TOOLCHAIN = "1.85.1"
"""Version of grpcio-tools. It sets the oldest grpcio and protobuf that users of the stubs may run,
so it moves only together with the lower bounds in protos/pyproject.toml."""


def protoc(*arguments: str) -> None:
    """Runs protoc; its own messages go to stderr.

    Raises:
        subprocess.CalledProcessError: protoc refused the files.
    """
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *arguments], check=True)


def plugin(name: str) -> str:
    """The option that names a plugin installed beside this Python."""
    return f"--plugin={name}={Path(sys.executable).parent / name}"


def without_annotations(image: bytes) -> bytes:
    """The descriptor set `image` without google/api imports and options."""
    descriptors = descriptor_pb2.FileDescriptorSet.FromString(image)
    kept = [file for file in descriptors.file if not file.name.startswith("google/api/")]
    for file in kept:
        dependencies = [name for name in file.dependency if not name.startswith("google/api/")]
        file.ClearField("dependency")
        file.dependency.extend(dependencies)
        messages = list(file.message_type)
        while messages:
            message = messages.pop()
            messages.extend(message.nested_type)
            for field in message.field:
                field.options.DiscardUnknownFields()
                if not field.options.ListFields():
                    field.ClearField("options")
    return descriptor_pb2.FileDescriptorSet(file=kept).SerializeToString()


def described(image: Path) -> bytes:
    """The descriptor set of all files under protos/, with comments; also written to `image`."""
    protoc(
        f"-I{PROTOS}",
        f"-I{ANNOTATIONS}",
        f"-I{WELL_KNOWN}",
        "--include_imports",
        "--include_source_info",
        f"--descriptor_set_out={image}",
        *sources(),
    )
    return image.read_bytes()


def sources() -> list[str]:
    """The files under protos/, relative to it."""
    return sorted(str(path.relative_to(PROTOS)) for path in PROTOS.glob("drink/**/*.proto"))


def generate(output: Path) -> None:
    """Writes the stubs of every file under protos/ into `output`."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.binpb"
        image.write_bytes(without_annotations(described(image)))
        protoc(
            f"--descriptor_set_in={image}",
            plugin("protoc-gen-mypy"),
            f"--python_out={output}",
            f"--mypy_out=quiet:{output}",
            *sources(),
        )
        protoc(
            f"--descriptor_set_in={image}",
            plugin("protoc-gen-mypy_grpc"),
            f"--grpc_python_out={output}",
            f"--mypy_grpc_out=quiet:{output}",
            *(name for name in sources() if name.endswith("_service.proto")),
        )


def stubs(folder: Path) -> dict[str, bytes]:
    """What protoc wrote below `folder`, by relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*_pb2*.py*")
        if path.suffix in {".py", ".pyi"}
    }


def differences(committed: Path) -> list[str]:
    """The stubs in `committed` that are missing, left over or not what protoc writes today."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        wanted = stubs(Path(folder))
    found = stubs(committed)
    return sorted(
        name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)
    )


def main() -> None:
    """Generates the stubs in place, or with --check compares them."""
    parser = argparse.ArgumentParser(description="Generates the Python stubs of protos/.")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 if they differ")
    arguments = parser.parse_args()
    installed = importlib.metadata.version("grpcio-tools")
    if installed != TOOLCHAIN:
        sys.exit(f"gen_protos: grpcio-tools {TOOLCHAIN} is required, {installed} is installed")
    if not arguments.check:
        generate(STUBS)
    elif stale := differences(STUBS):
        sys.exit(f"gen_protos: not up to date, run `make proto`: {', '.join(stale)}")


if __name__ == "__main__":
    main()
