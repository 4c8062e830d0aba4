"""The status with which a call ends: google.rpc.Status with exactly one ErrorInfo.

The types of `domain.errors` carry reason and code; this module only encodes them.
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
"""Reason and code of a fault of the frontend itself."""

TEXT_MAX = 500
"""Characters of a message or fact that are sent; keeps an error within the 8 KiB of metadata that
gRPC clients take."""


@dataclass(frozen=True, slots=True)
class WireError:
    """The status of a call that failed, with its trailing metadata."""

    code: grpc.StatusCode
    message: str
    metadata: tuple[tuple[str, str | bytes], ...]


def refusal(error: DrinkError) -> WireError:
    """The status of a refusal; its message and facts are meant for clients."""
    retry_after_s = error.retry_after_s
    if retry_after_s is not None:
        retry_after_s = int(error.facts.get("retry_after_seconds", retry_after_s))
    facts = {name: str(value) for name, value in error.facts.items()}
    return _wire_error(error.reason, error.code, str(error), facts, retry_after_s)


def fault(incident: str) -> WireError:
    """The status of a fault; it contains only the id of the incident, which is logged too."""
    message = f"internal error, incident {incident}"
    return _wire_error(INTERNAL, INTERNAL, message, {"incident": incident}, None)


def _wire_error(
    reason: str,
    code: str,
    message: str,
    facts: Mapping[str, str],
    retry_after_s: int | None,
) -> WireError:
    status = status_pb2.Status(code=code_pb2.Code.Value(code), message=message[:TEXT_MAX])
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
    return WireError(
        grpc.StatusCode[code], status.message, (*wire.trailing_metadata, (REASON_KEY, reason))
    )
