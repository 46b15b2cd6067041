"""An API that does not answer as it should: a number of requests of one kind fail, the later ones do not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.requests import Request
from starlette.responses import Response

FAULTS: dict[str, Response] = {
    "429": Response(
        b'{"success":false,"error":"Too Many Requests"}', 429, {"RateLimit-Reset": "0"}, "application/json"
    ),
    "500": Response(b'{"success":false,"error":"server_error","message":"oops"}', 500, media_type="application/json"),
    "502": Response(b"<html>Bad Gateway</html>", 502, media_type="text/html"),
    "cut off": Response(b'{"success":true,"data":[{"id":1,"ven', 200, media_type="application/json"),
    "absent": Response(
        b'{"success":false,"error":"not_found","message":"Receipt not found"}', 404, media_type="application/json"
    ),
}
ROUTES = ("list", "by id", "operations")


def route_of(request: Request) -> str:
    """Which kind of read it is; other requests are `other`."""
    path = request.url.path.partition("/v2/")[2]
    if path == "receipts":
        return "list"
    if path.endswith("/stock-operations"):
        return "operations"
    return "by id" if path.startswith("receipts/") else "other"


class Faults:
    """What goes wrong next. `hits` counts the requests that a fault has met, by its name."""

    def __init__(self) -> None:
        self.hits: dict[str, int] = {}
        self._name = ""
        self._route = ""
        self._spared = 0
        self._left = 0
        self._meanwhile: Callable[[int], None] | None = None
        self._is_held = False

    def arm(self, name: str, route: str, *, spared: int, times: int) -> None:
        """After `spared` requests of the route, `times` fail."""
        self._name, self._route, self._spared, self._left = name, route, spared, times
        self._meanwhile = None

    def arm_meanwhile(self, happen: Callable[[int], None], *, spared: int) -> None:
        """Something happens to a receipt just before its operations are read, after `spared` such requests."""
        self._name, self._route, self._spared, self._left = "meanwhile", "operations", spared, 1
        self._meanwhile = happen

    @contextmanager
    def held(self) -> Iterator[None]:
        """While this lasts, nothing goes wrong."""
        self._is_held = True
        yield
        self._is_held = False

    def end(self) -> None:
        """All is well from now on."""
        self._left = 0

    async def answer(self, request: Request) -> Response | None:
        """The fault's answer, or None for the true one."""
        if self._is_held or not self._left or route_of(request) != self._route:
            return None
        if self._spared:
            self._spared -= 1
            return None
        self._left -= 1
        self.hits[self._name] = self.hits.get(self._name, 0) + 1
        if self._meanwhile is not None:
            self._meanwhile(int(request.path_params["id"]))
            return None
        fault = FAULTS[self._name]
        return Response(bytes(fault.body), fault.status_code, dict(fault.headers))
