"""Tokens: authenticating with Clopos, and sharing the token among the clients of one process.

https://developer.clopos.com/authentication. There is no refresh token; authentications are limited to 60 a
minute per address, so a token is used until shortly before its end.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from threading import Lock

from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.decode import encode_json
from clopos_assets.clopos.errors import CloposAnswerError, CloposError, CloposUnavailable
from clopos_assets.clopos.patience import TryAgainError, tries
from clopos_assets.clopos.reply import read_reply, refusal
from clopos_assets.clopos.verdict import Kind
from clopos_assets.clopos.wire import NoAnswerError, Request, Wire

_RENEWED_EARLY_SECONDS = 60.0
# The documented life, for an answer that tells none.
_USUAL_LIFE_SECONDS = 3600.0
# The window of the limit on authentications, for a 429 that does not say how long.
_AUTH_WINDOW_SECONDS = 60.0
_REFUSAL_STANDS_SECONDS = 10.0
_POLL_SECONDS = 0.02
_LONGEST_WAIT_SECONDS = 900.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Grant:
    """A token and how long it lives from the moment it was asked for."""

    token: str = field(repr=False)
    life_seconds: float


@dataclass
class _Account:
    """What is known for one set of credentials. `rounds` counts finished authentications."""

    token: str = field(default="", repr=False)
    renew_at: float = 0.0
    authenticating: bool = False
    rounds: int = 0
    failure: CloposError | None = None
    refused_until: float = 0.0


class TokenCache:
    """The current token of each set of credentials. Belongs to no event loop; any thread may share it."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._lock = Lock()
        self._accounts: dict[tuple[str, ...], _Account] = {}

    async def get(
        self, connection: Connection, ask: Callable[[], Awaitable[Grant]], venue_id: int | None = None
    ) -> str:
        """The token of these credentials, and of the venue where tokens are of a venue.

        `ask` is called where there is none, by one caller at a time.
        Who waits for another's authentication shares its failure, and a refusal stands for ten seconds, so that
        wrong credentials are not sent again for every request under way. Raises what `ask` raises, and
        CloposUnavailable where another's authentication does not end.
        """
        account = self._find(connection, venue_id)
        give_up_at = self._clock() + _LONGEST_WAIT_SECONDS
        while self._clock() < give_up_at:
            with self._lock:
                now = self._clock()
                if account.token and now < account.renew_at:
                    return account.token
                if account.failure is not None and now < account.refused_until:
                    raise _copy(account.failure)
                is_mine = not account.authenticating
                account.authenticating = True
                rounds = account.rounds
            if is_mine:
                return await self._authenticate(account, ask)
            while account.rounds == rounds and self._clock() < give_up_at:
                await self._sleep(_POLL_SECONDS)
            if account.failure is not None:
                raise _copy(account.failure)
        raise CloposUnavailable(f"{_name(connection)}: another request's authentication does not end; run again later")

    def invalidate(self, token: str) -> None:
        """Clopos refused this token; one that has been renewed since stays."""
        with self._lock:
            for account in self._accounts.values():
                if account.token == token:
                    account.token = ""

    def _find(self, connection: Connection, venue_id: int | None) -> _Account:
        key = (connection.root, connection.dialect.version, *connection.credentials(venue_id).values())
        with self._lock:
            return self._accounts.setdefault(key, _Account())

    async def _authenticate(self, account: _Account, ask: Callable[[], Awaitable[Grant]]) -> str:
        asked_at = self._clock()
        grant: Grant | None = None
        failure: CloposError | None = None
        try:
            grant = await ask()
            return grant.token
        except CloposError as error:
            failure = error
            raise
        finally:
            with self._lock:
                account.authenticating = False
                account.rounds += 1
                account.failure = None if failure is None else _copy(failure)
                if failure is not None and not failure.retry_helps:
                    account.refused_until = self._clock() + _REFUSAL_STANDS_SECONDS
                if grant is not None:
                    account.token = grant.token
                    early = min(_RENEWED_EARLY_SECONDS, grant.life_seconds / 10)
                    account.renew_at = asked_at + grant.life_seconds - early


def _copy(failure: CloposError) -> CloposError:
    """The same error without the traceback of the request that met it."""
    return type(failure)(str(failure))


async def authenticate(
    wire: Wire,
    connection: Connection,
    on_wait: Callable[[float, str], None] | None = None,
    venue_id: int | None = None,
) -> Grant:
    """Ask for a token, and where tokens are of a venue, for that of `venue_id`.

    Unanswered and overloaded are tried again, within bounds.

    Raises CloposRefused for credentials that Clopos does not take, CloposUnavailable, CloposAnswerError. Not
    counted against the quota of the brand.
    """
    request = Request(
        method="POST",
        target=connection.dialect.address("/auth"),
        name=_name(connection),
        headers={"content-type": "application/json", "accept": "application/json"},
        body=encode_json(connection.credentials(venue_id)).encode(),
    )
    grant: Grant | None = None
    async for attempt in tries(connection, request.name, on_wait):
        with attempt:
            grant = await _ask_once(wire, connection, request, venue_id)
    assert grant is not None, "the tries end with a grant or an exception"
    _log.info("authenticated for brand %s; the token lives %.0f s", connection.brand, grant.life_seconds)
    return grant


async def _ask_once(wire: Wire, connection: Connection, request: Request, venue_id: int | None) -> Grant:
    try:
        answer = await wire.send(request)
    except NoAnswerError as error:
        cause = str(error)
    else:
        reply = read_reply(answer, secrets=(connection.client_secret,), dialect=connection.dialect, venue_id=venue_id)
        match reply.verdict.kind:
            case Kind.OK:
                return _read_grant(reply.read(), request.name)
            case Kind.RETRY:
                wait = reply.verdict.wait_seconds
                if answer.status == 429 and wait == 0:
                    wait = _AUTH_WINDOW_SECONDS
                raise TryAgainError(reply.verdict.text, wait)
            case _:
                raise refusal(request.name, reply.verdict)
    raise TryAgainError(cause)


def _name(connection: Connection) -> str:
    return f"POST {connection.dialect.address('/auth')}"


def _read_grant(envelope: dict[str, object], name: str) -> Grant:
    token = envelope.get("token")
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable() or " " in token:
        raise CloposAnswerError(
            f"{name}: the answer holds no usable token; check CLOPOS_BASE_URL and CLOPOS_API_VERSION"
        )
    life = _positive_seconds(envelope.get("expires_in"))
    if life is None:
        expires_at = _positive_seconds(envelope.get("expires_at"))
        life = None if expires_at is None else _positive_seconds(expires_at - time.time())
    return Grant(token, _USUAL_LIFE_SECONDS if life is None else life)


def _positive_seconds(value: object) -> float | None:
    """A number of seconds above zero; an error's ISO 8601 `expires_at`, for one, is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None
