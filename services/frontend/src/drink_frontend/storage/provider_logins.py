"""Logins with OpenID providers."""

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, or_, update

from drink_frontend.domain.provider_logins import ProviderLogin
from drink_frontend.storage.provider_login_tables import provider_logins
from drink_frontend.storage.rows import RowMapping
from drink_frontend.storage.statements import Executor, Statement

_LOGIN = RowMapping(ProviderLogin, provider_logins)
_ONE = provider_logins.c.assertion == bindparam("assertion")

_GET = Statement(_LOGIN.select().where(_ONE))
_ADD = Statement(_LOGIN.insert())
_SET_TOKEN = Statement(
    update(provider_logins)
    .where(_ONE)
    .values(token=bindparam("token"), expires_ms=bindparam("expires_ms"))
)
_MEANT = Statement(
    _LOGIN.select().where(
        provider_logins.c.issuer == bindparam("issuer"),
        provider_logins.c.token.is_not(None),
        or_(
            provider_logins.c.session == bindparam("session"),
            provider_logins.c.subject == bindparam("subject"),
        ),
    )
)
_REMOVE_EXPIRED = Statement(
    delete(provider_logins).where(provider_logins.c.expires_ms <= bindparam("now_ms"))
)


class ProviderLoginTable:
    """Logins with OpenID providers, in one unit of work.

    Args:
        executor: Runs its statements.
    """

    __slots__ = ("_executor",)

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def add(self, login: ProviderLogin, now_ms: int) -> bool:
        """Stores a new login, and removes those that have expired.

        Returns:
            Whether its ID token had not logged in before.
        """
        self._executor.run(_REMOVE_EXPIRED, now_ms=now_ms)
        if self._executor.one(_GET, assertion=login.assertion) is not None:
            return False
        self._executor.run(_ADD, **_LOGIN.parameters(login))
        return True

    def set_token(self, assertion: str, token: str, expires_ms: int) -> None:
        """Stores the digest of the bearer token that was given, and the later end."""
        self._executor.run(_SET_TOKEN, assertion=assertion, token=token, expires_ms=expires_ms)

    def meant(
        self, issuer: str, *, subject: str | None, session: str | None
    ) -> Sequence[ProviderLogin]:
        """The logins of a provider's session, or of a person there, that have a bearer token.

        Args:
            issuer: The provider's issuer.
            subject: The person; None for no person.
            session: The session; None for no session.
        """
        rows = self._executor.all(_MEANT, issuer=issuer, subject=subject, session=session)
        return [_LOGIN.read(row) for row in rows]
