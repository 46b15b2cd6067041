"""How much one look may cost: pages and seconds, over all venues."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from clopos_assets.clopos.errors import CloposUnavailableError

T = TypeVar("T")
_MOST_PUT_OFF_SECONDS = 15.0
"""Dagster waits a minute for a tick."""


class Budget:
    """So many pages, and a deadline so many seconds from now; what is still under way then is broken off."""

    def __init__(self, pages: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.pages = pages
        self.seconds = seconds
        self.answered = 0
        self._waited_for = ""
        self._clock = clock
        self._deadline = clock() + seconds
        self._most_put_off_seconds = _MOST_PUT_OFF_SECONDS

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Time that is spent on the lake, and not on asking, puts the deadline off; within the bounds of a tick."""
        began = self._clock()
        yield
        put_off = min(self._clock() - began, self._most_put_off_seconds)
        self._most_put_off_seconds -= put_off
        self._deadline += put_off

    @property
    def spent(self) -> bool:
        """Whether there is no page or no second left."""
        return self.answered >= self.pages or self._clock() >= self._deadline

    def on_wait(self, _seconds: float, reason: str) -> None:
        """A request waits, for the quota or for its next try."""
        self._waited_for = f"; the last wait: {reason}"

    def no_answer(self) -> CloposUnavailableError:
        """Why nothing was read."""
        return CloposUnavailableError(f"no page came within {self.seconds:g} s{self._waited_for}")

    async def page(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """The answer, counted as a page; None where the budget is spent first."""
        if self.answered >= self.pages:
            return None
        answer = await self.in_time(ask)
        self.answered += answer is not None
        return answer

    async def in_time(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """The answer, not counted; None where it does not come before the deadline."""
        left = self._deadline - self._clock()
        if left <= 0:
            return None
        try:
            async with asyncio.timeout(left) as limit:
                return await ask()
        except TimeoutError:
            if not limit.expired():
                raise
            return None
