"""Kiosks over gRPC: who may pair, what a kiosk may, and what a login at one may."""

from typing import Any

import pytest

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import drop_service_pb2 as drops
from drink.v1 import event_service_pb2 as events
from drink.v1 import kiosk_service_pb2 as pb
from drink.v1 import machine_service_pb2 as machines
from tests.support.rpc_frontend import ANN, BOB, ROOT, Frontend, read, refused

SHORT = "04a2b3c4"


async def paired(frontend: Frontend, machine: str = "machines/d") -> tuple[pb.Kiosk, Any]:
    """A paired kiosk, and what goes with its calls."""
    request = pb.PairKioskRequest(machine=machine, display_name="by the door")
    made = await frontend.call(request, ROOT)
    assert made.kiosk.state == pb.Kiosk.STATE_PAIRING
    code = pb.RedeemPairingCodeRequest(pairing_code=made.pairing_code)
    answer = await frontend.call(code)
    return answer.kiosk, bearer(answer.token)


def bearer(token: str) -> Any:
    return (("authorization", f"Bearer {token}"),)


async def logged_in(frontend: Frontend, kiosk: Any, number: str = SHORT) -> Any:
    """What goes with the calls of somebody who has logged in at the kiosk."""
    return bearer((await frontend.call(pb.LogInCardRequest(number=number), kiosk)).token)


async def add_card(frontend: Frontend, chip: str = SHORT, account: str = "accounts/ann") -> None:
    await frontend.call(accounts.AddCardRequest(parent=account, chip=chip), ROOT)


def order(request_id: str = "r1", slot: str = "machines/d/slots/1") -> drops.DropRequest:
    return drops.DropRequest(request_id=request_id, slot=slot, no_wait=True)


async def test_a_card_buys_at_a_paired_kiosk(frontend: Frontend) -> None:
    await add_card(frontend)
    kiosk, at_kiosk = await paired(frontend)
    assert (kiosk.state, kiosk.display_name) == (pb.Kiosk.STATE_PAIRED, "by the door")
    shown = await frontend.call(pb.GetKioskRequest(), at_kiosk)
    assert (shown.kiosk, shown.machine.name, len(shown.machine.slots)) == (kiosk, "machines/d", 2)

    login = await frontend.call(pb.LogInCardRequest(number=SHORT), at_kiosk)

    assert (login.account.name, login.account.available_credits) == ("accounts/ann", 200)
    now_s = frontend.bench.clock.now_ms() / 1000
    assert login.buy_duration.seconds == 60
    assert login.expire_time.seconds == pytest.approx(now_s + 60, abs=1)
    by_card = bearer(login.token)
    bought = await frontend.call(order(), by_card)
    assert (bought.drop.slot, bought.available_credits) == ("machines/d/slots/1", 150)
    named = drops.GetDropRequest(name=bought.drop.name)
    assert (await frontend.call(named, by_card)).drop.name == bought.drop.name
    cancelled = await frontend.call(drops.CancelDropRequest(name=bought.drop.name), by_card)
    assert cancelled.drop.state == drops.Drop.STATE_NOT_DISPENSED
    await frontend.call(accounts.LogoutRequest(), by_card)
    assert (await frontend.refused(order("r2"), by_card)).reason == "TOKEN_INVALID"


async def test_a_kiosks_token_is_good_for_two_methods(frontend: Frontend) -> None:
    _, at_kiosk = await paired(frontend)
    for request in (
        order(),
        accounts.GetAccountRequest(),
        accounts.ListTokensRequest(),
        accounts.LogoutRequest(),
        pb.ListKiosksRequest(),
        pb.PairKioskRequest(machine="machines/d"),
        machines.UpdateSlotRequest(name="machines/d/slots/1", price=0),
    ):
        refusal = await frontend.refused(request, at_kiosk)
        assert refusal.status == ("UNAUTHENTICATED", "TOKEN_INVALID")
    assert (await frontend.call(machines.ListMachinesRequest(), at_kiosk)).machines


async def test_nobody_else_is_a_kiosk(frontend: Frontend) -> None:
    await add_card(frontend)
    for caller in (None, ANN, ROOT, bearer("token-of-d")):
        for request in (pb.GetKioskRequest(), pb.LogInCardRequest(number=SHORT)):
            refusal = await frontend.refused(request, caller)
            assert refusal.status == ("UNAUTHENTICATED", "TOKEN_INVALID")


