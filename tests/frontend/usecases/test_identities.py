"""Identities: whom a login at a source is, and what follows from what the source says."""

import asyncio
from dataclasses import replace

import pytest

from drink_frontend.domain.cards import CardKind
from drink_frontend.domain.entities import AuditKind
from drink_frontend.domain.errors import (
    AccountClosedError,
    AccountErasedError,
    AccountNotFoundError,
    AlreadyExistsError,
    CredentialsInvalidError,
    NotOwnerError,
)
from drink_frontend.domain.identities import IDENTITIES_MAX, Person
from drink_frontend.domain.sign_in_errors import (
    IdentityNotFoundError,
    IdentityNotLinkedError,
    TooManyIdentitiesError,
)
from drink_frontend.usecases.identities import Identities
from tests.support.bench import Bench
from tests.support.ids import ANN, ROOT

HERE = "192.0.2.1"
HOUSE, CLUB = "ldap:house", "https://sso.example.org"
EVE = Person(HOUSE, "0f4c", "Eve", "Eve Moneypenny")
CHIP, OTHER_CHIP = (CardKind.CHIP, "04a2b3c4d5e6f708"), (CardKind.CHIP, "04A2B3C4D5E6F709")


@pytest.fixture
def identities(bench: Bench) -> Identities:
    return bench.accounts.identities


async def test_an_account_is_made_under_the_sources_spelling(
    bench: Bench, identities: Identities
) -> None:
    made = await identities.log_in(EVE, creates_accounts=True)
    assert (made.name, made.display_name, made.admin, made.posted) == (
        "Eve",
        "Eve Moneypenny",
        False,
        0,
    )
    again = await identities.log_in(replace(EVE, name="Evelyn"), creates_accounts=False)
    assert (again.id, again.name) == (made.id, "Eve")
    (identity,) = await identities.list(made, "eve")
    assert (identity.subject, identity.name) == ("0f4c", "Evelyn")
    assert identity.login_ms is not None
    records = [each for each in await bench.audit(AuditKind.ACCOUNT_CHANGED) if each.actor == HOUSE]
    assert [each.facts for each in records] == [{"created": True, "identity_linked": HOUSE}]


async def test_nobody_becomes_an_account_by_its_name(bench: Bench, identities: Identities) -> None:
    before = await bench.account("root")
    for name in ("root", "ROOT", "Root"):
        person = Person(HOUSE, "0f4c", name, is_administrator=True)
        with pytest.raises(IdentityNotLinkedError, match="exists"):
            await identities.log_in(person, creates_accounts=True)
    assert await bench.account("root") == before
    assert await identities.list(before, "root") == []


async def test_no_account_is_made_where_the_setting_does_not_say_so(identities: Identities) -> None:
    with pytest.raises(IdentityNotLinkedError, match="no account is linked"):
        await identities.log_in(EVE, creates_accounts=False)


@pytest.mark.parametrize("name", ["", "jörg", "a b", "x" * 33, "~0123456789", "*)(uid=*"])
async def test_a_name_that_is_none_here_makes_no_account(identities: Identities, name: str) -> None:
    with pytest.raises(IdentityNotLinkedError, match="no name of an account"):
        await identities.log_in(replace(EVE, name=name), creates_accounts=True)


async def test_a_title_that_cannot_be_shown_is_left_out(identities: Identities) -> None:
    made = await identities.log_in(replace(EVE, display_name="a\u202eb"), creates_accounts=True)
    assert made.display_name is None


async def test_two_first_logins_at_once_make_one_account(
    bench: Bench, identities: Identities
) -> None:
    logins = (identities.log_in(EVE, creates_accounts=True) for _ in range(8))
    found = await asyncio.gather(*logins)
    assert len({account.id for account in found}) == 1
    assert sum(each.name == "Eve" for each in await bench.accounts.list_users()) == 1


async def test_a_linked_login_is_the_account(bench: Bench, identities: Identities) -> None:
    await identities.link(ROOT, "ann", HOUSE, "0f4c")
    found = await identities.log_in(EVE, creates_accounts=False)
    assert found.id == ANN
    await identities.link(ROOT, "ann", CLUB, "17")
    assert (await identities.log_in(Person(CLUB, "17", "x"), creates_accounts=True)).id == ANN
    assert {each.source for each in await identities.list(found, "ann")} == {HOUSE, CLUB}


async def test_rights_of_a_source_follow_it(bench: Bench, identities: Identities) -> None:
    administrator = replace(EVE, is_administrator=True)
    assert (await identities.log_in(administrator, creates_accounts=True)).admin
    assert (await identities.log_in(administrator, creates_accounts=True)).admin
    assert not (await identities.log_in(EVE, creates_accounts=True)).admin
    facts = [
        each.facts
        for each in await bench.audit(AuditKind.ACCOUNT_CHANGED)
        if each.actor == HOUSE and "admin" in each.facts
    ]
    assert facts == [{"admin": True}, {"admin": False}]


async def test_a_local_administrator_stays_one(bench: Bench, identities: Identities) -> None:
    await identities.link(ROOT, "root", HOUSE, "0f4c")
    for person in (EVE, replace(EVE, is_administrator=True), EVE):
        assert (await identities.log_in(person, creates_accounts=False)).admin
    await identities.unlink(ROOT, "root", HOUSE, "0f4c")
    assert (await bench.account("root")).admin


