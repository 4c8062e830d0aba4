"""AccountService over a real server."""

import asyncio
from typing import Any

import grpc
import pytest

from drink.v1 import account_service_pb2 as pb
from drink_frontend.domain.drop import Cause, State
from drink_frontend.usecases.settings import AccountSettings, LoginSettings
from tests.support.rpc_frontend import ANN, BOB, IBUTTON, LIMIT_S, PASSWORD, ROOT, Frontend, refused


def with_password(account: str = "accounts/ann", password: str = PASSWORD) -> pb.LoginRequest:
    return pb.LoginRequest(password=pb.PasswordCredentials(account=account, password=password))


async def get_account(frontend: Frontend, metadata: Any) -> pb.Account:
    """The caller's own account."""
    answer = await frontend.account_stub.GetAccount(
        pb.GetAccountRequest(), metadata=metadata, timeout=LIMIT_S
    )
    return answer.account


class TestLogin:
    async def test_gives_a_token_that_works(self, frontend: Frontend) -> None:
        login = await frontend.account_stub.Login(with_password(), timeout=LIMIT_S)
        ttl_ms = login.expire_time.ToMilliseconds() - frontend.bench.clock.now_ms()
        assert ttl_ms == AccountSettings().token_ttl_s * 1000
        assert login.account.name == "accounts/ann"
        metadata = (("authorization", f"bearer {login.token}"),)
        assert await get_account(frontend, metadata) == login.account

    async def test_fault_70_a_token_is_kept_with_what_made_it(self, frontend: Frontend) -> None:
        """So that the token ends with the iButton or password that made it."""
        login = await frontend.account_stub.Login(
            pb.LoginRequest(ibutton=IBUTTON.lower()), timeout=LIMIT_S
        )
        ibuttons = (("authorization", f"Bearer {login.token}"),)
        await get_account(frontend, ibuttons)
        await frontend.bench.accounts.change("test", "bob", no_ibutton=True)
        await get_account(frontend, BOB)
        refusal = await refused(get_account(frontend, ibuttons))
        assert refusal.reason == "TOKEN_INVALID"

    async def test_takes_an_ibutton_in_any_case(self, frontend: Frontend) -> None:
        login = await frontend.account_stub.Login(
            pb.LoginRequest(ibutton=IBUTTON.lower()), timeout=LIMIT_S
        )
        assert login.account.name == "accounts/bob"

    @pytest.mark.parametrize(
        "request_",
        [
            with_password(password="guess"),
            with_password(account="accounts/nobody"),
            pb.LoginRequest(ibutton="0" * 16),
        ],
    )
    async def test_does_not_reveal_what_did_not_match(
        self, frontend: Frontend, request_: pb.LoginRequest
    ) -> None:
        refusal = await refused(frontend.account_stub.Login(request_, timeout=LIMIT_S))
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.UNAUTHENTICATED,
            "CREDENTIALS_INVALID",
        )
        assert refusal.facts == {}

    async def test_guessing_is_slowed_down(self, frontend: Frontend) -> None:
        limits = LoginSettings()
        waits = round(limits.wait_max_s / limits.interval_s)
        guesses = [
            frontend.account_stub.Login(with_password(password="guess"), timeout=LIMIT_S)
            for _ in range(limits.failures_free + waits + 1)
        ]
        refusal = await anext(
            refusal
            for guess in asyncio.as_completed(map(refused, guesses))
            if (refusal := await guess).reason == "RATE_LIMITED"
        )
        assert refusal.code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refusal.retry_after_s == limits.interval_s
        for guess in guesses:
            guess.cancel()

    @pytest.mark.parametrize(
        ("request_", "field"),
        [
            (pb.LoginRequest(), "credentials"),
            (with_password(account="alice"), "password.account"),
            (with_password(account="accounts/a b"), "password.account"),
            (with_password(password=""), "password.password"),
            (with_password(password="x" * 129), "password.password"),
            (pb.LoginRequest(ibutton="123"), "ibutton"),
            (pb.LoginRequest(ibutton="g" * 16), "ibutton"),
        ],
    )
    async def test_a_wrong_field_is_named(
        self, frontend: Frontend, request_: pb.LoginRequest, field: str
    ) -> None:
        refusal = await refused(frontend.account_stub.Login(request_, timeout=LIMIT_S))
        assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": field})


