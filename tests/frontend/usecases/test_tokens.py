"""Bearer tokens: whom they stand for, what they may do, and how they end."""

import asyncio

import pytest

from drink_frontend.domain.cache import Cache
from drink_frontend.domain.entities import Account, AuditKind, Proof
from drink_frontend.domain.errors import (
    AccountNotFoundError,
    FieldInvalidError,
    NotOwnerError,
    StorageUnavailableError,
    TokenInvalidError,
    TokenNotFoundError,
)
from drink_frontend.domain.tokens import Bearer, Scope, day_of
from drink_frontend.usecases.tokens import Tokens, code_of, digest
from tests.support.bench import Bench
from tests.support.ids import ROOT
from tests.support.sessions import until

MONTH_S = 30 * 24 * 3600
DAY_S = 24 * 3600


@pytest.fixture
async def carol(bench: Bench) -> Account:
    """An administrator who can log in."""
    return await bench.accounts.create(ROOT, "carol", password="right", admin=True)


@pytest.fixture
def tokens(bench: Bench) -> Tokens:
    return bench.accounts.tokens


def holder(account: Account, bench: Bench, scope: Scope = Scope.ALL) -> Bearer:
    return Bearer(account, scope, day_of(bench.clock.now_ms()))


async def test_a_token_stands_for_its_account_until_it_expires(
    bench: Bench, carol: Account, tokens: Tokens
) -> None:
    token, expires_ms = await tokens.issue(carol)
    assert expires_ms == bench.clock.now_ms() + MONTH_S * 1000
    assert await tokens.authenticate(token) == holder(carol, bench)

    bench.clock.pass_s(MONTH_S)
    with pytest.raises(TokenInvalidError):
        await tokens.authenticate(token)


async def test_a_token_is_recalled_until_it_is_found_not_to_be_good(
    bench: Bench, carol: Account, tokens: Tokens
) -> None:
    token, _ = await tokens.issue(carol)
    assert tokens.recall(digest(token)) is None
    await tokens.authenticate(token)
    assert tokens.recall(digest(token)) == holder(carol, bench)
    tokens.forget(digest(token))
    assert tokens.recall(digest(token)) is None
    tokens.forget(digest(token))


async def test_the_tokens_that_are_recalled_have_a_bound(
    bench: Bench, carol: Account, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "_recalled", Cache(2))
    issued = [(await tokens.issue(carol))[0] for _ in range(3)]
    for token in issued:
        await tokens.authenticate(token)
    known = holder(carol, bench)
    assert [tokens.recall(digest(token)) for token in issued] == [None, known, known]


@pytest.mark.parametrize("token", ["", "guess", "x" * 10_000])
async def test_an_unknown_token(tokens: Tokens, token: str) -> None:
    with pytest.raises(TokenInvalidError):
        await tokens.authenticate(token)


@pytest.mark.parametrize(
    ("scope", "admin"), [(Scope.ALL, True), (Scope.READ, True), (Scope.DROP, False)]
)
async def test_a_token_that_may_only_drop_gives_no_rights_of_an_administrator(
    bench: Bench, carol: Account, tokens: Tokens, scope: Scope, admin: bool
) -> None:
    token, _ = await tokens.issue(carol, scope=scope)
    for bearer in (await tokens.authenticate(token), tokens.recall(digest(token))):
        assert bearer is not None
        assert (bearer.scope, bearer.account.name) == (scope, "carol")
        assert bearer.account.admin is admin


@pytest.mark.parametrize("name", ["x" * 201, "a\nb", "a\0b", "\u202e"])
async def test_a_name_that_cannot_be_shown_is_refused(
    carol: Account, tokens: Tokens, name: str
) -> None:
    with pytest.raises(FieldInvalidError, match="display_name"):
        await tokens.issue(carol, name=name)


async def test_the_list_tells_all_but_the_secret(
    bench: Bench, carol: Account, tokens: Tokens
) -> None:
    now_ms = bench.clock.now_ms()
    phone, expires_ms = await tokens.issue(carol, scope=Scope.DROP, name="phone")
    (listed,) = await tokens.list(carol, "Carol")
    assert (listed.account, listed.scope, listed.name) == (carol.id, Scope.DROP, "phone")
    assert (listed.created_ms, listed.expires_ms) == (now_ms, expires_ms)
    assert listed.used_ms == day_of(now_ms)
    assert phone not in repr(listed)
    assert digest(phone) not in repr(listed)


async def test_expired_tokens_are_not_listed(bench: Bench, carol: Account, tokens: Tokens) -> None:
    await tokens.issue(carol)
    bench.clock.pass_s(MONTH_S - 1)
    await tokens.issue(carol, name="second")
    bench.clock.pass_s(1)
    assert [each.name for each in await tokens.list(carol, "carol")] == ["second"]


async def used_ms(tokens: Tokens, owner: Account) -> int | None:
    (listed,) = await tokens.list(owner, owner.name)
    return listed.used_ms


async def marked(tokens: Tokens) -> None:
    """Waits until the days of use are written."""
    await until(lambda: not tokens._marking)


