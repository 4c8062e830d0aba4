"""Bearer tokens over gRPC: their scopes, the list of them, and their end."""

from collections.abc import Awaitable
from typing import Any

import grpc
import pytest

from drink.v1 import account_service_pb2 as pb
from drink.v1 import drop_service_pb2 as drops
from drink.v1 import machine_service_pb2 as machines
from drink_frontend.domain.tokens import Scope
from drink_frontend.rpc.authentication import Access, access_of, scopes_of
from tests.frontend.rpc.test_authentication import METHODS, call
from tests.frontend.rpc.test_drop_service import order, watch_of
from tests.support.ids import id_of
from tests.support.rpc_frontend import (
    ANN,
    BOB,
    PASSWORD,
    ROOT,
    Frontend,
    read,
    read_refusal,
    refused,
)

Metadata = tuple[tuple[str, str], ...]

SCOPES = {
    Scope.ALL: pb.TOKEN_SCOPE_ALL,
    Scope.DROP: pb.TOKEN_SCOPE_DROP,
    Scope.READ: pb.TOKEN_SCOPE_READ,
    Scope.NOTIFY: pb.TOKEN_SCOPE_NOTIFY,
}


def login(scope: Any = None, **terms: Any) -> pb.LoginRequest:
    credentials = pb.PasswordCredentials(account="accounts/ann", password=PASSWORD)
    return pb.LoginRequest(password=credentials, scope=scope, **terms)


async def logged_in(frontend: Frontend, scope: Any = None, **terms: Any) -> Metadata:
    """What goes with the calls of a new login."""
    answer = await frontend.call(login(scope, **terms))
    return (("authorization", f"Bearer {answer.token}"),)


async def listed(frontend: Frontend, metadata: Any, **terms: Any) -> list[pb.Token]:
    answer = await frontend.call(pb.ListTokensRequest(**terms), metadata)
    return list(answer.tokens)


async def revoke(frontend: Frontend, metadata: Any, name: str) -> None:
    await frontend.call(pb.RevokeTokenRequest(name=name), metadata)


async def reason_of(answer: Awaitable[Any]) -> str:
    """The reason of a call's refusal; empty if it is answered."""
    try:
        await answer
    except grpc.aio.AioRpcError as error:
        return read_refusal(error).reason
    return ""


async def is_good(frontend: Frontend, metadata: Any) -> bool:
    reason = await reason_of(listed(frontend, metadata))
    assert reason in {"", "TOKEN_INVALID"}
    return not reason


