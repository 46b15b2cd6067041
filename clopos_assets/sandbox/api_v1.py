"""v1 of the stand-in API: `POST /auth`, `GET /receipts` and `GET /receipts/{id}`, directly under the root.

Documented at https://developer.clopos.com/api-reference: `overview` (headers, quota, a refused `limit`),
`authentication/auth` (the token, wrong credentials), `receipts/get-receipts` (`page`, `limit`, `date[0]`, `date[1]`,
`sort[0]`, `sort[1]`, `total`) and "Get receipt by ID" (fields, example). Where the overview has `offset`, the page of
the list has `page`. Guesses, where nothing speaks: other errors are v2's; a token of another brand or venue answers
401 `unauthorized`; the list counts deleted receipts, which it shows with `deleted_at` (otherwise by `Quirks`); a 429
has `Retry-After` besides.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from clopos_assets.sandbox.answers import NO_RECEIPT, RefusedError, address_of, send, succeed, too_many
from clopos_assets.sandbox.limits import Limits, Verdict
from clopos_assets.sandbox.listing import Listing
from clopos_assets.sandbox.query import (
    LINES,
    MODIFIERS,
    SORTS,
    STATION,
    InvalidParameterError,
    read_id,
    read_list_query,
)
from clopos_assets.sandbox.query_v1 import translate
from clopos_assets.sandbox.quirks import Quirks
from clopos_assets.sandbox.shape_v1 import is_of_v1, shape_receipt
from clopos_assets.sandbox.tokens import ExpiredTokenError, InvalidTokenError, Tokens
from clopos_assets.sandbox.world import Json, World

PREFIX: Final = "X-RateLimit-"
# Tokens of v1 name no integrator, and none of v2 is without.
_NO_INTEGRATOR: Final = ""
_LARGEST_LIMIT: Final = 100
_RELATIONS: Final = frozenset({LINES, MODIFIERS, STATION})

Endpoint = Callable[[Request], Awaitable[Response]]


class ApiV1:
    """The three routes over a world; limits and tokens are shared with v2."""

    def __init__(self, world: World, limits: Limits, tokens: Tokens, quirks: Quirks) -> None:
        self._world = world
        self._limits = limits
        self._tokens = tokens
        self._quirks = quirks
        deleted_stay = quirks.deleted_stay is not False
        self._look_up = world.get_any_receipt if deleted_stay else world.get_receipt
        self._listing = Listing(world, with_deleted=deleted_stay)

    def routes(self, root: str, wrap: Callable[[str, Endpoint], Endpoint]) -> list[BaseRoute]:
        """The routes below `root`; `wrap` puts hooks and the log around each, under its path."""
        return [
            Route(f"{root}/auth", wrap("/auth", self._authenticate), methods=["POST"]),
            Route(f"{root}/receipts", wrap("/receipts", self._guard(self._list_receipts)), methods=["GET"]),
            Route(f"{root}/receipts/{{id}}", wrap("/receipts/{id}", self._guard(self._get_receipt)), methods=["GET"]),
        ]

    async def _authenticate(self, request: Request) -> Response:
        verdict = self._limits.take_authentication(address_of(request))
        if not verdict.allowed:
            return self._refuse_more(verdict)
        try:
            return self._issue_token(await request.body())
        except RefusedError as refusal:
            return refusal.response()

    def _issue_token(self, body: bytes) -> Response:
        names = ("client_id", "client_secret", "brand", "venue_id")
        try:
            sent = msgspec.json.decode(body)
        except msgspec.DecodeError:
            sent = None
        values = {name: str(sent[name]) for name in names if sent.get(name)} if isinstance(sent, dict) else {}
        if len(values) < len(names):
            missing = "Missing client_id, client_secret, brand, or venue_id"
            raise RefusedError(400, missing, "All four fields are required")
        known = self._world.credentials
        if any(values[name] != getattr(known, name) for name in names[:3]):
            raise RefusedError(401, "authentication_failed", "Invalid credentials")
        if not self._world.access.client_enabled:
            raise RefusedError(401, "Client is disabled", "The Open API module is switched off for this client")
        venues = {str(number): number for number in self._world.venue_ids()}
        if values["venue_id"] not in venues:
            raise RefusedError(400, "Invalid venue_id", "The brand has no such venue")
        token, _ = self._tokens.issue(
            brand=known.brand, integrator_id=_NO_INTEGRATOR, venue_id=venues[values["venue_id"]]
        )
        granted: Json = {"token": token, "expires_in": self._tokens.lifetime}
        return send(granted if self._quirks.v1_bare_token else {"success": True, **granted, "token_type": "Bearer"})

    def _guard(self, handler: Callable[[Request, int], Response]) -> Endpoint:
        async def answer(request: Request) -> Response:
            # In every answer, to whoever says that he is the brand.
            headers = self._tell(self._limits.look_at_requests_v1(request.headers.get("x-brand", "")))
            try:
                claims = self._check(request)
                verdict = self._limits.take_request_v1(claims["brand"])
                if not verdict.allowed:
                    return self._refuse_more(verdict)
                headers = self._tell(verdict)
                if not self._world.access.may_read_receipts:
                    raise RefusedError(403, "forbidden", "The staff user of this client may not read receipts")
                response = handler(request, claims["venue_id"])
            except InvalidParameterError as problem:
                more: Json = {"details": problem.details} if problem.details else {}
                response = RefusedError(400, "invalid_parameter", str(problem), more).response()
            except RefusedError as refusal:
                response = refusal.response()
            response.headers.update(headers)
            return response

        return answer

    def _check(self, request: Request) -> dict[str, Any]:
        token, brand, venue = (request.headers.get(name) for name in ("x-token", "x-brand", "x-venue"))
        if not token or not brand or not venue:
            raise RefusedError(401, "unauthorized", "Missing authentication headers")
        try:
            claims = self._tokens.check(token)
        except InvalidTokenError:
            raise RefusedError(401, "Invalid token", "The token is malformed or its signature is wrong") from None
        except ExpiredTokenError as expired:
            more = {"expires_at": expired.expires_at}
            raise RefusedError(401, "Token expired", "Authenticate again", more) from None
        if claims["integrator_id"] != _NO_INTEGRATOR:
            raise RefusedError(401, "Invalid token", "The token belongs to v2")
        if not self._world.access.client_enabled:
            raise RefusedError(401, "Client is disabled", "The Open API module is switched off for this client")
        if claims["brand"] != brand:
            raise RefusedError(401, "unauthorized", "The token belongs to another brand")
        if str(claims["venue_id"]) != venue:
            raise RefusedError(401, "unauthorized", "The token belongs to another venue")
        return claims

    def _list_receipts(self, request: Request, venue_id: int) -> Response:
        text = translate(request.url.query, self._quirks.v1_parameters)
        query = read_list_query(text, refused_above=_LARGEST_LIMIT)
        with self._world.lock:
            rows, total = self._listing.rows(venue_id, query)
            shown = [self._shape(row, by_id=False) for row in rows]
        return succeed(self._world, shown, {"total": total, "sorts": list(SORTS)})

    def _get_receipt(self, request: Request, venue_id: int) -> Response:
        with self._world.lock:
            try:
                receipt = self._look_up(read_id(request.path_params["id"]))
            except LookupError:
                raise RefusedError(*NO_RECEIPT) from None
            if int(receipt["venue_id"]) != venue_id:
                raise RefusedError(*NO_RECEIPT)
            return succeed(self._world, self._shape(receipt, by_id=True))

    def _shape(self, receipt: Json, *, by_id: bool) -> Json:
        gone = receipt["id"] in self._world.deleted
        operations = [] if gone else self._world.operations(receipt["id"])
        shows = self._quirks.v1_operations in ({"everywhere", "by id"} if by_id else {"everywhere"})
        if is_of_v1(receipt):
            return {**receipt, "stock_operations": operations} if shows and operations else receipt
        return shape_receipt(
            self._listing.shape(receipt, _RELATIONS),
            terminal_id=None if gone else self._world.terminal_of(receipt),
            zone=self._world.zone,
            operations=operations,
            shows_operations=shows,
        )

    def _refuse_more(self, verdict: Verdict) -> Response:
        response = too_many(verdict, PREFIX)
        response.headers.update({**self._tell(verdict), "Retry-After": str(verdict.reset)})
        return response

    def _tell(self, verdict: Verdict) -> dict[str, str]:
        headers = verdict.headers(PREFIX)
        if self._quirks.v1_reset == "moment":
            headers[f"{PREFIX}Reset"] = str(int(time.time()) + verdict.reset)
        return headers