class TestGetAccount:
    async def test_shows_the_callers_own_account(self, frontend: Frontend) -> None:
        await frontend.bench.place()
        expected = pb.Account(
            name="accounts/ann", posted_credits=200, held_credits=50, available_credits=150
        )
        expected.create_time.FromMilliseconds(frontend.bench.clock.now_ms())
        for name in ("", "accounts/ann"):
            answer = await frontend.account_stub.GetAccount(
                pb.GetAccountRequest(name=name), metadata=ANN, timeout=LIMIT_S
            )
            assert answer.account == expected

    async def test_administrators_see_any(self, frontend: Frontend) -> None:
        answer = await frontend.account_stub.GetAccount(
            pb.GetAccountRequest(name="accounts/bob"), metadata=ROOT, timeout=LIMIT_S
        )
        assert answer.account.name == "accounts/bob"
        refusal = await refused(
            frontend.account_stub.GetAccount(
                pb.GetAccountRequest(name="accounts/nobody"), metadata=ROOT, timeout=LIMIT_S
            )
        )
        assert refusal.reason == "ACCOUNT_NOT_FOUND"

    @pytest.mark.parametrize("name", ["accounts/bob", "accounts/nobody"])
    async def test_rights_come_before_existence(self, frontend: Frontend, name: str) -> None:
        refusal = await refused(
            frontend.account_stub.GetAccount(
                pb.GetAccountRequest(name=name), metadata=ANN, timeout=LIMIT_S
            )
        )
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_OWNER")


class TestAddCredits:
    async def test_adds_and_takes_back(self, frontend: Frontend) -> None:
        for request_id, amount, expected in (("r-1", 50, 150), ("r-2", -20, 130)):
            answer = await frontend.account_stub.AddCredits(
                pb.AddCreditsRequest(request_id=request_id, account="accounts/bob", credits=amount),
                metadata=ROOT,
                timeout=LIMIT_S,
            )
            assert answer.account.posted_credits == expected

    @pytest.mark.parametrize("account", ["accounts/bob", "accounts/nobody"])
    async def test_rights_come_before_existence(self, frontend: Frontend, account: str) -> None:
        refusal = await refused(
            frontend.account_stub.AddCredits(
                pb.AddCreditsRequest(request_id="r", account=account, credits=1),
                metadata=ANN,
                timeout=LIMIT_S,
            )
        )
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "ADMIN_REQUIRED",
        )

    async def test_names_a_wrong_account(self, frontend: Frontend) -> None:
        refusal = await refused(
            frontend.account_stub.AddCredits(
                pb.AddCreditsRequest(request_id="r", account="bob", credits=1),
                metadata=ROOT,
                timeout=LIMIT_S,
            )
        )
        assert refusal.facts == {"field": "account"}


class TestTransferCredits:
    async def test_answers_with_the_senders_account(self, frontend: Frontend) -> None:
        answer = await frontend.account_stub.TransferCredits(
            pb.TransferCreditsRequest(request_id="r", recipient="accounts/bob", credits=40),
            metadata=ANN,
            timeout=LIMIT_S,
        )
        assert (answer.account.name, answer.account.posted_credits) == ("accounts/ann", 160)
        assert await frontend.bench.credits("bob") == (140, 0)

    async def test_a_refusal_contains_credits_and_price(self, frontend: Frontend) -> None:
        refusal = await refused(
            frontend.account_stub.TransferCredits(
                pb.TransferCreditsRequest(request_id="r", recipient="accounts/bob", credits=201),
                metadata=ANN,
                timeout=LIMIT_S,
            )
        )
        assert refusal.code == grpc.StatusCode.FAILED_PRECONDITION
        assert refusal.facts == {"available": "200", "price": "201"}

    async def test_names_a_wrong_recipient(self, frontend: Frontend) -> None:
        refusal = await refused(
            frontend.account_stub.TransferCredits(
                pb.TransferCreditsRequest(request_id="r", recipient="bob", credits=1),
                metadata=ANN,
                timeout=LIMIT_S,
            )
        )
        assert refusal.facts == {"field": "recipient"}