async def test_a_login_at_a_kiosk_does_nothing_else(frontend: Frontend) -> None:
    await add_card(frontend, account="accounts/root")
    _, at_kiosk = await paired(frontend)
    by_card = await logged_in(frontend, at_kiosk)
    for request in (
        accounts.GetAccountRequest(),
        accounts.ListTokensRequest(),
        accounts.TransferCreditsRequest(request_id="t", recipient="accounts/ann", credits=1),
        drops.ListDropsRequest(),
        pb.ListKiosksRequest(),
        order(slot="machines/ld/slots/1"),
        order(slot="machines/nowhere/slots/1"),
    ):
        refusal = await frontend.refused(request, by_card)
        assert refusal.status == ("PERMISSION_DENIED", "TOKEN_SCOPE"), request


async def test_a_login_at_a_kiosk_sees_drops_of_its_machine_only(frontend: Frontend) -> None:
    await add_card(frontend)
    here = (await frontend.call(order("here"), ANN)).drop.name
    there = (await frontend.call(order("there", "machines/ld/slots/1"), ANN)).drop.name
    _, at_kiosk = await paired(frontend)
    by_card = await logged_in(frontend, at_kiosk)
    assert (await frontend.call(drops.GetDropRequest(name=here), by_card)).drop.name == here
    for request in (
        drops.GetDropRequest(name=there),
        drops.GetDropRequest(request_id="there"),
        drops.CancelDropRequest(name=there),
    ):
        assert (await frontend.refused(request, by_card)).reason == "DROP_NOT_FOUND"
    watch = frontend.call(drops.WatchDropRequest(name=there), by_card)
    assert (await refused(watch.read())).reason == "DROP_NOT_FOUND"


async def test_an_ended_kiosk_is_refused_at_once_and_its_watches_end(frontend: Frontend) -> None:
    await add_card(frontend)
    kiosk, at_kiosk = await paired(frontend)
    by_card = await logged_in(frontend, at_kiosk)
    drop = (await frontend.call(order(), by_card)).drop
    watch = frontend.call(drops.WatchDropRequest(name=drop.name), by_card)
    await read(watch)

    ended = await frontend.call(pb.UnpairKioskRequest(name=kiosk.name), ROOT)

    assert ended.kiosk.state == pb.Kiosk.STATE_ENDED
    assert (await refused(watch.read())).reason == "TOKEN_INVALID"
    assert (await frontend.refused(pb.GetKioskRequest(), at_kiosk)).reason == "TOKEN_INVALID"
    assert (await frontend.refused(order("r2"), by_card)).reason == "TOKEN_INVALID"
    again = await frontend.refused(pb.UnpairKioskRequest(name=kiosk.name), ROOT)
    assert again.status == ("NOT_FOUND", "KIOSK_NOT_FOUND")
    assert list((await frontend.call(pb.ListKiosksRequest(), ROOT)).kiosks) == []


async def test_unknown_cards_and_wrong_codes_are_refused(frontend: Frontend) -> None:
    _, at_kiosk = await paired(frontend)
    refusal = await frontend.refused(pb.LogInCardRequest(number="ffffffff"), at_kiosk)
    assert refusal.status == ("UNAUTHENTICATED", "CREDENTIALS_INVALID")
    refusal = await frontend.refused(pb.RedeemPairingCodeRequest(pairing_code="00000000"))
    assert refusal.status == ("UNAUTHENTICATED", "CREDENTIALS_INVALID")
    for number in range(9):
        await frontend.refused(pb.LogInCardRequest(number=f"{number:08x}"), at_kiosk)
    refusal = await frontend.refused(pb.LogInCardRequest(number="eeeeeeee"), at_kiosk)
    assert refusal.status == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
    assert refusal.retry_after_s is not None


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.PairKioskRequest(), "machine"),
        (pb.PairKioskRequest(machine="d"), "machine"),
        (pb.PairKioskRequest(machine="machines/d", display_name="x" * 201), "display_name"),
        (pb.PairKioskRequest(machine="machines/d", display_name="a\nb"), "display_name"),
        (pb.UnpairKioskRequest(), "name"),
        (pb.UnpairKioskRequest(name="kiosks/-1"), "name"),
        (pb.RedeemPairingCodeRequest(), "pairing_code"),
        (pb.RedeemPairingCodeRequest(pairing_code="1" * 5_000), "pairing_code"),
    ],
)
async def test_bad_input_names_its_field(frontend: Frontend, request_: Any, field: str) -> None:
    refusal = await frontend.refused(request_, ROOT)
    assert refusal.status == ("INVALID_ARGUMENT", "FIELD_INVALID")
    assert refusal.facts == {"field": field}


