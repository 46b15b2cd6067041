"""The requests a sandbox has answered, counted by route and the latest kept whole, for tests to look at."""

import threading
from collections import Counter, deque
from dataclasses import dataclass

from starlette.requests import Request

_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """One request; `route` is the path's template below the API root, `query` the raw text after `?`.

    `fault` names what went wrong with the answer on purpose, whose status may then never have been sent.
    """

    method: str
    route: str
    path: str
    query: str
    venue: str | None
    status: int
    fault: str = ""


class RequestLog:
    """Counts every request; of the requests themselves the latest 20,000 are kept, oldest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._latest: deque[AnsweredRequest] = deque(maxlen=_KEPT)

    def add(self, request: Request, route: str, status: int, fault: str = "") -> None:
        url, venue = request.url, request.headers.get("x-venue")
        entry = AnsweredRequest(request.method, route, url.path, url.query, venue, status, fault)
        with self._lock:
            self._counts[request.method, route] += 1
            self._latest.append(entry)

    def count(self, method: str, route: str) -> int:
        """How often a route was asked, such as `("GET", "/v2/receipts/{id}")`."""
        with self._lock:
            return self._counts[method, route]

    def counts(self) -> dict[tuple[str, str], int]:
        with self._lock:
            return dict(self._counts)

    def total(self) -> int:
        with self._lock:
            return self._counts.total()

    def latest(self) -> list[AnsweredRequest]:
        with self._lock:
            return list(self._latest)

    def reset(self) -> None:
        with self._lock:
            self._counts.clear()
            self._latest.clear()
