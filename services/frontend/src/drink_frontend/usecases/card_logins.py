"""Logins with cards at kiosks, read there or by the reader of the machine's agent.

Numbers of cards are short: who has the token of a kiosk or of an agent can guess them. So a kiosk
and a machine read few cards in a time, and few that log nobody in; what the reads let in can only
drop, at the kiosk's machine and for a short time; and who guesses raises an alarm. An agent is told
nothing: what its reads let in goes to the kiosks that are paired with the machine.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass, field

import structlog

from drink_frontend.domain.alarms import Alarm, AlarmKind, machine_subject
from drink_frontend.domain.cards import (
    CARD_CODE_DIGITS,
    CardKey,
    CardKind,
    CardRead,
    kind_of,
    plain_number,
)
from drink_frontend.domain.entities import Account, Proof
from drink_frontend.domain.errors import (
    CredentialsInvalidError,
    RateLimitedError,
    TokenInvalidError,
)
from drink_frontend.domain.kiosks import Kiosk, KioskState, kiosk_subject
from drink_frontend.domain.ledger import AccountKind
from drink_frontend.domain.limits import check_barcode
from drink_frontend.domain.ports import Clock, Randomness
from drink_frontend.domain.rate_limiter import RateLimiter
from drink_frontend.domain.tokens import AccessToken, Scope, day_of
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.settings import KioskSettings
from drink_frontend.usecases.tokens import code_of, digest

log = structlog.get_logger(__name__)

ALARM_INTERVAL_S = 60.0
"""Seconds between two writes of the alarm about one kiosk or machine."""

CODES_TRIED = 4
"""Codes that are drawn for a card, of which one that no other card has is given."""

LOOKS = 2
"""How often a watch looks for cards within `read_s` although nobody told it of one."""


@dataclass(frozen=True, slots=True)
class KioskCardLogin:
    """Somebody who has logged in at a kiosk.

    Attributes:
        account: The account.
        token: The bearer token, a secret.
        buys_until_ms: When it buys nothing any more.
        buys_s: Seconds until then.
    """

    account: Account
    token: str = field(repr=False)
    buys_until_ms: int
    buys_s: int


@dataclass(frozen=True, slots=True)
class RefusedCard:
    """A card that logs nobody in.

    Attributes:
        code: With it the card's owner adds it, a secret; empty if it cannot be added.
        good_s: Seconds for which the code is good.
    """

    code: str = field(repr=False)
    good_s: int


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What is looked for of a number, and what is kept of it.

    Attributes:
        logins: Digests under which a card that may log in is stored, with its proof.
        digest: Under what the card would be added; None if it cannot be.
        kind: As what.
        length: Characters of the number.
        key: Tells cards apart in limits.
    """

    logins: Sequence[tuple[str, Proof]]
    digest: str | None
    kind: CardKind
    length: int
    key: str


@dataclass(frozen=True, slots=True)
class _Secrets:
    """What a read may give out, drawn before its unit of work, which may run again."""

    token: str
    codes: Sequence[str]


