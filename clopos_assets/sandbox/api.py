"""The stand-in for Clopos' Open API as an ASGI application over a `World`, under `/open-api` like the
vendor's: v2 is here, and v1 of the same world, in `api_v1`, beside it.

Answers follow the vendor's pages word for word where they speak. Guesses, where they are silent: an unknown
or malformed `x-venue` answers 404 `not_found` "Venue not found" (other statuses by `Quirks`); wrong
credentials answer 401 with a `message` alone; the switched-off module answers 401; a staff user without
permission answers 403; `time` is always 0, so that equal worlds give equal bytes; `timestamp` and `unix` are
the world's clock.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from clopos_assets.sandbox.answers import (
    NO_RECEIPT,
    RefusedError,
    address_of,
    answer_http_error,
    bare,
    respond,
    send,
    succeed,
    too_many,
)
from clopos_assets.sandbox.api_v1 import ApiV1
from clopos_assets.sandbox.faults import Faults
from clopos_assets.sandbox.limits import Limits, tightest
from clopos_assets.sandbox.listing import Listing
from clopos_assets.sandbox.query import (
    MAX_LIMIT,
    SORTS,
    InvalidParameterError,
    read_id,
    read_list_query,
    read_relations,
)
from clopos_assets.sandbox.quirks import Quirks
from clopos_assets.sandbox.requests import RequestLog
from clopos_assets.sandbox.tokens import ExpiredTokenError, InvalidTokenError, Tokens
from clopos_assets.sandbox.world import Json, World

ROOT: Final = "/open-api"
TEST_MODE_MISMATCH: Final = "Integrator is in test mode. But brand is not in test mode"

Handler = Callable[[Request, int], Response]


@dataclass(slots=True)
class Hooks:
    """What a test or a running sandbox may do around each request.

    `before` runs first (the history is advanced there). `answer_instead` may give an answer of its own, such
    as a fault, in place of the API's; it is asked before authentication and its answers count against no
    limit.
    """

    before: Callable[[], None] | None = None
    answer_instead: Callable[[Request], Awaitable[Response | None]] | None = None


def make_app(
    world: World,
    limits: Limits | None = None,
    *,
    tokens: Tokens | None = None,
    quirks: Quirks | None = None,
    hooks: Hooks | None = None,
    faults: Faults | None = None,
    log: RequestLog | None = None,
    more_routes: list[BaseRoute] | None = None,
) -> Starlette:
    """Builds the application; `more_routes` stand beside the API, outside its authentication and limits.

    `faults` have to be over the same `tokens`, where tokens are to end.
    """
    api = _Api(
        world,
        limits or Limits(),
        tokens or Tokens(),
        quirks or Quirks(),
        hooks or Hooks(),
        faults or Faults(),
        log or RequestLog(),
    )
    app = Starlette(
        routes=[*api.routes(), *(more_routes or [])],
        exception_handlers={HTTPException: answer_http_error},
    )
    app.router.redirect_slashes = False
    return app


class _Api:
    def __init__(
        self,
        world: World,
        limits: Limits,
        tokens: Tokens,
        quirks: Quirks,
        hooks: Hooks,
        faults: Faults,
        log: RequestLog,
    ) -> None:
        self._world = world
        self._limits = limits
        self._tokens = tokens
        self._quirks = quirks
        self._hooks = hooks
        self._faults = faults
        self._log = log
        self._look_up = world.get_any_receipt if quirks.deleted_stay else world.get_receipt
        self._listing = Listing(world, with_deleted=bool(quirks.deleted_stay))
        self._v1 = ApiV1(world, limits, tokens, quirks)

    def routes(self) -> list[BaseRoute]:
        auth = self._wrap("/v2/auth", self._authenticate)
        reads: dict[str, Handler] = {
            "/v2/receipts": self._list_receipts,
            "/v2/receipts/{id}": self._get_receipt,
            "/v2/receipts/{id}/stock-operations": self._get_operations,
            "/v2/venues": self._list_venues,
        }
        return [
            Route(f"{ROOT}/v2/auth", auth, methods=["POST"]),
            *(
                Route(f"{ROOT}{path}", self._wrap(path, self._guard(handler)), methods=["GET"])
                for path, handler in reads.items()
            ),
            *self._v1.routes(ROOT, self._wrap),
        ]

    def _wrap(
        self, template: str, answer: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Puts the hooks, the faults and the log around a route."""
        is_bare = self._quirks.bare_errors

        async def endpoint(request: Request) -> Response:
            if self._hooks.before is not None:
                self._hooks.before()
            instead = self._hooks.answer_instead
            response, fault = None if instead is None else await instead(request), ""
            if response is None:
                response, fault = await self._faults.answer(request, bare(answer) if is_bare else answer)
            self._log.add(request, template, response.status_code, fault)
            return response

        return endpoint

    async def _authenticate(self, request: Request) -> Response:
        verdict = self._limits.take_authentication(address_of(request))
        if not verdict.allowed:
            return too_many(verdict)
        try:
            response = self._issue_token(await request.body())
        except RefusedError as refusal:
            response = refusal.response()
        response.headers.update(verdict.headers())
        return response

    def _issue_token(self, body: bytes) -> Response:
        names = ("client_id", "client_secret", "brand", "integrator_id")
        try:
            sent = msgspec.json.decode(body)
        except msgspec.DecodeError:
            sent = None
        values = sent if isinstance(sent, dict) else {}
        if not all(isinstance(values.get(name), str) and values[name] for name in names):
            missing = "Missing client_id, client_secret, brand, or integrator_id"
            raise RefusedError(400, missing, "All four fields are required")
        known, access = self._world.credentials, self._world.access
        if values["integrator_id"] != known.integrator_id or not access.integrator_active:
            raise RefusedError(400, "Invalid integrator_id", "The integrator is unknown or was deactivated")
        if any(values[name] != getattr(known, name) for name in ("client_id", "client_secret", "brand")):
            raise RefusedError(401, None, "Invalid client credentials")
        if not access.client_enabled:
            raise RefusedError(401, "Client is disabled", "The Open API module is switched off for this client")
        if access.integrator_is_test and not access.brand_is_test:
            raise RefusedError(200, TEST_MODE_MISMATCH, TEST_MODE_MISMATCH)
        token, expires_at = self._tokens.issue(
            brand=known.brand, integrator_id=known.integrator_id, venue_id=self._world.main_venue_id()
        )
        return send(
            {
                "success": True,
                "token": token,
                "token_type": "Bearer",
                "expires_in": self._tokens.lifetime,
                "expires_at": expires_at,
                "message": "Authentication successful",
            }
        )

    def _guard(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """Limits and authentication around a read, in the vendor's order: failures, token, tenant."""

        async def answer(request: Request) -> Response:
            address = address_of(request)
            failures = self._limits.look_at_failures(address)
            if not failures.allowed:
                return too_many(failures)
            verdict = failures
            try:
                claims = self._check_token(request.headers.get("x-token"))
                verdict = self._limits.take_request(f"{claims['integrator_id']}:{claims['brand']}")
                if verdict.allowed:
                    response = handler(request, self._venue_of(request, claims))
                else:
                    response = too_many(verdict)
            except InvalidParameterError as problem:
                response = RefusedError(400, "invalid_parameter", str(problem)).response()
            except RefusedError as refusal:
                response = refusal.response()
            if response.status_code >= 400:
                self._limits.count_failure(address)
                failures = self._limits.look_at_failures(address)
            response.headers.update(tightest(verdict, failures).headers())
            return response

        return answer

    def _check_token(self, token: str | None) -> dict[str, Any]:
        if not token:
            raise RefusedError(401, "unauthorized", "Missing authentication headers")
        try:
            claims = self._tokens.check(token)
        except InvalidTokenError:
            raise RefusedError(401, "Invalid token", "The token is malformed or its signature is wrong") from None
        except ExpiredTokenError as expired:
            more = {"expires_at": expired.expires_at}
            raise RefusedError(401, "Token expired", "Authenticate again", more) from None
        access, known = self._world.access, self._world.credentials
        if claims["brand"] != known.brand:
            raise RefusedError(401, "Invalid token", "The token belongs to another brand")
        if claims["integrator_id"] != known.integrator_id or not access.integrator_active:
            raise RefusedError(401, "Invalid integrator_id", "The integrator is unknown or was deactivated")
        if not access.client_enabled:
            raise RefusedError(401, "Client is disabled", "The Open API module is switched off for this client")
        if access.integrator_is_test and not access.brand_is_test:
            raise RefusedError(401, TEST_MODE_MISMATCH, TEST_MODE_MISMATCH)
        return claims

    def _venue_of(self, request: Request, claims: dict[str, Any]) -> int:
        sent = request.headers.get("x-venue")
        if sent is None:
            return int(claims["venue_id"])
        known = {str(number): number for number in self._world.venue_ids()}
        if sent not in known:
            status = self._quirks.unknown_venue_status
            error = {401: "unauthorized", 403: "forbidden"}.get(status, "not_found")
            raise RefusedError(status, error, "Venue not found")
        return known[sent]

    def _list_receipts(self, request: Request, venue_id: int) -> Response:
        self._check_permission()
        refused_above = MAX_LIMIT if self._quirks.refuse_large_limit else None
        query = read_list_query(request.url.query, refused_above=refused_above)
        rows, total = self._listing.page(venue_id, query)
        return succeed(self._world, rows, {"total": total, "sorts": list(SORTS)})

    def _get_receipt(self, request: Request, venue_id: int) -> Response:
        receipt = self._find(request, venue_id)
        return succeed(self._world, self._listing.shape(receipt, read_relations(request.url.query)))

    def _get_operations(self, request: Request, venue_id: int) -> Response:
        with self._world.lock:
            receipt = self._find(request, venue_id)
            gone = receipt["id"] in self._world.deleted
            operations = b"[]" if gone else self._world.operations_as_sent(receipt["id"])
        # The vendor's example of this endpoint shows `data` alone.
        return respond(b'{"data":' + operations + b"}")

    def _list_venues(self, _: Request, __: int) -> Response:
        venues = self._world.venues
        return succeed(self._world, venues, {"total": len(venues)})

    def _find(self, request: Request, venue_id: int) -> Json:
        self._check_permission()
        try:
            receipt = self._look_up(read_id(request.path_params["id"]))
        except LookupError:
            raise RefusedError(*NO_RECEIPT) from None
        if int(receipt["venue_id"]) != venue_id:
            raise RefusedError(*NO_RECEIPT)
        return receipt

    def _check_permission(self) -> None:
        if not self._world.access.may_read_receipts:
            raise RefusedError(403, "forbidden", "The staff user of this client may not read receipts")
