"""Which of the wanted groups a person of the directory is in."""

from collections.abc import Iterable, Sequence

from drink_frontend.system.directory.connection import Connection, Entry
from drink_frontend.system.directory.names import in_filter, same_dn
from drink_frontend.system.directory.settings import LdapSettings

MEMBER_OF = "memberOf"

MATCHING_RULE = "1.2.840.113556.1.4.1941"
"""Active Directory's rule that follows `memberOf` through nested groups."""

AT_ONCE = 50
"""DNs in one filter, some 5 KB."""

NOT_NESTED = "memberuid"
"""Attribute, in lower case, that has names in place of DNs."""


def groups_in(
    connection: Connection, settings: LdapSettings, person: Entry, wanted: Iterable[str]
) -> tuple[frozenset[str], bool]:
    """Those of the wanted groups that a person is in, itself or through other groups.

    Args:
        connection: A connection that may search groups.
        settings: How groups are found.
        person: The entry, with `attributes_for` it.
        wanted: DNs of groups.

    Returns:
        The groups, and whether that is certain of the others; it is not where the person is in more
        groups than are looked at.

    Raises:
        DirectoryFailedError: there is no such group, or the directory did not answer.
    """
    groups = list(dict.fromkeys(wanted))
    match settings.group_mode:
        case "memberof":
            among = {same_dn(dn) for dn in person.texts(MEMBER_OF)}
            return frozenset(group for group in groups if same_dn(group) in among), True
        case "matching_rule":
            inside = (group for group in groups if _by_rule(connection, person, group))
            return frozenset(inside), True
        case _:
            return _searched(connection, settings, person, groups)


def attributes_for(settings: LdapSettings) -> Sequence[str]:
    """The attributes of a person that `groups_in` reads."""
    return [MEMBER_OF] if settings.group_mode == "memberof" else []


def _by_rule(connection: Connection, person: Entry, group: str) -> bool:
    condition = f"({MEMBER_OF}:{MATCHING_RULE}:={in_filter(group)})"
    found, _ = connection.search(person.dn, condition, (), 1, below=False)
    return bool(found)


def _searched(
    connection: Connection, settings: LdapSettings, person: Entry, wanted: Sequence[str]
) -> tuple[frozenset[str], bool]:
    """Looks for the person in the wanted groups, then in the groups that name the person's."""
    attribute = settings.group_attribute
    if attribute.lower() == NOT_NESTED:
        names = person.texts(settings.name_attribute)
        named = (
            group
            for group in wanted
            if any(connection.has_value(group, attribute, name) for name in names)
        )
        return frozenset(named), True
    # Membership of the person itself is found however many groups there are.
    inside = {group for group in wanted if connection.has_value(group, attribute, person.dn)}
    missing = {same_dn(group): group for group in wanted if group not in inside}
    if settings.group_depth == 0:
        return frozenset(inside), True
    level, seen = [person.dn], {same_dn(person.dn)}
    for _ in range(settings.group_depth + 1):
        if not level or not missing:
            break
        names_of = _naming(connection, settings, level, settings.groups_max + 1 - len(seen))
        if names_of is None:
            return frozenset(inside), False
        # A ring of groups leads back to one that was seen.
        level = [dn for dn in names_of if same_dn(dn) not in seen]
        seen |= {same_dn(dn) for dn in level}
        inside |= {missing.pop(same) for same in list(missing) if same in seen}
    return frozenset(inside), True


def _naming(
    connection: Connection, settings: LdapSettings, members: Sequence[str], most: int
) -> Sequence[str] | None:
    """The DNs of the groups that name one of the members; None if there are more than `most`."""
    found: list[str] = []
    base = settings.group_base or settings.user_base
    for start in range(0, len(members), AT_ONCE):
        each = members[start : start + AT_ONCE]
        terms = "".join(f"({settings.group_attribute}={in_filter(dn)})" for dn in each)
        groups, all_there = connection.search(base, f"(|{terms})", (), max(most, 1))
        found += [group.dn for group in groups]
        if not all_there or len(found) > most:
            return None
    return found
