"""Carries out an import file with everything in it at once, so that its parts share commits.

python -m benchmarks.install CONFIG PLAN
"""

import asyncio
import sys
import tomllib
from pathlib import Path

from drink_frontend.admin.import_plan import Plan, carry_out
from drink_frontend.app import administration
from drink_frontend.config import Settings, load


async def install(settings: Settings, plan: Plan, folder: Path) -> None:
    """Makes everything that is planned; tokens go to the folder."""
    parts = [
        *(Plan(machines=[each]) for each in plan.machines),
        *(Plan(users=[each]) for each in plan.users),
    ]
    async with administration(settings) as drink:
        await asyncio.gather(*(carry_out(part, folder, drink) for part in parts))


def main(config: Path, file: Path) -> None:
    """Installs what the command line says."""
    plan = Plan.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    asyncio.run(install(load(config), plan, file.parent))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
