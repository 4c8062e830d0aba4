"""AccountService over a real server."""

import grpc
import pytest

from drink.v1 import account_service_pb2 as pb
from drink_frontend.domain.entities import Proof
from drink_frontend.domain.errors import RateLimitedError
from drink_frontend.domain.ledger import TransferKind
from tests.fakes.rpc_frontend import ALICE, BOB, LIMIT_S, ROOT, Frontend, refused
from tests.fakes.rpc_usecases import NOW_MS


def with_password(account: str = "accounts/alice", password: str = "secret of alice"):  # type: ignore[no-untyped-def]
    return pb.LoginRequest(password=pb.PasswordCredentials(account=account, password=password))


class TestLogin:
    async def test_gives_a_token_that_works(self, frontend: Frontend) -> None:
        login = await frontend.account_stub.Login(with_password(), timeout=LIMIT_S)
        assert login.expire_time.ToMilliseconds() == NOW_MS + 60_000
        assert login.account.name == "accounts/alice"
        answer = await frontend.account_stub.GetAccount(
            pb.GetAccountRequest(),
            metadata=(("authorization", f"bearer {login.token}"),),
            timeout=LIMIT_S,
        )
        assert answer.account == login.account
        assert frontend.accounts.origins == ["127.0.0.1"]

    async def test_fault_70_a_token_is_kept_with_what_made_it(self, frontend: Frontend) -> None:
        """So that it ends with that."""
        for request in (with_password(), pb.LoginRequest(ibutton="0123456789abcdef")):
            await frontend.account_stub.Login(request, timeout=LIMIT_S)
        assert frontend.accounts.proofs == [Proof.PASSWORD, Proof.IBUTTON]

    async def test_takes_an_ibutton_in_any_case(self, frontend: Frontend) -> None:
        login = await frontend.account_stub.Login(
            pb.LoginRequest(ibutton="0123456789abcdef"), timeout=LIMIT_S
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
    async def test_never_says_what_did_not_match(
        self, frontend: Frontend, request_: pb.LoginRequest
    ) -> None:
        refusal = await refused(frontend.account_stub.Login(request_, timeout=LIMIT_S))
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.UNAUTHENTICATED,
            "CREDENTIALS_INVALID",
        )
        assert refusal.facts == {}

    async def test_guessing_is_slowed_down(self, frontend: Frontend) -> None:
        frontend.accounts.broken.error = RateLimitedError("too many", retry_after_seconds=30)
        refusal = await refused(frontend.account_stub.Login(with_password(), timeout=LIMIT_S))
        assert refusal.code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refusal.retry_after_s == 30

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
    async def test_shows_the_caller_how_it_stands(self, frontend: Frontend) -> None:
        frontend.accounts.change("alice", held=30)
        expected = pb.Account(
            name="accounts/alice", posted_credits=100, held_credits=30, available_credits=70
        )
        for name in ("", "accounts/alice"):
            answer = await frontend.account_stub.GetAccount(
                pb.GetAccountRequest(name=name), metadata=ALICE, timeout=LIMIT_S
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
                pb.GetAccountRequest(name=name), metadata=ALICE, timeout=LIMIT_S
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
                metadata=ALICE,
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
            metadata=ALICE,
            timeout=LIMIT_S,
        )
        assert (answer.account.name, answer.account.posted_credits) == ("accounts/alice", 60)
        assert frontend.accounts.users["bob"].posted == 140

    async def test_says_what_there_is(self, frontend: Frontend) -> None:
        refusal = await refused(
            frontend.account_stub.TransferCredits(
                pb.TransferCreditsRequest(request_id="r", recipient="accounts/bob", credits=101),
                metadata=ALICE,
                timeout=LIMIT_S,
            )
        )
        assert refusal.code == grpc.StatusCode.FAILED_PRECONDITION
        assert refusal.facts == {"available": "100", "price": "101"}

    async def test_names_a_wrong_recipient(self, frontend: Frontend) -> None:
        refusal = await refused(
            frontend.account_stub.TransferCredits(
                pb.TransferCreditsRequest(request_id="r", recipient="bob", credits=1),
                metadata=ALICE,
                timeout=LIMIT_S,
            )
        )
        assert refusal.facts == {"field": "recipient"}


class TestListEntries:
    async def test_shows_each_kind_from_the_callers_side(self, frontend: Frontend) -> None:
        drop_id = "0" * 26
        write = frontend.accounts.write
        write("alice", TransferKind.MOVE, 100, "funding")
        write("alice", TransferKind.HOLD, -10, "sales/d", drop_id)
        write("alice", TransferKind.POST, -10, "sales/d", drop_id)
        write("alice", TransferKind.VOID, 10, "sales/d", drop_id)
        write("alice", TransferKind.MOVE, -5, "bob")
        page = await frontend.account_stub.ListEntries(
            pb.ListEntriesRequest(), metadata=ALICE, timeout=LIMIT_S
        )
        assert [
            (entry.name, entry.kind, entry.credits, entry.counterpart, entry.drop)
            for entry in page.entries
        ] == [
            ("accounts/alice/entries/5", pb.Entry.KIND_TRANSFER, -5, "accounts/bob", ""),
            ("accounts/alice/entries/4", pb.Entry.KIND_VOID, 10, "sales/d", f"drops/{drop_id}"),
            ("accounts/alice/entries/3", pb.Entry.KIND_POST, -10, "sales/d", f"drops/{drop_id}"),
            ("accounts/alice/entries/2", pb.Entry.KIND_HOLD, -10, "sales/d", f"drops/{drop_id}"),
            ("accounts/alice/entries/1", pb.Entry.KIND_TRANSFER, 100, "funding", ""),
        ]
        assert page.entries[0].create_time.ToMilliseconds() == NOW_MS
        assert page.next_page_token == ""

    async def test_pages(self, frontend: Frontend) -> None:
        for amount in range(1, 6):
            frontend.accounts.write("bob", TransferKind.MOVE, amount, "funding")
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
        assert (seen, token) == ([5, 4, 3, 2, 1], "")

    async def test_a_page_token_of_another_account_is_refused(self, frontend: Frontend) -> None:
        frontend.accounts.write("alice", TransferKind.MOVE, 1, "funding")
        page = await frontend.account_stub.ListEntries(
            pb.ListEntriesRequest(page_size=1), metadata=ALICE, timeout=LIMIT_S
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
                pb.ListEntriesRequest(parent="accounts/nobody"), metadata=ALICE, timeout=LIMIT_S
            )
        )
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_OWNER")