class CardLogins:
    """Use cases of cards that are held to readers.

    Args:
        storage: The database.
        clock: Time.
        randomness: Codes and tokens.
        settings: Limits.
        card_key: The key for the numbers of cards; None if there is none.
    """

    def __init__(
        self,
        storage: Database,
        clock: Clock,
        randomness: Randomness,
        settings: KioskSettings,
        card_key: CardKey | None,
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._randomness = randomness
        self._settings = settings
        self._card_key = card_key
        self._reads = RateLimiter(burst=settings.reads_burst, interval_s=settings.reads_interval_s)
        self._cards = RateLimiter(burst=settings.card_burst, interval_s=settings.card_interval_s)
        self._failures = RateLimiter(
            burst=settings.failures_free, interval_s=settings.failures_interval_s
        )
        self._alarms = RateLimiter(burst=1, interval_s=ALARM_INTERVAL_S)
        self._watches: dict[int, object] = {}

    @property
    def watched(self) -> Collection[int]:
        """Sequences of the kiosks that watch at this frontend."""
        return self._watches.keys()

    async def log_in(self, kiosk: Kiosk, number: str) -> KioskCardLogin:
        """Logs the owner of a card in, who may drop at the kiosk's machine for a while.

        It takes the same steps for a card that is not known as for one whose owner may not log in.

        Args:
            kiosk: The kiosk that has read the card.
            number: What its reader gave: the number of a chip, or a barcode.

        Raises:
            FieldInvalidError: it is neither.
            RateLimitedError: the kiosk or the card was used too often, or too many cards of the
                kiosk logged nobody in.
            CredentialsInvalidError: the card logs nobody in.
            TokenInvalidError: the kiosk was ended meanwhile.
        """
        answer = await self._answer(kiosk, number, offers_code=False)
        if not isinstance(answer, KioskCardLogin):
            raise CredentialsInvalidError("the card logs nobody in")
        return answer

    async def answer(self, kiosk: Kiosk, number: str) -> KioskCardLogin | RefusedCard:
        """The same; a card that logs nobody in gets a code with which its owner adds it."""
        answer = await self._answer(kiosk, number, offers_code=True)
        assert answer is not None, "a code or none is offered"
        return answer

    async def _answer(
        self, kiosk: Kiosk, number: str, *, offers_code: bool
    ) -> KioskCardLogin | RefusedCard | None:
        numbers, subject = self._numbers(number), kiosk_subject(kiosk.sequence)
        await self._take_turn(subject, kiosk.machine, numbers.key, {"kiosk": kiosk.label})
        secrets, now_ms = self._secrets(), self._clock.now_ms()

        def log_in(tx: Transaction) -> KioskCardLogin | RefusedCard | None:
            _check_paired(tx, kiosk, now_ms)
            found = _owner(tx, numbers.logins)
            if found is not None:
                return self._issue(tx, kiosk, found, secrets.token)
            if not offers_code:
                return None
            read = self._read(numbers, kiosk, None, now_ms)
            return self._offer(tx, tx.card_reads.add(read, kiosk.machine, now_ms), secrets)

        answer = await self._storage.write(log_in)
        if isinstance(answer, KioskCardLogin):
            self._failures.give_back(subject)
        _log_answer(kiosk, answer)
        return answer

    async def read_at_machine(self, machine: str, number: str) -> None:
        """A card was held to the reader of a machine's agent: tells the machine's kiosks.

        Args:
            machine: The machine.
            number: What the reader gave.

        Raises:
            FieldInvalidError: it is no number of a card.
            RateLimitedError: too many cards were read, or too many that log nobody in.
        """
        read_s, subject = self._clock.monotonic(), machine_subject(machine)
        numbers = self._numbers(number)
        await self._take_turn(subject, machine, numbers.key, {"reader": machine})
        now_ms = self._clock.now_ms()

        def keep(tx: Transaction) -> tuple[int, bool]:
            if self._clock.monotonic() - read_s > self._settings.read_s:
                return 0, False
            found = _owner(tx, numbers.logins)
            kiosks = [
                each
                for each in tx.kiosks.list(now_ms)
                if each.machine == machine and each.state(now_ms) is KioskState.PAIRED
            ]
            for kiosk in kiosks:
                tx.card_reads.add(self._read(numbers, kiosk, found, now_ms), machine, now_ms)
            return len(kiosks), found is not None

        kiosks, is_known = await self._storage.write(keep)
        if is_known:
            self._failures.give_back(subject)
        log.info("card_read", machine=machine, kiosks=kiosks)

    async def watch(
        self, kiosk: Kiosk
    ) -> AsyncGenerator[KioskCardLogin | RefusedCard | None, None]:
        """What comes of the cards that the machine's reader reads from now on.

        How old a read is nobody knows who was not looking: one that came before the watch, or while
        it could not look for `read_s`, is void. No clocks of two frontends are compared.

        Args:
            kiosk: The kiosk. A further watch of it at this frontend ends this one.

        Yields:
            None once the watch has begun, then an answer for each card.

        Raises:
            TokenInvalidError: the kiosk was ended.
            StorageUnavailableError: the database does not answer.
        """
        mine = object()
        try:
            with self._storage.changes.machine(kiosk.machine) as machine:
                looked_s = self._clock.monotonic()
                seen = await self._newest(kiosk)
                self._watches[kiosk.sequence] = mine
                yield None
                while True:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._settings.read_s / LOOKS):
                            await machine.changed()
                    if self._watches.get(kiosk.sequence) is not mine:
                        return
                    void_s = looked_s + self._settings.read_s
                    looked_s = self._clock.monotonic()
                    read = await self._newest(kiosk)
                    if read is None or read == seen:
                        continue
                    seen = read
                    answer = await self._take(kiosk, read, void_s)
                    if answer is not None:
                        # It is gone, and the next one may be like it.
                        seen = None
                        yield answer
        finally:
            if self._watches.get(kiosk.sequence) is mine:
                del self._watches[kiosk.sequence]

    async def _newest(self, kiosk: Kiosk) -> CardRead | None:
        now_ms = self._clock.now_ms()

        def newest(tx: Transaction) -> CardRead | None:
            _check_paired(tx, kiosk, now_ms)
            return tx.card_reads.newest(kiosk.sequence)

        return await self._storage.read(newest)

    async def _take(
        self, kiosk: Kiosk, read: CardRead, void_s: float
    ) -> KioskCardLogin | RefusedCard | None:
        """Answers a read, once; None if it is void, or another watch has answered it."""
        secrets, now_ms = self._secrets(), self._clock.now_ms()

        def take(tx: Transaction) -> KioskCardLogin | RefusedCard | None:
            _check_paired(tx, kiosk, now_ms)
            if self._clock.monotonic() > void_s or tx.card_reads.newest(kiosk.sequence) != read:
                return None
            found = None
            if read.account is not None and read.digest is not None:
                is_card = tx.cards.get(read.digest) is not None
                found = _owner(tx, [(read.digest, Proof.CARD if is_card else Proof.IBUTTON)])
            # The card may have been removed, or given to somebody else, since it was read.
            if found is None or found[0].id != read.account:
                return self._offer(tx, read, secrets)
            tx.card_reads.remove(read.sequence)
            return self._issue(tx, kiosk, found, secrets.token)

        answer = await self._storage.write(take)
        if answer is not None:
            _log_answer(kiosk, answer)
        return answer

    def _issue(self, tx: Transaction, kiosk: Kiosk, found: "_Found", secret: str) -> KioskCardLogin:
        """Stores a login at the kiosk, and ends the one before it."""
        account, proof, _ = found
        now_ms = self._clock.now_ms()
        buys_until_ms = now_ms + self._settings.login_s * 1000
        tx.tokens.remove_made_at(kiosk.sequence)
        login = AccessToken(
            digest=digest(secret),
            account=account.id,
            scope=Scope.DROP,
            name=kiosk.label,
            created_ms=now_ms,
            used_ms=day_of(now_ms),
            expires_ms=buys_until_ms + self._settings.follow_s * 1000,
            kiosk=kiosk.sequence,
            buys_until_ms=buys_until_ms,
        )
        tx.tokens.add(login, proof)
        return KioskCardLogin(account, secret, buys_until_ms, self._settings.login_s)

    def _offer(self, tx: Transaction, read: CardRead, secrets: _Secrets) -> RefusedCard:
        """Gives a card that logs nobody in a code, if it can be added."""
        codes = (each for each in secrets.codes if tx.card_reads.is_free(digest(each)))
        # The digest of somebody's card, which is none any more, may be that of an iButton.
        code = next(codes, "") if read.digest is not None and read.account is None else ""
        if not code:
            tx.card_reads.remove(read.sequence)
            return RefusedCard("", 0)
        good_s = self._settings.card_code_s
        until_ms = self._clock.now_ms() + good_s * 1000
        tx.card_reads.offer(read.sequence, digest(code), until_ms)
        return RefusedCard(code, good_s)

    def _read(
        self, numbers: _Numbers, kiosk: Kiosk, found: "_Found | None", now_ms: int
    ) -> CardRead:
        expires_ms = now_ms + self._settings.card_code_s * 1000
        account, of_account = (None, None) if found is None else (found[0].id, found[2])
        stored = numbers.digest if of_account is None else of_account
        return CardRead(kiosk.sequence, stored, numbers.kind, numbers.length, account, expires_ms)

    async def _take_turn(
        self, subject: str, machine: str, card: str, facts: dict[str, str]
    ) -> None:
        """Counts a read as one that logs nobody in; it is given back if it does.

        Args:
            subject: The kiosk or machine whose reader it was.
            machine: The machine.
            card: Tells cards apart.
            facts: For the alarm, if too many log nobody in.

        Raises:
            RateLimitedError: it comes too soon.
        """
        now = self._clock.monotonic()
        for turns, of in ((self._reads, subject), (self._cards, card), (self._failures, subject)):
            wait_s = turns.take_if_free(of, now)
            if not wait_s:
                continue
            if turns is self._failures:
                await self._raise_alarm(subject, machine, facts)
            raise RateLimitedError(
                "too many cards were read", retry_after_seconds=max(1, int(wait_s))
            )

    async def _raise_alarm(self, subject: str, machine: str, facts: dict[str, str]) -> None:
        if self._alarms.take_if_free(subject, self._clock.monotonic()):
            return
        now_ms = self._clock.now_ms()
        log.warning("cards_guessed", subject=subject, machine=machine)
        alarm = Alarm(AlarmKind.CARDS_GUESSED, subject, machine, now_ms, now_ms, 1, facts)
        await self._storage.write(lambda tx: tx.alarms.add(alarm))

    def _numbers(self, text: str) -> _Numbers:
        """What is looked for of what a reader gave.

        Raises:
            FieldInvalidError: it is no number of a card.
        """
        number = check_barcode(plain_number(text), "number")
        kind, key = kind_of(number), self._card_key
        chip = number.upper()
        logins = [(digest(chip), Proof.IBUTTON)]
        if key is not None:
            logins.append((key.digest(CardKind.CHIP, chip), Proof.CARD))
        if kind is CardKind.CHIP and len(chip) < self._settings.chip_digits_min:
            return _Numbers([], None, kind, len(chip), digest(chip))
        if key is None:
            return _Numbers(logins, None, kind, len(number), digest(chip))
        barcode = key.digest(CardKind.BARCODE, number)
        logins.append((barcode, Proof.CARD))
        added = logins[1][0] if kind is CardKind.CHIP else barcode
        return _Numbers(logins, added, kind, len(number), barcode)

    def _secrets(self) -> _Secrets:
        secrets = (self._randomness.token() for _ in range(CODES_TRIED))
        codes = tuple(code_of(secret, CARD_CODE_DIGITS) for secret in secrets)
        return _Secrets(self._randomness.token(), codes)


