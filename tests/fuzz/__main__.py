"""`python -m tests.fuzz SECONDS [TARGET ...]`: looks for bytes that a target does not bear.

Guided by coverage: what reaches new code is kept beside the corpus, in `.tools/fuzz/corpus`, from
where `--merge` takes the little that is worth keeping for everybody. Each target runs in a process
of its own, as many at once as there are processors. The exit code is 1 if one raised; the bytes are
then in a file `crash-TARGET-...`.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

CORPUS = ROOT / "tests" / "fuzz" / "corpus"
"""Kept with the code, small."""

FOUND = ROOT / ".tools" / "fuzz" / "corpus"
"""Where each run goes on from the last one."""

INPUT_BYTES_MAX = 1024
"""Longest input; every limit of a parser is met with less."""

ONE_INPUT_LIMIT_S = 10
"""An input that takes longer is a finding."""

WORDS_LINES = 40
"""Lines of a failed run that are shown, its last ones: the exception, and where the bytes are."""

TARGET_VARIABLE = "DRINK_FUZZ_TARGET"
"""Names the target in the process that fuzzes it."""


def fuzz(name: str) -> None:
    """Fuzzes one target in this process, with the arguments that it was given."""
    import atheris  # noqa: PLC0415  it is in its own environment only

    # The standard library is not instrumented: what is looked for is in the services.
    with atheris.instrument_imports(include=["drink_agent", "drink_frontend"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415
    # Merging, it starts itself again by its name, which a shell reads.
    command = shlex.join([sys.executable, "-m", "tests.fuzz"])
    atheris.Setup([command, *sys.argv[1:]], TARGETS[name])
    atheris.Fuzz()


@dataclass(frozen=True)
class Run:
    """What the fuzzer said of one target."""

    name: str
    failed: bool
    text: str

    @property
    def summary(self) -> str:
        """In one line."""
        tried = re.findall(r"number_of_executed_units: *(\d+)", self.text)
        inputs = f", {tried[-1]} inputs" if tried else ""
        return f"{self.name}: {'FAILED' if self.failed else 'fine'}{inputs}"


def run(name: str, *options: str) -> Run:
    """Runs the fuzzer for one target."""
    (FOUND / name).mkdir(parents=True, exist_ok=True)
    arguments = [
        f"-max_len={INPUT_BYTES_MAX}",
        f"-timeout={ONE_INPUT_LIMIT_S}",
        f"-artifact_prefix=crash-{name}-",
        *options,
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *arguments],
        cwd=ROOT,
        env={**os.environ, TARGET_VARIABLE: name},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return Run(name, done.returncode != 0, done.stdout)


def look(name: str, seconds: int) -> Run:
    """Looks for so long, from what was found before."""
    limit = f"-max_total_time={seconds}"
    return run(name, limit, "-print_final_stats=1", str(FOUND / name), str(CORPUS / name))


def merge(name: str, _seconds: int) -> Run:
    """Takes over into the corpus what was found and reaches more code."""
    return run(name, "-merge=1", str(CORPUS / name), str(FOUND / name))


def main() -> int:
    """The exit code."""
    if name := os.environ.get(TARGET_VARIABLE):
        fuzz(name)
        return 0
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("seconds", type=int)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--merge", action="store_true", help="only take over what was found")
    options = parser.parse_args()
    names = options.targets or sorted(path.name for path in CORPUS.iterdir())
    work = merge if options.merge else look
    runs = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in pool.map(work, names, repeat(options.seconds)):
            runs.append(done)
            print(done.summary, flush=True)
            if done.failed:
                print("\n".join(done.text.splitlines()[-WORDS_LINES:]))
    return 1 if any(done.failed for done in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
