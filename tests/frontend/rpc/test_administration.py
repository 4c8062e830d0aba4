"""What administrators do over gRPC, and that nobody else may."""

from typing import Any

import grpc
import pytest

from drink.v1 import account_service_pb2 as accounts
from drink.v1 import alarm_service_pb2 as alarms
from drink.v1 import drop_service_pb2 as drops
from drink.v1 import item_service_pb2 as items
from drink.v1 import kiosk_service_pb2 as kiosks
from drink.v1 import machine_service_pb2 as machines
from drink_frontend.domain.drop import Cause, State
from drink_frontend.domain.entities import AuditKind
from tests.support.rpc_frontend import ANN, PASSWORD, ROOT, Frontend, refused, running_frontend

NO_DROP = "drops/" + "Z" * 26

CALLS = {
    "ListAccounts": accounts.ListAccountsRequest(),
    "CreateAccount": accounts.CreateAccountRequest(name="accounts/eve"),
    "UpdateAccount": accounts.UpdateAccountRequest(name="accounts/nobody", closed=True),
    "SetCredits": accounts.SetCreditsRequest(
        request_id="r", account="accounts/nobody", posted_credits=1, expected_posted_credits=2
    ),
    "SetPassword": accounts.SetPasswordRequest(name="accounts/nobody", password="x"),
    "EraseAccount": accounts.EraseAccountRequest(name="accounts/nobody"),
    "AddCard": accounts.AddCardRequest(parent="accounts/nobody", chip="04a2b3c4"),
    "CreateItem": items.CreateItemRequest(display_name="Mate", price=1),
    "UpdateItem": items.UpdateItemRequest(name="items/404", price=1),
    "DeleteItem": items.DeleteItemRequest(name="items/404"),
    "PairKiosk": kiosks.PairKioskRequest(machine="machines/none"),
    "ListKiosks": kiosks.ListKiosksRequest(),
    "UnpairKiosk": kiosks.UnpairKioskRequest(name="kiosks/404"),
    "CreateMachine": machines.CreateMachineRequest(name="machines/x", display_name="X"),
    "UpdateMachine": machines.UpdateMachineRequest(name="machines/none", enabled=False),
    "CreateSlot": machines.CreateSlotRequest(name="machines/none/slots/1", item="Tea", price=1),
    "DeleteSlot": machines.DeleteSlotRequest(name="machines/none/slots/1"),
    "AdjustStock": machines.AdjustStockRequest(
        request_id="r", name="machines/none/slots/1", change=1
    ),
    "ListStockMovements": machines.ListStockMovementsRequest(slot="machines/none/slots/1"),
    "IssueAgentToken": machines.IssueAgentTokenRequest(name="machines/none"),
    "RevokeAgentToken": machines.RevokeAgentTokenRequest(name="machines/none"),
    "ResolveDrop": drops.ResolveDropRequest(
        name=NO_DROP, state=drops.Drop.STATE_DISPENSED, reason="seen"
    ),
    "RefundDrop": drops.RefundDropRequest(request_id="r", name=NO_DROP, reason="warm"),
    "ListDropRecords": drops.ListDropRecordsRequest(parent=NO_DROP),
    "ListAlarms": alarms.ListAlarmsRequest(machine="machines/none"),
    "AcknowledgeAlarm": alarms.AcknowledgeAlarmRequest(name="alarms/404"),
    "CloseAlarm": alarms.CloseAlarmRequest(name="alarms/404"),
    "LeaseNotifications": alarms.LeaseNotificationsRequest(channel="not a name"),
    "SettleNotifications": alarms.SettleNotificationsRequest(channel="not a name"),
}


@pytest.mark.parametrize("method", CALLS)
async def test_rights_come_before_existence(frontend: Frontend, method: str) -> None:
    refusal = await frontend.refused(CALLS[method], ANN)
    assert refusal.status == ("PERMISSION_DENIED", "ADMIN_REQUIRED")


@pytest.mark.parametrize("method", CALLS)
async def test_without_a_token_nothing_is_done(frontend: Frontend, method: str) -> None:
    refusal = await frontend.refused(CALLS[method], ())
    assert refusal.status == ("UNAUTHENTICATED", "TOKEN_INVALID")


