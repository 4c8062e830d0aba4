"""Groups of a person, each way they are found; `test_ldap.py` has those of a real server."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from drink_frontend.system.directory.connection import Connection, Entry
from drink_frontend.system.directory.groups import MATCHING_RULE, attributes_for, groups_in
from drink_frontend.system.directory.settings import LdapSettings

PERSON = "uid=ann,ou=people"


class Groups:
    """Groups with their members; answers as a connection would."""

    def __init__(self, members: Mapping[str, Sequence[str]]) -> None:
        self.members = members
        self.searched: list[str] = []

    def has_value(self, dn: str, attribute: str, value: str) -> bool:
        del attribute
        return value in self.members[dn]

    def search(
        self, base: str, condition: str, attributes: Sequence[str], most: int, *, below: bool = True
    ) -> tuple[Sequence[Entry], bool]:
        del attributes
        self.searched.append(condition)
        if not below:
            return ([Entry(base, {})] if "cn=inside" in condition else []), True
        found = [
            Entry(name, {})
            for name, members in self.members.items()
            if any(f"(member={member})" in condition for member in members)
        ]
        return found[:most], len(found) <= most


def inside(
    groups: Groups, *wanted: str, person: Entry | None = None, **changes: Any
) -> tuple[set[str], bool]:
    settings = LdapSettings(group_base="ou=groups", **changes)
    entry = person or Entry(PERSON, {"uid": [b"ann"]})
    found, certain = groups_in(cast("Connection", groups), settings, entry, wanted)
    return set(found), certain


def test_groups_of_groups_are_found_up_to_the_depth() -> None:
    chain = Groups({"cn=1": [PERSON], "cn=2": ["cn=1"], "cn=3": ["cn=2"], "cn=4": ["cn=3"]})
    for depth, found in ((0, {"cn=1"}), (1, {"cn=1", "cn=2"}), (2, {"cn=1", "cn=2", "cn=3"})):
        assert inside(chain, "cn=1", "cn=2", "cn=3", group_depth=depth) == (found, True)


def test_a_ring_ends() -> None:
    ring = Groups({"cn=1": [PERSON, "cn=3"], "cn=2": ["cn=1"], "cn=3": ["cn=2"], "cn=4": []})
    assert inside(ring, "cn=3", "cn=4", group_depth=20) == ({"cn=3"}, True)
    assert len(ring.searched) == 4


def test_nothing_is_searched_once_all_is_known() -> None:
    direct = Groups({"cn=1": [PERSON], "cn=2": [PERSON]})
    assert inside(direct, "cn=1", "cn=2") == ({"cn=1", "cn=2"}, True)
    assert direct.searched == []


def test_many_groups_are_asked_for_in_parts_and_up_to_a_number() -> None:
    many = {f"cn=g{number}": [PERSON] for number in range(120)} | {"cn=top": ["cn=g119"]}
    assert inside(Groups(many), "cn=top", groups_max=200) == ({"cn=top"}, True)
    few = Groups(many)
    assert inside(few, "cn=top", "cn=g3", groups_max=100) == ({"cn=g3"}, False)
    assert len(few.searched) == 1


def test_names_in_place_of_dns_are_not_nested() -> None:
    posix = Groups({"cn=1": ["ann"], "cn=2": ["bob"]})
    found = inside(posix, "cn=1", "cn=2", group_attribute="memberUid")
    assert found == ({"cn=1"}, True)
    assert posix.searched == []


def test_the_attribute_of_a_person_names_groups() -> None:
    person = Entry(PERSON, {"memberof": [b"CN=Members, OU=Groups"]})
    found = inside(
        Groups({}), "cn=members,ou=groups", "cn=admins", person=person, group_mode="memberof"
    )
    assert found == ({"cn=members,ou=groups"}, True)
    assert attributes_for(LdapSettings(group_mode="memberof")) == ["memberOf"]
    assert attributes_for(LdapSettings()) == []


def test_active_directory_follows_groups_itself() -> None:
    groups = Groups({})
    found = inside(groups, "cn=inside", "cn=out(side)", group_mode="matching_rule")
    assert found == ({"cn=inside"}, True)
    assert groups.searched[1] == f"(memberOf:{MATCHING_RULE}:=cn=out\\28side\\29)"


@pytest.mark.parametrize("mode", ["search", "memberof", "matching_rule"])
def test_no_wanted_group_asks_nothing(mode: str) -> None:
    groups = Groups({"cn=1": [PERSON]})
    assert inside(groups, group_mode=mode) == (set(), True)
    assert groups.searched == []
