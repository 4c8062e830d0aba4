"""Names of accounts over gRPC: changed, erased, and written as ids."""

from typing import Any

import pytest

from drink.v1 import account_service_pb2 as pb
from drink.v1 import drop_service_pb2 as drops
from drink.v1 import item_service_pb2 as items
from drink.v1 import machine_service_pb2 as machines
from tests.frontend.rpc.test_drop_service import order
from tests.frontend.rpc.test_event_service import KIND, watching
from tests.frontend.rpc.test_event_service import events as told
from tests.frontend.rpc.test_item_pictures import chunks, send
from tests.support.pictures import png
from tests.support.rpc_frontend import ANN, ROOT, Frontend

Metadata = tuple[tuple[str, str], ...]


async def eve(frontend: Frontend, name: str = "Eve") -> tuple[pb.Account, Metadata]:
    """A user with 100 credits whose id is not her name, and what goes with her calls."""
    request = pb.CreateAccountRequest(name=f"accounts/{name}", password="right")
    account = (await frontend.call(request, ROOT)).account
    gift = pb.AddCreditsRequest(
        request_id=f"gift-{account.id[1:]}", account=account.name, credits=100
    )
    account = (await frontend.call(gift, ROOT)).account
    credentials = pb.PasswordCredentials(account=account.name, password="right")
    login = await frontend.call(pb.LoginRequest(password=credentials))
    return account, (("authorization", f"Bearer {login.token}"),)


async def rename(frontend: Frontend, name: str, new_name: str) -> pb.Account:
    request = pb.UpdateAccountRequest(name=name, new_name=new_name)
    account = (await frontend.call(request, ROOT)).account
    assert isinstance(account, pb.Account)
    return account


async def test_everything_shows_the_name_of_now(frontend: Frontend) -> None:
    account, metadata = await eve(frontend)
    bought = await frontend.call(order(no_wait=True), metadata)
    assert bought.drop.account == "accounts/Eve"
    send = pb.TransferCreditsRequest(request_id="t", recipient="accounts/ann", credits=1)
    await frontend.call(send, metadata)

    after = await rename(frontend, "accounts/eve", "Mallory")

    assert (after.name, after.id) == ("accounts/Mallory", account.id)
    mine = (await frontend.call(pb.GetAccountRequest(), metadata)).account
    assert mine.name == "accounts/Mallory"
    again = await frontend.call(order(no_wait=True), metadata)
    assert (again.drop.name, again.drop.account) == (bought.drop.name, "accounts/Mallory")
    entries = (await frontend.call(pb.ListEntriesRequest(), ANN)).entries
    assert (entries[0].counterpart, entries[0].actor) == ("accounts/Mallory", "Mallory")
    own = (await frontend.call(pb.ListEntriesRequest(), metadata)).entries
    assert {each.name.rpartition("/entries/")[0] for each in own} == {"accounts/Mallory"}
    tokens = (await frontend.call(pb.ListTokensRequest(), metadata)).tokens
    assert tokens[0].name.startswith("accounts/Mallory/tokens/")
    records = drops.ListDropRecordsRequest(parent=bought.drop.name)
    assert (await frontend.call(records, ROOT)).records[0].actor == "Mallory"


async def test_the_audit_log_keeps_who_changed_machines_and_items_by_id(
    frontend: Frontend,
) -> None:
    for request in (
        items.CreateItemRequest(name="items/7", display_name="Mate", price=1),
        machines.CreateMachineRequest(name="machines/x", display_name="X"),
        machines.UpdateMachineRequest(name="machines/x", location="cellar"),
        machines.CreateSlotRequest(name="machines/x/slots/1", item="Tea", price=1, available=1),
        machines.UpdateSlotRequest(name="machines/x/slots/1", price=2),
        machines.AdjustStockRequest(request_id="a", name="machines/x/slots/1", change=-1),
        machines.DeleteSlotRequest(name="machines/x/slots/1"),
        machines.IssueAgentTokenRequest(name="machines/x"),
        machines.RevokeAgentTokenRequest(name="machines/x"),
    ):
        await frontend.call(request, ROOT)
    await send(frontend, chunks(png(4, 3), name="items/7"))

    await rename(frontend, "accounts/root", "boss")

    assert "root" not in {record.actor for record in await frontend.bench.audit()}


async def test_a_display_name_is_shown_wherever_the_account_is(frontend: Frontend) -> None:
    make = pb.CreateAccountRequest(name="accounts/eve", password="right", display_name="Evelyn")
    assert (await frontend.call(make, ROOT)).account.display_name == "Evelyn"
    change = pb.UpdateAccountRequest(name="accounts/eve", display_name="Evelyn E.")
    account = (await frontend.call(change, ROOT)).account
    assert (account.name, account.display_name) == ("accounts/eve", "Evelyn E.")
    credentials = pb.PasswordCredentials(account="accounts/eve", password="right")
    login = await frontend.call(pb.LoginRequest(password=credentials))
    metadata = (("authorization", f"Bearer {login.token}"),)
    assert login.account == account
    assert (await frontend.call(pb.GetAccountRequest(), metadata)).account == account
    assert account in (await frontend.call(pb.ListAccountsRequest(), ROOT)).accounts
    other = pb.UpdateAccountRequest(name="accounts/eve", admin=False)
    assert (await frontend.call(other, ROOT)).account == account
    none = pb.UpdateAccountRequest(name="accounts/eve", display_name="")
    assert not (await frontend.call(none, ROOT)).account.display_name