_Found = tuple[Account, Proof, str]
"""The account of a card, what logs in, and the digest under which it is stored."""


def _owner(tx: Transaction, logins: Sequence[tuple[str, Proof]]) -> _Found | None:
    """Who logs in with a card, if somebody does.

    Args:
        tx: The unit of work.
        logins: Under what the card may be stored, and what logs in then.
    """
    found = [(tx.cards.holder(each), proof, each) for each, proof in logins]
    owners = {account.id: (account, proof, each) for account, proof, each in found if account}
    if len(owners) != 1:
        # Of a chip and a barcode with the same number nobody can tell whose it is.
        return None
    (owner,) = owners.values()
    if owner[0].kind is not AccountKind.USER or owner[0].closed:
        return None
    return owner


def _check_paired(tx: Transaction, kiosk: Kiosk, now_ms: int) -> None:
    """Raises TokenInvalidError if the kiosk was ended."""
    now = tx.kiosks.get(kiosk.sequence)
    if now is None or now.state(now_ms) is not KioskState.PAIRED:
        raise TokenInvalidError("the token is not known")


def _log_answer(kiosk: Kiosk, answer: KioskCardLogin | RefusedCard | None) -> None:
    if isinstance(answer, KioskCardLogin):
        log.info("card_logged_in", kiosk=kiosk.sequence, account=answer.account.id)
    else:
        log.info("card_refused", kiosk=kiosk.sequence, machine=kiosk.machine)
