"""One machine for administrators: its slots, and tokens for its agent."""

from starlette.responses import Response

from drink.v1 import machine_service_pb2 as pb
from drink_web import views
from drink_web.errors import PageError
from drink_web.visit import Visit


async def show(visit: Visit) -> Response:
    """GET /admin/machines/{machine}."""
    return await _page(visit, done=visit.query.get("done") == "1")


async def _page(
    visit: Visit, status: int = 200, *, token: str = "", done: bool = False, problem: str = ""
) -> Response:
    await visit.require_admin()
    name = f"machines/{visit.request.path_params['machine']}"
    machine = visit.site.house.machines.get(name)
    if machine is None:
        raise PageError(404, "not_found")
    return visit.page(
        "admin_machine.html",
        status,
        here="admin",
        view=views.machine_view(machine, is_current=True),
        token=token,
        done=done,
        problem=problem,
    )


async def change_token(visit: Visit) -> Response:
    """POST /admin/machines/{machine}/token: makes a new token, or takes the present one away.

    A new token is shown in this response only. Either ends the token before, so that the form has
    to confirm it.
    """
    form = await visit.form()
    if form.get("confirmed") != "yes":
        return await _page(visit, 422, problem=visit.texts("problem_confirm"))
    machine = visit.request.path_params["machine"]
    name, api = f"machines/{machine}", visit.site.api.machines
    if form.get("do") == "take_away":
        await visit.call(api.RevokeAgentToken, pb.RevokeAgentTokenRequest(name=name))
        return visit.redirect(f"/admin/machines/{machine}?done=1")
    answer = await visit.call(api.IssueAgentToken, pb.IssueAgentTokenRequest(name=name))
    return await _page(visit, token=answer.token)