async def test_an_event_shows_the_display_name_of_now(frontend: Frontend) -> None:
    watch, _ = await watching(frontend, ROOT)
    for shown in ("Ann A.", "Ann B."):
        change = pb.UpdateAccountRequest(name="accounts/ann", display_name=shown)
        account = (await frontend.call(change, ROOT)).account
        (event,) = await told(watch, 1)
        assert (event.kind, event.actor) == (KIND.KIND_ACCOUNT, "root")
        assert event.account == account


async def test_only_administrators_give_display_names(frontend: Frontend) -> None:
    for name in ("accounts/ann", "accounts/nobody"):
        change = pb.UpdateAccountRequest(name=name, display_name="Ann")
        refusal = await frontend.refused(change, ANN)
        assert refusal.status == ("PERMISSION_DENIED", "ADMIN_REQUIRED")
    assert not (await frontend.call(pb.GetAccountRequest(), ANN)).account.display_name


async def test_an_id_names_an_account_in_every_request(frontend: Frontend) -> None:
    account, metadata = await eve(frontend)
    reference = f"accounts/{account.id}"
    for caller in (metadata, ROOT):
        request = pb.GetAccountRequest(name=reference)
        assert (await frontend.call(request, caller)).account == account
        await frontend.call(pb.ListEntriesRequest(parent=reference), caller)
        await frontend.call(drops.ListDropsRequest(parent=reference), caller)
    credentials = pb.PasswordCredentials(account=reference, password="right")
    login = await frontend.call(pb.LoginRequest(password=credentials))
    assert login.account == account
    assert (await frontend.refused(pb.GetAccountRequest(name=reference), ANN)).reason == "NOT_OWNER"


async def test_an_erased_account_shows_its_id_and_frees_its_name(frontend: Frontend) -> None:
    account, metadata = await eve(frontend)
    bought = await frontend.call(order(no_wait=True), metadata)
    erase = pb.EraseAccountRequest(name="accounts/eve")
    assert (await frontend.refused(erase, ROOT)).reason == "ACCOUNT_OPEN"
    await frontend.call(pb.UpdateAccountRequest(name="accounts/eve", closed=True), ROOT)
    refusal = await frontend.refused(erase, ROOT)
    assert refusal.status == ("FAILED_PRECONDITION", "ACCOUNT_NOT_SETTLED")
    assert refusal.facts == {"posted": "100", "held": "50"}
    bench = frontend.bench
    await bench.taken()
    await bench.report(bought.drop.name.removeprefix("drops/"))
    pay_out = pb.SetCreditsRequest(
        request_id="out",
        account="accounts/eve",
        posted_credits=0,
        expected_posted_credits=50,
    )
    refusal = await frontend.refused(pay_out, ROOT)
    assert refusal.reason == "ACCOUNT_CLOSED"
    await frontend.call(pb.UpdateAccountRequest(name="accounts/eve", closed=False), ROOT)
    await frontend.call(pay_out, ROOT)
    await frontend.call(pb.UpdateAccountRequest(name="accounts/eve", closed=True), ROOT)

    for _ in range(2):
        erased = (await frontend.call(erase, ROOT)).account
        assert (erased.name, erased.id, erased.closed) == (
            f"accounts/{account.id}",
            account.id,
            True,
        )
        erase = pb.EraseAccountRequest(name=erased.name)

    look = drops.GetDropRequest(name=bought.drop.name)
    assert (await frontend.call(look, ROOT)).drop.account == erased.name
    open_it = pb.UpdateAccountRequest(name=erased.name, closed=False)
    assert (await frontend.refused(open_it, ROOT)).reason == "ACCOUNT_ERASED"
    newcomer, newcomers = await eve(frontend, "eve")
    assert newcomer.id != account.id
    assert not (await frontend.call(drops.ListDropsRequest(), newcomers)).drops
    assert (await frontend.refused(look, newcomers)).reason == "DROP_NOT_FOUND"


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.UpdateAccountRequest(name="accounts/ann", new_name=""), "new_name"),
        (pb.UpdateAccountRequest(name="accounts/ann", new_name="x" * 33), "new_name"),
        (pb.UpdateAccountRequest(name="accounts/ann", new_name="a b"), "new_name"),
        (pb.UpdateAccountRequest(name="accounts/ann", new_name="a\0"), "new_name"),
        (pb.UpdateAccountRequest(name="accounts/ann", new_name="accounts/x"), "new_name"),
        (pb.UpdateAccountRequest(name="accounts/ann", new_name="~0123456789"), "new_name"),
        (pb.UpdateAccountRequest(name="accounts/ann", display_name="x" * 201), "display_name"),
        (pb.UpdateAccountRequest(name="accounts/ann", display_name="a\x1b[2J"), "display_name"),
        (pb.CreateAccountRequest(name="accounts/eve", display_name="a\0"), "display_name"),
        (pb.CreateAccountRequest(name="accounts/~0123456789"), "account"),
        (pb.EraseAccountRequest(), "name"),
        (pb.EraseAccountRequest(name="accounts/~012345678"), "name"),
        (pb.EraseAccountRequest(name="accounts/~01234567890"), "name"),
        (pb.EraseAccountRequest(name="accounts/~abcdefghij"), "name"),
    ],
)
async def test_bad_input_names_its_field(frontend: Frontend, request_: Any, field: str) -> None:
    refusal = await frontend.refused(request_, ROOT)
    assert refusal.status == ("INVALID_ARGUMENT", "FIELD_INVALID")
    assert refusal.facts == {"field": field}


async def test_a_name_that_is_taken_is_refused(frontend: Frontend) -> None:
    request = pb.UpdateAccountRequest(name="accounts/ann", new_name="BOB")
    assert (await frontend.refused(request, ROOT)).reason == "ALREADY_EXISTS"