async def list_all(frontend: Frontend, page_size: int, **terms: Any) -> list[list[str]]:
    pages, token = [], ""
    while True:
        request = accounts.ListAccountsRequest(page_size=page_size, page_token=token, **terms)
        answer = await frontend.call(request, ROOT)
        pages.append([each.name.removeprefix("accounts/") for each in answer.accounts])
        token = answer.next_page_token
        if not token:
            return pages


class TestListAccounts:
    async def test_pages_are_in_order_of_names(self, frontend: Frontend) -> None:
        assert await list_all(frontend, 2) == [["ann", "bob"], ["root"]]
        assert await list_all(frontend, 0) == [["ann", "bob", "root"]]

    async def test_names_are_found_by_how_they_begin(self, frontend: Frontend) -> None:
        for name in ("Zed", "zoe", "a_x"):
            request = accounts.CreateAccountRequest(name=f"accounts/{name}")
            await frontend.call(request, ROOT)
        assert await list_all(frontend, 9, name_prefix="Z") == [["Zed", "zoe"]]
        assert await list_all(frontend, 9, name_prefix="a_") == [["a_x"]]

    async def test_closed_accounts_can_be_left_out(self, frontend: Frontend) -> None:
        request = accounts.UpdateAccountRequest(name="accounts/bob", closed=True)
        assert (await frontend.call(request, ROOT)).account.closed
        assert await list_all(frontend, 9, open_only=True) == [["ann", "root"]]
        assert await list_all(frontend, 9) == [["ann", "bob", "root"]]

    @pytest.mark.parametrize(
        ("request_", "field"),
        [
            (accounts.ListAccountsRequest(page_size=-1), "page_size"),
            (accounts.ListAccountsRequest(page_token="x"), "page_token"),
            (accounts.ListAccountsRequest(page_token="YW5uAAAAAAAAAAAAAA=="), "page_token"),
            (accounts.ListAccountsRequest(name_prefix="a b"), "name_prefix"),
            (accounts.ListAccountsRequest(name_prefix="x" * 33), "name_prefix"),
        ],
    )
    async def test_a_wrong_field_is_named(
        self, frontend: Frontend, request_: accounts.ListAccountsRequest, field: str
    ) -> None:
        refusal = await frontend.refused(request_, ROOT)
        assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": field})

    async def test_a_token_is_good_for_its_own_list(self, frontend: Frontend) -> None:
        first = await frontend.call(accounts.ListAccountsRequest(page_size=1), ROOT)
        other = accounts.ListAccountsRequest(page_token=first.next_page_token, open_only=True)
        refusal = await frontend.refused(other, ROOT)
        assert refusal.facts == {"field": "page_token"}


