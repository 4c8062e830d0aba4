"""The device flow, against answers of a provider that a test has written down."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from drink.v1 import account_service_pb2 as pb
from drink_cli.device_login import DevicePrompt, begin
from drink_cli.device_login import _wait as wait_for
from drink_cli.errors import CommandError, Exit

HOME = pb.SignInProvider(
    name="home",
    display_name="Home",
    device_client_id="drink",
    scopes="openid profile",
    device_authorization_endpoint="https://sso.example.org/device",
    token_endpoint="https://sso.example.org/token",
)
BEGUN = {
    "device_code": "device-1",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://sso.example.org/activate",
    "verification_uri_complete": "https://sso.example.org/activate?code=WDJB-MJHT",
    "expires_in": 60,
    "interval": 2,
}
PENDING = (400, {"error": "authorization_pending"})
DONE = (200, {"id_token": "a.b.c", "access_token": "d"})


class Provider:
    """Answers in order, the last one again and again."""

    def __init__(self, *answers: Any) -> None:
        self.answers: Iterator[Any] = iter(answers)
        self.last: Any = None
        self.forms: list[str] = []
        self.waits: list[float] = []
        self.client = httpx2.Client(transport=httpx2.MockTransport(self._answer))

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.forms.append(request.content.decode())
        self.last = next(self.answers, self.last)
        if isinstance(self.last, Exception):
            raise self.last
        status, body = self.last
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx2.Response(status, stream=httpx2.ByteStream(content))

    def begin(self) -> DevicePrompt:
        with self.client:
            return begin(self.client, HOME)

    def wait(self, **changes: Any) -> Any:
        facts = {"interval_s": 2, "life_s": 60, **changes}
        prompt = DevicePrompt("https://a", "c", "", "device-1", **facts)
        with self.client:
            return wait_for(self.client, HOME, prompt, self.waits.append)


def refused(provider: Provider, **changes: Any) -> tuple[str, Exit]:
    with pytest.raises(CommandError) as error:
        provider.wait(**changes)
    return str(error.value), error.value.code


def test_a_code_is_asked_for() -> None:
    provider = Provider((200, BEGUN))
    prompt = provider.begin()
    assert (prompt.code, prompt.interval_s, prompt.life_s) == ("WDJB-MJHT", 2, 60)
    assert prompt.complete.endswith("WDJB-MJHT")
    assert provider.forms == ["client_id=drink&scope=openid+profile"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"interval": None}, (5, 60)),
        ({"interval": -1}, (5, 60)),
        ({"interval": 10**9}, (60, 60)),
        ({"expires_in": 10**9}, (2, 900)),
        ({"expires_in": "soon"}, (2, 900)),
    ],
)
def test_times_have_limits(changes: dict[str, Any], expected: tuple[int, int]) -> None:
    prompt = Provider((200, {**BEGUN, **changes})).begin()
    assert (prompt.interval_s, prompt.life_s) == expected


@pytest.mark.parametrize(
    "answer",
    [
        (400, {"error": "invalid_client"}),
        (200, {}),
        (200, {**BEGUN, "user_code": "a\x1b[2J"}),
        (200, {**BEGUN, "verification_uri": "http://sso.example.org"}),
        (200, {**BEGUN, "verification_uri": "javascript:alert(1)"}),
        (200, []),
        (200, b"<html>"),
        (200, b"[" * 100_000),
        (200, b" " * 200_000),
    ],
)
def test_answers_that_cannot_be_used(answer: Any) -> None:
    with pytest.raises(CommandError) as error:
        Provider(answer).begin()
    assert error.value.code is Exit.FAULT
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize(
    "answer", [httpx2.ConnectError("no"), httpx2.ReadTimeout("slow"), (500, {}), (302, {})]
)
def test_a_provider_that_is_away(answer: Any) -> None:
    with pytest.raises(CommandError) as error:
        Provider(answer).begin()
    assert error.value.code is Exit.UNREACHABLE


def test_the_provider_is_asked_until_somebody_has_signed_in() -> None:
    provider = Provider(PENDING, PENDING, DONE)
    assert provider.wait()["id_token"] == "a.b.c"
    assert provider.waits == [2, 2, 2]


def test_more_slowly_where_it_asks_for_that_or_does_not_answer() -> None:
    slow = (400, {"error": "slow_down"})
    provider = Provider(slow, PENDING, httpx2.ReadTimeout("slow"), (503, {}), DONE)
    provider.wait(life_s=200)
    assert provider.waits == [2, 7, 7, 14, 28]


def test_the_end_of_waiting() -> None:
    assert refused(Provider(PENDING))[1] is Exit.LOGIN
    assert refused(Provider((400, {"error": "expired_token"})))[1] is Exit.LOGIN
    assert refused(Provider((400, {"error": "access_denied"})))[1] is Exit.LOGIN
    assert refused(Provider((400, {"error": "invalid_grant"})))[1] is Exit.FAULT
    assert refused(Provider(httpx2.ConnectError("no")))[1] is Exit.LOGIN
