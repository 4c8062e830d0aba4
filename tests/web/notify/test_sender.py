"""Messages reach a real mail server and a real webhook, and failures are told without secrets."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drink_web.notify.message import Message
from drink_web.notify.sender import Sender, silence_libraries
from drink_web.notify_settings import ChannelSettings
from drink_web.settings import ConfigError
from tests.fakes.receivers import MailServer, WebHook

MESSAGE = Message("Drink: 2 alarms", "Too warm: d\n\nA slot is empty: d/1, äöü €")
SECRET = "p4ssw0rd"


@pytest.fixture
def hook() -> Iterator[WebHook]:
    with WebHook() as hook:
        yield hook


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer() as mail:
        yield mail


def sender(folder: Path, url: str, limit_s: float = 10) -> Sender:
    silence_libraries()
    file = folder / "url"
    file.write_text(f"{url}\n")
    return Sender(ChannelSettings(name="it", url_file=file), limit_s)


async def test_a_mail_arrives_whole(mail: MailServer, tmp_path: Path) -> None:
    assert await sender(tmp_path, mail.url).send(MESSAGE) == ""
    ((title, body),) = mail.wait(1, 10)
    assert title == MESSAGE.title
    for line in MESSAGE.body.splitlines():
        assert line in body


async def test_a_webhook_is_told_once(hook: WebHook, tmp_path: Path) -> None:
    assert await sender(tmp_path, hook.url).send(MESSAGE) == ""
    assert hook.messages == [(MESSAGE.title, MESSAGE.body)]


@pytest.mark.parametrize("status", [204, 401, 404, 500])
@pytest.mark.parametrize("path", ["json://127.0.0.1:{}/error=299", "ntfy://127.0.0.1:{}/topic"])
async def test_a_wrong_answer_is_told_with_its_status(
    hook: WebHook, tmp_path: Path, status: int, path: str
) -> None:
    hook.status = status
    found = await sender(tmp_path, path.format(hook.port)).send(MESSAGE)
    good = status == 204 and path.startswith("json")
    assert found == ("" if good else f"the server answered {status}")
    assert hook.messages == []


@pytest.mark.parametrize("url", ["json://127.0.0.1:9/", "mailto://127.0.0.1:9?from=a@b.example"])
async def test_a_server_that_is_not_there_is_told(tmp_path: Path, url: str) -> None:
    assert await sender(tmp_path, url).send(MESSAGE) == "the server was not reached"


@pytest.mark.parametrize("query", ["", "?redirect=yes"])
async def test_a_redirect_is_not_followed(hook: WebHook, tmp_path: Path, query: str) -> None:
    with WebHook() as inner:
        for hook.status in (301, 302, 307, 308):
            hook.location = f"http://127.0.0.1:{inner.port}/admin"
            found = await sender(tmp_path, hook.url + query).send(MESSAGE)
            assert found == f"the server answered {hook.status}"
        assert (hook.asked, inner.asked) == (4, 0)


async def test_a_webhook_that_never_answers_takes_its_limit(hook: WebHook, tmp_path: Path) -> None:
    hook.delay_s = 60
    began = time.monotonic()
    assert await sender(tmp_path, hook.url, limit_s=0.5).send(MESSAGE)
    assert time.monotonic() - began < 20


async def test_no_line_of_the_log_has_the_address(
    hook: WebHook, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hook.status = 500
    url = f"json://user:{SECRET}@127.0.0.1:{hook.port}/?token={SECRET}"
    why = await sender(tmp_path, url).send(MESSAGE)
    assert SECRET not in why + caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "",
        f"nothing://{SECRET}",
        f"mailto://u:{SECRET}@mail.example?to=a@b.example%0d%0abcc:x@y.example",
        f"mailto://u:{SECRET}@mail.example?to=a@b.example%250abcc:x@y.example",
        f"mailto://u:{SECRET}@mail.example?to=a@b.example\rbcc:x@y.example",
        f"mailto://u:{SECRET}@mail.example?to=a@b.example\nbcc:x@y.example",
    ],
)
def test_an_address_that_cannot_be_one_is_refused_and_not_shown(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"notify\.channels\.it") as refusal:
        sender(tmp_path, url)
    assert SECRET not in str(refusal.value)


def test_an_address_comes_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ChannelSettings(name="it", url_env="HOOK_URL")
    with pytest.raises(ConfigError, match="HOOK_URL is not in the environment"):
        Sender(settings, 1)
    monkeypatch.setenv("HOOK_URL", "json://127.0.0.1:9/")
    Sender(settings, 1)
    with pytest.raises(ConfigError, match="No such file"):
        Sender(ChannelSettings(name="it", url_file=Path("/nowhere/url")), 1)
