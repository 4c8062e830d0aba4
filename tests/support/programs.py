"""Runs programs to their end."""

import subprocess
from typing import Any

LIMIT_S = 100
"""Longest run of a program in seconds."""


def run(*command: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a program; returns its exit code, whatever that is, and what it printed."""
    words = [str(word) for word in command]
    return subprocess.run(
        words, capture_output=True, text=True, timeout=LIMIT_S, check=False, **options
    )
