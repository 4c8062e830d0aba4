"""Logins at a real directory through every face, and sales while it is away.

The servers are OpenLDAP's and 389 Directory Server; the tests are skipped, with the reason, where
they or python-ldap are missing.
"""

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import grpc
import pytest
from playwright.sync_api import Browser
from typer.testing import CliRunner

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import account_service_pb2_grpc as stubs
from drink.v1 import drop_service_pb2 as drops
from drink_cli.errors import Exit
from drink_cli.main import main
from scripts.client import Client
from scripts.local_system import LocalSystem
from scripts.plan import MachinePlan, Plan, SlotPlan, UserPlan
from tests.support.directory import MEMBERS, DirectoryServer, Slapd, password_of, person_dn
from tests.support.directory_389 import DirectoryServer389
from tests.support.ports import with_own_ports
from tests.web.browser import CHROMIUM, context_of, running_browser

ALICE = UserPlan("alice", "correct-horse", 5_000)
ADMIN = UserPlan("admin", "hunter2-not", 0, admin=True)

PLAN = Plan(
    machines=(MachinePlan("d", "Big Drink", (SlotPlan(1, "Coke", 50, 60),)),),
    users=(ALICE, ADMIN),
    web_port=0,
)

mostly_openldap = pytest.mark.parametrize(
    "server",
    [Slapd, pytest.param(DirectoryServer389, marks=pytest.mark.slow)],
    indirect=True,
    scope="module",
)
"""For what the frontend does about any server; the other one is asked by `make test-slow`."""

LIMIT_S = 30.0
"""Seconds within which a login is answered, whatever the directory does: its own limit is 2."""

IN, WRONG, DENIED, AWAY = "in", "wrong", "denied", "away"

Face = Callable[[LocalSystem, str, str], str]


@pytest.fixture(scope="module", params=[Slapd, DirectoryServer389])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DirectoryServer]:
    with request.param(tmp_path_factory.mktemp("directory")) as server:
        yield server


@pytest.fixture(scope="module")
def system(
    server: DirectoryServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalSystem]:
    """A frontend that asks the directory, an agent with its board, and the page."""
    folder = tmp_path_factory.mktemp("system")
    key = folder / "card.key"
    key.write_text("a key for cards of 32 characters", encoding="utf-8")
    values = {**server.values, "limit_s": 2, "connect_limit_s": 1, "pause_s": 1}
    plan = replace(
        PLAN,
        frontend={
            "accounts": f'card_key_file = "{key}"',
            "ldap": "\n".join(f"{name} = {json.dumps(each)}" for name, each in values.items()),
        },
    )
    with LocalSystem(folder, with_own_ports(plan)) as system:
        system.set_up()
        system.wait_ready("d")
        yield system


def by_session(system: LocalSystem, name: str, password: str) -> str:
    """USER and PASS."""
    with socket.create_connection(("127.0.0.1", system.session_port), LIMIT_S) as peer:
        lines = peer.makefile("rwb", buffering=0)
        lines.readline()
        lines.write(f"USER {name}\r\n".encode())
        assert lines.readline().startswith(b"OK")
        lines.write(f'PASS "{password}"\r\n'.encode())
        answer = lines.readline().decode()
    words = {"OK": IN, "ERR 202": WRONG, "ERR 200": DENIED, "ERR 350": AWAY}
    return next(word for begin, word in words.items() if answer.startswith(begin))


def by_grpc(system: LocalSystem, name: str, password: str) -> str:
    """Login, as any client calls it."""
    reason = refused_login(system, name, password)
    return {
        "": IN,
        "CREDENTIALS_INVALID": WRONG,
        "NOT_A_MEMBER": DENIED,
        "IDENTITY_NOT_LINKED": DENIED,
        "DIRECTORY_UNAVAILABLE": AWAY,
    }[reason]


