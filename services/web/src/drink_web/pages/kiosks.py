"""Kiosks, for administrators: pairing and ending them."""

from starlette.responses import Response

from drink.v1 import kiosk_service_pb2 as pb
from drink_web.errors import CallError, PageError
from drink_web.visit import Visit


async def show(visit: Visit) -> Response:
    """GET /admin/kiosks."""
    return await _page(visit)


async def _page(visit: Visit, status: int = 200, *, code: str = "", problem: str = "") -> Response:
    await visit.require_admin()
    listed = await visit.call(visit.site.api.kiosks.ListKiosks, pb.ListKiosksRequest())
    names = {
        name: machine.display_name or name for name, machine in visit.site.house.machines.items()
    }
    return visit.page(
        "admin_kiosks.html",
        status,
        here="admin",
        kiosks=listed.kiosks,
        names=names,
        code=code,
        problem=problem,
    )


async def change(visit: Visit) -> Response:
    """POST /admin/kiosks: makes a kiosk and shows its code, or ends one."""
    form = await visit.form()
    api = visit.site.api.kiosks
    try:
        match form.get("what"):
            case "pair":
                request = pb.PairKioskRequest(
                    machine=form.get("machine", ""), display_name=form.get("name", "").strip()
                )
                made = await visit.call(api.PairKiosk, request)
                return await _page(visit, code=made.pairing_code)
            case "unpair":
                await visit.call(api.UnpairKiosk, pb.UnpairKioskRequest(name=form.get("kiosk", "")))
                return visit.redirect("/admin/kiosks")
    except CallError as error:
        if error.status not in ("INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND"):
            raise
        return await _page(visit, 422, problem=visit.refusal(error))
    raise PageError(400, "bad_request")