async def test_the_day_of_the_last_use_is_kept(
    bench: Bench, carol: Account, tokens: Tokens
) -> None:
    token, _ = await tokens.issue(carol)
    first_day = day_of(bench.clock.now_ms())
    bench.clock.pass_s(2 * DAY_S)
    assert await used_ms(tokens, carol) == first_day
    await tokens.authenticate(token)
    await marked(tokens)
    assert await used_ms(tokens, carol) == first_day + 2 * DAY_S * 1000


async def test_a_day_is_written_once(bench: Bench, carol: Account, tokens: Tokens) -> None:
    token, _ = await tokens.issue(carol)
    bench.clock.pass_s(DAY_S)
    await asyncio.gather(*(tokens.authenticate(token) for _ in range(9)))
    assert len(tokens._marking) <= 1
    await marked(tokens)
    commits = bench.storage.stats.units
    await tokens.authenticate(token)
    assert not tokens._marking
    assert bench.storage.stats.units == commits


async def test_a_database_that_takes_no_changes_keeps_nobody_from_reading(
    bench: Bench, carol: Account, tokens: Tokens
) -> None:
    token, _ = await tokens.issue(carol)
    bench.clock.pass_s(DAY_S)
    bench.storage.gate.clear()
    assert (await tokens.authenticate(token)).account == carol
    bench.storage.error = StorageUnavailableError("full")
    bench.storage.gate.set()
    await marked(tokens)
    bench.storage.error = None
    assert (await tokens.authenticate(token)).account == carol
    await marked(tokens)
    assert await used_ms(tokens, carol) == day_of(bench.clock.now_ms())


async def test_a_drop_is_a_use(bench: Bench, tokens: Tokens) -> None:
    ann = await bench.account("ann")
    token, _ = await tokens.issue(ann)
    bench.clock.pass_s(DAY_S)
    await bench.place(token=digest(token))
    assert await used_ms(tokens, ann) == day_of(bench.clock.now_ms())


async def test_one_token_is_revoked(carol: Account, tokens: Tokens) -> None:
    kept, gone = [(await tokens.issue(carol, name=name))[0] for name in ("kept", "gone")]
    await tokens.authenticate(gone)
    token_id = digest(gone)[:16]
    await tokens.revoke(carol, "carol", token_id)
    assert tokens.recall(digest(gone)) is None
    with pytest.raises(TokenInvalidError):
        await tokens.authenticate(gone)
    assert (await tokens.authenticate(kept)).account == carol
    with pytest.raises(TokenNotFoundError):
        await tokens.revoke(carol, "carol", token_id)


async def test_all_tokens_but_one_are_revoked(carol: Account, tokens: Tokens) -> None:
    issued = [(await tokens.issue(carol, scope=scope))[0] for scope in Scope]
    assert await tokens.revoke_all(carol, "carol", digest(issued[0])) == len(Scope) - 1
    assert [each.digest for each in await tokens.list(carol, "carol")] == [digest(issued[0])]
    assert await tokens.revoke_all(carol, "carol") == 1
    assert await tokens.revoke_all(carol, "carol") == 0


async def test_who_is_no_administrator_learns_nothing_of_others(
    bench: Bench, carol: Account, tokens: Tokens
) -> None:
    ann = await bench.account("ann")
    token, _ = await tokens.issue(carol)
    for name in ("carol", "nobody"):
        with pytest.raises(NotOwnerError):
            await tokens.list(ann, name)
        with pytest.raises(NotOwnerError):
            await tokens.revoke(ann, name, digest(token)[:16])
        with pytest.raises(NotOwnerError):
            await tokens.revoke_all(ann, name)
    assert (await tokens.authenticate(token)).account == carol


async def test_an_administrator_revokes_others_tokens_and_it_is_recorded(
    bench: Bench, carol: Account, tokens: Tokens
) -> None:
    token, _ = await tokens.issue(await bench.account("ann"))
    token_id = digest(token)[:16]
    await tokens.revoke(carol, "ann", token_id)
    (record,) = await bench.storage.read(
        lambda tx: tx.audit.list(kinds=[AuditKind.ACCOUNT_CHANGED], limit=1)
    )
    assert (record.actor, record.account) == ("carol", "ann")
    assert record.facts == {"tokens_revoked": [token_id]}
    with pytest.raises(AccountNotFoundError):
        await tokens.revoke(carol, "nobody", token_id)


async def test_a_logout_ends_the_token_of_the_caller_alone(
    bench: Bench, carol: Account, tokens: Tokens
) -> None:
    mine, _ = await tokens.issue(carol, Proof.IBUTTON, scope=Scope.READ)
    other, _ = await tokens.issue(await bench.account("ann"))
    await tokens.log_out(carol, digest(other))
    await tokens.log_out(carol, digest(mine))
    with pytest.raises(TokenInvalidError):
        await tokens.authenticate(mine)
    assert (await tokens.authenticate(other)).account.name == "ann"


def test_a_code_has_its_digits_whatever_it_is_drawn_by() -> None:
    codes = [code_of(f"secret {number}", 2) for number in range(500)]
    assert {len(code) for code in codes} == {2}
    assert all(code.isdecimal() for code in codes)
    assert any(code.startswith("0") for code in codes)