@pytest.mark.parametrize("number", ["", "12345", "1" * 65, "a b c d e f", "1" * 5_000])
async def test_a_number_that_no_card_has_names_its_field(frontend: Frontend, number: str) -> None:
    _, at_kiosk = await paired(frontend)
    refusal = await frontend.refused(pb.LogInCardRequest(number=number), at_kiosk)
    assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": "number"})


async def test_administrators_see_kiosks_in_events(frontend: Frontend) -> None:
    wanted = events.WatchEventsRequest(kinds=[events.Event.KIND_KIOSK])
    watch = frontend.call(wanted, ROOT)
    await read(watch)
    kiosk, _ = await paired(frontend)
    seen: list[events.Event] = []
    while len(seen) < 2:
        seen += (await read(watch)).events
    assert [each.kiosk.state for each in seen] == [
        pb.Kiosk.STATE_PAIRING,
        pb.Kiosk.STATE_PAIRED,
    ]
    number = kiosk.name.removeprefix("kiosks/")
    assert [each.actor for each in seen] == ["root", f"kiosk:{number}"]
    assert (await refused(frontend.call(wanted, ANN).read())).reason == "ADMIN_REQUIRED"


async def test_a_kiosk_is_told_of_cards_and_their_owners_add_them(frontend: Frontend) -> None:
    _, at_kiosk = await paired(frontend)
    watch = frontend.call(pb.WatchCardsRequest(), at_kiosk)
    assert not (await read(watch)).HasField("login")
    cards = frontend.bench.accounts.kiosks.cards
    await cards.read_at_machine("d", SHORT)
    code = (await read(watch)).login.refused_card.code
    request = accounts.AddCardRequest(parent="accounts/ann", code=code, display_name="badge")
    assert (await frontend.refused(request, BOB)).reason == "NOT_OWNER"
    card = (await frontend.call(request, ANN)).card
    assert (card.display_name, card.kiosk_only) == ("badge", True)
    refusal = await frontend.refused(request, ANN)
    assert refusal.status == ("NOT_FOUND", "CARD_CODE_INVALID")
    await cards.read_at_machine("d", SHORT)
    login = (await read(watch)).login
    assert login.account.name == "accounts/ann"
    bought = await frontend.call(order(), bearer(login.token))
    assert bought.available_credits == 150


async def test_an_unknown_card_is_answered_with_a_code_if_asked(frontend: Frontend) -> None:
    _, at_kiosk = await paired(frontend)
    plain = await frontend.refused(pb.LogInCardRequest(number=SHORT), at_kiosk)
    assert plain.status == ("UNAUTHENTICATED", "CREDENTIALS_INVALID")
    request = pb.LogInCardRequest(number=SHORT, offer_code=True)
    answer = await frontend.call(request, at_kiosk)
    assert (answer.token, len(answer.refused_card.code)) == ("", 6)
    for wrong in ("", "12345", "abcdef"):
        added = accounts.AddCardRequest(parent="accounts/ann", code=wrong)
        assert (await frontend.refused(added, ANN)).facts == {"field": "code"}


async def test_the_watch_of_an_ended_kiosk_ends(frontend: Frontend) -> None:
    kiosk, at_kiosk = await paired(frontend)
    watch = frontend.call(pb.WatchCardsRequest(), at_kiosk)
    await read(watch)
    await frontend.call(pb.UnpairKioskRequest(name=kiosk.name), ROOT)
    await frontend.bench.change_slot("d", 1, price=51)
    assert (await refused(read(watch))).reason == "TOKEN_INVALID"
