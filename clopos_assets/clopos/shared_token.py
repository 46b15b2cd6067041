"""One token for all that share a store: who authenticates, who waits for it, and when it is renewed.

The token lies in the store as Clopos gave it: with a `FileStore` in a file that its owner alone can read (0600),
in PostgreSQL in a table of Dagster's database, open to whoever may read that.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import TypeVar

import msgspec

from clopos_assets.clopos.errors import CloposAnswerError, CloposError, CloposRefusedError, CloposUnavailableError
from clopos_assets.clopos.store import Store

T = TypeVar("T")

_RENEWED_EARLY_SECONDS = 60.0
_REFUSAL_STANDS_SECONDS = 10.0
_POLL_SECONDS = 0.1
# Who authenticates says so again and again; whoever says nothing for so long has died, and another one tries.
_CLAIM_SECONDS = 10.0
_CLAIMED_AGAIN_SECONDS = 2.0
_LONGEST_WAIT_SECONDS = 900.0
_KINDS: dict[str, type[CloposError]] = {
    kind.__name__: kind for kind in (CloposRefusedError, CloposUnavailableError, CloposAnswerError)
}


@dataclass(frozen=True)
class Grant:
    """A token and how long it lives from the moment it was asked for."""

    token: str = field(repr=False)
    life_seconds: float

    @property
    def useful_seconds(self) -> float:
        """For how long it is used: a token is renewed shortly before its end."""
        return self.life_seconds - min(_RENEWED_EARLY_SECONDS, self.life_seconds / 10)


class TokenState(msgspec.Struct):
    """What the processes know. `rounds` counts finished authentications; `failure` is how the last one failed."""

    token: str = ""
    renew_at: float = -inf
    claimed_until: float = -inf
    rounds: int = 0
    failure: tuple[str, str] | None = None
    refused_until: float = -inf

    def __repr__(self) -> str:
        return f"TokenState(rounds={self.rounds})"


@dataclass(frozen=True)
class _Found:
    token: str = field(repr=False)
    useful_seconds: float


@dataclass(frozen=True)
class _Busy:
    """Somebody else authenticates; `rounds` will have changed when it has."""

    rounds: int


@dataclass(frozen=True)
class _Claimed:
    """The caller is to authenticate, and to say so again and again until `rounds` has changed."""

    rounds: int


class SharedToken:
    """The token of one set of credentials in a store."""

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._name = name
        self._clock = clock
        self._sleep = sleep

    async def get(self, ask: Callable[[], Awaitable[Grant]], refused: str) -> tuple[str, float]:
        """The token and for how many seconds to use it; `ask` is called where there is none but the `refused` one.

        One asks at a time. Those that wait for it share its failure, and a refusal stands for ten seconds.
        Raises what `ask` raises, and CloposUnavailableError where no authentication of another's ends.
        """
        give_up_at = self._clock() + _LONGEST_WAIT_SECONDS
        since: int | None = None
        while self._clock() < give_up_at:
            outcome = await self._change(partial(_claim, refused=refused, since=since))
            match outcome:
                case _Found():
                    return outcome.token, outcome.useful_seconds
                case _Busy():
                    since = outcome.rounds
                    await self._sleep(_POLL_SECONDS)
                case CloposError():
                    raise outcome
                case _Claimed():
                    return await self._authenticate(ask, outcome)
        raise CloposUnavailableError("authentication: that of another process does not end; run again later")

    async def _authenticate(self, ask: Callable[[], Awaitable[Grant]], claim: _Claimed) -> tuple[str, float]:
        begun = self._clock()
        grant: Grant | None = None
        failure: CloposError | None = None
        try:
            async with self._holding(claim):
                grant = await ask()
        except CloposError as error:
            failure = error
            raise
        finally:
            passed = self._clock() - begun
            await self._change(partial(_publish, grant=grant, failure=failure, passed=passed))
        return grant.token, grant.useful_seconds - passed

    @asynccontextmanager
    async def _holding(self, claim: _Claimed) -> AsyncIterator[None]:
        renewing = asyncio.create_task(self._claim_again_and_again(claim))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])  # a loop that ends now finds nothing pending

    async def _claim_again_and_again(self, claim: _Claimed) -> None:
        for _ in range(int(_LONGEST_WAIT_SECONDS / _CLAIMED_AGAIN_SECONDS)):
            await asyncio.sleep(_CLAIMED_AGAIN_SECONDS)
            with suppress(CloposUnavailableError):  # then another one may authenticate, too, which does no harm
                await self._change(partial(_claim_again, claim=claim))

    async def _change(self, turn: Callable[[TokenState, float], T]) -> T:
        return await self._store.change(self._name, TokenState, turn)


_Outcome = _Found | _Busy | _Claimed | CloposError


def _claim(state: TokenState, now: float, *, refused: str, since: int | None) -> _Outcome:
    if refused and state.token == refused:
        state.token = ""
    if state.token and now < state.renew_at:
        return _Found(state.token, state.renew_at - now)
    if state.failure is not None and (now < state.refused_until or (since is not None and since != state.rounds)):
        kind, text = state.failure
        return _KINDS.get(kind, CloposUnavailableError)(text)
    if now < state.claimed_until:
        return _Busy(state.rounds)
    state.claimed_until = now + _CLAIM_SECONDS
    return _Claimed(state.rounds)


def _claim_again(state: TokenState, now: float, *, claim: _Claimed) -> None:
    # A store may run this after the claim has ended, in a thread that was under way: it claims nothing then.
    if state.rounds == claim.rounds:
        state.claimed_until = now + _CLAIM_SECONDS


def _publish(state: TokenState, now: float, *, grant: Grant | None, failure: CloposError | None, passed: float) -> None:
    state.claimed_until = -inf
    state.rounds += 1
    state.failure = None if failure is None else (type(failure).__name__, str(failure))
    if failure is not None and not failure.retry_helps:
        state.refused_until = now + _REFUSAL_STANDS_SECONDS
    if grant is not None:
        state.token = grant.token
        state.renew_at = now - passed + grant.useful_seconds
