"""Answers of the stand-in API, whatever its version: the envelope, refusals, and the words for both."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from clopos_assets.sandbox.limits import Verdict
from clopos_assets.sandbox.world import Json, World, encode, stamp


@dataclass(slots=True, eq=False)
class RefusedError(Exception):
    """An answer with `success: false`; `error` is left out where the documents show none."""

    status: int
    error: str | None
    message: str
    more: Json = field(default_factory=dict)

    def response(self) -> Response:
        body: Json = {"success": False}
        if self.error is not None:
            body["error"] = self.error
        return send({**body, "message": self.message, **self.more}, self.status)


NO_RECEIPT: Final = (404, "not_found", "Receipt not found")


def succeed(world: World, data: object, more: Json | None = None) -> Response:
    """The envelope of a good answer, at the world's time."""
    moment = world.now.replace(tzinfo=ZoneInfo(world.zone)).astimezone(UTC)
    ending = {"time": 0, "timestamp": stamp(moment.replace(tzinfo=None)), "unix": int(moment.timestamp())}
    return send({"success": True, "data": data, **(more or {}), **ending})


def bare(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """A route whose refusals have no `success`."""

    async def endpoint(request: Request) -> Response:
        response = await answer(request)
        if response.status_code < 400:
            return response
        said: Json = msgspec.json.decode(response.body)
        plain = send({name: value for name, value in said.items() if name != "success"}, response.status_code)
        kept = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
        plain.headers.update(kept)
        return plain

    return endpoint


def too_many(verdict: Verdict, prefix: str = "RateLimit-") -> Response:
    message = f"Rate limit of {verdict.limit} requests exceeded, try again in {verdict.reset} seconds"
    response = RefusedError(429, "Too Many Requests", message).response()
    response.headers.update(verdict.headers(prefix))
    return response


def send(body: Json, status: int = 200) -> Response:
    return respond(encode(body), status)


def respond(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")


def address_of(request: Request) -> str:
    """The client's address, by which failures and authentications are counted."""
    return request.client.host if request.client else "unknown"


async def answer_http_error(_: Request, problem: Exception) -> Response:
    """What no route answers."""
    assert isinstance(problem, HTTPException)
    error = {404: "not_found", 405: "method_not_allowed"}.get(problem.status_code, "error")
    message = "Route not found" if problem.status_code == 404 else str(problem.detail)
    return RefusedError(problem.status_code, error, message).response()
