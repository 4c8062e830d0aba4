"""A client of REST in this process, and what existing clients read from its answers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openapi_schema_validator import OAS31Validator

from drink_web.rest.routes import DOCUMENT
from tests.web.visitor import House, Visitor

ITEM = {"id": int, "name": str, "price": int}
SLOT = {
    "machine": int,
    "number": int,
    "active": bool,
    "empty": bool,
    "count": int,
    "item": ITEM,
}
MACHINE = {"id": int, "name": str, "display_name": str, "is_online": bool, "slots": [SLOT]}

NEEDS: Mapping[tuple[str, str], Any] = {
    ("GET", "/drinks"): {"machines": [MACHINE], "message": str},
    ("POST", "/drinks/drop"): {"message": str, "drinkBalance": int},
    ("GET", "/users/credits"): {
        "message": str,
        "user": {"uid": str, "cn": str, "drinkBalance": str},
    },
    ("PUT", "/users/credits"): {"message": str},
    ("GET", "/users"): {"message": str, "users": [{"uid": str, "cn": str, "drinkBalance": int}]},
    ("GET", "/items"): {"message": str, "items": [ITEM]},
    ("POST", "/items"): {"message": str, "item": ITEM},
    ("PUT", "/slots"): {"message": str, "slot": SLOT},
}
"""What existing clients of the kindred server read from an answer, with its exact types.

They are those of clink 0.4.1 (`src/api.rs`, where every member is mandatory and the balance of
`/users/credits` is a text) and of Tonic (`User.jsx`, which adds to the balance of `/users`).
"""

ERROR = {"error": str, "errorCode": int}
"""What they read from every other answer."""


def unmet(value: object, need: Any, where: str = "$") -> list[str]:
    """Where a value is not what a client needs; nothing if it is."""
    wrong: list[str] = []
    if isinstance(need, dict):
        if not isinstance(value, dict):
            return [f"{where} is no object"]
        for key, inner in need.items():
            if key in value:
                wrong += unmet(value[key], inner, f"{where}.{key}")
            else:
                wrong.append(f"{where}.{key} is missing")
        return wrong
    if isinstance(need, list):
        if not isinstance(value, list):
            return [f"{where} is no list"]
        for place, each in enumerate(value):
            wrong += unmet(each, need[0], f"{where}[{place}]")
        return wrong
    # Not isinstance: a truth value is no number to a client.
    return [] if type(value) is need else [f"{where} is {type(value).__name__}"]


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Client:
    """A client with a token, which checks every answer against the needs and the document.

    Args:
        house: The page and its frontend.
        user: Whose token it has; empty for none.
    """

    def __init__(self, house: House, user: str = "ann", app: Any = None) -> None:
        self._visitor = Visitor(app or house.app, address="192.0.2.9")
        self._headers = {"authorization": f"Bearer token-of-{user}"} if user else {}

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """One request."""
        sent = {**self._headers, **headers}
        raw = b""
        if body is not None:
            sent.setdefault("content-type", "application/json")
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await self._visitor.ask(method, path, raw, sent)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "set-cookie" not in answer.headers
        found = json.loads(answer.text)
        check(method, path.partition("?")[0], answer.status, found)
        return Reply(answer.status, answer.headers, found)


def check(method: str, path: str, status: int, body: object) -> None:
    """Fails unless the answer is what clients read and what the document says."""
    need = NEEDS.get((method, path), {}) if status in (200, 201) else ERROR
    assert unmet(body, need) == []
    operation = DOCUMENT["paths"][path].get(method.lower())
    if operation is None:
        assert status == 405
        return
    response = operation["responses"][str(status)]
    if "$ref" in response:
        response = DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
    schema = response["content"]["application/json"]["schema"]
    # The validator resolves references within the schema that it is given.
    whole = {**schema, "components": DOCUMENT["components"]}
    OAS31Validator(whole).validate(body)
