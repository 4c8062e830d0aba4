"""Certificates of an authority of the tests' own, as files."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from drink_frontend.system.authority import Authority, Issued


class Files(NamedTuple):
    """Where a certificate and its key are."""

    certificate: Path
    key: Path


class Certificates:
    """An authority and what it signs; keys are readable by their owner only."""

    def __init__(self, folder: Path, name: str = "Tests") -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._age = 0
        issued = Authority.create(name, 10, datetime.now(UTC))
        self._authority = Authority.load(issued)
        self.ca = self._write("ca", issued).certificate

    def server(self, *names: str, file: str = "server") -> Files:
        """A frontend's, for this host unless names are given."""
        names = names or ("localhost", "127.0.0.1")
        return self._write(file, self._authority.server(names, 5, datetime.now(UTC)))

    def machine(self, name: str, *, file: str = "", expired: bool = False) -> Files:
        """A machine's."""
        made = datetime.now(UTC) - timedelta(days=3 if expired else 0)
        issued = self._authority.machine(name, 2, made)
        return self._write(file or f"machine-{name}", issued)

    def _write(self, name: str, issued: Issued) -> Files:
        files = Files(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        for path, data in zip(files, (issued.certificate, issued.key), strict=True):
            path.touch(0o600)
            path.write_bytes(data)
            # File systems with coarse clocks must not hide a renewal from the test.
            self._age += 1
            os.utime(path, (self._age, self._age))
        return files
