"""Agents that authenticate by certificates: created, used, renewed and refused for real."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drink.v1.machine_service_pb2 import Machine
from drink_frontend.system.authority import Authority, Issued
from scripts.plan import Plan
from scripts.processes import BIN, Process
from tests.integration.audited_system import COUPLE, AuditedSystem, id_of, outcome, refused
from tests.support import programs
from tests.support.certificates import Certificates, Files
from tests.support.ports import free_port

SLOW_S = 0.6
"""Seconds that a motor runs where something is to happen meanwhile."""


def plan_with(links_port: int) -> Plan:
    """A couple of machines whose agents have certificates and no tokens."""
    return replace(
        COUPLE,
        frontend={
            "rpc": 'tls_certificate = "certs/server.pem"\ntls_key = "certs/server.key"',
            "rpc.links": f'client_ca = "certs/ca.pem"\nport = {links_port}',
        },
        agent={
            "link": 'ca_file = "certs/ca.pem"\n'
            'cert_file = "certs/machine-MACHINE.pem"\nkey_file = "certs/machine-MACHINE.key"\n'
            "backoff_slow_s = 0.5"
        },
    )


class CertifiedSystem(AuditedSystem):
    """A system whose certificates are made by the command that makes them for everybody."""

    def __init__(self, folder: Path, templates: Path) -> None:
        self._links_port = free_port()
        super().__init__(folder, plan_with(self._links_port), templates)
        self.authority = folder / "certs" / "ca.pem"

    def install(self) -> None:
        """Makes certificates, then all else."""
        super().install()
        self.certs("init")
        self.certs("server", "localhost", "127.0.0.1")
        self.certs("machine", *(machine.name for machine in self.plan.machines))

    def start_frontend(self) -> None:
        """Starts it; the agents' proxy leads to the listener for certificates."""
        super().start_frontend()
        self.links.server_port = self._links_port

    def write_agent(self, machine: str, name: str = "") -> Path:
        """An agent's configuration, with its own certificate in place of its token."""
        path = super().write_agent(machine, name)
        text = re.sub(r"^token_file.*\n", "", path.read_text(), flags=re.MULTILINE)
        path.write_text(text.replace("MACHINE", machine))
        return path

    def certs(self, command: str, *arguments: str) -> None:
        """Runs `drink-frontend admin certs`."""
        self.admin("certs", command, "--folder=certs", *arguments)

    @contextmanager
    def stranger(self, files: Files | None, *, token: str = "") -> Iterator[Process]:
        """Another agent that claims to be d's, with these credentials."""
        path = self.write_agent("d", "stranger")
        text = re.sub(r"^(cert|key)_file.*\n", "", path.read_text(), flags=re.MULTILINE)
        lines = [f'token_file = "{self.folder / token}"'] if token else []
        if files is not None:
            lines += [f'cert_file = "{files.certificate}"', f'key_file = "{files.key}"']
        path.write_text(text.replace("[link]\n", "\n".join(["[link]", *lines, ""])))
        port = self.folder / "stranger.tty"
        path.write_text(path.read_text().replace(self.boards["d"].url, f"serial://{port}"))
        command = ["drink-machine-agent", f"--config={path.name}", "run"]
        process = Process("stranger", command, self.folder)
        process.start()
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, templates: Path) -> Iterator[AuditedSystem]:
    with CertifiedSystem(tmp_path_factory.mktemp("system"), templates) as system:
        system.set_up()
        yield system


@pytest.fixture
def certified(system: AuditedSystem) -> CertifiedSystem:
    assert isinstance(system, CertifiedSystem)
    return system


@pytest.fixture
def strangers(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "strangers")


def assert_undisturbed(system: AuditedSystem) -> None:
    """The machine's own agent has its link, and sells."""
    assert outcome(system.alice.drop("d/1"))[0] == "DISPENSED"
    lost = [each for each in system.agents["d"].events() if each["event"] == "link_lost"]
    assert lost == []


def test_a_can_falls_for_agents_that_have_no_token(certified: CertifiedSystem) -> None:
    assert "token" not in (certified.folder / "d.toml").read_text()
    for slot in ("d/1", "ld/1"):
        assert outcome(certified.alice.drop(slot))[0] == "DISPENSED"


def test_fault_19_an_agent_with_another_machines_certificate_is_refused(
    certified: CertifiedSystem,
) -> None:
    certs = certified.folder / "certs"
    files = Files(certs / "machine-ld.pem", certs / "machine-ld.key")
    with certified.stranger(files) as stranger:
        stranger.wait_for("certificate_unfit")
        stranger.wait_for("link_lost", reason="NOT_OWNER")
        certified.frontend.wait_for("link_refused", reason="NOT_OWNER", machine="ld")
        assert_undisturbed(certified)


