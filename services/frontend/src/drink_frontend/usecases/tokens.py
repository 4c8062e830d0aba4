"""Bearer tokens: issuing, looking up, listing and revoking them."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from drink_frontend.domain.cache import Cache
from drink_frontend.domain.entities import Account, AuditKind, AuditRecord, Proof
from drink_frontend.domain.errors import (
    StorageUnavailableError,
    TokenInvalidError,
    TokenNotFoundError,
)
from drink_frontend.domain.limits import check_text
from drink_frontend.domain.ports import Clock, Randomness
from drink_frontend.domain.tokens import AccessToken, Bearer, Scope, day_of
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.users import user_shown

RECALLED_MAX = 10_000
"""Tokens that are recalled, some 5 MB; as many as accounts that are shown from memory."""

MARKED_MAX = 64
"""Days of use that are being written at a time. Above it a day is written with a later use."""


def digest(secret: str) -> str:
    """SHA-256 of a token or iButton, which is stored in place of the secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def code_of(secret: str, digits: int) -> str:
    """A code of that many digits, drawn by a random text; people type it in."""
    number = int.from_bytes(hashlib.sha256(secret.encode()).digest())
    return f"{number % 10**digits:0{digits}}"


class Tokens:
    """Use cases of bearer tokens.

    Args:
        storage: The database.
        clock: Time.
        randomness: New tokens.
        ttl_s: Seconds that a token is valid.
        notify_ttl_s: Seconds that a token for notifications is valid.
    """

    def __init__(
        self, storage: Database, clock: Clock, randomness: Randomness, ttl_s: int, notify_ttl_s: int
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._randomness = randomness
        self._ttl_s = ttl_s
        self._notify_ttl_s = notify_ttl_s
        self._recalled = Cache[str, Bearer](RECALLED_MAX)
        self._marking: dict[str, asyncio.Task[None]] = {}

    async def issue(
        self,
        account: Account,
        proof: Proof = Proof.PASSWORD,
        *,
        scope: Scope = Scope.ALL,
        name: str = "",
        ttl_s: int | None = None,
        assertion: str = "",
    ) -> tuple[str, int]:
        """A new bearer token of the account, and its expiry in ms since the epoch.

        Args:
            account: The account that has logged in.
            proof: How it logged in; the token is revoked together with that credential.
            scope: What the token may be used for.
            name: What its owner calls it.
            ttl_s: Seconds that it is valid, if that is less than for other tokens.
            assertion: `ProviderLogin.assertion` of a login with an OpenID provider, which can end
                it; empty for any other.

        Raises:
            FieldInvalidError: the name is invalid.
        """
        check_text(name, "display_name")
        most_s = self._notify_ttl_s if scope is Scope.NOTIFY else self._ttl_s
        lasts_s = most_s if ttl_s is None else min(ttl_s, most_s)
        secret, now_ms = self._randomness.token(), self._clock.now_ms()
        token = AccessToken(
            digest=digest(secret),
            account=account.id,
            scope=scope,
            name=name or None,
            created_ms=now_ms,
            used_ms=day_of(now_ms),
            expires_ms=now_ms + lasts_s * 1000,
        )

        def add(tx: Transaction) -> None:
            tx.tokens.add(token, proof)
            if assertion:
                tx.provider_logins.set_token(assertion, token.digest, token.expires_ms)

        await self._storage.write(add)
        return secret, token.expires_ms

    async def authenticate(self, token: str) -> Bearer:
        """Whom a bearer token stands for.

        With a token that may only drop, an administrator is a user like any other.

        Raises:
            TokenInvalidError: nobody, or it has expired, or the account is closed.
        """
        now_ms, token_digest = self._clock.now_ms(), digest(token)
        bearer = await self._storage.read(lambda tx: tx.tokens.holder(token_digest, now_ms))
        if bearer is None or bearer.account.closed:
            raise TokenInvalidError("the token is not known")
        if bearer.is_used_before(now_ms):
            self._mark_used(token_digest, now_ms)
        if bearer.scope is Scope.DROP:
            bearer = replace(bearer, account=replace(bearer.account, admin=False))
        self._recalled.keep(token_digest, bearer)
        return bearer

    def recall(self, token_digest: str) -> Bearer | None:
        """Whom a token stood for when it was last looked up, as the account was then.

        Only for callers whose unit of work looks the token up again (`DropOrder.token`).
        """
        return self._recalled.get_cached(token_digest)

    def forget(self, token_digest: str) -> None:
        """Removes a token from the cache: it was found to be invalid."""
        self._recalled.forget(token_digest)

    async def list(self, caller: Account, name: str) -> Sequence[AccessToken]:
        """The valid tokens of a user; the one that expires last comes first.

        Raises:
            NotOwnerError: they are not the caller's, who is no administrator.
            AccountNotFoundError: there is no such user.
        """
        now_ms = self._clock.now_ms()

        def read(tx: Transaction) -> Sequence[AccessToken]:
            return tx.tokens.list(user_shown(tx, caller, name, "tokens").id, now_ms)

        return await self._storage.read(read)

    async def log_out(self, caller: Account, token_digest: str) -> None:
        """Ends one login of the caller: the token with that digest is refused from now on."""
        now_ms = self._clock.now_ms()

        def end(tx: Transaction) -> None:
            for token in tx.tokens.list(caller.id, now_ms):
                if token.digest == token_digest:
                    tx.tokens.remove(token)

        await self._storage.write(end)
        self.forget(token_digest)

    async def revoke(self, caller: Account, name: str, token_id: str) -> None:
        """Ends one token of a user, and the calls that use it.

        Raises:
            NotOwnerError: it is not the caller's, who is no administrator.
            AccountNotFoundError: there is no such user.
            TokenNotFoundError: the user has no such token.
        """
        if not await self._revoke(caller, name, lambda token: token.id == token_id):
            raise TokenNotFoundError("no such token")

    async def revoke_all(self, caller: Account, name: str, keep: str | None = None) -> int:
        """Ends all tokens of a user, and the calls that use them; returns how many these are.

        Args:
            caller: Who revokes them.
            name: The user.
            keep: Digest of the one that stays; None for none.

        Raises:
            NotOwnerError: they are not the caller's, who is no administrator.
            AccountNotFoundError: there is no such user.
        """
        return await self._revoke(caller, name, lambda token: token.digest != keep)

    async def _revoke(
        self, caller: Account, name: str, is_meant: Callable[[AccessToken], bool]
    ) -> int:
        now_ms = self._clock.now_ms()

        def revoke(tx: Transaction) -> Sequence[AccessToken]:
            account = user_shown(tx, caller, name, "tokens")
            ended = [token for token in tx.tokens.list(account.id, now_ms) if is_meant(token)]
            for token in ended:
                tx.tokens.remove(token)
            # What users do with their own logins is not recorded: they could do it without end.
            if ended and account.id != caller.id:
                facts = {"tokens_revoked": [token.id for token in ended]}
                tx.audit.add(
                    AuditRecord(
                        AuditKind.ACCOUNT_CHANGED,
                        now_ms,
                        caller.id,
                        account=account.id,
                        facts=facts,
                    )
                )
            return ended

        ended = await self._storage.write(revoke)
        for token in ended:
            self.forget(token.digest)
        return len(ended)

    def _mark_used(self, token_digest: str, now_ms: int) -> None:
        """Writes today as the day of the token's last use, without delaying the call."""
        if token_digest in self._marking or len(self._marking) >= MARKED_MAX:
            return

        async def mark() -> None:
            # It is written with a later use if the database does not take it now.
            with suppress(StorageUnavailableError):
                await self._storage.write(lambda tx: tx.tokens.mark_used(token_digest, now_ms))

        task = asyncio.create_task(mark(), name="mark a token's use")
        self._marking[token_digest] = task
        task.add_done_callback(lambda _: self._marking.pop(token_digest, None))
