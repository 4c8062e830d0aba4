import grpc
import pytest

from drink.v1.error_reason_pb2 import ErrorReason
from drink_agent.link.reasons import RETRY_BY_CODE, RETRY_BY_REASON, Retry, retry_after


def test_the_tables_name_real_reasons_and_codes() -> None:
    reasons = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()}  # noqa: SIM118  # no mapping
    assert set(RETRY_BY_REASON) <= reasons
    assert set(RETRY_BY_CODE) <= {code.name for code in grpc.StatusCode}


@pytest.mark.parametrize(
    ("code", "reason", "retry"),
    [
        ("UNAVAILABLE", "", Retry.SOON),
        ("UNKNOWN", "", Retry.SOON),
        ("CANCELLED", "", Retry.SOON),
        ("UNAVAILABLE", "SHUTTING_DOWN", Retry.SOON),
        ("UNAUTHENTICATED", "", Retry.SLOWLY),
        ("UNAUTHENTICATED", "TOKEN_INVALID", Retry.SLOWLY),
        ("ABORTED", "LINK_SUPERSEDED", Retry.STANDBY),
        ("FAILED_PRECONDITION", "STORAGE_UNAVAILABLE", Retry.SOON),
        ("UNAVAILABLE", "SOMETHING_NEW", Retry.SOON),
        ("PERMISSION_DENIED", "SOMETHING_NEW", Retry.SLOWLY),
    ],
)
def test_the_reason_counts_before_the_code(code: str, reason: str, retry: Retry) -> None:
    assert retry_after(code, reason) is retry
