"""One running system for each module of tests; its books are checked after each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.audited_system import AuditedSystem


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of installed databases that systems with the same plan copy."""
    return tmp_path_factory.mktemp("templates")


@pytest.fixture(scope="module")
def standing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, templates: Path
) -> Iterator[AuditedSystem]:
    """The running system of a module's PLAN."""
    with AuditedSystem(tmp_path_factory.mktemp("system"), request.module.PLAN, templates) as system:
        system.set_up()
        yield system


@pytest.fixture
def system(standing: AuditedSystem) -> Iterator[AuditedSystem]:
    """The module's system, all of it up; its books are checked after the test."""
    standing.begin()
    yield standing
    standing.audit()
