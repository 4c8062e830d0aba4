from pathlib import Path

import pytest
from starlette.requests import Request

from drink_web.app import make_site
from drink_web.errors import CallError
from drink_web.rest.exchange import Exchange, RestError, refusal
from tests.web.visitor import settings


def request(**headers: str) -> Request:
    """A request from 192.0.2.9."""
    sent = [(key.replace("_", "-").encode(), text.encode()) for key, text in headers.items()]
    return Request({"type": "http", "method": "GET", "headers": sent, "client": ("192.0.2.9", 1)})


async def test_the_frontend_is_told_for_which_client_a_call_is_made(tmp_path: Path) -> None:
    secret = tmp_path / "gateway"
    secret.write_text("web 0123456789abcdef\n")
    site = make_site(settings(tmp_path, "127.0.0.1:1", frontend={"gateway_token_file": secret}))
    exchange = Exchange(site, request(authorization="bearer  a-token"))
    assert dict(exchange.caller) == {
        "authorization": "Bearer a-token",
        "x-drink-gateway-token": "0123456789abcdef",
        "x-drink-client-address": "192.0.2.9",
    }
    await site.api.close()


async def test_each_request_without_a_key_has_a_name_of_its_own(tmp_path: Path) -> None:
    site = make_site(settings(tmp_path, "127.0.0.1:1"))
    names = {Exchange(site, request()).request_id for _ in range(5)}
    assert len(names) == 5
    assert Exchange(site, request(idempotency_key='"a-1"')).request_id == "a-1"
    with pytest.raises(RestError):
        _ = Exchange(site, request(idempotency_key="ä")).request_id
    await site.api.close()


@pytest.mark.parametrize(
    ("status", "reason", "expected", "words"),
    [
        ("UNAUTHENTICATED", "TOKEN_INVALID", 401, "not valid"),
        ("PERMISSION_DENIED", "ADMIN_REQUIRED", 401, "administrators"),
        ("FAILED_PRECONDITION", "INSUFFICIENT_CREDITS", 402, "costs 5, and you have ?"),
        ("FAILED_PRECONDITION", "SLOT_EMPTY", 400, "sold out"),
        ("NOT_FOUND", "MACHINE_NOT_FOUND", 400, "no such machine"),
        ("UNAVAILABLE", "MACHINE_OFFLINE", 500, "not connected"),
        ("UNAVAILABLE", "BOARD_UNREACHABLE", 500, "electronics"),
        ("UNAVAILABLE", "", 503, "does not answer"),
        ("UNAVAILABLE", "SHUTTING_DOWN", 503, "does not answer"),
        ("RESOURCE_EXHAUSTED", "MACHINE_BUSY", 429, "wait for this machine"),
        ("INVALID_ARGUMENT", "REQUEST_ID_REUSED", 422, "Idempotency-Key"),
        ("INVALID_ARGUMENT", "FIELD_INVALID", 400, "item"),
        ("UNIMPLEMENTED", "", 502, "UNIMPLEMENTED"),
        ("FAILED_PRECONDITION", "OF_A_NEWER_FRONTEND", 400, "OF_A_NEWER_FRONTEND"),
    ],
)
def test_refusals_have_statuses_and_words(
    status: str, reason: str, expected: int, words: str
) -> None:
    error = refusal(CallError(status, reason, {"price": "5", "field": "item"}, 3))
    assert (error.status, error.body["errorCode"], error.retry_s) == (expected, expected, 3)
    assert words in error.body["error"]
    assert error.body.get("message", "") == reason
