"""Which endings of a link pass by themselves and which need a person.

None of them ends the agent: it stands alone next to its machine, and what was refused today,
a disabled machine or an unknown token, may be allowed tomorrow.
"""

from enum import StrEnum


class Retry(StrEnum):
    """When to dial again."""

    ELSEWHERE = "elsewhere"
    """At once, at another frontend: this one leaves in good order."""
    SOON = "soon"
    """At another frontend if there is one, else with the usual back-off."""
    SLOWLY = "slowly"
    """With the long wait and a loud log."""
    STANDBY = "standby"
    """With waits that grow: another agent has the machine's link, and one of the two is enough."""


RETRY_BY_REASON = {
    "SHUTTING_DOWN": Retry.SOON,
    "STORAGE_UNAVAILABLE": Retry.SOON,
    "RATE_LIMITED": Retry.SOON,
    "INTERNAL": Retry.SOON,
    "LINK_SUPERSEDED": Retry.STANDBY,
    "LINK_PROTOCOL": Retry.SLOWLY,
    "AGENT_TOO_OLD": Retry.SLOWLY,
    "MACHINE_DISABLED": Retry.SLOWLY,
    "MACHINE_NOT_FOUND": Retry.SLOWLY,
    "TOKEN_INVALID": Retry.SLOWLY,
    "CERTIFICATE_INVALID": Retry.SLOWLY,
    "NOT_OWNER": Retry.SLOWLY,
    "FIELD_INVALID": Retry.SLOWLY,
}
"""By the error reason of drink.v1, where the frontend gave one."""

RETRY_BY_CODE = {
    "UNAUTHENTICATED": Retry.SLOWLY,
    "PERMISSION_DENIED": Retry.SLOWLY,
    "UNIMPLEMENTED": Retry.SLOWLY,
    "FAILED_PRECONDITION": Retry.SLOWLY,
    "INVALID_ARGUMENT": Retry.SLOWLY,
    "NOT_FOUND": Retry.SLOWLY,
    "ABORTED": Retry.SLOWLY,
}
"""By the gRPC code, where there is no known reason. Any other code passes by itself."""


def retry_after(code: str, reason: str) -> Retry:
    """Returns when to dial again after a link ended with this code and reason."""
    return RETRY_BY_REASON.get(reason) or RETRY_BY_CODE.get(code, Retry.SOON)
