"""The Docker engine: the one that runs, or one started for the tests; and the images they run."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from scripts.processes import ProcessFailedError
from tests.releases import release

ROOT = Path(__file__).resolve().parent.parent.parent

BASE_IMAGE = "python:3.11-slim-bookworm"
POSTGRES_IMAGE = "postgres:15-bookworm"
"""What the Dockerfiles and compose.yaml name if nothing else is said."""

FRONTEND_IMAGE = "drink-frontend:system"
AGENT_IMAGE = "drink-machine-agent:system"
WEB_IMAGE = "drink-web:system"
OBSERVABILITY_IMAGE = "drink-observability:system"

IMAGES = {
    "services/frontend": FRONTEND_IMAGE,
    "services/machine_agent": AGENT_IMAGE,
    "services/web": WEB_IMAGE,
    "deploy/observability": OBSERVABILITY_IMAGE,
}
"""By the folder of the Dockerfile."""

PREVIOUS = {
    FRONTEND_IMAGE: "drink-frontend:system-previous",
    AGENT_IMAGE: "drink-machine-agent:system-previous",
}
"""What the last release is tagged as."""

START_LIMIT_S = 60
"""Seconds that an engine may take to start."""

PULL_LIMIT_S = 300
"""Seconds that an image may take from a registry, if one answers at all."""

BUILD_LIMIT_S = 600
"""Seconds that an image may take to build from nothing."""


class NoEngineError(Exception):
    """There is no Docker engine, or nothing to build images on; the message says why."""


def call(
    arguments: Sequence[str],
    limit_s: float = 60,
    environment: Mapping[str, str] | None = None,
    *,
    both: bool = False,
) -> str:
    """Runs a command in the repository's root and returns what it printed.

    Args:
        arguments: Command and arguments.
        limit_s: Seconds that it may take.
        environment: Added to this process's environment.
        both: Whether what it printed as errors is wanted too.

    Raises:
        ProcessFailedError: it failed, or took longer than `limit_s` seconds.
    """
    try:
        done = subprocess.run(
            arguments,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if both else subprocess.PIPE,
            text=True,
            check=False,
            timeout=limit_s,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProcessFailedError(f"{' '.join(arguments)}: {error}") from error
    if done.returncode != 0:
        raise ProcessFailedError(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


def works(*arguments: str, limit_s: float = 60) -> bool:
    """Whether a command is there and succeeds."""
    try:
        call(arguments, limit_s)
    except ProcessFailedError:
        return False
    return True


@contextmanager
def running_engine(folder: Path) -> Iterator[None]:
    """A Docker engine, while it lasts; one that runs already is used and left alone.

    Args:
        folder: Where the log of an engine goes that is started here.

    Raises:
        NoEngineError: none runs and none can be started.
    """
    if shutil.which("docker") is None:
        raise NoEngineError("there is no docker command")
    if works("docker", "info"):
        yield
        return
    if os.geteuid() != 0 or shutil.which("dockerd") is None or "DOCKER_HOST" in os.environ:
        raise NoEngineError("no Docker engine answers, and only root with dockerd can start one")
    log = folder / "dockerd.log"
    with log.open("wb") as output:
        engine = subprocess.Popen(["dockerd"], stdout=output, stderr=output, start_new_session=True)
    try:
        deadline = time.monotonic() + START_LIMIT_S
        while not works("docker", "info"):
            if engine.poll() is not None or time.monotonic() > deadline:
                tail = log.read_text(errors="replace").splitlines()[-3:]
                raise NoEngineError("\n".join(["dockerd does not start", *tail]))
            time.sleep(0.2)
        yield
    finally:
        engine.terminate()
        engine.wait(START_LIMIT_S)


def compose_command() -> tuple[str, ...]:
    """The Compose there is: the plugin, or the older command of its own; DRINK_COMPOSE decides.

    Raises:
        NoEngineError: there is none.
    """
    if chosen := os.environ.get("DRINK_COMPOSE"):
        return tuple(chosen.split())
    for command in (("docker", "compose"), ("docker-compose",)):
        if works(*command, "version"):
            return command
    raise NoEngineError("there is neither `docker compose` nor docker-compose")


def build_images() -> None:
    """Builds all images, on bases from a registry or made here.

    Raises:
        NoEngineError: there is no base to build on.
        ProcessFailedError: an image cannot be built.
    """
    for image in (BASE_IMAGE, POSTGRES_IMAGE):
        if not works("docker", "image", "inspect", image) and not works(
            "docker", "pull", "--quiet", image, limit_s=PULL_LIMIT_S
        ):
            _make_bases()
            break
    for folder, image in IMAGES.items():
        call([*_build(folder, image), "."], BUILD_LIMIT_S)


def previous_images(folder: Path) -> tuple[str, str]:
    """The images of the last release, frontend and agent: its code in the present images.

    Args:
        folder: Where the release is unpacked.
    """
    site = release.install(release.LAST, folder).parent / "site"
    for image, previous in PREVIOUS.items():
        recipe = f"FROM {image}\nCOPY . /opt/release\nENV PYTHONPATH=/opt/release\n"
        if image == FRONTEND_IMAGE:
            # It knows no --json.
            recipe += 'HEALTHCHECK CMD ["drink-frontend", "health"]\n'
        (folder / "Dockerfile").write_text(recipe, encoding="utf-8")
        file, tag = f"--file={folder / 'Dockerfile'}", f"--tag={previous}"
        call(["docker", "build", "--quiet", file, tag, str(site)], BUILD_LIMIT_S)
    return PREVIOUS[FRONTEND_IMAGE], PREVIOUS[AGENT_IMAGE]


def _build(folder: str, image: str) -> list[str]:
    file = f"{folder}/Dockerfile"
    return ["docker", "build", "--quiet", "--network=host", f"--file={file}", f"--tag={image}"]


def _make_bases() -> None:
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        raise NoEngineError(
            "no registry has the base images, and only root with debootstrap can make them"
        )
    call(["scripts/base_images/build", BASE_IMAGE, POSTGRES_IMAGE], BUILD_LIMIT_S)
