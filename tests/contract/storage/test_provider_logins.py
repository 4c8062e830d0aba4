"""Logins with OpenID providers: kept until they expire, found by session or person."""

from drink_frontend.domain.provider_logins import ProviderLogin
from drink_frontend.storage.database import Database

HOME, CLUB = "https://sso.example.org", "https://club.example.org"

HERS = ProviderLogin("assertion-1", HOME, "mia", "sid-1", None, 1_000)
ALSO_HERS = ProviderLogin("assertion-2", HOME, "mia", None, None, 2_000)
OTHERS = ProviderLogin("assertion-3", CLUB, "mia", "sid-1", None, 2_000)


async def test_a_token_logs_in_once(house: Database) -> None:
    assert await house.write(lambda tx: tx.provider_logins.add(HERS, 0))
    assert not await house.write(lambda tx: tx.provider_logins.add(HERS, 0))


async def test_logins_are_found_by_session_and_person(house: Database) -> None:
    for each in (HERS, ALSO_HERS, OTHERS):
        await house.write(lambda tx, each=each: tx.provider_logins.add(each, 0))  # type: ignore[misc]
        await house.write(
            lambda tx, each=each: tx.provider_logins.set_token(  # type: ignore[misc]
                each.assertion, f"token of {each.assertion}", each.expires_ms
            )
        )

    async def found(subject: str | None, session: str | None) -> list[str]:
        meant = await house.read(
            lambda tx: tx.provider_logins.meant(HOME, subject=subject, session=session)
        )
        return sorted(each.token or "" for each in meant)

    assert await found(None, "sid-1") == ["token of assertion-1"]
    assert await found("mia", None) == ["token of assertion-1", "token of assertion-2"]
    assert await found("eve", "sid-2") == []
    assert await found(None, None) == []


async def test_a_login_without_a_bearer_token_is_not_found(house: Database) -> None:
    await house.write(lambda tx: tx.provider_logins.add(HERS, 0))
    assert not await house.read(
        lambda tx: tx.provider_logins.meant(HOME, subject="mia", session=None)
    )


async def test_what_has_expired_is_removed_with_the_next(house: Database) -> None:
    await house.write(lambda tx: tx.provider_logins.add(HERS, 0))
    assert await house.write(lambda tx: tx.provider_logins.add(ALSO_HERS, 1_000))
    assert await house.write(lambda tx: tx.provider_logins.add(HERS, 1_000))
