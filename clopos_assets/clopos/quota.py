"""Sharing the brand's request window between the clients of one process: the clock, the lock and the waiting.

The arithmetic is in `window`; what is sent is none of this module's business.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from threading import Lock

from clopos_assets.clopos.errors import CloposUnavailable
from clopos_assets.clopos.window import Lease, RateLimit, Wait, Window

_LONGEST_WAIT_WINDOWS = 5
_WORTH_A_WORD_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Slot:
    """One request's place in the window. Say how it went; a slot left without a word counts as sent and unanswered."""

    def __init__(self, quota: "Quota", lease: Lease) -> None:
        self._quota = quota
        self._lease = lease
        self.open = True

    def settle(self, headers: Mapping[str, str]) -> None:
        """An answer came, whatever it says; `headers` are its `RateLimit-*` in any mapping that finds them."""
        self._close(lambda window, now: window.settle(self._lease, now, RateLimit.read(headers)))

    def refuse(self, headers: Mapping[str, str]) -> None:
        """The answer was 429: every client of the process waits."""
        self._close(lambda window, now: window.refuse(self._lease, now, RateLimit.read(headers)))

    def cancel(self) -> None:
        """Nothing was sent, so nothing is spent."""
        self._close(lambda window, now: window.cancel(self._lease))

    def give_up(self) -> None:
        """Sent, perhaps counted, never answered."""
        self._close(lambda window, now: window.give_up(self._lease, now))

    def _close(self, change: Callable[[Window, float], None]) -> None:
        if self.open:
            self.open = False
            self._quota.apply(change)


class Quota:
    """The window of one integrator and brand. Belongs to no event loop; any thread and loop may share it."""

    def __init__(
        self,
        requests_per_window: int,
        window_seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.requests_per_window = requests_per_window
        self.window_seconds = window_seconds
        self._window = Window(requests_per_window, window_seconds)
        self._clock = clock
        self._sleep = sleep
        self._lock = Lock()
        self._waiting = 0
        self._waiting_since = 0.0
        self._waited_seconds = 0.0
        self._granted_at = float("-inf")
        self._logged_until = float("-inf")

    @property
    def waited_seconds(self) -> float:
        """How long anybody has been kept waiting; requests that wait together count once."""
        with self._lock:
            under_way = self._clock() - self._waiting_since if self._waiting else 0.0
            return self._waited_seconds + under_way

    @asynccontextmanager
    async def slot(self, on_wait: Callable[[float, str], None] | None = None) -> AsyncIterator[Slot]:
        """A place in the window, waited for; `on_wait` is told, once, of a wait of a second or more.

        Raises CloposUnavailable where nobody got a place for five windows, or would; a later run may succeed.
        """
        slot = Slot(self, await self._reserve(on_wait))
        try:
            yield slot
        finally:
            slot.give_up()

    def apply(self, change: Callable[[Window, float], None]) -> None:
        """Change the state under the lock, at the time of the clock."""
        with self._lock:
            change(self._window, self._clock())

    async def _reserve(self, on_wait: Callable[[float, str], None] | None) -> Lease:
        outcome = self._try_to_reserve()
        if isinstance(outcome, Lease):
            return outcome
        since = self._begin_wait()
        is_told = False
        try:
            while isinstance(outcome, Wait):
                self._refuse_endless_wait(self._clock() - max(since, self._granted_at) + outcome.seconds)
                if not is_told and outcome.seconds >= _WORTH_A_WORD_SECONDS:
                    is_told = True
                    self._log_once(outcome)
                    if on_wait is not None:
                        on_wait(outcome.seconds, outcome.reason)
                await self._sleep(outcome.seconds)
                outcome = self._try_to_reserve()
            return outcome
        finally:
            self._end_wait()

    def _try_to_reserve(self) -> Lease | Wait:
        with self._lock:
            outcome = self._window.reserve(self._clock())
            if isinstance(outcome, Lease):
                self._granted_at = self._clock()
            return outcome

    def _begin_wait(self) -> float:
        with self._lock:
            now = self._clock()
            self._waiting += 1
            if self._waiting == 1:
                self._waiting_since = now
            return now

    def _end_wait(self) -> None:
        with self._lock:
            self._waiting -= 1
            if self._waiting == 0:
                self._waited_seconds += self._clock() - self._waiting_since

    def _log_once(self, wait: Wait) -> None:
        """One line for all that wait for the same opening."""
        with self._lock:
            now = self._clock()
            is_news = now >= self._logged_until
            if is_news:
                self._logged_until = now + wait.seconds
        if is_news:
            _log.info("waiting about %.0f s: %s", wait.seconds, wait.reason)

    def _refuse_endless_wait(self, seconds: float) -> None:
        bound = _LONGEST_WAIT_WINDOWS * self._window.seconds
        if seconds > bound:
            raise CloposUnavailable(
                f"Clopos' request quota stays used up: {seconds:.0f} s of waiting would exceed {bound:.0f} s; "
                "run again later, and see which other integrations of the brand spend it"
            )
