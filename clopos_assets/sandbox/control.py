"""The control door of a running sandbox: move its clock, look at its state. No part of the API; loopback
only.

`POST /sandbox/advance` takes `{"hours": n}` or `{"to": "YYYY-MM-DD HH:mm:ss"}` as JSON, `GET /sandbox/state`
answers the counts and the clock. A client that is not on this machine gets 403.
"""

import ipaddress
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from clopos_assets.sandbox.world import World, encode, stamp

_LONGEST = timedelta(days=400)


class Clock(Protocol):
    """Something that can be moved forward: to a local time, inclusive of what happens then."""

    def advance(self, to: datetime) -> None: ...


def control_routes(world: World, clock: Clock, before: Callable[[], None] | None = None) -> list[BaseRoute]:
    """The two routes; `before` runs first, to bring a world that follows the real clock up to date."""

    async def advance(request: Request) -> Response:
        body = await request.body()
        if before is not None:
            before()
        try:
            to = _read_target(body, world.now)
            clock.advance(to)
        except ValueError as problem:
            return _send({"error": str(problem)}, 400)
        return _send(_state(world))

    async def state(_: Request) -> Response:
        if before is not None:
            before()
        return _send(_state(world))

    return [
        Route("/sandbox/advance", _local_only(advance), methods=["POST"]),
        Route("/sandbox/state", _local_only(state), methods=["GET"]),
    ]


def _read_target(body: bytes, now: datetime) -> datetime:
    """The time to go to; anything but a later one, 400 days at most, is a `ValueError`."""
    try:
        sent = msgspec.json.decode(body)
    except msgspec.DecodeError:
        sent = None
    to: datetime | None = None
    if isinstance(sent, dict) and isinstance(sent.get("to"), str):
        try:
            to = datetime.fromisoformat(sent["to"])
        except ValueError:
            to = None
    elif isinstance(sent, dict) and isinstance(sent.get("hours"), int | float) and abs(sent["hours"]) < 1e6:
        to = now + timedelta(hours=sent["hours"])
    if to is None or to.tzinfo is not None:
        raise ValueError('send {"hours": 24} or {"to": "2026-01-19 06:00:00"}, local time without zone')
    if not now <= to <= now + _LONGEST:
        raise ValueError(f"the clock is at {stamp(now)} and goes forward only, at most {_LONGEST.days} days at once")
    return to


def _state(world: World) -> dict[str, object]:
    return {"now": stamp(world.now), "zone": world.zone, **world.counts()}


def _local_only(
    endpoint: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    async def guarded(request: Request) -> Response:
        host = request.client.host if request.client else ""
        try:
            local = ipaddress.ip_address(host).is_loopback
        except ValueError:
            local = False
        if not local:
            return _send({"error": "the control door opens from this machine only"}, 403)
        return await endpoint(request)

    return guarded


def _send(body: dict[str, object], status: int = 200) -> Response:
    return Response(encode(body), status, media_type="application/json")
