"""One machine for administrators: its slots, and tokens for its agent."""

from starlette.responses import Response

from drink.v1 import machine_service_pb2 as pb
from drink_web import views
from drink_web.errors import PageError
from drink_web.visit import Visit


async def show(visit: Visit) -> Response:
    """GET /admin/machines/{machine}."""
    return await _page(visit)


async def _page(visit: Visit, status: int = 200, *, token: str = "", problem: str = "") -> Response:
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
        problem=problem,
    )


async def issue_token(visit: Visit) -> Response:
    """POST /admin/machines/{machine}/token: shows a new token for the agent, in this answer only.

    The token before it ends, so that the form has to confirm it.
    """
    form = await visit.form()
    if form.get("confirmed") != "yes":
        return await _page(visit, 422, problem=visit.texts("problem_confirm"))
    name = f"machines/{visit.request.path_params['machine']}"
    method = visit.site.api.machines.IssueAgentToken
    answer = await visit.call(method, pb.IssueAgentTokenRequest(name=name))
    return await _page(visit, token=answer.token)
