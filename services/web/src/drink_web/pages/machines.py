"""Machines for administrators: making and changing them, their slots, and tokens for agents."""

import re
from collections.abc import Mapping

from starlette.responses import Response

from drink.v1 import machine_service_pb2 as pb
from drink_web import views
from drink_web.errors import CallError
from drink_web.forms import touched
from drink_web.pages.items import list_items
from drink_web.temperatures import SPANS, draw
from drink_web.visit import Visit

MACHINE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
"""What the API takes as the name of a machine."""

TEXT_MAX = 200
"""Characters of the longest text that the API takes."""


async def show_list(visit: Visit) -> Response:
    """GET /admin/machines."""
    return await _list_page(visit)


async def _list_page(
    visit: Visit, status: int = 200, *, problem: str = "", fields: Mapping[str, str] | None = None
) -> Response:
    await visit.require_admin()
    answer = await visit.call(visit.site.api.machines.ListMachines, pb.ListMachinesRequest())
    return visit.page(
        "admin_machines.html",
        status,
        here="admin",
        machines=[views.machine_view(machine, is_current=True) for machine in answer.machines],
        problem=problem,
        fields=fields or {},
    )


async def make(visit: Visit) -> Response:
    """POST /admin/machines: makes a machine without slots and without a token."""
    form = await visit.form()
    name = form.get("name", "").strip()
    if not MACHINE.fullmatch(name):
        problem = visit.texts("problem_machine")
        return await _list_page(visit, 422, problem=problem, fields=form)
    texts = _texts(form)
    if texts is None:
        problem = visit.texts("problem_machine_texts")
        return await _list_page(visit, 422, problem=problem, fields=form)
    request = pb.CreateMachineRequest(name=f"machines/{name}", **texts)
    try:
        await visit.call(visit.site.api.machines.CreateMachine, request)
    except CallError as error:
        status, problem = _told(visit, error)
        return await _list_page(visit, status, problem=problem, fields=form)
    return visit.redirect(f"/admin/machines/{name}?done=1")


async def show(visit: Visit) -> Response:
    """GET /admin/machines/{machine}."""
    return await machine_page(visit, done=visit.query.get("done") == "1")


async def find_machine(visit: Visit) -> views.MachineView:
    """The machine in the path as it is now: what has just been made is there already.

    Raises:
        CallError: there is no such machine, or the frontend does not answer.
    """
    request = pb.GetMachineRequest(name=_name(visit))
    answer = await visit.call(visit.site.api.machines.GetMachine, request)
    return views.machine_view(answer.machine, is_current=True)


async def machine_page(
    visit: Visit,
    status: int = 200,
    *,
    token: str = "",
    done: bool = False,
    where: str = "",
    problem: str = "",
    fields: Mapping[str, str] | None = None,
) -> Response:
    """The page of the machine in the path.

    Args:
        visit: The request.
        status: HTTP status.
        token: A new token for its agent.
        done: Whether a change is confirmed.
        where: The form that has a problem: `machine`, `slot` or `token`.
        problem: What is wrong.
        fields: Of the form of a new slot, as they were sent.
    """
    await visit.require_admin()
    wanted = visit.query.get("time")
    span = next((each for each in SPANS if each.name == wanted), SPANS[0])
    return visit.page(
        "admin_machine.html",
        status,
        here="admin",
        view=await find_machine(visit),
        items=await list_items(visit),
        spans=SPANS,
        span=span,
        temperatures=await draw(visit.site.api, _name(visit), span, visit.caller),
        token=token,
        done=done,
        where=where,
        problem=problem,
        fields=fields or {},
    )


async def change(visit: Visit) -> Response:
    """POST /admin/machines/{machine}: another name or place, in or out of service."""
    form = await visit.form()
    texts = _texts(form)
    if texts is None:
        problem = visit.texts("problem_machine_texts")
        return await machine_page(visit, 422, where="machine", problem=problem)
    changed = touched(form, {**texts, "enabled": form.get("enabled") == "yes"})
    try:
        if changed:
            request = pb.UpdateMachineRequest(name=_name(visit), **changed)
            await visit.call(visit.site.api.machines.UpdateMachine, request)
    except CallError as error:
        status, problem = _told(visit, error)
        return await machine_page(visit, status, where="machine", problem=problem)
    return visit.redirect(f"/admin/{_name(visit)}?done=1")


async def change_token(visit: Visit) -> Response:
    """POST /admin/machines/{machine}/token: makes a new token, or takes the present one away.

    A new token is shown in this response only. Either ends the token before, so that the form has
    to confirm it.
    """
    form = await visit.form()
    if form.get("confirmed") != "yes":
        problem = visit.texts("problem_confirm")
        return await machine_page(visit, 422, where="token", problem=problem)
    name, api = _name(visit), visit.site.api.machines
    if form.get("do") == "take_away":
        await visit.call(api.RevokeAgentToken, pb.RevokeAgentTokenRequest(name=name))
        return visit.redirect(f"/admin/{name}?done=1")
    answer = await visit.call(api.IssueAgentToken, pb.IssueAgentTokenRequest(name=name))
    return await machine_page(visit, token=answer.token)


def _name(visit: Visit) -> str:
    return f"machines/{visit.request.path_params['machine']}"


def _texts(form: Mapping[str, str]) -> dict[str, str] | None:
    """Name and place of a machine in a form; None if the API would not take them."""
    texts = {field: form.get(field, "").strip() for field in ("display_name", "location")}
    valid = all(len(text) <= TEXT_MAX and text.isprintable() for text in texts.values())
    return texts if texts["display_name"] and valid else None


def _told(visit: Visit, error: CallError) -> tuple[int, str]:
    """HTTP status and text of a refusal that concerns what was typed.

    Raises:
        CallError: it does not.
    """
    if error.reason == "ALREADY_EXISTS":
        return 409, visit.texts("machine_ALREADY_EXISTS")
    if error.reason == "FIELD_INVALID":
        return 422, visit.texts("problem_machine_texts")
    raise error
