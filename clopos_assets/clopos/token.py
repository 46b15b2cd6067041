"""Tokens: authenticating with Clopos, and one process's copy of the token that all share.

https://developer.clopos.com/authentication. There is no refresh token; authentications are limited to 60 a
minute per address, so a token is used until shortly before its end.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from hashlib import scrypt
from threading import Lock

from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.decode import encode_json
from clopos_assets.clopos.dialect import read_moment
from clopos_assets.clopos.errors import CloposAnswerError, CloposRefusedError
from clopos_assets.clopos.patience import Patience, TryAgainError, tries
from clopos_assets.clopos.reply import read_reply, refusal
from clopos_assets.clopos.shared_token import Grant, SharedToken
from clopos_assets.clopos.store import MemoryStore, Store, hashed
from clopos_assets.clopos.verdict import Kind
from clopos_assets.clopos.wire import NoAnswerError, Request, Wire

__all__ = ["Grant", "TokenCache", "authenticate"]

# The documented life, for an answer that tells none.
_USUAL_LIFE_SECONDS = 3600.0
# The window of the limit on authentications, for a 429 that does not say how long.
_AUTH_WINDOW_SECONDS = 60.0

_log = logging.getLogger(__name__)


@dataclass
class _Account:
    """What this process knows of one set of credentials: it asks the store when its own copy is of no more use."""

    shared: SharedToken = field(repr=False)
    token: str = field(default="", repr=False)
    renew_at: float = 0.0
    refused: str = field(default="", repr=False)
    accepted: str = field(default="", repr=False)


class TokenCache:
    """The current token of each set of credentials. Belongs to no event loop; any thread may share it.

    With a `store`, all processes that use it share the tokens, which lie there (see `shared_token`).
    """

    def __init__(
        self,
        *,
        store: Store | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store if store is not None else MemoryStore(clock)
        self._clock = clock
        self._sleep = sleep
        self._lock = Lock()
        self._accounts: dict[str, _Account] = {}

    async def get(
        self, connection: Connection, ask: Callable[[], Awaitable[Grant]], venue_id: int | None = None
    ) -> str:
        """The token of these credentials, and of the venue where tokens are of a venue.

        `ask` is called where there is none, by one caller at a time.
        Who waits for another's authentication shares its failure, and a refusal stands for ten seconds, so that
        wrong credentials are not sent again for every request under way. Raises what `ask` raises, and
        CloposUnavailableError where another's authentication does not end or the store can't be used.
        """
        account = self._find(connection, venue_id)
        with self._lock:
            if account.token and self._clock() < account.renew_at:
                return account.token
            refused = account.refused
        token, useful_seconds = await account.shared.get(ask, refused)
        with self._lock:
            account.token, account.renew_at = token, self._clock() + useful_seconds
        return token

    def invalidate(self, token: str) -> None:
        """Clopos refused this token; one that has been renewed since stays."""
        with self._lock:
            for account in self._accounts.values():
                if account.token == token:
                    account.token, account.refused = "", token

    def accept(self, token: str) -> None:
        """Clopos took this token."""
        with self._lock:
            for account in self._accounts.values():
                if account.token == token:
                    account.accepted = token

    def was_accepted(self, token: str) -> bool:
        """Whether Clopos took this token, and none that came after it."""
        with self._lock:
            return any(account.accepted == token for account in self._accounts.values())

    def _find(self, connection: Connection, venue_id: int | None) -> _Account:
        name = _name_of(connection, venue_id)
        with self._lock:
            if name not in self._accounts:
                shared = SharedToken(self._store, name, clock=self._clock, sleep=self._sleep)
                self._accounts[name] = _Account(shared)
            return self._accounts[name]


@lru_cache(maxsize=100)
def _name_of(connection: Connection, venue_id: int | None) -> str:
    """Where the token of these credentials lies: nothing of them can be found out from it, not by guessing either."""
    said = connection.credentials(venue_id)
    who = " ".join([connection.root, *(said[name] for name in sorted(said) if name != "client_secret")])
    proof = scrypt(connection.client_secret.encode(), salt=who.encode(), n=4096, r=8, p=1)
    return f"token-{hashed(who, proof.hex())}"


async def authenticate(
    wire: Wire,
    connection: Connection,
    on_wait: Callable[[float, str], None] | None = None,
    venue_id: int | None = None,
    patience: Patience | None = None,
) -> Grant:
    """Ask for a token, and where tokens are of a venue, for that of `venue_id`.

    Unanswered and overloaded are tried again, within bounds.

    Raises CloposRefusedError for credentials that Clopos does not take, CloposUnavailableError, CloposAnswerError. Not
    counted against the quota of the brand.
    """
    target = connection.dialect.address("/auth")
    request = Request(
        method="POST",
        target=target,
        name=f"POST {target}",
        headers={"content-type": "application/json", "accept": "application/json"},
        body=encode_json(connection.credentials(venue_id)).encode(),
    )
    grant: Grant | None = None
    patience = patience if patience is not None else Patience()
    async for attempt in tries(connection, request.name, on_wait, patience):
        with attempt, patience.spending():
            grant = await _ask_once(wire, connection, request, venue_id)
    assert grant is not None, "the tries end with a grant or an exception"
    _log.info("authenticated for brand %s; the token lives %.0f s", connection.brand, grant.life_seconds)
    return grant


async def _ask_once(wire: Wire, connection: Connection, request: Request, venue_id: int | None) -> Grant:
    try:
        answer = await wire.send(request)
    except NoAnswerError as error:
        failure = TryAgainError(str(error), maybe_elsewhere=error.maybe_elsewhere)
    else:
        reply = read_reply(answer, secrets=(connection.client_secret,), dialect=connection.dialect, venue_id=venue_id)
        match reply.verdict.kind:
            case Kind.OK:
                return _read_grant(reply.read(), request.name, read_moment(answer.headers))
            case Kind.RETRY:
                wait = reply.verdict.wait_seconds
                if answer.status == 429 and wait == 0:
                    wait = _AUTH_WINDOW_SECONDS
                raise TryAgainError(reply.verdict.text, wait, maybe_elsewhere=reply.verdict.maybe_elsewhere)
            case Kind.REAUTHENTICATE:  # of a request that carries no token
                raise CloposRefusedError(
                    f"{request.name}: {reply.verdict.text}; check {connection.dialect.variables}, and CLOPOS_BASE_URL"
                )
            case _:
                raise refusal(request.name, reply.verdict)
    raise failure


def _read_grant(envelope: dict[str, object], name: str, answered_at: float) -> Grant:
    token = envelope.get("token")
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable() or " " in token:
        raise CloposAnswerError(
            f"{name}: the answer holds no usable token; check CLOPOS_BASE_URL and CLOPOS_API_VERSION"
        )
    life = _positive_seconds(envelope.get("expires_in"))
    if life is None:
        expires_at = _positive_seconds(envelope.get("expires_at"))
        life = None if expires_at is None else _positive_seconds(expires_at - answered_at)
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
