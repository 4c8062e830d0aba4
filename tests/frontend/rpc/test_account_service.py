"""AccountService over a real server."""

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from drink.v1 import account_service_pb2 as pb
from drink_frontend.domain.drop import Cause, State
from drink_frontend.usecases.settings import AccountSettings, LoginSettings
from tests.support.ids import id_of
from tests.support.rpc_frontend import ANN, BOB, IBUTTON, PASSWORD, ROOT, Frontend, refused


def with_password(account: str = "accounts/ann", password: str = PASSWORD) -> pb.LoginRequest:
    return pb.LoginRequest(password=pb.PasswordCredentials(account=account, password=password))


async def get_account(frontend: Frontend, metadata: Any) -> pb.Account:
    """The caller's own account."""
    answer: pb.GetAccountResponse = await frontend.call(pb.GetAccountRequest(), metadata)
    return answer.account


class TestLogin:
    async def test_gives_a_token_that_works(self, frontend: Frontend) -> None:
        login = await frontend.call(with_password())
        ttl_ms = login.expire_time.ToMilliseconds() - frontend.bench.clock.now_ms()
        assert ttl_ms == AccountSettings().token_ttl_s * 1000
        assert login.account.name == "accounts/ann"
        metadata = (("authorization", f"bearer {login.token}"),)
        assert await get_account(frontend, metadata) == login.account

    async def test_fault_70_a_token_is_kept_with_what_made_it(self, frontend: Frontend) -> None:
        """So that the token ends with the iButton or password that made it."""
        login = await frontend.call(pb.LoginRequest(ibutton=IBUTTON.lower()))
        ibuttons = (("authorization", f"Bearer {login.token}"),)
        await get_account(frontend, ibuttons)
        await frontend.bench.accounts.change("test", "bob", no_ibutton=True)
        await get_account(frontend, BOB)
        refusal = await refused(get_account(frontend, ibuttons))
        assert refusal.reason == "TOKEN_INVALID"

    async def test_takes_an_ibutton_in_any_case(self, frontend: Frontend) -> None:
        login = await frontend.call(pb.LoginRequest(ibutton=IBUTTON.lower()))
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
        refusal = await frontend.refused(request_)
        assert refusal.status == ("UNAUTHENTICATED", "CREDENTIALS_INVALID")
        assert refusal.facts == {}

    async def test_guessing_is_slowed_down(self, frontend: Frontend) -> None:
        limits = LoginSettings()
        waits = round(limits.wait_max_s / limits.interval_s)
        guesses = [
            frontend.call(with_password(password="guess"))
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
        refusal = await frontend.refused(request_)
        assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": field})


class TestGetAccount:
    async def test_shows_the_callers_own_account(self, frontend: Frontend) -> None:
        await frontend.bench.place()
        expected = pb.Account(
            name="accounts/ann",
            id=id_of("ann"),
            posted_credits=200,
            held_credits=50,
            available_credits=150,
        )
        expected.create_time.FromMilliseconds(frontend.bench.clock.now_ms())
        for name in ("", "accounts/ann"):
            answer = await frontend.call(pb.GetAccountRequest(name=name), ANN)
            assert answer.account == expected

    async def test_administrators_see_any(self, frontend: Frontend) -> None:
        answer = await frontend.call(pb.GetAccountRequest(name="accounts/bob"), ROOT)
        assert answer.account.name == "accounts/bob"


class TestAddCredits:
    async def test_adds_and_takes_back(self, frontend: Frontend) -> None:
        for request_id, amount, expected in (("r-1", 50, 150), ("r-2", -20, 130)):
            answer = await frontend.call(
                pb.AddCreditsRequest(request_id=request_id, account="accounts/bob", credits=amount),
                ROOT,
            )
            assert answer.account.posted_credits == expected


class TestTransferCredits:
    async def test_answers_with_the_senders_account(self, frontend: Frontend) -> None:
        answer = await frontend.call(
            pb.TransferCreditsRequest(request_id="r", recipient="accounts/bob", credits=40), ANN
        )
        assert (answer.account.name, answer.account.posted_credits) == ("accounts/ann", 160)
        assert await frontend.bench.credits("bob") == (140, 0)

    async def test_a_refusal_contains_credits_and_price(self, frontend: Frontend) -> None:
        refusal = await frontend.refused(
            pb.TransferCreditsRequest(request_id="r", recipient="accounts/bob", credits=201), ANN
        )
        assert refusal.code == grpc.StatusCode.FAILED_PRECONDITION
        assert refusal.facts == {"available": "200", "price": "201"}


class TestListEntries:
    async def test_shows_each_kind_from_the_callers_side(self, frontend: Frontend) -> None:
        bench = frontend.bench
        first, second = [await bench.place(f"r{number}") for number in (1, 2)]
        for drop, report in ((first, ()), (second, (State.NOT_DISPENSED, Cause.BOARD_REFUSED))):
            await frontend.dispense(drop, *report)
        await bench.transfers.send(await bench.account("ann"), "t", "bob", 5)
        page = await frontend.call(pb.ListEntriesRequest(), ANN)
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
            page = await frontend.call(
                pb.ListEntriesRequest(parent="accounts/bob", page_size=2, page_token=token), ROOT
            )
            assert len(page.entries) == expected
            seen += [entry.credits for entry in page.entries]
            token = page.next_page_token
        assert (seen, token) == ([4, 3, 2, 1, 100], "")

    async def test_a_page_token_of_another_account_is_refused(self, frontend: Frontend) -> None:
        page = await frontend.call(pb.ListEntriesRequest(page_size=1), ANN)
        refusal = await frontend.refused(
            pb.ListEntriesRequest(page_token=page.next_page_token), BOB
        )
        assert refusal.facts == {"field": "page_token"}


def credits_added(account: str) -> pb.AddCreditsRequest:
    return pb.AddCreditsRequest(request_id="r", account=account, credits=1)


class TestRefusals:
    @pytest.mark.parametrize(
        ("request_", "reason"),
        [
            (pb.GetAccountRequest(name="accounts/bob"), "NOT_OWNER"),
            (pb.GetAccountRequest(name="accounts/nobody"), "NOT_OWNER"),
            (pb.ListEntriesRequest(parent="accounts/nobody"), "NOT_OWNER"),
            (credits_added("accounts/bob"), "ADMIN_REQUIRED"),
            (credits_added("accounts/nobody"), "ADMIN_REQUIRED"),
        ],
    )
    async def test_rights_come_before_existence(
        self, frontend: Frontend, request_: Any, reason: str
    ) -> None:
        assert (await frontend.refused(request_, ANN)).status == ("PERMISSION_DENIED", reason)

    @pytest.mark.parametrize(
        "request_",
        [
            pb.GetAccountRequest(name="accounts/nobody"),
            pb.ListEntriesRequest(parent="accounts/nobody"),
        ],
    )
    async def test_an_account_that_is_not_there(self, frontend: Frontend, request_: Any) -> None:
        refusal = await frontend.refused(request_, ROOT)
        assert refusal.status == ("NOT_FOUND", "ACCOUNT_NOT_FOUND")

    @pytest.mark.parametrize(
        ("request_", "field"),
        [
            (credits_added("bob"), "account"),
            (pb.TransferCreditsRequest(request_id="r", recipient="bob", credits=1), "recipient"),
        ],
    )
    async def test_a_wrong_name_is_named(
        self, frontend: Frontend, request_: Any, field: str
    ) -> None:
        assert (await frontend.refused(request_, ROOT)).facts == {"field": field}


async def test_credits_are_set_and_the_entry_says_why(frontend: Frontend) -> None:
    request = pb.SetCreditsRequest(
        request_id="s",
        account="accounts/ann",
        posted_credits=0,
        expected_posted_credits=200,
        reason="moved out",
    )
    first, again = [await frontend.call(request, ROOT) for _ in range(2)]
    assert first.account == again.account
    assert first.account.posted_credits == 0
    own = await frontend.call(pb.ListEntriesRequest(), ANN)
    entry = own.entries[0]
    assert (entry.credits, entry.posted_change, entry.actor) == (-200, -200, "root")
    assert entry.reason == "moved out"

    request.request_id = "s2"
    refusal = await frontend.refused(request, ROOT)
    assert refusal.status == ("FAILED_PRECONDITION", "BALANCE_CHANGED")
    assert refusal.facts == {"posted": "0"}


@pytest.mark.parametrize(
    ("method", "fields", "field"),
    [
        ("AddCredits", {"reason": "x" * 201}, "reason"),
        ("AddCredits", {"reason": "\x7f"}, "reason"),
        ("TransferCredits", {"reason": "x" * 201}, "reason"),
        ("SetCredits", {"posted_credits": None}, "posted_credits"),
        ("SetCredits", {"expected_posted_credits": None}, "expected_posted_credits"),
        ("SetCredits", {"posted_credits": 2**63 - 1}, "posted_credits"),
        ("SetCredits", {"posted_credits": -(2**63)}, "posted_credits"),
        ("SetCredits", {"expected_posted_credits": 2**63 - 1}, "expected_posted_credits"),
        ("SetCredits", {"account": "ann"}, "account"),
        ("SetCredits", {"request_id": ""}, "request_id"),
        ("ListEntries", {"kinds": [7]}, "kinds"),
        ("ListEntries", {"kinds": [0]}, "kinds"),
        ("ListEntries", {"start_time": Timestamp(seconds=2**62)}, "start_time"),
        ("ListEntries", {"end_time": Timestamp(nanos=-1)}, "end_time"),
    ],
)
async def test_a_wrong_field_of_credits_is_named(
    frontend: Frontend, method: str, fields: dict[str, Any], field: str
) -> None:
    terms: dict[str, Any] = {
        "AddCredits": {"request_id": "a", "account": "accounts/ann", "credits": 5},
        "TransferCredits": {"request_id": "t", "recipient": "accounts/bob", "credits": 5},
        "SetCredits": {
            "request_id": "s",
            "account": "accounts/ann",
            "posted_credits": 5,
            "expected_posted_credits": 200,
        },
        "ListEntries": {},
    }[method] | fields
    request = getattr(pb, f"{method}Request")(**terms)
    refusal = await frontend.refused(request, ROOT)
    assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": field})


async def test_entries_of_a_kind_and_time_have_pages_of_their_own(frontend: Frontend) -> None:
    bench = frontend.bench
    start = Timestamp()
    start.FromMilliseconds(bench.clock.now_ms() + 1_000)
    bench.clock.pass_s(1)
    for number in range(3):
        root = await bench.account("root")
        await bench.transfers.add_credits(root, f"a{number}", "ann", 1 + number)
    request = pb.ListEntriesRequest(page_size=2, start_time=start, kinds=[pb.Entry.KIND_TRANSFER])
    page = await frontend.call(request, ANN)
    assert [entry.credits for entry in page.entries] == [3, 2]
    request.page_token = page.next_page_token
    last = await frontend.call(request, ANN)
    assert [entry.credits for entry in last.entries] == [1]

    request.ClearField("kinds")
    refusal = await frontend.refused(request, ANN)
    assert refusal.facts == {"field": "page_token"}
