"""A small brand behind the scripted server: it authenticates, lists, and answers by id, as documented.

`intervene` may answer first, or change the receipts, before any request is served.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from clopos_assets.clopos.client import Clopos
from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.dialect import V2, Dialect
from clopos_assets.clopos.quota import Quota
from clopos_assets.clopos.quotas import Quotas
from clopos_assets.clopos.token import TokenCache

from .server import Asked, Reply, Server, reply_json

SECRET = "s3cret-of-the-brand"
TOKEN = "token-of-the-brand-"
RATE = {"RateLimit-Limit": "300", "RateLimit-Remaining": "299", "RateLimit-Reset": "60"}
NOT_FOUND = {"success": False, "error": "not_found", "message": "Receipt not found"}
BASE = "/open-api"

Item = dict[str, object]


@dataclass
class Brand:
    receipts: list[Item] = field(default_factory=list)
    operations: dict[int, Reply] = field(default_factory=dict)
    venues: list[Item] = field(default_factory=lambda: [{"id": 1, "name": "Mərkəz"}])
    largest_page: int = 200
    intervene: Callable[[Asked], Reply | None] = lambda asked: None
    tokens: int = 0
    accepted: set[str] = field(default_factory=set)

    def answer(self, asked: Asked) -> Reply:
        forced = self.intervene(asked)
        if forced is not None:
            return forced
        if asked.path in {f"{BASE}/v2/auth", f"{BASE}/auth"}:
            return self._authenticate(asked)
        if asked.headers.get("x-token") not in self.accepted:
            return reply_json({"success": False, "error": "Invalid token", "message": "Invalid token"}, 401)
        match asked.path.removeprefix(BASE).removeprefix("/v2").lstrip("/").split("/"):
            case ["receipts"]:
                return self._list(asked)
            case ["receipts", number]:
                found = [receipt for receipt in self.receipts if receipt["id"] == int(number)]
                return _envelope(found[0]) if found else reply_json(NOT_FOUND, 404, RATE)
            case ["receipts", number, "stock-operations"]:
                return self.operations.get(int(number), reply_json(NOT_FOUND, 404, RATE))
            case ["venues"]:
                return _envelope(self.venues)
            case _:
                return Reply(404, b"<html>not here</html>", "text/html")

    def _authenticate(self, asked: Asked) -> Reply:
        if json.loads(asked.body).get("client_secret") != SECRET:
            wrong = {"success": False, "error": "unauthorized", "message": "Invalid client credentials"}
            return reply_json(wrong, 401)
        self.tokens += 1
        token = f"{TOKEN}{self.tokens}"
        self.accepted.add(token)
        return reply_json({"success": True, "token": token, "token_type": "Bearer", "expires_in": 3600})

    def _list(self, asked: Asked) -> Reply:
        size = min(int(asked.query["limit"]), self.largest_page)
        start = (int(asked.query["page"]) - 1) * size
        return _envelope(self.receipts[start : start + size], total=len(self.receipts))


def _envelope(data: object, **more: object) -> Reply:
    return reply_json({"success": True, "data": data, **more}, headers=RATE)


def make_receipts(count: int) -> list[Item]:
    return [{"id": number, "total": number * 10, "shift_date": "2026-01-19"} for number in range(1, count + 1)]


def connect(
    server: Server,
    *,
    secret: str = SECRET,
    quota: Quota | Quotas | None = None,
    dialect: Dialect = V2,
    tokens: TokenCache | None = None,
    on_wait: Callable[[float, str], None] | None = None,
    attempts: int = 4,
    timeout_seconds: float = 5.0,
    max_body_bytes: int = 1_000_000,
) -> Clopos:
    """A client of the server with short pauses."""
    connection = Connection(
        base_url=f"{server.url}{BASE}",
        client_id="client",
        client_secret=secret,
        brand="openapitest",
        integrator_id="integrator",
        dialect=dialect,
        attempts=attempts,
        timeout_seconds=timeout_seconds,
        backoff_seconds=0.01,
        backoff_max_seconds=0.05,
        max_body_bytes=max_body_bytes,
    )
    return Clopos(connection, quota=quota or Quota(300, 60), tokens=tokens or TokenCache(), on_wait=on_wait)
