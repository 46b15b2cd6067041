"""Faults of an API by name, and plans of which requests meet them. How one looks on the wire is in `wire`.

The names are those that a user writes to the control door. A plan draws by its seed, the request and how often
that request came, so that what meets a fault does not depend on which of many requests under way came first.
"""

import gzip
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache
from threading import Lock
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from clopos_assets.sandbox.answers import RefusedError
from clopos_assets.sandbox.chance import seeded
from clopos_assets.sandbox.limits import Verdict
from clopos_assets.sandbox.tokens import Tokens
from clopos_assets.sandbox.wire import Closed, CutOff, Drip, Reset, Stall
from clopos_assets.sandbox.world import Json

_MIB: Final = 1024 * 1024
_HUGE_PIECES: Final = 80
_DEPTH: Final = 100_000
# Longer than the API's own upstream may take, and than clients wait.
_DRIP_SECONDS: Final = 60.0
_RESET_SECONDS: Final = 1.0

Answer = Callable[[Request], Awaitable[Response]]


class Fault(StrEnum):
    """What can go wrong with an answer.

    `429` has the headers of the limits, `429-retry-after` only that one, `429-bare` none. `html` and `empty` are
    answers of status 200. `nested` is JSON 100,000 lists deep, `huge` has 80 MiB, `huge-gzip` as many in few bytes.
    `broken-gzip` is the true answer, damaged; `cut-off` half of it; `drip` all of it within `seconds`, a minute if not
    said. `stall` accepts and never answers; `closed` and `reset` end the connection. `token-expired` and
    `token-invalid` take every token issued so far from its owner, this request's too.
    """

    LIMIT = "429"
    LIMIT_RETRY_AFTER = "429-retry-after"
    LIMIT_BARE = "429-bare"
    SERVER_ERROR = "500"
    BAD_GATEWAY = "502"
    UNAVAILABLE = "503"
    GATEWAY_TIMEOUT = "504"
    HTML = "html"
    EMPTY = "empty"
    NESTED = "nested"
    HUGE = "huge"
    HUGE_GZIP = "huge-gzip"
    BROKEN_GZIP = "broken-gzip"
    CUT_OFF = "cut-off"
    DRIP = "drip"
    STALL = "stall"
    CLOSED = "closed"
    RESET = "reset"
    EXPIRED = "token-expired"
    REVOKED = "token-invalid"


@dataclass(frozen=True, slots=True)
class Plan:
    """Which requests meet a fault; of several faults one is drawn for each.

    `path` is how the request's path ends, as a shell pattern: `/receipts` is the list of both versions,
    `/receipts/*` a receipt or its operations, and the empty one any request. `spared` requests go well first, then of
    each the `share` meets a fault, `times` in all, None: until the plans are cleared. `seconds` is what a 429 or 503
    says to wait, or how long a drip takes.
    """

    faults: tuple[Fault, ...]
    path: str = ""
    times: int | None = None
    spared: int = 0
    share: float = 1.0
    seed: int = 0
    seconds: float | None = None

    def __post_init__(self) -> None:
        if not self.faults:
            raise ValueError("name a fault")
        if not 0 < self.share <= 1:
            raise ValueError("share is above 0 and at most 1")
        if self.spared < 0 or (self.times is not None and self.times < 1):
            raise ValueError("spared is 0 or more, and times 1 or more")
        if self.seconds is not None and not 0 <= self.seconds <= 3600:
            raise ValueError("seconds are from 0 to 3600")


@dataclass(slots=True)
class _Standing:
    """How far a plan is: matching requests so far, those that met a fault, and how often each request came."""

    plan: Plan
    matched: int = 0
    met: int = 0
    came: Counter[str] = field(default_factory=Counter)

    def draw(self, request: Request) -> Fault | None:
        plan = self.plan
        if not fnmatchcase(request.url.path, f"*{plan.path}"):
            return None
        self.matched += 1
        target = f"{request.method} {request.url.path}?{request.url.query} {request.headers.get('x-venue')}"
        self.came[target] += 1
        if self.matched <= plan.spared or (plan.times is not None and self.met >= plan.times):
            return None
        chance = seeded(plan.seed, target, self.came[target])
        if chance.random() >= plan.share:
            return None
        self.met += 1
        return chance.choice(plan.faults)


