"""Every error is answered with the code and reason that the protos document."""

import re
from pathlib import Path

import grpc
import pytest

from drink.v1 import machine_service_pb2 as pb
from drink.v1.error_reason_pb2 import ErrorReason
from drink_frontend.domain.errors import DrinkError, RateLimitedError
from drink_frontend.rpc.errors import INTERNAL, TEXT_MAX, fault, refusal
from tests.support.rpc_frontend import Frontend

PAGE = Path(__file__).parents[3] / "docs" / "api.md"
PROTO = Path(__file__).parents[3] / "protos" / "drink" / "v1" / "error_reason.proto"


def promised_codes() -> dict[str, str]:
    """The code that the comment above each reason begins with."""
    found = re.findall(
        r"// ([A-Z_]+):[^\n]*\n(?: *//[^\n]*\n)* *ERROR_REASON_([A-Z_]+) =", PROTO.read_text()
    )
    return {reason: code for code, reason in found}


def refusals() -> list[type[DrinkError]]:
    found, waiting = [], list(DrinkError.__subclasses__())
    while waiting:
        error = waiting.pop()
        waiting.extend(error.__subclasses__())
        found.append(error)
    return sorted(found, key=lambda error: error.__name__)


def by_reason() -> dict[str, type[DrinkError]]:
    return {error.reason: error for error in refusals()}


def made(error: type[DrinkError]) -> DrinkError:
    """An error of that class, with a fact."""
    instance = error.__new__(error)
    DrinkError.__init__(instance, "no, because", fact=7)
    return instance


def test_every_reason_of_the_protos_is_an_error_with_its_promised_code() -> None:
    reasons = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()}  # noqa: SIM118
    assert by_reason().keys() == reasons - {"UNSPECIFIED", INTERNAL}
    codes = {reason: error.code for reason, error in by_reason().items()}
    assert {**codes, INTERNAL: INTERNAL} == promised_codes()


@pytest.mark.parametrize("error", refusals(), ids=lambda error: error.__name__)
async def test_every_refusal_arrives_as_one_error_info(
    frontend: Frontend, error: type[DrinkError]
) -> None:
    frontend.storage.error = made(error)
    refusal_ = await frontend.refused(pb.ListMachinesRequest())
    assert refusal_.code.name == error.code
    assert refusal_.reason == refusal_.plain_reason == error.reason
    assert refusal_.facts == {"fact": "7"}
    assert refusal_.message == "no, because"
    assert refusal_.retry_after_s == error.retry_after_s


def test_the_page_on_the_api_has_every_reason_with_its_code_and_wait() -> None:
    rows = re.findall(r"^\| ([A-Z_]+) \| ([A-Z_]+) \| (\d*)", PAGE.read_text(), re.MULTILINE)
    expected = {
        (reason, error.code, str(error.retry_after_s or ""))
        for reason, error in by_reason().items()
    }
    assert set(rows) == {*expected, (INTERNAL, INTERNAL, "")}
    assert len(rows) == len(expected) + 1


def test_a_retry_is_offered_where_waiting_helps() -> None:
    for error in refusals():
        is_patient = error.code in {"UNAVAILABLE", "RESOURCE_EXHAUSTED"}
        assert (error.retry_after_s is not None) == is_patient, error


async def test_a_refusal_may_contain_its_own_time_to_retry(frontend: Frontend) -> None:
    frontend.storage.error = RateLimitedError("slow down", retry_after_seconds=77)
    refusal_ = await frontend.refused(pb.ListMachinesRequest())
    assert refusal_.retry_after_s == 77
    assert refusal_.facts == {"retry_after_seconds": "77"}


def test_what_is_sent_is_bounded() -> None:
    error = RateLimitedError("x" * 100_000, fact="y" * 100_000)
    wire = refusal(error)
    assert len(wire.message) == TEXT_MAX
    assert sum(len(value) for _, value in wire.metadata) < 8_192


def test_a_fault_shows_nothing_but_its_incident() -> None:
    wire = fault("inc-1")
    assert wire.code is grpc.StatusCode.INTERNAL
    assert wire.message == "internal error, incident inc-1"