def refused_login(system: LocalSystem, name: str, password: str) -> str:
    """The reason of a refused login; empty for one that was let in."""
    credentials = accounts.PasswordCredentials(account=f"accounts/{name}", password=password)
    with grpc.insecure_channel(system.address) as channel:
        stub = stubs.AccountServiceStub(channel)
        try:
            stub.Login(accounts.LoginRequest(password=credentials), timeout=LIMIT_S)
        except grpc.RpcError as error:
            details = {each.key: each.value for each in error.trailing_metadata() or ()}
            return str(details["drink-error-reason"])
    return ""


def by_drink(system: LocalSystem, name: str, password: str) -> str:
    """`drink login`."""
    command = ["--profile", name.lower(), "login", name, "--server", system.address]
    result = CliRunner().invoke(main, command, input=f"{password}\n")
    codes = {
        Exit.DONE: IN,
        Exit.LOGIN: WRONG,
        Exit.FORBIDDEN: DENIED,
        Exit.REFUSED: DENIED,
        Exit.BUSY: AWAY,
    }
    return codes[Exit(result.exit_code)]


def by_page(browser: Browser, system: LocalSystem, name: str, password: str) -> str:
    """The form of the page, in a browser."""
    with context_of(browser, system.origin) as context:
        page = context.new_page()
        page.goto("/login")
        page.fill("[name=user]", name)
        page.fill("[name=password]", password)
        page.click("main button")
        page.wait_for_selector(".who .user, [role=alert]")
        if page.locator(".who .user").count():
            return IN
        said = page.locator("[role=alert]").inner_text()
    words = {
        "do not match": WRONG,
        "not in the group": DENIED,
        "No account is linked": DENIED,
        "directory that knows your password": AWAY,
    }
    return next(word for part, word in words.items() if part in said)


FACES: dict[str, Face] = {"session": by_session, "gRPC": by_grpc, "drink": by_drink}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip("needs Chromium: apt-get install chromium")
    with running_browser() as browser:
        yield browser