class TestScope:
    @pytest.mark.parametrize("scope", [Scope.DROP, Scope.READ])
    @pytest.mark.parametrize(
        ("service", "name", "streaming"),
        [row for row in METHODS if access_of(f"/{row[0]}/{row[1]}") is Access.USER],
    )
    async def test_a_limited_token_calls_what_its_scope_includes(
        self, frontend: Frontend, service: str, name: str, streaming: bool, scope: Scope
    ) -> None:
        metadata = await logged_in(frontend, SCOPES[scope])
        method = f"/{service}/{name}"
        if scope in scopes_of(method):
            # An empty request is answered, or refused for what it lacks.
            reason = await reason_of(call(frontend, method, streaming, metadata))
            assert reason in {"", "FIELD_INVALID", "ADMIN_REQUIRED"}
            return
        refusal = await refused(call(frontend, method, streaming, metadata, has_rights=False))
        assert (refusal.code, refusal.reason, refusal.facts) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "TOKEN_SCOPE",
            {"scope": scope.value},
        )

    def test_who_may_only_read_changes_nothing(self) -> None:
        allowed = {
            name for service, name, _ in METHODS if Scope.READ in scopes_of(f"/{service}/{name}")
        }
        reading = {name for name in allowed if name.startswith(("Get", "List", "Watch"))}
        without_token = {"Login", "EndProviderSessions", "RedeemPairingCode"}
        assert allowed - reading == {"Logout", *without_token}

    async def test_a_new_method_needs_all_rights(self) -> None:
        assert scopes_of("/drink.v1.DropService/New") == {Scope.ALL}

    async def test_who_may_only_drop_buys_and_follows_the_drop(self, frontend: Frontend) -> None:
        phone = await logged_in(frontend, pb.TOKEN_SCOPE_DROP)
        for request_id in ("first", "second"):
            request = order(request_id=request_id, no_wait=True)
            answer = await frontend.call(request, phone)
            look = drops.GetDropRequest(request_id=request_id)
            found = await frontend.call(look, phone)
            assert found.drop == answer.drop
        everything = machines.ListMachinesRequest()
        await frontend.call(everything, phone)
        await frontend.call(pb.LogoutRequest(), phone)
        assert not await is_good(frontend, phone)

    async def test_who_may_only_read_buys_nothing_from_a_cached_account(
        self, frontend: Frontend
    ) -> None:
        wall = await logged_in(frontend, pb.TOKEN_SCOPE_READ)
        await listed(frontend, wall)
        buying = frontend.call(order(), wall)
        assert (await refused(buying)).reason == "TOKEN_SCOPE"
        assert await frontend.kept_drops() == []

    async def test_an_administrator_who_may_only_drop_sees_no_drops_of_others(
        self, frontend: Frontend
    ) -> None:
        drop = await frontend.bench.place(account=id_of("bob"))
        await frontend.bench.accounts.change("test", "ann", admin=True)
        for scope, reason in ((pb.TOKEN_SCOPE_DROP, "DROP_NOT_FOUND"), (pb.TOKEN_SCOPE_READ, "")):
            metadata = await logged_in(frontend, scope)
            request = drops.GetDropRequest(name=f"drops/{drop.id}")
            looking = frontend.call(request, metadata)
            if reason:
                assert (await refused(looking)).reason == reason
            else:
                assert (await looking).drop.account == "accounts/bob"

    @pytest.mark.parametrize(
        ("terms", "field"),
        [
            ({"scope": 99}, "scope"),
            ({"scope": -1}, "scope"),
            ({"scope": 2**31 - 1}, "scope"),
            ({"display_name": "x" * 201}, "display_name"),
            ({"display_name": "a\nb"}, "display_name"),
            ({"display_name": "\0"}, "display_name"),
        ],
    )
    async def test_a_wrong_field_is_named_and_no_token_issued(
        self, frontend: Frontend, terms: dict[str, Any], field: str
    ) -> None:
        before = await listed(frontend, ANN)
        refusal = await refused(frontend.call(login(**terms)))
        assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": field})
        assert await listed(frontend, ANN) == before

    async def test_a_text_in_place_of_a_scope_is_refused(self, frontend: Frontend) -> None:
        """Field 3 with the type of a text, as another program's stubs might send it."""
        raw = login().SerializeToString() + b"\x1a\x04DROP"
        channel: Any = frontend.channel
        answer = await channel.unary_unary("/drink.v1.AccountService/Login")(raw)
        # A field of another type is an unknown one: as without it, the token has all rights.
        token = pb.LoginResponse.FromString(answer).token
        metadata = (("authorization", f"Bearer {token}"),)
        current = [each for each in await listed(frontend, metadata) if each.current]
        assert [each.scope for each in current] == [pb.TOKEN_SCOPE_ALL]


class TestListTokens:
    async def test_tells_all_but_the_secret(self, frontend: Frontend) -> None:
        metadata = await logged_in(frontend, pb.TOKEN_SCOPE_READ, display_name="wall")
        mine, first = await listed(frontend, metadata)
        assert (mine.scope, mine.display_name, mine.current) == (pb.TOKEN_SCOPE_READ, "wall", True)
        assert (first.scope, first.display_name, first.current) == (pb.TOKEN_SCOPE_ALL, "", False)
        assert mine.create_time.ToMilliseconds() == frontend.bench.clock.now_ms()
        assert mine.last_use_time.seconds % 86_400 == 0
        assert mine.expire_time.seconds > mine.create_time.seconds
        assert mine.name.startswith("accounts/ann/tokens/")
        assert metadata[0][1].removeprefix("Bearer ") not in str(mine)

    async def test_pages_follow_each_other(self, frontend: Frontend) -> None:
        for number in range(4):
            # Two tokens that expire together are on two pages.
            frontend.bench.clock.pass_s(number % 2)
            await logged_in(frontend, display_name=f"{number}")
        everything = await listed(frontend, ANN)
        pages, token = [], ""
        while True:
            request = pb.ListTokensRequest(page_size=2, page_token=token)
            answer = await frontend.call(request, ANN)
            pages.append(list(answer.tokens))
            token = answer.next_page_token
            if not token:
                break
        assert [len(page) for page in pages] == [2, 2, 1]
        assert [each for page in pages for each in page] == everything

    async def test_others_are_for_administrators(self, frontend: Frontend) -> None:
        assert len(await listed(frontend, ROOT, parent="accounts/Ann")) == 1
        for parent in ("accounts/ann", "accounts/nobody"):
            refusal = await refused(listed(frontend, BOB, parent=parent))
            assert refusal.reason == "NOT_OWNER"
        refusal = await refused(listed(frontend, ROOT, parent="accounts/nobody"))
        assert refusal.reason == "ACCOUNT_NOT_FOUND"

    @pytest.mark.parametrize(
        ("terms", "field"),
        [
            ({"parent": "ann"}, "parent"),
            ({"parent": "accounts/a b"}, "parent"),
            ({"parent": "accounts/a\0"}, "parent"),
            ({"parent": "accounts/" + "x" * 33}, "parent"),
            ({"page_size": -1}, "page_size"),
            ({"page_size": -(2**31)}, "page_size"),
            ({"page_token": "x"}, "page_token"),
            ({"page_token": "YW5uAAAAAAAAAAAAAA=="}, "page_token"),
        ],
    )
    async def test_a_wrong_field_is_named(
        self, frontend: Frontend, terms: dict[str, Any], field: str
    ) -> None:
        refusal = await refused(listed(frontend, ROOT, **terms))
        assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": field})

    async def test_a_page_token_is_good_for_its_own_list(self, frontend: Frontend) -> None:
        await logged_in(frontend)
        first = await frontend.call(pb.ListTokensRequest(page_size=1), ANN)
        other = listed(frontend, BOB, page_token=first.next_page_token)
        assert (await refused(other)).facts == {"field": "page_token"}


