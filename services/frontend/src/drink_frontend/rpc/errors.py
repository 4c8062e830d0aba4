"""How refusals and faults look on the wire: google.rpc.Status with exactly one ErrorInfo.

REPLIES is the one place that gives each reason its code; every other module raises domain errors.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from drink_frontend.domain.errors import DrinkError

DOMAIN = "drink"
"""The `domain` of every ErrorInfo."""

REASON_KEY = "drink-error-reason"
"""Trailing metadata with the reason in plain text, for clients that have no google.rpc messages."""

INTERNAL = "INTERNAL"
"""Reason of a fault of the frontend itself."""

TEXT_MAX = 500
"""Characters of a message or fact that are sent; keeps an error within the 8 KiB of metadata that
gRPC clients take."""


@dataclass(frozen=True, slots=True)
class Reply:
    """How a reason is answered.

    Attributes:
        code: The call's status code.
        retry_after_s: Seconds after which a repeat may succeed, sent as RetryInfo; None where a
            repeat is of no use. The refusal's own fact `retry_after_seconds` comes first.
    """

    code: grpc.StatusCode
    retry_after_s: int | None = None


_INVALID = Reply(grpc.StatusCode.INVALID_ARGUMENT)
_UNAUTHENTICATED = Reply(grpc.StatusCode.UNAUTHENTICATED)
_DENIED = Reply(grpc.StatusCode.PERMISSION_DENIED)
_NOT_FOUND = Reply(grpc.StatusCode.NOT_FOUND)
_PRECONDITION = Reply(grpc.StatusCode.FAILED_PRECONDITION)

REPLIES: Mapping[str, Reply] = {
    "FIELD_INVALID": _INVALID,
    "REQUEST_ID_REUSED": _INVALID,
    "TOKEN_INVALID": _UNAUTHENTICATED,
    "CREDENTIALS_INVALID": _UNAUTHENTICATED,
    "CERTIFICATE_INVALID": _UNAUTHENTICATED,
    "ADMIN_REQUIRED": _DENIED,
    "NOT_OWNER": _DENIED,
    "RATE_LIMITED": Reply(grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_s=10),
    "MACHINE_NOT_FOUND": _NOT_FOUND,
    "SLOT_NOT_FOUND": _NOT_FOUND,
    "ACCOUNT_NOT_FOUND": _NOT_FOUND,
    "DROP_NOT_FOUND": _NOT_FOUND,
    "INSUFFICIENT_CREDITS": _PRECONDITION,
    "SLOT_EMPTY": _PRECONDITION,
    "SLOT_DISABLED": _PRECONDITION,
    "PRICE_ABOVE_CEILING": _PRECONDITION,
    "DROP_NOT_CANCELLABLE": _PRECONDITION,
    "ACCOUNT_CLOSED": _PRECONDITION,
    "ALREADY_EXISTS": Reply(grpc.StatusCode.ALREADY_EXISTS),
    "STOCK_INVALID": _PRECONDITION,
    "DROP_NOT_UNKNOWN": _PRECONDITION,
    "LAST_ADMINISTRATOR": _PRECONDITION,
    # An agent comes back within its longest back-off of 30 s, most often within a few seconds.
    "MACHINE_OFFLINE": Reply(grpc.StatusCode.UNAVAILABLE, retry_after_s=5),
    "BOARD_UNREACHABLE": Reply(grpc.StatusCode.UNAVAILABLE, retry_after_s=5),
    "MACHINE_DISABLED": _PRECONDITION,
    # Two drops of 3.5 s each have left the queue by then.
    "MACHINE_BUSY": Reply(grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_s=7),
    "SHUTTING_DOWN": Reply(grpc.StatusCode.UNAVAILABLE, retry_after_s=1),
    "STORAGE_UNAVAILABLE": Reply(grpc.StatusCode.UNAVAILABLE, retry_after_s=1),
    "LINK_SUPERSEDED": Reply(grpc.StatusCode.ABORTED),
    "AGENT_TOO_OLD": _PRECONDITION,
    "LINK_PROTOCOL": _INVALID,
    INTERNAL: Reply(grpc.StatusCode.INTERNAL),
}
"""Every reason of drink.v1.ErrorReason, and how it is answered."""


@dataclass(frozen=True, slots=True)
class WireError:
    """An error as a call ends with it."""

    code: grpc.StatusCode
    message: str
    metadata: tuple[tuple[str, str | bytes], ...]


def refusal(error: DrinkError) -> WireError:
    """The wire form of a refusal; its message and facts are meant for clients."""
    reply = REPLIES[error.reason]
    retry_after_s = reply.retry_after_s
    if retry_after_s is not None:
        retry_after_s = int(error.facts.get("retry_after_seconds", retry_after_s))
    facts = {name: str(value) for name, value in error.facts.items()}
    return _wire_error(error.reason, reply.code, str(error), facts, retry_after_s)


def fault(incident: str) -> WireError:
    """The wire form of a fault: nothing of it but the incident's id, which the log has too."""
    message = f"internal error, incident {incident}"
    return _wire_error(INTERNAL, REPLIES[INTERNAL].code, message, {"incident": incident}, None)


def _wire_error(
    reason: str,
    code: grpc.StatusCode,
    message: str,
    facts: Mapping[str, str],
    retry_after_s: int | None,
) -> WireError:
    status = status_pb2.Status(code=code_pb2.Code.Value(code.name), message=message[:TEXT_MAX])
    info = error_details_pb2.ErrorInfo(
        reason=reason,
        domain=DOMAIN,
        metadata={name: text[:TEXT_MAX] for name, text in facts.items()},
    )
    status.details.add().Pack(info)
    if retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromSeconds(retry_after_s)
        status.details.add().Pack(retry)
    wire: grpc.Status = rpc_status.to_status(status)  # type: ignore[no-untyped-call]
    return WireError(code, status.message, (*wire.trailing_metadata, (REASON_KEY, reason)))