class Faults:
    """The plans in force, from any thread. The first plan that has a fault for a request gives it."""

    def __init__(self, tokens: Tokens | None = None) -> None:
        self._tokens = tokens or Tokens()
        self._lock = Lock()
        self._plans: list[_Standing] = []
        self._met: Counter[str] = Counter()

    def plan(
        self,
        faults: Fault | str | Iterable[Fault | str],
        path: str = "",
        *,
        times: int | None = None,
        spared: int = 0,
        share: float = 1.0,
        seed: int = 0,
        seconds: float | None = None,
    ) -> Plan:
        """Add a plan, see `Plan`; faults by name. ValueError says what is wrong with it."""
        named = [faults] if isinstance(faults, str) else [*faults]
        plan = Plan(tuple(map(_named, named)), path, times, spared, share, seed, seconds)
        with self._lock:
            self._plans.append(_Standing(plan))
        return plan

    def clear(self) -> None:
        """All goes well from now on, and nothing has been met."""
        with self._lock:
            self._plans.clear()
            self._met.clear()

    @property
    def met(self) -> dict[str, int]:
        """How many requests have met a fault, by its name."""
        with self._lock:
            return dict(self._met)

    def describe(self) -> Json:
        """The names there are, the plans in force and what was met, for the control door."""
        with self._lock:
            plans = [
                {
                    "faults": [fault.value for fault in standing.plan.faults],
                    "path": standing.plan.path,
                    "times": standing.plan.times,
                    "spared": standing.plan.spared,
                    "share": standing.plan.share,
                    "seed": standing.plan.seed,
                    "seconds": standing.plan.seconds,
                    "met": standing.met,
                }
                for standing in self._plans
            ]
            return {"names": [fault.value for fault in Fault], "plans": plans, "met": dict(self._met)}

    async def answer(self, request: Request, truly: Answer) -> tuple[Response, str]:
        """The answer, which is the true one where no plan has a fault for the request, and the fault's name."""
        with self._lock:
            drawn = ((standing, standing.draw(request)) for standing in self._plans)
            standing, fault = next(((s, found) for s, found in drawn if found is not None), (None, None))
            if fault is not None:
                self._met[fault.value] += 1
        if fault is None or standing is None:
            return await truly(request), ""
        return await self._go_wrong(fault, standing.plan.seconds, request, truly), fault.value

    async def _go_wrong(self, fault: Fault, seconds: float | None, request: Request, truly: Answer) -> Response:
        match fault:
            case Fault.BROKEN_GZIP | Fault.CUT_OFF | Fault.DRIP:
                return _damage(fault, await truly(request), seconds)
            case Fault.EXPIRED:
                self._tokens.expire_all()
                return await truly(request)
            case Fault.REVOKED:
                self._tokens.revoke_all()
                return await truly(request)
            case Fault.LIMIT | Fault.LIMIT_RETRY_AFTER | Fault.LIMIT_BARE:
                return _too_many(fault, _RESET_SECONDS if seconds is None else seconds, "/v2/" in request.url.path)
            case _:
                return _answer_instead(fault, seconds)


def _named(name: str) -> Fault:
    try:
        return Fault(name)
    except ValueError:
        raise ValueError(
            f"no fault is called {name!r}; there are {', '.join(fault.value for fault in Fault)}"
        ) from None


def _too_many(fault: Fault, seconds: float, is_v2: bool) -> Response:
    response = RefusedError(429, "Too Many Requests", "Rate limit exceeded, try again later").response()
    if fault is Fault.LIMIT:
        prefix, limit = ("RateLimit-", 300) if is_v2 else ("X-RateLimit-", 100)
        response.headers.update(Verdict(False, limit, 0, 0).headers(prefix))
        response.headers[f"{prefix}Reset"] = f"{seconds:g}"
    if fault is Fault.LIMIT_RETRY_AFTER or (fault is Fault.LIMIT and not is_v2):
        response.headers["Retry-After"] = f"{seconds:g}"
    return response


def _damage(fault: Fault, true: Response, seconds: float | None) -> Response:
    """What becomes of the true answer."""
    if fault is Fault.BROKEN_GZIP:
        packed = gzip.compress(bytes(true.body), mtime=0)
        headers = {"content-encoding": "gzip"}
        # The last eight bytes are checksum and length.
        return Response(packed[:-8] + bytes(8), true.status_code, headers, "application/json")
    kind = CutOff if fault is Fault.CUT_OFF else Drip
    damaged = kind(bytes(true.body), true.status_code)
    damaged.raw_headers = true.raw_headers
    if isinstance(damaged, Drip):
        damaged.seconds = _DRIP_SECONDS if seconds is None else seconds
    return damaged


def _answer_instead(fault: Fault, seconds: float | None) -> Response:
    match fault:
        case Fault.SERVER_ERROR:
            return RefusedError(500, "server_error", "Something went wrong").response()
        case Fault.BAD_GATEWAY:
            return Response("<html><h1>502 Bad Gateway</h1></html>", 502, media_type="text/html")
        case Fault.UNAVAILABLE:
            return Response(b"", 503, {} if seconds is None else {"Retry-After": f"{seconds:g}"})
        case Fault.GATEWAY_TIMEOUT:
            return RefusedError(504, "gateway_timeout", "The upstream did not answer in time").response()
        case Fault.HTML:
            return Response("<html><h1>Maintenance</h1></html>", 200, media_type="text/html")
        case Fault.EMPTY:
            return Response(b"", 200, media_type="application/json")
        case Fault.NESTED:
            return Response(b"[" * _DEPTH + b"]" * _DEPTH, 200, media_type="application/json")
        case Fault.HUGE:
            return StreamingResponse(_huge(), media_type="application/json")
        case Fault.HUGE_GZIP:
            return Response(_pack_huge(), 200, {"content-encoding": "gzip"}, "application/json")
        case Fault.CLOSED:
            return Closed()
        case Fault.RESET:
            return Reset()
        case _:
            return Stall()


async def _huge() -> AsyncIterator[bytes]:
    for piece in _huge_pieces():
        yield piece


def _huge_pieces() -> Iterator[bytes]:
    yield b'{"success":true,"data":"'
    for _ in range(_HUGE_PIECES):
        yield b"x" * _MIB
    yield b'"}'


@cache
def _pack_huge() -> bytes:
    packer = zlib.compressobj(1, wbits=16 + zlib.MAX_WBITS)
    return b"".join(map(packer.compress, _huge_pieces())) + packer.flush()
