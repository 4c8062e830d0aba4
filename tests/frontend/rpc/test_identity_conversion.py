"""Identities over gRPC: who sees, links and unlinks them."""

from typing import Any

import pytest

from drink.v1 import account_service_pb2 as pb
from drink_frontend.domain.identities import IDENTITIES_MAX, Identity
from drink_frontend.rpc.identity_conversion import identity_message
from tests.support.rpc_frontend import ANN, BOB, ROOT, Frontend

ENTRY = {"parent": "accounts/ann", "source": "ldap:house", "subject": "0f4c"}


def test_times_that_there_are_none_of_are_not_set() -> None:
    message = identity_message(Identity("ldap:house", "0f4c", "~A", None, 5_000))
    assert (message.source, message.subject, message.source_name) == ("ldap:house", "0f4c", "")
    assert message.create_time.seconds == 5
    assert not message.HasField("login_time")
    assert not message.HasField("leave_time")


def test_what_a_source_gave_is_shown() -> None:
    message = identity_message(Identity("a", "b", "~A", "Ann", 0, 6_000, True, 7_000, "digest"))
    assert (message.source_name, message.admin) == ("Ann", True)
    assert (message.login_time.seconds, message.leave_time.seconds) == (6, 7)
    assert "digest" not in str(message)


async def test_identities_are_linked_shown_and_unlinked(frontend: Frontend) -> None:
    linked = (await frontend.call(pb.LinkIdentityRequest(**ENTRY), ROOT)).identity
    assert (linked.source, linked.subject) == ("ldap:house", "0f4c")
    for request, caller in (
        (pb.ListIdentitiesRequest(), ANN),
        (pb.ListIdentitiesRequest(parent="accounts/ANN"), ROOT),
    ):
        assert list((await frontend.call(request, caller)).identities) == [linked]

    await frontend.call(pb.UnlinkIdentityRequest(**ENTRY), ROOT)

    # Unlinking ends every login of the account.
    refusal = await frontend.refused(pb.ListIdentitiesRequest(), ANN)
    assert refusal.reason == "TOKEN_INVALID"
    refusal = await frontend.refused(pb.UnlinkIdentityRequest(**ENTRY), ROOT)
    assert refusal.reason == "IDENTITY_NOT_FOUND"


async def test_an_identity_belongs_to_one_account(frontend: Frontend) -> None:
    await frontend.call(pb.LinkIdentityRequest(**ENTRY), ROOT)
    for parent in ("accounts/ann", "accounts/bob"):
        request = pb.LinkIdentityRequest(**{**ENTRY, "parent": parent})
        assert (await frontend.refused(request, ROOT)).reason == "ALREADY_EXISTS"
    other = pb.UnlinkIdentityRequest(**{**ENTRY, "parent": "accounts/bob"})
    assert (await frontend.refused(other, ROOT)).reason == "IDENTITY_NOT_FOUND"


async def test_an_account_has_so_many_identities_at_most(frontend: Frontend) -> None:
    for number in range(IDENTITIES_MAX):
        request = pb.LinkIdentityRequest(**{**ENTRY, "subject": str(number)})
        await frontend.call(request, ROOT)
    refusal = await frontend.refused(pb.LinkIdentityRequest(**ENTRY), ROOT)
    assert refusal.reason == "TOO_MANY_IDENTITIES"


@pytest.mark.parametrize(
    "request_",
    [
        pb.LinkIdentityRequest(**ENTRY),
        pb.UnlinkIdentityRequest(**ENTRY),
        pb.LinkIdentityRequest(**{**ENTRY, "parent": "accounts/nobody"}),
    ],
)
async def test_members_link_nothing(frontend: Frontend, request_: Any) -> None:
    for caller in (ANN, BOB):
        assert (await frontend.refused(request_, caller)).reason == "ADMIN_REQUIRED"


async def test_members_see_no_identities_of_others(frontend: Frontend) -> None:
    for parent in ("accounts/ann", "accounts/nobody"):
        refusal = await frontend.refused(pb.ListIdentitiesRequest(parent=parent), BOB)
        assert refusal.reason == "NOT_OWNER"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"source": ""}, "source"),
        ({"source": "a b"}, "source"),
        ({"subject": "x" * 256}, "subject"),
        ({"parent": "ann"}, "parent"),
    ],
)
async def test_what_is_no_identity_is_refused(
    frontend: Frontend, wrong: dict[str, str], field: str
) -> None:
    refusal = await frontend.refused(pb.LinkIdentityRequest(**{**ENTRY, **wrong}), ROOT)
    assert (refusal.reason, refusal.facts["field"]) == ("FIELD_INVALID", field)
