from pathlib import Path

import pytest

from drink.v1 import alarm_service_pb2 as pb
from drink_frontend.domain.alarms import AlarmKind
from drink_web.pages.alarms import alarm_view
from drink_web.texts import TEXTS
from tests.web.pages.test_admin import root
from tests.web.visitor import House, running_house


async def flood(house: House) -> str:
    """Raises an alarm, and returns its number."""
    house.bench.alarms.count("d", AlarmKind.LINK_FLOODED, {"limit": "<b>messages</b>"})
    await house.bench.alarms.keep()
    page = await (await root(house)).get("/admin/alarms")
    return page.text.partition('id="alarm-')[2].partition('"')[0]


@pytest.mark.parametrize(
    ("subject", "path", "shown"),
    [
        ("machines/d/slots/1", "/admin/machines/d/1", "d/1"),
        ("drops/01J", "/admin/drops/01J", "01J"),
        ("frontends/here:1", "", "here:1"),
        ("house", "", "whole house"),
    ],
)
def test_a_subject_has_a_name_and_a_page_if_there_is_one(
    subject: str, path: str, shown: str
) -> None:
    alarm = pb.Alarm(kind="TOO_WARM", subject=subject, severity=pb.Alarm.SEVERITY_CRITICAL)
    view = alarm_view(alarm, TEXTS["en"])
    assert (view.path, view.subject, view.urgency) == (path, shown, "now")


@pytest.mark.parametrize("kind", AlarmKind)
@pytest.mark.parametrize("language", TEXTS)
def test_every_kind_has_words_and_a_next_action(kind: AlarmKind, language: str) -> None:
    view = alarm_view(pb.Alarm(kind=kind.value, subject="machines/d"), TEXTS[language])
    assert view.title != kind.value
    assert view.todo


def test_an_alarm_of_a_newer_frontend_is_shown() -> None:
    view = alarm_view(pb.Alarm(kind="NEW_KIND", subject="machines/d/slots/1"), TEXTS["en"])
    assert (view.title, view.todo) == ("NEW_KIND", "")
    assert (view.path, view.subject) == ("/admin/machines/d/1", "d/1")


async def test_alarms_are_on_the_page_of_today_and_in_the_list(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        number = await flood(house)
        admin = await root(house)
        assert f'href="/admin/alarms#alarm-{number}"' in (await admin.get("/admin")).text
        page = await admin.get("/admin/alarms")
        assert "An agent sent too many messages" in page.text
        assert "make a new one" in page.text
        assert "&lt;b&gt;messages&lt;/b&gt;" in page.text
        assert 'href="/admin/machines/d"' in page.text
        german = await admin.get("/admin/alarms", accept_language="de")
        assert "Ein Agent hat zu viele Nachrichten gesendet" in german.text


async def test_an_alarm_is_acknowledged_and_closed(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        number = await flood(house)
        admin, path = await root(house), f"/admin/alarms/{number}"
        assert (await admin.post(path, {"do": "acknowledge"})).goal == "/admin/alarms"
        page = await admin.get("/admin/alarms")
        assert "root looks at it" in page.text
        assert 'value="acknowledge"' not in page.text
        assert (await admin.post(path, {"do": "close", "reason": "a loose plug"})).status == 303
        assert "There are none." in (await admin.get("/admin/alarms")).text
        closed = await admin.get("/admin/alarms?closed=1")
        assert "Closed by root" in closed.text
        assert "<form method" not in closed.text.partition("<main")[2]
        late = await admin.post(path, {"do": "acknowledge"})
        assert late.status == 409
        assert "closed already" in late.text


async def test_the_alarm_of_an_unknown_drop_ends_with_its_decision(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        drop = await house.bench.unknown()
        admin = await root(house)
        page = await admin.get("/admin/alarms")
        assert f'class="button" href="/admin/drops/{drop.id}"' in page.text
        assert 'value="close"' not in page.text
        number = page.text.partition('id="alarm-')[2].partition('"')[0]
        forced = await admin.post(f"/admin/alarms/{number}", {"do": "close"})
        assert forced.status == 409
        assert "when its drop is decided" in forced.text


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({}, 422),
        ({"do": "delete"}, 422),
        ({"do": "close", "reason": "x" * 201}, 422),
        ({"do": "close", "reason": "a\x00b"}, 422),
    ],
)
async def test_a_wrong_form_changes_nothing(
    tmp_path: Path, form: dict[str, str], status: int
) -> None:
    async with running_house(tmp_path) as house:
        number = await flood(house)
        admin = await root(house)
        assert (await admin.post(f"/admin/alarms/{number}", form)).status == status
        assert 'value="acknowledge"' in (await admin.get("/admin/alarms")).text
        for missing in ("999", "x"):
            answer = await admin.post(f"/admin/alarms/{missing}", {"do": "close"})
            assert answer.status in (400, 404, 409)


async def test_others_see_and_change_no_alarms(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        number = await flood(house)
        ann = await house.ann()
        assert (await ann.get("/admin/alarms")).status == 403
        assert (await ann.post(f"/admin/alarms/{number}", {"do": "close"})).status == 403
        assert (await house.visitor().get("/admin/alarms")).status == 303
        page = await (await root(house)).get("/admin/alarms")
        assert 'value="acknowledge"' in page.text
