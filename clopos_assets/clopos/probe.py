"""A few questions to Clopos, put once each and without patience: do the credentials work, for what, how much is left.

For somebody who waits at the screen. Runs ask through `client`, which takes its place in the quota and tries again.
"""

from dataclasses import replace
from types import TracebackType

from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.errors import CloposUnavailableError
from clopos_assets.clopos.listing import Item, Page, read_objects, read_page
from clopos_assets.clopos.reply import read_reply, refusal, refusal_of_new_token
from clopos_assets.clopos.token import authenticate
from clopos_assets.clopos.verdict import Kind
from clopos_assets.clopos.window import RateLimit
from clopos_assets.clopos.wire import NoAnswerError, Request, Wire

# Longer than the 8 s after which Clopos gives up on its own upstream: https://developer.clopos.com/errors
_TIMEOUT_SECONDS = 10.0


class Probe:
    """An async context manager. Each question raises CloposRefusedError, CloposAnswerError or CloposUnavailableError.

    After `authenticate` come the others, which count against the brand's quota, one request each. `rate_limit` is
    what the last answer said of the quota.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = replace(connection, attempts=1, timeout_seconds=_TIMEOUT_SECONDS)
        self._dialect = connection.dialect
        self._wire = Wire(self._connection)
        self._token = ""
        self.rate_limit = RateLimit()

    async def __aenter__(self) -> "Probe":
        await self._wire.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._wire.__aexit__(kind, error, trace)

    async def authenticate(self, venue_id: int | None) -> None:
        """For the venue where tokens are of a venue. https://developer.clopos.com/authentication"""
        self._token = (await authenticate(self._wire, self._connection, venue_id=venue_id)).token

    async def list_venues(self) -> Page:
        """The brand's venues, as many as one answer holds. https://developer.clopos.com/api-reference/v2/venues/get-venues"""
        target = self._dialect.address("/venues")
        name = f"GET {target}"
        envelope = await self._ask(target, name, None)
        held = len(read_objects(envelope, name))
        return read_page(envelope if envelope.get("total") is not None else {**envelope, "total": held}, name)

    async def read_receipts(self, venue_id: int | None) -> None:
        """Whether receipts may be read, of a venue or of the token's own.

        https://developer.clopos.com/api-reference/v2/receipts/get-receipts
        """
        of_venue = "" if venue_id is None else f" (venue {venue_id})"
        target = self._dialect.list_receipts(page=1, limit=1, sort="created_at", direction=1)
        name = f"GET {self._dialect.address('/receipts')}{of_venue}"
        read_objects(await self._ask(target, name, venue_id), name)

    async def _ask(self, target: str, name: str, venue_id: int | None) -> Item:
        known = self._dialect.identify(self._connection.brand, self._token, venue_id)
        headers = {"accept": "application/json"} | known
        try:
            answer = await self._wire.send(Request("GET", target, name, headers))
        except NoAnswerError as error:
            raise CloposUnavailableError(f"{name}: {error}; try again later") from None
        self.rate_limit = RateLimit.read(self._dialect.read_headers(answer.headers))
        secrets = (self._connection.client_secret, self._token)
        reply = read_reply(answer, secrets=secrets, dialect=self._dialect, venue_id=venue_id)
        if reply.verdict.kind is Kind.OK:
            return reply.read()
        if reply.verdict.kind is Kind.RETRY:
            raise CloposUnavailableError(f"{name}: {reply.verdict.text}; try again later")
        if reply.verdict.kind is Kind.REAUTHENTICATE:
            raise refusal_of_new_token(name, reply.verdict, self._dialect)
        raise refusal(name, reply.verdict)