class TestAccounts:
    async def test_a_new_user_logs_in(self, frontend: Frontend) -> None:
        request = accounts.CreateAccountRequest(name="accounts/eve", password="first-one")
        made = (await frontend.call(request, ROOT)).account
        credentials = accounts.PasswordCredentials(account="accounts/eve", password="first-one")
        login = await frontend.call(accounts.LoginRequest(password=credentials))
        assert made == login.account
        assert made.create_time.ToMilliseconds() == frontend.bench.clock.now_ms()

    async def test_closing_an_account_says_what_is_still_open(self, frontend: Frontend) -> None:
        bench = frontend.bench
        settled = await bench.dispatched("r-settled")
        await bench.report(settled)
        unknown = await bench.dispatched("r-unknown")
        await bench.report(unknown, State.UNKNOWN, Cause.BOARD_SILENT)
        waiting = await bench.place("r-waiting", delay_s=60)
        request = accounts.UpdateAccountRequest(name="accounts/ann", closed=True)

        for _ in range(2):
            answer = await frontend.call(request, ROOT)
            assert list(answer.open_drops) == [f"drops/{waiting.id}", f"drops/{unknown.id}"]
            assert (answer.account.posted_credits, answer.account.held_credits) == (150, 100)
        bob = accounts.UpdateAccountRequest(name="accounts/bob", closed=True)
        assert not (await frontend.call(bob, ROOT)).open_drops
        # What changes something else says nothing of drops.
        opened = accounts.UpdateAccountRequest(name="accounts/ann", closed=False)
        assert not (await frontend.call(opened, ROOT)).open_drops

    async def test_a_closed_account_is_out_and_comes_back_without_what_it_had(
        self, frontend: Frontend
    ) -> None:
        closed = accounts.UpdateAccountRequest(name="accounts/ann", closed=True)
        await frontend.call(closed, ROOT)
        refusal = await frontend.refused(accounts.GetAccountRequest(), ANN)
        assert refusal.reason == "TOKEN_INVALID"

        again = accounts.CreateAccountRequest(name="accounts/ann", reopen=True)
        account = (await frontend.call(again, ROOT)).account
        assert (account.closed, account.posted_credits) == (False, 200)
        credentials = accounts.PasswordCredentials(account="accounts/ann", password=PASSWORD)
        login = frontend.call(accounts.LoginRequest(password=credentials))
        assert (await refused(login)).reason == "CREDENTIALS_INVALID"

    async def test_an_ibutton_is_given_and_taken_away(self, frontend: Frontend) -> None:
        for ibutton, works in (("FEDCBA9876543210", True), ("", False)):
            request = accounts.UpdateAccountRequest(name="accounts/ann", ibutton=ibutton)
            await frontend.call(request, ROOT)
            login = frontend.call(accounts.LoginRequest(ibutton="FEDCBA9876543210"))
            if works:
                assert (await login).account.name == "accounts/ann"
            else:
                assert (await refused(login)).reason == "CREDENTIALS_INVALID"

    async def test_an_account_may_owe_up_to_its_limit(self, frontend: Frontend) -> None:
        """Invariant 2."""
        request = accounts.UpdateAccountRequest(name="accounts/ann", credit_limit=100)
        account = (await frontend.call(request, ROOT)).account
        assert (account.credit_limit, account.available_credits) == (100, 300)
        gift = accounts.TransferCreditsRequest(
            request_id="t", recipient="accounts/bob", credits=280
        )
        account = (await frontend.call(gift, ANN)).account
        assert (account.posted_credits, account.available_credits) == (-80, 20)
        request.credit_limit = 0
        account = (await frontend.call(request, ROOT)).account
        assert (account.posted_credits, account.available_credits) == (-80, 0)

    async def test_the_last_administrator_stays_one(self, frontend: Frontend) -> None:
        request = accounts.UpdateAccountRequest(name="accounts/root", admin=False)
        refusal = await frontend.refused(request, ROOT)
        assert refusal.reason == "LAST_ADMINISTRATOR"

    @pytest.mark.parametrize(
        ("method", "fields", "field"),
        [
            ("CreateAccount", {"name": "eve"}, "name"),
            ("CreateAccount", {"name": "accounts/e e"}, "name"),
            ("CreateAccount", {"name": "accounts/e", "password": ""}, "password"),
            ("CreateAccount", {"name": "accounts/e", "ibutton": "1"}, "ibutton"),
            ("UpdateAccount", {"name": "accounts/ann", "ibutton": "1"}, "ibutton"),
            ("UpdateAccount", {"name": "accounts/ann", "credit_limit": -1}, "credit_limit"),
            ("UpdateAccount", {"name": "accounts/ann", "credit_limit": 1_000_001}, "credit_limit"),
            ("SetPassword", {"name": "accounts/ann"}, "password"),
        ],
    )  # fmt: skip
    async def test_a_wrong_field_is_named(
        self, frontend: Frontend, method: str, fields: dict[str, Any], field: str
    ) -> None:
        request = getattr(accounts, f"{method}Request")(**fields)
        refusal = await frontend.refused(request, ROOT)
        assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": field})


