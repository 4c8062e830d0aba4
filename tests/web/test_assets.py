import gzip

from starlette.requests import Request

from drink_web.assets import Assets


def request(name: str, version: str = "", encoding: str = "") -> Request:
    return Request(
        {
            "type": "http",
            "method": "GET",
            "path": "/",
            "query_string": f"v={version}".encode(),
            "headers": [(b"accept-encoding", encoding.encode())],
            "path_params": {"name": name},
        }
    )


def test_a_file_is_kept_for_ever_under_its_version() -> None:
    assets = Assets()
    version = assets.url("app.css").partition("v=")[2]
    answer = assets.respond(request("app.css", version, "gzip"))
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/css")
    assert b"light-dark" in gzip.decompress(bytes(answer.body))


def test_another_version_is_asked_for_again() -> None:
    answer = Assets().respond(request("app.css", "old"))
    assert answer.headers["cache-control"] == "no-cache"
    assert "content-encoding" not in answer.headers


def test_nothing_else_is_given_out() -> None:
    for name in ("", "../app.py", "missing.css", "/etc/passwd"):
        assert Assets().respond(request(name)).status_code == 404


def test_the_first_page_is_small() -> None:
    """Own code and style of a page, as it goes over the wire."""
    files = Assets()._files
    own = sum(len(files[name].packed) for name in ("app.css", "app.js", "times.js", "icon.svg"))
    assert own < 10_000
    assert own + sum(len(each.packed) for name, each in files.items() if "min.js" in name) < 30_000
