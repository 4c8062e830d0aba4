"""`python -m tests.fuzz TARGET SECONDS`: looks for bytes that a target does not bear.

Guided by coverage: what reaches new code is kept in `corpus/TARGET`. Ends with an exit code other
than 0 and leaves the bytes in a file `crash-...` if a target raises. `make fuzz` runs all targets.
"""

import sys
from pathlib import Path

import atheris

CORPUS = Path(__file__).parent / "corpus"

INPUT_BYTES_MAX = 1024
"""Longest input; every limit of a parser is met with less."""

ONE_INPUT_LIMIT_S = 10
"""An input that takes longer is a finding."""


def main() -> None:
    """Fuzzes one target."""
    name, seconds = sys.argv[1:]
    # The standard library is not instrumented: what is looked for is in the services.
    with atheris.instrument_imports(include=["drink_agent", "drink_frontend"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415
    options = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-max_len={INPUT_BYTES_MAX}",
        f"-timeout={ONE_INPUT_LIMIT_S}",
        "-reload=0",
        "-print_final_stats=1",
        "-verbosity=0",
        str(CORPUS / name),
    ]
    atheris.Setup(options, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