class TestOwnLogins:
    async def test_a_logout_ends_one_login(self, frontend: Frontend) -> None:
        credentials = accounts.PasswordCredentials(account="accounts/ann", password=PASSWORD)
        login = await frontend.call(accounts.LoginRequest(password=credentials))
        other = (("authorization", f"Bearer {login.token}"),)
        await frontend.call(accounts.LogoutRequest(), other)
        own = accounts.GetAccountRequest()
        assert (await frontend.refused(own, other)).reason == "TOKEN_INVALID"
        await frontend.call(own, ANN)

    async def test_another_password_ends_every_login_of_before(self, frontend: Frontend) -> None:
        request = accounts.ChangePasswordRequest(old_password=PASSWORD, new_password="another")
        answer = await frontend.call(request, ANN)
        own = accounts.GetAccountRequest()
        assert (await frontend.refused(own, ANN)).reason == "TOKEN_INVALID"
        now = (("authorization", f"Bearer {answer.token}"),)
        assert (await frontend.call(own, now)).account.name == "accounts/ann"

    async def test_a_wrong_password_changes_nothing(self, frontend: Frontend) -> None:
        request = accounts.ChangePasswordRequest(old_password="guess", new_password="another")
        refusal = await frontend.refused(request, ANN)
        assert refusal.reason == "CREDENTIALS_INVALID"
        await frontend.call(accounts.GetAccountRequest(), ANN)

    @pytest.mark.parametrize(
        ("old", "new", "field"),
        [
            ("", "x", "old_password"),
            (PASSWORD, "", "new_password"),
            (PASSWORD, "a b", "new_password"),
        ],
    )
    async def test_a_wrong_field_is_named(
        self, frontend: Frontend, old: str, new: str, field: str
    ) -> None:
        request = accounts.ChangePasswordRequest(old_password=old, new_password=new)
        refusal = await frontend.refused(request, ANN)
        assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": field})


class TestMachines:
    async def test_a_machine_is_made_with_a_slot_and_a_token(self, frontend: Frontend) -> None:
        machine = machines.CreateMachineRequest(
            name="machines/x", display_name="X", location="Room 5"
        )
        await frontend.call(machine, ROOT)
        slot = machines.CreateSlotRequest(
            name="machines/x/slots/7", item="Tea", price=30, available=4
        )
        await frontend.call(slot, ROOT)
        token = await frontend.call(machines.IssueAgentTokenRequest(name="machines/x"), ROOT)

        assert await frontend.bench.machines.authenticate(token.token) == "x"
        shown = await frontend.call(machines.GetMachineRequest(name="machines/x"), ROOT)
        assert (shown.machine.location, shown.machine.slots[0].available) == ("Room 5", 4)

    async def test_a_revoked_token_of_an_agent_is_refused_and_its_link_ends(
        self, frontend: Frontend
    ) -> None:
        issue = machines.IssueAgentTokenRequest(name="machines/d")
        token = (await frontend.call(issue, ROOT)).token
        agent = (("authorization", f"Bearer {token}"),)
        await frontend.linked(metadata=agent)
        revoke = machines.RevokeAgentTokenRequest(name="machines/d")
        for _ in range(2):
            machine = (await frontend.call(revoke, ROOT)).machine
            assert machine.reach == machines.Machine.REACH_OFFLINE
        assert (await refused(frontend.linked(metadata=agent))).reason == "TOKEN_INVALID"
        # A new one is good again.
        again = (await frontend.call(issue, ROOT)).token
        assert await frontend.bench.machines.authenticate(again) == "d"

    async def test_only_what_is_given_is_changed(self, frontend: Frontend) -> None:
        request = machines.UpdateMachineRequest(name="machines/d", enabled=False)
        machine = (await frontend.call(request, ROOT)).machine
        assert (machine.display_name, machine.enabled) == ("D", False)

    @pytest.mark.parametrize(
        ("method", "fields", "reason", "wrong"),
        [
            ("CreateMachine", {"name": "machines/d", "display_name": "D"}, "ALREADY_EXISTS", ""),
            ("CreateMachine", {"name": "machines/D", "display_name": "D"}, "FIELD_INVALID", "name"),
            ("CreateMachine", {"name": "machines/x"}, "FIELD_INVALID", "display_name"),
            ("UpdateMachine", {"name": "machines/none"}, "MACHINE_NOT_FOUND", ""),
            (
                "UpdateMachine",
                {"name": "machines/d", "display_name": " "},
                "FIELD_INVALID",
                "display_name",
            ),
            ("CreateSlot", {"name": "machines/d/slots/1", "item": "Tea"}, "ALREADY_EXISTS", ""),
            ("CreateSlot", {"name": "machines/d/slots/100", "item": "T"}, "FIELD_INVALID", "name"),
            ("CreateSlot", {"name": "machines/d/slots/9"}, "FIELD_INVALID", "item"),
            (
                "CreateSlot",
                {"name": "machines/d/slots/9", "item": "T", "price": -1},
                "FIELD_INVALID",
                "price",
            ),
            ("CreateSlot", {"name": "machines/none/slots/9", "item": "T"}, "MACHINE_NOT_FOUND", ""),
            ("IssueAgentToken", {"name": "machines/none"}, "MACHINE_NOT_FOUND", ""),
            ("RevokeAgentToken", {"name": "machines/none"}, "MACHINE_NOT_FOUND", ""),
            ("RevokeAgentToken", {}, "FIELD_INVALID", "name"),
            ("RevokeAgentToken", {"name": "machines/d\n"}, "FIELD_INVALID", "name"),
            ("RevokeAgentToken", {"name": "machines/" + "d" * 33}, "FIELD_INVALID", "name"),
        ],
    )  # fmt: skip
    async def test_what_cannot_be_made_is_refused(
        self, frontend: Frontend, method: str, fields: dict[str, Any], reason: str, wrong: str
    ) -> None:
        request = getattr(machines, f"{method}Request")(**fields)
        refusal = await frontend.refused(request, ROOT)
        assert (refusal.reason, refusal.facts.get("field", "")) == (reason, wrong)


