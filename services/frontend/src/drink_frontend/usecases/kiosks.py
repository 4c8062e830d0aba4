"""Kiosks: pairing them with machines, and logins with cards at them.

Numbers of cards are short: who has a kiosk's token can guess them. So a kiosk reads few cards in a
time, and few that are not known; what the reads let in can only drop, at the kiosk's machine and
for a short time; and who guesses raises an alarm.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from drink_frontend.domain.alarms import Alarm, AlarmKind
from drink_frontend.domain.cards import CardKey, CardKind
from drink_frontend.domain.entities import Account, AuditKind, AuditRecord, Machine, Proof
from drink_frontend.domain.errors import (
    CredentialsInvalidError,
    KioskNotFoundError,
    MachineNotFoundError,
    RateLimitedError,
    TokenInvalidError,
    TooManyKiosksError,
)
from drink_frontend.domain.kiosks import (
    KIOSKS_MAX,
    PAIRING_CODE_DIGITS,
    Kiosk,
    KioskState,
    kiosk_subject,
)
from drink_frontend.domain.ledger import AccountKind
from drink_frontend.domain.limits import check_barcode, check_pairing_code, check_text
from drink_frontend.domain.ports import Clock, Randomness
from drink_frontend.domain.rate_limiter import RateLimiter
from drink_frontend.domain.tokens import AccessToken, Scope, day_of
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.logins import Logins
from drink_frontend.usecases.settings import KioskSettings
from drink_frontend.usecases.tokens import digest

log = structlog.get_logger(__name__)

ALARM_INTERVAL_S = 60.0
"""Seconds between two writes of the alarm about one kiosk, however many cards are read."""

GUESSED_CODE = "pairing code"
"""What guesses at pairing codes count for in `Logins`; no account has a blank in its name."""


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


class Kiosks:
    """Use cases of kiosks.

    Args:
        storage: The database.
        clock: Time.
        randomness: Codes and tokens.
        settings: Limits.
        card_key: The key for the numbers of cards; None if there is none.
        logins: Limits guesses at pairing codes.
    """

    def __init__(
        self,
        storage: Database,
        clock: Clock,
        randomness: Randomness,
        settings: KioskSettings,
        *,
        card_key: CardKey | None,
        logins: Logins,
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._randomness = randomness
        self._settings = settings
        self._card_key = card_key
        self._logins = logins
        self._reads = RateLimiter(burst=settings.reads_burst, interval_s=settings.reads_interval_s)
        self._cards = RateLimiter(burst=settings.card_burst, interval_s=settings.card_interval_s)
        self._failures = RateLimiter(
            burst=settings.failures_free, interval_s=settings.failures_interval_s
        )
        self._alarms = RateLimiter(burst=1, interval_s=ALARM_INTERVAL_S)

    def now_ms(self) -> int:
        """The time at which states of kiosks are told."""
        return self._clock.now_ms()

    async def pair(self, actor: str, machine: str, name: str = "") -> tuple[Kiosk, str]:
        """Makes a kiosk for a machine, and the code that pairs it.

        Args:
            actor: Who pairs it, for the audit log.
            machine: The machine.
            name: What operators call the kiosk.

        Raises:
            FieldInvalidError: the name is invalid.
            MachineNotFoundError: there is no such machine.
            TooManyKiosksError: there are KIOSKS_MAX kiosks.
        """
        check_text(name, "display_name")
        code, now_ms = self._pairing_code(), self._clock.now_ms()
        expires_ms = now_ms + self._settings.pairing_s * 1000
        wanted = Kiosk(machine, name or None, now_ms, expires_ms)

        def pair(tx: Transaction) -> Kiosk:
            if tx.machines.get(machine) is None:
                raise MachineNotFoundError("no such machine")
            if len(tx.kiosks.list(now_ms)) >= KIOSKS_MAX:
                raise TooManyKiosksError("there are too many kiosks", kiosks_max=KIOSKS_MAX)
            made = tx.kiosks.add(wanted, digest(code))
            _record(tx, actor, made, "made", now_ms)
            return made

        return await self._storage.write(pair), code

    async def list(self) -> Sequence[Kiosk]:
        """Kiosks that are paired or may be, the oldest first."""
        now_ms = self._clock.now_ms()
        return await self._storage.read(lambda tx: tx.kiosks.list(now_ms))

    async def unpair(self, actor: str, sequence: int) -> Kiosk:
        """Ends a kiosk, and every login that was made at it.

        Raises:
            KioskNotFoundError: there is no such kiosk, or it was ended before.
        """
        now_ms = self._clock.now_ms()

        def unpair(tx: Transaction) -> Kiosk:
            kiosk = tx.kiosks.get(sequence)
            if kiosk is None or kiosk.state(now_ms) is KioskState.ENDED:
                raise KioskNotFoundError("no such kiosk")
            ended = tx.kiosks.end(sequence, now_ms)
            tx.tokens.remove_made_at(sequence)
            _record(tx, actor, ended, "ended", now_ms)
            return ended

        return await self._storage.write(unpair)

    async def redeem(self, code: str, origin: str) -> tuple[Kiosk, str]:
        """Gives a kiosk its token for its pairing code, once.

        Args:
            code: The code.
            origin: Where the attempt comes from: the peer's address.

        Raises:
            FieldInvalidError: it is no pairing code.
            CredentialsInvalidError: no kiosk waits for it.
            RateLimitedError: too many attempts failed.
        """
        code_digest, token = digest(check_pairing_code(code)), self._randomness.token()

        def redeem(tx: Transaction) -> Kiosk | None:
            now_ms = self._clock.now_ms()
            kiosk = tx.kiosks.by_code(code_digest, now_ms)
            if kiosk is None:
                return None
            paired = tx.kiosks.pair(kiosk.sequence, digest(token), now_ms)
            _record(tx, f"kiosk:{kiosk.sequence}", paired, "paired", now_ms)
            return paired

        async def verify() -> Kiosk | None:
            return await self._storage.write(redeem)

        kiosk = await self._logins.attempt(origin, GUESSED_CODE, verify)
        log.info("kiosk_paired", kiosk=kiosk.sequence, machine=kiosk.machine)
        return kiosk, token

    async def authenticate(self, token: str) -> Kiosk:
        """The kiosk that a token stands for.

        Raises:
            TokenInvalidError: none.
        """
        token_digest = digest(token)
        kiosk = await self._storage.read(lambda tx: tx.kiosks.by_token(token_digest))
        if kiosk is None:
            raise TokenInvalidError("the token is not known")
        return kiosk

    async def shown(self, kiosk: Kiosk) -> Machine:
        """The machine of a kiosk, with its slots."""
        machine = await self._storage.read(lambda tx: tx.machines.get(kiosk.machine))
        assert machine is not None, "machines are never deleted"
        return machine

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
        digests = self._digests(check_barcode(number, "number"))
        await self._take_turn(kiosk, digests[-1][0])
        secret, now_ms = self._randomness.token(), self._clock.now_ms()
        buys_until_ms = now_ms + self._settings.login_s * 1000

        def log_in(tx: Transaction) -> Account | None:
            now = tx.kiosks.get(kiosk.sequence)
            if now is None or now.state(now_ms) is not KioskState.PAIRED:
                raise TokenInvalidError("the token is not known")
            found = [(tx.cards.holder(each), proof) for each, proof in digests]
            owners = {account.id: (account, proof) for account, proof in found if account}
            if len(owners) != 1:
                # Of a chip and a barcode with the same number nobody can tell whose it is.
                return None
            ((account, proof),) = owners.values()
            if account.kind is not AccountKind.USER or account.closed:
                return None
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
            return account

        account = await self._storage.write(log_in)
        if account is None:
            log.info("card_refused", kiosk=kiosk.sequence, machine=kiosk.machine)
            raise CredentialsInvalidError("the card logs nobody in")
        self._failures.give_back(kiosk.sequence)
        log.info("card_logged_in", kiosk=kiosk.sequence, account=account.id)
        return KioskCardLogin(account, secret, buys_until_ms, self._settings.login_s)

    async def _take_turn(self, kiosk: Kiosk, card: str) -> None:
        """Counts a read as one that logs nobody in; it is given back if it does.

        Raises:
            RateLimitedError: it comes too soon.
        """
        now, key = self._clock.monotonic(), kiosk.sequence
        for turns, of in ((self._reads, key), (self._cards, card), (self._failures, key)):
            wait_s = turns.take_if_free(of, now)
            if not wait_s:
                continue
            if turns is self._failures:
                await self._raise_alarm(kiosk)
            raise RateLimitedError(
                "too many cards were read", retry_after_seconds=max(1, int(wait_s))
            )

    async def _raise_alarm(self, kiosk: Kiosk) -> None:
        if self._alarms.take_if_free(kiosk.sequence, self._clock.monotonic()):
            return
        now_ms = self._clock.now_ms()
        log.warning("cards_guessed", kiosk=kiosk.sequence, machine=kiosk.machine)
        alarm = Alarm(
            AlarmKind.CARDS_GUESSED,
            kiosk_subject(kiosk.sequence),
            kiosk.machine,
            now_ms,
            now_ms,
            1,
            {"kiosk": kiosk.label},
        )
        await self._storage.write(lambda tx: tx.alarms.add(alarm))

    def _digests(self, number: str) -> Sequence[tuple[str, Proof]]:
        """Under what a card with that number may be stored, and what logs in then."""
        chip, key = number.upper(), self._card_key
        if key is None:
            return ((digest(chip), Proof.IBUTTON),)
        return (
            (digest(chip), Proof.IBUTTON),
            (key.digest(CardKind.CHIP, chip), Proof.CARD),
            (key.digest(CardKind.BARCODE, number), Proof.CARD),
        )

    def _pairing_code(self) -> str:
        number = int.from_bytes(hashlib.sha256(self._randomness.token().encode()).digest())
        return f"{number % 10**PAIRING_CODE_DIGITS:0{PAIRING_CODE_DIGITS}}"


def _record(tx: Transaction, actor: str, kiosk: Kiosk, what: str, now_ms: int) -> None:
    facts = {"kiosk": kiosk.sequence, "kiosk_name": kiosk.name, "kiosk_change": what}
    tx.audit.add(
        AuditRecord(AuditKind.MACHINE_CHANGED, now_ms, actor, machine=kiosk.machine, facts=facts)
    )
