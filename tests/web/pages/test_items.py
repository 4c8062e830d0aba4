from pathlib import Path

import pytest

from drink.v1 import item_service_pb2 as pb
from drink.v1 import machine_service_pb2 as machines
from tests.support.rpc_frontend import ROOT
from tests.web.test_images import SVG, file
from tests.web.test_pictures import PICTURE, item
from tests.web.visitor import House, Visitor, running_house

BOUNDARY = "----boundary"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


def body(content: bytes = b"", *, do: str = "") -> bytes:
    """A form with a file, as browsers send it."""
    parts = []
    if do:
        parts.append(b'Content-Disposition: form-data; name="do"\r\n\r\n' + do.encode())
    else:
        parts.append(
            b'Content-Disposition: form-data; name="picture"; filename="<b>.png"\r\n'
            b"Content-Type: image/png\r\n\r\n" + content
        )
    mark = f"--{BOUNDARY}".encode()
    return b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"


async def root(house: House) -> Visitor:
    """An administrator's browser; the tokens of root stay good."""
    await house.bench.accounts.change("test", "ann", admin=True)
    return await house.ann()


async def upload(visitor: Visitor, name: str, sent: bytes, **headers: str) -> tuple[int, str]:
    """Sends a form with a file; the status and the page."""
    more = {"sec-fetch-site": "same-origin", "content-type": MULTIPART, **headers}
    more = {"content_length": str(len(sent)), **more}
    answer = await visitor.ask("POST", f"/admin/{name}/picture", sent, more)
    return answer.status, answer.text


async def picture(house: House, name: str) -> pb.Picture:
    found: pb.Item = (await house.frontend.call(pb.GetItemRequest(name=name), ROOT)).item
    return found.picture


async def test_an_item_is_made_changed_and_removed(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        admin = await root(house)
        form = {"name": "Mate <b>", "price": "70", "barcode": "4029764001807"}
        made = (await admin.post("/admin/items", form)).goal
        path = made.partition("?")[0]
        assert "Mate &lt;b&gt;" in (await admin.get(made)).text
        assert "Mate &lt;b&gt;" in (await admin.get("/admin/items")).text
        twice = await admin.post("/admin/items", form)
        assert twice.status == 409
        assert "Another item has this barcode." in twice.text
        changed = await admin.post(path, {**form, "name": "Club-Mate", "price": "75"})
        assert changed.goal == f"{path}?done=changed"
        assert "Club-Mate" in (await admin.get(path)).text
        # A page that was drawn before says nothing of the price.
        old = {**form, "name": "Mate", "shown.name": form["name"], "shown.price": "70"}
        assert (await admin.post(path, old)).status == 303
        page = await admin.get(path)
        assert (page.field("name"), page.field("price")) == ("Mate", "75")
        assert (await admin.post(path, {"do": "remove"})).goal == "/admin/items?done=removed"
        assert (await admin.get(path)).status == 404


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": ""}, "1 to 64 characters"),
        ({"name": 'a"b'}, "1 to 64 characters"),
        ({"price": "-1"}, "whole number"),
        ({"price": "1000001"}, "whole number"),
        ({"barcode": "12 34"}, "A barcode has"),
    ],
)
async def test_wrong_fields_are_told(tmp_path: Path, wrong: dict[str, str], told: str) -> None:
    async with running_house(tmp_path) as house:
        admin, form = await root(house), {"name": "Mate", "price": "70", "barcode": ""}
        for path in ("/admin/items", f"/admin/{await item(house)}"):
            answer = await admin.post(path, {**form, **wrong})
            assert answer.status == 422
            assert told in answer.text


async def test_an_item_that_is_sold_stays(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        name, admin = await item(house), await root(house)
        form = {"enabled": "yes", "sold_item": name, "item": "", "price": ""}
        assert (await admin.post("/admin/machines/d/1", form)).status == 303
        answer = await admin.post(f"/admin/{name}", {"do": "remove"})
        assert answer.status == 409
        assert "A slot sells it." in answer.text
        listed = await house.frontend.call(machines.ListMachinesRequest(), ROOT)
        assert listed.machines[0].slots[0].item == "Mate"
        own = {"enabled": "yes", "sold_item": "", "item": "Own", "price": "5"}
        assert (await admin.post("/admin/machines/d/1", own)).status == 303
        wrong = await admin.post("/admin/machines/d/1", {**form, "sold_item": "items/999"})
        assert wrong.status == 422
        assert "There is no such item." in wrong.text


async def test_a_picture_is_shown_wherever_its_item_is_sold(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        name, admin = await item(house), await root(house)
        await house.frontend.call(
            machines.UpdateSlotRequest(name="machines/d/slots/1", sold_item=name), ROOT
        )
        known = house.site.house
        while not known.machines["machines/d"].slots[0].sold_item:
            await known.changed(known.version)
        assert "<img" not in (await house.visitor().get("/")).text
        assert (await upload(admin, name, body(PICTURE)))[0] == 303
        etag = (await picture(house, name)).etag
        address = f"/{name.replace('items', 'pictures')}?v={etag}"
        for path in ("/", "/machines/d/1", "/admin/items", f"/admin/{name}"):
            page = (await admin.get(path)).text
            assert f'src="{address}" width="56" height="56" alt="Mate"' in page
        # Not what was sent, but made anew.
        assert (await picture(house, name)).media_type == "image/webp"
        assert (await upload(admin, name, body(do="remove")))[0] == 303
        assert "<img" not in (await house.visitor().get("/")).text


@pytest.mark.parametrize(
    ("sent", "status", "told"),
    [
        (body(SVG), 415, "no picture as PNG, JPEG or WebP"),
        (body(file("GIF")), 415, "no picture as PNG, JPEG or WebP"),
        (body(b""), 422, "Choose a picture."),
        (body(bytes(70_000)), 413, "too large"),
        (b"no form at all", 400, "not understood"),
    ],
)
async def test_other_files_are_refused_and_the_picture_stays(
    tmp_path: Path, sent: bytes, status: int, told: str
) -> None:
    async with running_house(tmp_path, pictures={"upload_bytes_max": 65_536}) as house:
        name, admin = await item(house), await root(house)
        await house.site.house.set_picture(name, PICTURE, ROOT)
        answered, page = await upload(admin, name, sent)
        assert (answered, told in page) == (status, True)
        assert (await picture(house, name)).size == len(PICTURE)


async def test_a_large_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        name, admin = await item(house), await root(house)
        # Nothing of it is sent, so that reading it would wait for ever.
        status, page = await upload(admin, name, b"", content_length="52428800")
        assert status == 413
        assert "too large" in page


async def test_others_send_no_pictures(tmp_path: Path) -> None:
    async with running_house(tmp_path) as house:
        name, ann = await item(house), await house.ann()
        assert (await upload(ann, name, body(PICTURE)))[0] == 403
        assert (await ann.get("/admin/items")).status == 403
        assert (await ann.post(f"/admin/{name}", {"do": "remove"})).status == 403
        assert not (await picture(house, name)).etag