class TestUnknownDrops:
    async def _unknown(self, frontend: Frontend) -> str:
        drop = await frontend.bench.place("r-1")
        await frontend.bench.take()
        await frontend.bench.report(drop.id, State.UNKNOWN, Cause.BOARD_SILENT)
        return f"drops/{drop.id}"

    async def test_a_decision_settles_the_drop_once(self, frontend: Frontend) -> None:
        name = await self._unknown(frontend)
        request = drops.ResolveDropRequest(
            name=name, state=drops.Drop.STATE_NOT_DISPENSED, reason="it hangs in the slot"
        )
        first, again = [await frontend.call(request, ROOT) for _ in range(2)]
        assert first.drop == again.drop
        expected = (drops.Drop.STATE_NOT_DISPENSED, drops.Drop.CAUSE_OPERATOR, "root")
        assert (first.drop.state, first.drop.cause, first.drop.decided_by) == expected
        request.state = drops.Drop.STATE_DISPENSED
        assert (await frontend.refused(request, ROOT)).reason == "DROP_NOT_UNKNOWN"

        own = await frontend.call(accounts.GetAccountRequest(), ANN)
        assert own.account.available_credits == 200

    async def test_the_records_tell_all_that_is_kept(self, frontend: Frontend) -> None:
        name = await self._unknown(frontend)
        answer = await frontend.call(drops.ListDropRecordsRequest(parent=name), ROOT)
        assert {record.kind for record in answer.records} == {AuditKind.DROP_MOVED}
        last = answer.records[-1]
        expected = ("agent:d", "UNKNOWN", "BOARD_SILENT")
        assert (last.actor, last.facts["to"], last.facts["cause"]) == expected

    async def test_of_more_records_than_fit_the_newest_are_told(self) -> None:
        async with running_frontend(responses={"page_bytes_max": 4_096}) as frontend:
            drop = await frontend.bench.place("r-1")
            await frontend.bench.take()
            evidence = {"lines": ["x" * 200] * 15}
            for revision, outcome in ((1, State.UNKNOWN), (2, State.DISPENSED)):
                cause = Cause.BOARD_SILENT if revision == 1 else Cause.BOARD_ACK_LATE
                await frontend.bench.report(
                    drop, outcome, cause, revision=revision, evidence=evidence
                )
            request = drops.ListDropRecordsRequest(parent=f"drops/{drop.id}")
            records = (await frontend.call(request, ROOT)).records
        assert [record.facts["to"] for record in records] == ["DISPENSED"]

    @pytest.mark.parametrize(
        ("changes", "facts"),
        [
            ({"state": drops.Drop.STATE_UNKNOWN}, {"field": "state"}),
            ({"state": drops.Drop.STATE_UNSPECIFIED}, {"field": "state"}),
            ({"reason": " "}, {"field": "reason"}),
            ({"reason": "x" * 201}, {"field": "reason"}),
            ({"name": "1"}, {"field": "name"}),
        ],
    )
    async def test_a_wrong_field_is_named(
        self, frontend: Frontend, changes: dict[str, Any], facts: dict[str, str]
    ) -> None:
        terms = {"name": NO_DROP, "state": drops.Drop.STATE_DISPENSED, "reason": "seen", **changes}
        refusal = await frontend.refused(drops.ResolveDropRequest(**terms), ROOT)
        assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", facts)

    async def test_a_drop_that_is_not_there(self, frontend: Frontend) -> None:
        for method in ("ResolveDrop", "RefundDrop", "ListDropRecords"):
            refusal = await frontend.refused(CALLS[method], ROOT)
            assert refusal.reason == "DROP_NOT_FOUND"