class TestListEntries:
    async def test_shows_each_kind_from_the_callers_side(self, frontend: Frontend) -> None:
        bench = frontend.bench
        first, second = [await bench.place(f"r{number}") for number in (1, 2)]
        for drop, report in ((first, ()), (second, (State.NOT_DISPENSED, Cause.BOARD_REFUSED))):
            await frontend.dispense(drop, *report)
        await bench.transfers.send(await bench.account("ann"), "t", "bob", 5)
        page = await frontend.account_stub.ListEntries(
            pb.ListEntriesRequest(), metadata=ANN, timeout=LIMIT_S
        )
        assert [
            (entry.kind, entry.credits, entry.counterpart, entry.drop.removeprefix("drops/"))
            for entry in page.entries
        ] == [
            (pb.Entry.KIND_TRANSFER, -5, "accounts/bob", ""),
            (pb.Entry.KIND_VOID, -50, "sales/d", second.id),
            (pb.Entry.KIND_POST, -50, "sales/d", first.id),
            (pb.Entry.KIND_HOLD, -50, "sales/d", second.id),
            (pb.Entry.KIND_HOLD, -50, "sales/d", first.id),
            (pb.Entry.KIND_TRANSFER, 200, "funding", ""),
        ]
        numbers = [int(entry.name.removeprefix("accounts/ann/entries/")) for entry in page.entries]
        assert numbers == sorted(numbers, reverse=True)
        assert page.entries[0].create_time.ToMilliseconds() == bench.clock.now_ms()
        assert page.next_page_token == ""

    async def test_pages(self, frontend: Frontend) -> None:
        root = await frontend.bench.account("root")
        for amount in range(1, 5):
            await frontend.bench.transfers.add_credits(root, f"r{amount}", "bob", amount)
        seen, token = [], ""
        for expected in (2, 2, 1):
            page = await frontend.account_stub.ListEntries(
                pb.ListEntriesRequest(parent="accounts/bob", page_size=2, page_token=token),
                metadata=ROOT,
                timeout=LIMIT_S,
            )
            assert len(page.entries) == expected
            seen += [entry.credits for entry in page.entries]
            token = page.next_page_token
        assert (seen, token) == ([4, 3, 2, 1, 100], "")

    async def test_a_page_token_of_another_account_is_refused(self, frontend: Frontend) -> None:
        page = await frontend.account_stub.ListEntries(
            pb.ListEntriesRequest(page_size=1), metadata=ANN, timeout=LIMIT_S
        )
        refusal = await refused(
            frontend.account_stub.ListEntries(
                pb.ListEntriesRequest(page_token=page.next_page_token),
                metadata=BOB,
                timeout=LIMIT_S,
            )
        )
        assert refusal.facts == {"field": "page_token"}

    async def test_an_account_that_is_not_there_has_no_entries(self, frontend: Frontend) -> None:
        refusal = await refused(
            frontend.account_stub.ListEntries(
                pb.ListEntriesRequest(parent="accounts/nobody"), metadata=ROOT, timeout=LIMIT_S
            )
        )
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")

    async def test_others_entries_are_for_administrators(self, frontend: Frontend) -> None:
        refusal = await refused(
            frontend.account_stub.ListEntries(
                pb.ListEntriesRequest(parent="accounts/nobody"), metadata=ANN, timeout=LIMIT_S
            )
        )
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_OWNER")
