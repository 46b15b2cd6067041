"""The control door of a running sandbox: move its clock, look at its state, let its API go wrong. No part of the
API; loopback only.

`POST /sandbox/advance` takes `{"hours": n}` or `{"to": "YYYY-MM-DD HH:mm:ss"}` as JSON, `GET /sandbox/state`
answers the counts and the clock. `POST /sandbox/faults` takes a plan, such as
`{"fault": "reset", "path": "/receipts", "times": 3}`: a name, several in a list, or `any` for all of them; `path`,
`times`, `spared`, `share`, `seed` and `seconds` are those of `faults.Plan` and may be left out. `GET` answers names,
plans and what was met, `DELETE` ends all plans. A client that is not on this machine gets 403.
"""

import ipaddress
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from clopos_assets.sandbox.faults import Fault, Faults
from clopos_assets.sandbox.world import World, encode, stamp

_LONGEST = timedelta(days=400)


class Clock(Protocol):
    """Something that can be moved forward: to a local time, inclusive of what happens then."""

    def advance(self, to: datetime) -> None: ...


class _Order(msgspec.Struct, forbid_unknown_fields=True):
    """What is sent to have faults; see `faults.Plan`."""

    fault: str | list[str]
    path: str = ""
    times: int | None = None
    spared: int = 0
    share: float = 1.0
    seed: int = 0
    seconds: float | None = None


def control_routes(
    world: World, clock: Clock, faults: Faults, before: Callable[[], None] | None = None
) -> list[BaseRoute]:
    """The routes; `before` runs first, to bring a world that follows the real clock up to date."""

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

    async def see_faults(_: Request) -> Response:
        return _send(faults.describe())

    async def order_faults(request: Request) -> Response:
        try:
            _order(await request.body(), faults)
        except ValueError as problem:
            return _send({"error": str(problem)}, 400)
        return _send(faults.describe())

    async def end_faults(_: Request) -> Response:
        faults.clear()
        return _send(faults.describe())

    return [
        Route("/sandbox/faults", _local_only(see_faults), methods=["GET"]),
        Route("/sandbox/faults", _local_only(order_faults), methods=["POST"]),
        Route("/sandbox/faults", _local_only(end_faults), methods=["DELETE"]),
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


def _order(body: bytes, faults: Faults) -> None:
    """Add the plan that was sent; anything but a plan is a `ValueError`."""
    try:
        sent = msgspec.json.decode(body, type=_Order)
    except msgspec.MsgspecError as problem:
        raise ValueError(f'send such as {{"fault": "reset", "path": "/receipts", "times": 3}}: {problem}') from None
    faults.plan(
        list(Fault) if sent.fault == "any" else sent.fault,
        sent.path,
        times=sent.times,
        spared=sent.spared,
        share=sent.share,
        seed=sent.seed,
        seconds=sent.seconds,
    )


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