class TestRefunds:
    async def _paid(self, frontend: Frontend) -> str:
        drop = await frontend.bench.dispatched("r-1")
        await frontend.bench.report(drop)
        return f"drops/{drop.id}"

    async def test_a_refund_is_shown_with_its_drop(self, frontend: Frontend) -> None:
        """Invariant 26."""
        name = await self._paid(frontend)
        request = drops.RefundDropRequest(request_id="back", name=name, credits=20, reason="warm")
        first, again = [await frontend.call(request, ROOT) for _ in range(2)]
        assert first.drop == again.drop
        assert first.drop.refunded_credits == 20
        seen = await frontend.call(drops.GetDropRequest(name=name), ANN)
        assert seen.drop == first.drop
        listed = await frontend.call(drops.ListDropsRequest(), ANN)
        assert list(listed.drops) == [first.drop]
        page = await frontend.call(accounts.ListEntriesRequest(), ANN)
        newest = page.entries[0]
        assert (newest.credits, newest.drop, newest.counterpart) == (20, name, "sales/d")
        assert newest.kind == accounts.Entry.KIND_TRANSFER

        other = drops.RefundDropRequest(request_id="more", name=name, reason="warm")
        refusal = await frontend.refused(other, ROOT)
        assert (refusal.code, refusal.reason, refusal.facts) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "DROP_REFUNDED",
            {"refunded": "20"},
        )

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"request_id": ""}, "request_id"),
            ({"request_id": "x" * 65}, "request_id"),
            ({"name": ""}, "name"),
            ({"name": "accounts/ann"}, "name"),
            ({"credits": 0}, "credits"),
            ({"credits": 51}, "credits"),
            ({"credits": -(2**63)}, "credits"),
            ({"credits": 2**63 - 1}, "credits"),
            ({"reason": ""}, "reason"),
            ({"reason": "x" * 201}, "reason"),
            ({"reason": "\x00"}, "reason"),
        ],
    )
    async def test_a_wrong_field_is_named(
        self, frontend: Frontend, changes: dict[str, Any], field: str
    ) -> None:
        name = await self._paid(frontend)
        terms = {"request_id": "back", "name": name, "reason": "warm", **changes}
        refusal = await frontend.refused(drops.RefundDropRequest(**terms), ROOT)
        assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": field})


class TestReports:
    async def test_administrators_read_what_the_buyer_saw(self, frontend: Frontend) -> None:
        drop = await frontend.bench.unknown("r-1")
        name = f"drops/{drop.id}"
        request = drops.ReportDropRequest(
            name=name, seen=drops.ReportDropRequest.SEEN_DID_NOT_FALL, text="it hangs"
        )
        answer = await frontend.call(request, ANN)
        assert answer.drop.state == drops.Drop.STATE_UNKNOWN
        records = drops.ListDropRecordsRequest(parent=name)
        last = (await frontend.call(records, ROOT)).records[-1]
        assert (last.kind, last.actor) == ("DROP_REPORTED", "ann")
        assert dict(last.facts) == {"fell": False, "text": "it hangs"}

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"name": ""}, "name"),
            ({"name": "drops/1"}, "name"),
            ({"seen": 0}, "seen"),
            ({"seen": 7}, "seen"),
            ({"seen": -1}, "seen"),
            ({"text": "x" * 201}, "text"),
            ({"text": "\x00"}, "text"),
        ],
    )
    async def test_a_wrong_field_is_named(
        self, frontend: Frontend, changes: dict[str, Any], field: str
    ) -> None:
        drop = await frontend.bench.unknown("r-1")
        request = drops.ReportDropRequest(**{"name": f"drops/{drop.id}", "seen": 1, **changes})
        refusal = await frontend.refused(request, ANN)
        assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": field})
