"""Cards at the reader of an agent, with two frontends on PostgreSQL and real processes.

The link of the agent is at one frontend, the kiosk watches at the other.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import grpc
import pytest

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import drop_service_pb2 as drops
from drink.v1 import kiosk_service_pb2 as pb
from drink_agent.reader.emulator import EmulatedReader
from scripts.client import CALL_LIMIT_S
from tests.integration.audited_system import ADMIN, ALICE, COUPLE
from tests.integration.two_frontends import TwoFrontendSystem

CARD = "04A2B3C4"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoFrontendSystem]:
    folder = tmp_path_factory.mktemp("cards")
    (folder / "card.key").write_text("a key for cards of 32 characters", encoding="utf-8")
    plan = replace(
        COUPLE,
        frontend=COUPLE.frontend | {"accounts": f'card_key_file = "{folder / "card.key"}"'},
        agent=COUPLE.agent
        | {"reader": 'type = "serial"\nport = "{machine}.reader"\nbackoff_limit_s = 1.0'},
    )
    with TwoFrontendSystem(folder, plan) as system:
        system.set_up()
        system.link("d", system)
        admin = system.client(ADMIN)
        request = accounts.AddCardRequest(parent=f"accounts/{ALICE.name}", chip=CARD)
        admin.call(admin.accounts.AddCard, request)
        admin.close()
        yield system
        system.audit()


@pytest.fixture(scope="module")
def reader(system: TwoFrontendSystem) -> Iterator[EmulatedReader]:
    reader = EmulatedReader(system.folder / "d.reader")
    system.agents["d"].wait_for("reader_opened")
    yield reader
    reader.unplug()


class Kiosk:
    """A kiosk of machine d, which watches at one frontend."""

    def __init__(self, system: TwoFrontendSystem) -> None:
        self.client = client = system.other.client(ADMIN)
        made = client.call(client.kiosks.PairKiosk, pb.PairKioskRequest(machine="machines/d"))
        self.name = made.kiosk.name
        redeem = pb.RedeemPairingCodeRequest(pairing_code=made.pairing_code)
        token = client.kiosks.RedeemPairingCode(redeem, timeout=CALL_LIMIT_S).token
        self.metadata = (("authorization", f"Bearer {token}"),)

    @contextmanager
    def watching(self) -> Iterator[Any]:
        watch = self.client.kiosks.WatchCards(
            pb.WatchCardsRequest(), metadata=self.metadata, timeout=CALL_LIMIT_S
        )
        assert not next(watch).HasField("login")
        yield watch
        watch.cancel()

    def close(self) -> None:
        self.client.call(self.client.kiosks.UnpairKiosk, pb.UnpairKioskRequest(name=self.name))
        self.client.close()


@pytest.fixture
def kiosk(system: TwoFrontendSystem) -> Iterator[Kiosk]:
    kiosk = Kiosk(system)
    yield kiosk
    kiosk.close()


def test_a_card_reaches_the_kiosk_at_the_other_frontend_and_buys_one_can(
    system: TwoFrontendSystem, reader: EmulatedReader, kiosk: Kiosk
) -> None:
    runs = system.boards["d"].counts()["motor_runs"]
    with kiosk.watching() as watch:
        for _ in range(3):
            reader.tap(CARD)
        login = next(watch).login
        assert login.account.name == f"accounts/{ALICE.name}"
        order = drops.DropRequest(request_id="card-1", slot="machines/d/slots/1")
        bought = kiosk.client.drops.Drop(
            order, metadata=(("authorization", f"Bearer {login.token}"),), timeout=CALL_LIMIT_S
        )
        assert bought.drop.state == drops.Drop.STATE_DISPENSED
        # A burst is one read: nobody was logged in a second time.
        seen: list[Any] = []
        late = threading.Thread(target=_collect, args=(watch, seen))
        late.start()
        reader.tap("0badcafe")
        late.join(CALL_LIMIT_S)
        assert [each.login.HasField("refused_card") for each in seen] == [True]
    assert system.boards["d"].counts()["motor_runs"] == runs + 1
    log = "".join(
        (system.folder / name).read_text(encoding="utf-8")
        for name in ("agent-d.log", "frontend.log")
    )
    assert CARD not in log.upper()


def _collect(watch: Any, seen: list[Any]) -> None:
    seen.append(next(watch))


def test_a_kiosk_that_is_unpaired_meanwhile_is_told_nothing(
    system: TwoFrontendSystem, reader: EmulatedReader
) -> None:
    kiosk = Kiosk(system)
    with kiosk.watching() as watch:
        admin = system.client(ADMIN)
        admin.call(admin.kiosks.UnpairKiosk, pb.UnpairKioskRequest(name=kiosk.name))
        admin.close()
        reader.tap(CARD)
        with pytest.raises(grpc.RpcError) as refused:
            next(watch)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    kiosk.client.close()
