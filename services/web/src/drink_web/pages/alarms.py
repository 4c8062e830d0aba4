"""Alarms for administrators: the list, acknowledging and closing."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from drink.v1 import alarm_service_pb2 as pb
from drink_web import views
from drink_web.errors import CallError
from drink_web.pages.facts import fact_lines
from drink_web.texts import Texts
from drink_web.visit import Visit

ALARMS_MAX = 100
"""Alarms on one page; closing some makes room for older ones."""

UNKNOWN_DROP = "DROP_UNKNOWN"
"""The kind of alarm that deciding its drop closes."""

PAGES = ("drops", "machines", "kiosks")
"""What has a page of its own for administrators."""

REFUSALS = ("ALARM_CLOSED", "ALARM_STANDS", "ALARM_NOT_FOUND")
"""Reasons that the list itself explains, because the alarm has changed since it was drawn."""


@dataclass(frozen=True, slots=True)
class AlarmView:
    """An alarm with its texts.

    Attributes:
        alarm: The API's message.
        title: What happened; the kind's own name if a newer frontend raised it.
        todo: The next action; empty for a kind of a newer frontend.
        urgency: How soon it needs somebody; empty if the frontend does not say so.
        path: The page of its drop, slot or machine; empty if it is about none.
        subject: Its drop, slot, machine or frontend, for people.
        lines: Its facts, one line each.
    """

    alarm: pb.Alarm
    title: str
    todo: str
    urgency: str
    path: str
    subject: str
    lines: Sequence[str]

    @property
    def id(self) -> str:
        """Its number."""
        return self.alarm.name.removeprefix("alarms/")

    @property
    def is_open(self) -> bool:
        """Whether nobody has acknowledged it."""
        return self.alarm.state == pb.Alarm.STATE_OPEN

    @property
    def is_closed(self) -> bool:
        """Whether its cause is gone."""
        return self.alarm.state == pb.Alarm.STATE_CLOSED

    @property
    def needs_decision(self) -> bool:
        """Whether it is closed by deciding its drop, and in no other way."""
        return self.alarm.kind == UNKNOWN_DROP


def alarm_view(alarm: pb.Alarm, texts: Texts) -> AlarmView:
    """An alarm with its texts in one language."""
    key, todo = f"alarm_{alarm.kind}", f"todo_{alarm.kind}"
    urgency = f"severity_{alarm.severity}"
    family, _, rest = alarm.subject.partition("/")
    whole = f"subject_{alarm.subject}"
    return AlarmView(
        alarm,
        title=texts(key) if texts.has(key) else alarm.kind,
        todo=texts(todo) if texts.has(todo) else "",
        urgency=texts(urgency) if texts.has(urgency) else "",
        path=f"/admin/{alarm.subject.replace('/slots/', '/')}" if family in PAGES else "",
        subject=texts(whole) if texts.has(whole) else rest.replace("/slots/", "/"),
        lines=list(fact_lines(alarm.facts)),
    )


async def list_open(visit: Visit) -> Sequence[AlarmView]:
    """Reads the alarms that are not closed, the newest first.

    Raises:
        CallError: the frontend refused, or did not answer.
    """
    request = pb.ListAlarmsRequest(page_size=ALARMS_MAX)
    answer = await visit.call(visit.site.api.alarms.ListAlarms, request)
    return [alarm_view(alarm, visit.texts) for alarm in answer.alarms]


async def show(visit: Visit) -> Response:
    """GET /admin/alarms: alarms that are not closed, or the closed ones with `?closed=1`."""
    return await _page(visit, closed=visit.query.get("closed") == "1")


async def _page(
    visit: Visit, status: int = 200, *, closed: bool = False, problem: str = ""
) -> Response:
    request = pb.ListAlarmsRequest(page_size=ALARMS_MAX)
    if closed:
        request.states.append(pb.Alarm.STATE_CLOSED)
    answer = await visit.call(visit.site.api.alarms.ListAlarms, request)
    await visit.look_up_account()
    return visit.page(
        "admin_alarms.html",
        status,
        here="admin",
        closed=closed,
        alarms=[alarm_view(alarm, visit.texts) for alarm in answer.alarms],
        more=bool(answer.next_page_token),
        problem=problem,
    )


async def change(visit: Visit) -> Response:
    """POST /admin/alarms/{alarm}: acknowledges or closes it, by the button that was pressed."""
    form = await visit.form()
    name, what = f"alarms/{visit.request.path_params['alarm']}", form.get("do")
    reason = form.get("reason", "").strip()
    api = visit.site.api.alarms
    if what not in ("acknowledge", "close"):
        return await _page(visit, 422, problem=visit.texts("problem_form"))
    if len(reason) > views.REASON_MAX or not reason.isprintable():
        return await _page(visit, 422, problem=visit.texts("problem_why"))
    try:
        if what == "acknowledge":
            await visit.call(api.AcknowledgeAlarm, pb.AcknowledgeAlarmRequest(name=name))
        else:
            await visit.call(api.CloseAlarm, pb.CloseAlarmRequest(name=name, reason=reason))
    except CallError as error:
        if error.reason not in REFUSALS:
            raise
        return await _page(visit, 409, problem=visit.texts(error.reason))
    return visit.redirect("/admin/alarms")