async def test_what_a_person_decides_about_rights_stays(
    bench: Bench, identities: Identities
) -> None:
    await identities.log_in(replace(EVE, is_administrator=True), creates_accounts=True)
    await bench.accounts.change(ROOT, "eve", admin=True)
    assert (await identities.log_in(EVE, creates_accounts=False)).admin


async def test_one_of_two_sources_is_enough_to_administer(
    bench: Bench, identities: Identities
) -> None:
    await identities.link(ROOT, "ann", HOUSE, "0f4c")
    await identities.link(ROOT, "ann", CLUB, "17")
    club = Person(CLUB, "17", "ann", is_administrator=True)
    await identities.log_in(replace(EVE, is_administrator=True), creates_accounts=False)
    await identities.log_in(club, creates_accounts=False)
    assert (await identities.log_in(EVE, creates_accounts=False)).admin
    ended = await identities.log_in(replace(club, is_administrator=False), creates_accounts=False)
    assert not ended.admin


async def test_cards_of_a_source_follow_it(bench: Bench, identities: Identities) -> None:
    cards = bench.accounts.cards
    await identities.link(ROOT, "ann", HOUSE, "0f4c")
    own = await cards.add(ROOT, "ann", CardKind.BARCODE, "4006381333931")
    with_cards = replace(EVE, cards=[CHIP, OTHER_CHIP, (CardKind.BARCODE, "4006381333931")])
    ann = await identities.log_in(with_cards, creates_accounts=False)
    assert len(await cards.list(ann, "ann")) == 3
    assert (await bench.accounts.login_card(CHIP[1], HERE)).account.id == ANN

    await identities.log_in(replace(EVE, cards=[OTHER_CHIP]), creates_accounts=False)
    assert len(await cards.list(ann, "ann")) == 2
    with pytest.raises(CredentialsInvalidError):
        await bench.accounts.login_card(CHIP[1], HERE)
    await identities.log_in(EVE, creates_accounts=False)
    assert len(await cards.list(ann, "ann")) == 2
    await identities.log_in(replace(EVE, cards=[]), creates_accounts=False)
    assert await cards.list(ann, "ann") == [own]


async def test_a_card_of_somebody_else_stays_there_and_the_login_works(
    bench: Bench, identities: Identities
) -> None:
    await bench.accounts.cards.add(ROOT, "bob", *CHIP)
    junk = (CardKind.CHIP, "no number")
    ann = await identities.log_in(
        replace(EVE, cards=[junk, CHIP, OTHER_CHIP]), creates_accounts=True
    )
    assert len(await bench.accounts.cards.list(ann, "eve")) == 1
    assert (await bench.accounts.login_card(CHIP[1], HERE)).account.name == "bob"


async def test_a_closed_account_stays_closed(bench: Bench, identities: Identities) -> None:
    await identities.log_in(EVE, creates_accounts=True)
    await bench.accounts.change(ROOT, "eve", closed=True)
    with pytest.raises(AccountClosedError):
        await identities.log_in(EVE, creates_accounts=True)


async def test_unlinking_takes_what_the_source_gave(bench: Bench, identities: Identities) -> None:
    person = replace(EVE, is_administrator=True, cards=[CHIP])
    eve = await identities.log_in(person, creates_accounts=True)
    token, _ = await bench.accounts.tokens.issue(eve)
    await identities.unlink(ROOT, "eve", HOUSE, "0f4c")
    eve = await bench.account("Eve")
    assert not eve.admin
    assert await bench.accounts.cards.list(eve, "eve") == []
    assert await bench.accounts.tokens.list(eve, "eve") == []
    assert token
    with pytest.raises(IdentityNotLinkedError):
        await identities.log_in(person, creates_accounts=True)
    with pytest.raises(IdentityNotFoundError):
        await identities.unlink(ROOT, "eve", HOUSE, "0f4c")


async def test_erasing_and_readmitting_remove_identities(
    bench: Bench, identities: Identities
) -> None:
    await identities.log_in(EVE, creates_accounts=True)
    await bench.accounts.change(ROOT, "eve", closed=True)
    await bench.accounts.create(ROOT, "eve", readmit=True)
    with pytest.raises(IdentityNotLinkedError):
        await identities.log_in(EVE, creates_accounts=True)
    await identities.link(ROOT, "eve", HOUSE, "0f4c")
    await bench.accounts.change(ROOT, "eve", closed=True)
    erased = await bench.accounts.erase(ROOT, "eve")
    assert await identities.list(await bench.account("root"), erased.id) == []
    with pytest.raises(AccountErasedError):
        await identities.link(ROOT, erased.id, HOUSE, "0f4c")
    # Whoever logs in there now has nothing of the account that was erased.
    assert (await identities.log_in(EVE, creates_accounts=True)).id != erased.id


async def test_links_are_checked(bench: Bench, identities: Identities) -> None:
    await identities.link(ROOT, "ann", HOUSE, "0f4c")
    for name in ("ann", "bob"):
        with pytest.raises(AlreadyExistsError):
            await identities.link(ROOT, name, HOUSE, "0f4c")
    with pytest.raises(AccountNotFoundError):
        await identities.link(ROOT, "nobody", HOUSE, "1")
    for number in range(1, IDENTITIES_MAX):
        await identities.link(ROOT, "ann", HOUSE, str(number))
    with pytest.raises(TooManyIdentitiesError):
        await identities.link(ROOT, "ann", HOUSE, "more")
    with pytest.raises(NotOwnerError):
        await identities.list(await bench.account("ann"), "bob")