@pytest.fixture(params=[*FACES, "page"])
def face(request: pytest.FixtureRequest) -> Face:
    """How somebody logs in; the outcome is one of the words above."""
    if request.param == "page":
        return partial(by_page, request.getfixturevalue("browser"))
    return FACES[request.param]


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `drink` keeps its files."""
    for variable in ("DRINK_SERVER", "DRINK_PROFILE", "DRINK_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")


@contextlib.contextmanager
def left(server: DirectoryServer) -> Iterator[None]:
    """The leaver is in no group meanwhile."""
    change = f"dn: {MEMBERS}\nchangetype: modify\n{{}}: member\nmember: {person_dn('leaver')}"
    server.modify(change.format("delete"))
    try:
        yield
    finally:
        server.modify(change.format("add"))


def test_everybody_gets_what_the_directory_says(
    system: LocalSystem, server: DirectoryServer, face: Face
) -> None:
    for name in ("member", "boss", "nested", "leaver"):
        assert face(system, name, password_of(name)) == IN
    assert face(system, "stranger", password_of("stranger")) == DENIED
    assert face(system, "member", "wrong") == WRONG
    # The directory's Admin is not the local admin, and does not become it.
    assert face(system, "Admin", password_of("Admin")) == WRONG
    assert face(system, ADMIN.name, ADMIN.password) == IN
    with left(server):
        assert face(system, "leaver", password_of("leaver")) == DENIED


def test_rights_and_cards_are_the_directorys(system: LocalSystem) -> None:
    boss = system.client(UserPlan("boss", password_of("boss"), 0))
    member = system.client(UserPlan("MEMBER", password_of("member"), 0))
    for client, name, admin in ((boss, "boss", True), (member, "member", False)):
        own = client.accounts.GetAccount(
            accounts.GetAccountRequest(), metadata=client.metadata, timeout=LIMIT_S
        ).account
        assert (own.name, own.admin) == (f"accounts/{name}", admin)
    cards = member.accounts.ListCards(
        accounts.ListCardsRequest(), metadata=member.metadata, timeout=LIMIT_S
    ).cards
    assert len(cards) == 1
    (identity,) = boss.accounts.ListIdentities(
        accounts.ListIdentitiesRequest(parent="accounts/member"),
        metadata=boss.metadata,
        timeout=LIMIT_S,
    ).identities
    assert (identity.source, identity.source_name) == ("ldap:house", "member")
    assert re.fullmatch("[0-9a-f-]{35,36}", identity.subject)
    boss.close()
    member.close()


def test_a_member_of_the_directory_buys(system: LocalSystem) -> None:
    member = system.client(UserPlan("member", password_of("member"), 0))
    system.admin("credits", "add", "member", "50")
    before = system.boards["d"].counts()["motor_runs"]
    buy(member, "of-a-member")
    assert system.boards["d"].counts()["motor_runs"] == before + 1
    member.close()


def buy(client: Client, request_id: str) -> None:
    """Buys a can with a token, and waits until it has fallen."""
    drop = client.drops.Drop(
        drops.DropRequest(request_id=request_id, slot="machines/d/slots/1"),
        metadata=client.metadata,
        timeout=LIMIT_S,
    ).drop
    assert drop.state == drops.Drop.STATE_DISPENSED


@contextlib.contextmanager
def killed(server: DirectoryServer) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


@contextlib.contextmanager
def slow(server: DirectoryServer) -> Iterator[None]:
    """It stands still for most of the time."""
    ends = threading.Event()

    def brake() -> None:
        while not ends.is_set():
            with server.frozen():
                ends.wait(1.5)
            ends.wait(0.02)

    thread = threading.Thread(target=brake)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()


@mostly_openldap
@pytest.mark.parametrize("trouble", [killed, DirectoryServer.frozen, slow])
def test_sales_go_on_while_the_directory_is_in_trouble(
    system: LocalSystem,
    server: DirectoryServer,
    trouble: Callable[[DirectoryServer], contextlib.AbstractContextManager[None]],
) -> None:
    alice = system.client(ALICE)
    with (
        socket.create_connection(("127.0.0.1", system.session_port), LIMIT_S) as peer,
        ThreadPoolExecutor(12) as pool,
    ):
        lines = peer.makefile("rwb", buffering=0)
        lines.readline()
        lines.write(f"USER {ALICE.name}\r\nPASS {ALICE.password}\r\n".encode())
        assert [lines.readline()[:2] for _ in range(2)] == [b"OK", b"OK"]
        with trouble(server):
            begun = time.monotonic()
            logins = [
                pool.submit(refused_login, system, name, password_of(name))
                for name in ("member", "boss", "nested") * 4
            ]
            for number in range(3):
                buy(alice, f"{trouble.__name__}-{number}")
            # A session of before is not touched, and a local account logs in.
            lines.write(b"DROP 1\r\n")
            assert lines.readline().startswith(b"OK")
            assert by_session(system, ALICE.name, ALICE.password) == IN
            assert by_grpc(system, ADMIN.name, ADMIN.password) == IN
            answers = {login.result(LIMIT_S) for login in logins}
            assert time.monotonic() - begun < LIMIT_S
            # Whoever is answered is let in or told why; nobody is told that a password is wrong.
            assert answers <= {"DIRECTORY_UNAVAILABLE", *([""] if trouble is slow else [])}
    alice.close()
    wait_for_the_directory(system)


@mostly_openldap
def test_every_face_says_that_the_directory_is_away(
    system: LocalSystem, server: DirectoryServer, face: Face
) -> None:
    with killed(server):
        assert face(system, "member", password_of("member")) == AWAY
        assert face(system, "member", "wrong") == AWAY
        assert face(system, ADMIN.name, ADMIN.password) == IN
    wait_for_the_directory(system)


def wait_for_the_directory(system: LocalSystem) -> None:
    """Waits until the frontend asks it again."""
    end = time.monotonic() + LIMIT_S
    while by_grpc(system, "member", password_of("member")) != IN:
        assert time.monotonic() < end, "the directory is not asked again"
        time.sleep(0.2)