def test_fault_19_certificate_and_token_of_two_machines_are_refused(
    certified: CertifiedSystem,
) -> None:
    certs = certified.folder / "certs"
    files = Files(certs / "machine-d.pem", certs / "machine-d.key")
    with certified.stranger(files, token="ld.token") as stranger:
        stranger.wait_for("link_lost", reason="CERTIFICATE_INVALID")
        certified.frontend.wait_for("link_refused", reason="CERTIFICATE_INVALID")
        assert_undisturbed(certified)


@pytest.mark.parametrize("kind", ["foreign", "expired", "none"])
def test_fault_19_an_agent_that_the_authority_does_not_know_gets_no_connection(
    certified: CertifiedSystem, strangers: Certificates, kind: str
) -> None:
    files = {
        "foreign": strangers.machine("d"),
        "expired": _expired(certified),
        "none": None,
    }[kind]
    with certified.stranger(files, token="" if files else "d.token") as stranger:
        stranger.wait_for("link_lost", reason="UNAVAILABLE")
        if kind == "expired":
            problem = stranger.wait_for("certificate_unfit")["problem"]
            assert "certificate has expired" in problem
        refused = [each["event"] for each in certified.frontend.events()]
        assert "link_opened" not in refused
        assert_undisturbed(certified)


def _expired(system: CertifiedSystem) -> Files:
    """A certificate of the system's own authority that was good until yesterday."""
    folder = system.folder / "certs"
    authority = Authority.load(
        Issued((folder / "ca.pem").read_bytes(), (folder / "ca.key").read_bytes())
    )
    issued = authority.machine("d", 1, datetime.now(UTC) - timedelta(days=2))
    files = Files(folder / "expired.pem", folder / "expired.key")
    files.certificate.write_bytes(issued.certificate)
    files.key.write_bytes(issued.key)
    return files


def test_fault_21_certificates_are_renewed_under_a_link_and_in_mid_drop(
    certified: CertifiedSystem,
) -> None:
    runs = certified.runs("d")
    drop = certified.turning(SLOW_S)
    certified.certs("machine", "d", "--force")
    certified.certs("server", "localhost", "127.0.0.1", "--force")
    certified.links.cut()
    assert outcome(certified.alice.answered(drop.name)) == ("DISPENSED", "BOARD_ACK")
    assert certified.runs("d") == runs + 1
    certified.frontend.wait_for("tls_reloaded")
    certified.wait_ready("d", "ld")
    assert outcome(certified.alice.drop("d/1"))[0] == "DISPENSED"


def test_a_certificate_that_is_replaced_by_a_wrong_one_costs_the_link_and_nothing_else(
    certified: CertifiedSystem, strangers: Certificates
) -> None:
    wrong = strangers.machine("d")
    drop = certified.turning(SLOW_S)
    own = [certified.folder / "certs" / f"machine-d.{kind}" for kind in ("pem", "key")]
    for file, other in zip(own, wrong, strict=True):
        shutil.copy2(file, file.with_suffix(file.suffix + ".kept"))
        shutil.copyfile(other, file)
    certified.links.cut()
    certified.agents["d"].wait_for("link_lost")
    certified.wait_reach(Machine.REACH_OFFLINE, "d")
    certified.agents["d"].wait_for("drop_result", drop_id=id_of(drop))
    with refused("MACHINE_OFFLINE"):
        certified.alice.drop("d/1")
    for file in own:
        shutil.copy2(file.with_suffix(file.suffix + ".kept"), file)
    assert outcome(certified.alice.answered(drop.name)) == ("DISPENSED", "BOARD_ACK")


def test_a_machine_that_is_disabled_sells_nothing_whatever_its_agent_shows(
    certified: CertifiedSystem,
) -> None:
    certified.admin("machine", "change", "d", "--disabled")
    with refused("MACHINE_DISABLED"):
        certified.alice.drop("d/1")
    certified.admin("machine", "change", "d", "--enabled")
    assert outcome(certified.alice.drop("d/1"))[0] == "DISPENSED"


def test_an_agent_with_a_token_links_where_no_certificate_is_asked_for(
    certified: CertifiedSystem,
) -> None:
    path = certified.write_agent("ld")
    before = path.read_text()
    text = re.sub(r"^(cert|key)_file.*\n", "", before, flags=re.MULTILINE)
    text = re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{certified.rpc_port}", text)
    token = certified.folder / "ld.token"
    path.write_text(text.replace("[link]\n", f'[link]\ntoken_file = "{token}"\n'))
    certified.agents["ld"].stop()
    certified.agents["ld"].start()
    try:
        certified.wait_ready("ld")
        assert outcome(certified.alice.drop("ld/1"))[0] == "DISPENSED"
    finally:
        path.write_text(before)
        certified.agents["ld"].stop()
        certified.agents["ld"].start()


def test_the_frontend_asks_itself_whether_it_serves(certified: CertifiedSystem) -> None:
    command = [str(BIN / "drink-frontend"), "--config=frontend.toml", "health"]
    done = programs.run(*command, cwd=certified.folder)
    assert (done.returncode, done.stdout.strip()) == (0, "SERVING")