class TestRevokeToken:
    async def test_fault_70_the_token_in_use_ends_with_what_it_let_somebody_do(
        self, frontend: Frontend
    ) -> None:
        phone = await logged_in(frontend, pb.TOKEN_SCOPE_DROP)
        watch = watch_of(frontend, await frontend.bench.place(), phone)
        await read(watch)
        other = watch_of(frontend, await frontend.bench.place("r2"), ANN)
        await read(other)
        (name,) = [each.name for each in await listed(frontend, ANN) if not each.current]

        await revoke(frontend, ANN, name)

        refusal = await refused(read(watch))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")
        await frontend.drops.followers.are(1)
        assert await is_good(frontend, ANN)

    async def test_the_own_token_is_revoked_and_the_call_answered(self, frontend: Frontend) -> None:
        laptop = await logged_in(frontend)
        (name,) = [each.name for each in await listed(frontend, laptop) if each.current]
        await revoke(frontend, laptop, name)
        assert not await is_good(frontend, laptop)
        assert (await refused(revoke(frontend, ANN, name))).reason == "TOKEN_NOT_FOUND"

    async def test_others_are_for_administrators_and_rights_come_first(
        self, frontend: Frontend
    ) -> None:
        (name,) = [each.name for each in await listed(frontend, ANN)]
        for unseen in (name, "accounts/ann/tokens/" + "0" * 16, "accounts/no/tokens/" + "0" * 16):
            assert (await refused(revoke(frontend, BOB, unseen))).reason == "NOT_OWNER"
        missing = "accounts/ann/tokens/" + "0" * 16
        assert (await refused(revoke(frontend, ROOT, missing))).reason == "TOKEN_NOT_FOUND"
        missing = "accounts/no/tokens/" + "0" * 16
        assert (await refused(revoke(frontend, ROOT, missing))).reason == "ACCOUNT_NOT_FOUND"
        await revoke(frontend, ROOT, name)
        assert not await is_good(frontend, ANN)

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "accounts/ann",
            "accounts/ann/tokens/",
            "accounts/ann/tokens/" + "0" * 15,
            "accounts/ann/tokens/" + "0" * 17,
            "accounts/ann/tokens/" + "G" * 16,
            "accounts/ann/tokens/" + "0" * 15 + "\0",
            "accounts/a b/tokens/" + "0" * 16,
            "accounts//tokens/" + "0" * 16,
            "drops/ann/tokens/" + "0" * 16,
            "accounts/" + "x" * 10_000 + "/tokens/" + "0" * 16,
        ],
    )
    async def test_a_wrong_name_is_refused(self, frontend: Frontend, name: str) -> None:
        refusal = await refused(revoke(frontend, ANN, name))
        assert (refusal.reason, refusal.facts) == ("FIELD_INVALID", {"field": "name"})


class TestRevokeAllTokens:
    async def revoked(self, frontend: Frontend, metadata: Any, **terms: Any) -> int:
        answer = await frontend.call(pb.RevokeAllTokensRequest(**terms), metadata)
        return int(answer.count)

    async def test_ends_every_other_login(self, frontend: Frontend) -> None:
        others = [await logged_in(frontend, scope) for scope in SCOPES.values()]
        assert await self.revoked(frontend, ANN, keep_current=True) == len(SCOPES)
        assert [await is_good(frontend, other) for other in others[:1]] == [False]
        assert await is_good(frontend, ANN)
        assert await self.revoked(frontend, ANN) == 1
        assert not await is_good(frontend, ANN)

    async def test_others_are_for_administrators(self, frontend: Frontend) -> None:
        for parent in ("accounts/ann", "accounts/nobody"):
            refusal = await refused(self.revoked(frontend, BOB, parent=parent))
            assert refusal.reason == "NOT_OWNER"
        assert await self.revoked(frontend, ROOT, parent="accounts/ann", keep_current=True) == 1
        assert not await is_good(frontend, ANN)
        assert await is_good(frontend, ROOT)
        refusal = await refused(self.revoked(frontend, ROOT, parent="accounts/"))
        assert refusal.facts == {"field": "parent"}
