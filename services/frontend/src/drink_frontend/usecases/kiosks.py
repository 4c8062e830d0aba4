"""Kiosks: pairing them with machines."""

from collections.abc import Sequence

import structlog

from drink_frontend.domain.cards import CardKey
from drink_frontend.domain.entities import AuditKind, AuditRecord, Machine
from drink_frontend.domain.errors import (
    KioskNotFoundError,
    MachineNotFoundError,
    TokenInvalidError,
    TooManyKiosksError,
)
from drink_frontend.domain.kiosks import (
    KIOSKS_MAX,
    PAIRING_CODE_DIGITS,
    Kiosk,
    KioskState,
)
from drink_frontend.domain.limits import check_pairing_code, check_text
from drink_frontend.domain.ports import Clock, Randomness
from drink_frontend.storage.database import Database
from drink_frontend.storage.transaction import Transaction
from drink_frontend.usecases.card_logins import CardLogins
from drink_frontend.usecases.logins import Logins
from drink_frontend.usecases.settings import KioskSettings
from drink_frontend.usecases.tokens import code_of, digest

log = structlog.get_logger(__name__)

GUESSED_CODE = "pairing code"
"""What guesses at pairing codes count for in `Logins`; no account has a blank in its name."""


class Kiosks:
    """Use cases of kiosks.

    Args:
        storage: The database.
        clock: Time.
        randomness: Codes and tokens.
        settings: Limits.
        card_key: The key for the numbers of cards; None if there is none.
        logins: Limits guesses at pairing codes.

    Attributes:
        cards: The use cases of cards that are held to readers.
        logins: The same, which also counts all logins.
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
        self.logins = logins
        self.cards = CardLogins(storage, clock, randomness, settings, card_key)

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
        code, now_ms = code_of(self._randomness.token(), PAIRING_CODE_DIGITS), self._clock.now_ms()
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

        kiosk = await self.logins.attempt(origin, GUESSED_CODE, verify)
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


def _record(tx: Transaction, actor: str, kiosk: Kiosk, what: str, now_ms: int) -> None:
    facts = {"kiosk": kiosk.sequence, "kiosk_name": kiosk.name, "kiosk_change": what}
    tx.audit.add(
        AuditRecord(AuditKind.MACHINE_CHANGED, now_ms, actor, machine=kiosk.machine, facts=facts)
    )
