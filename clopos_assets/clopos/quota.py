"""Sharing the brand's request window: one process's way to the state that all share, and the waiting.

The arithmetic is in `window`, where the state lives in `store`; what is sent is none of this module's business.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from math import inf
from threading import Lock
from typing import TypeVar

from clopos_assets.clopos.errors import CloposUnavailableError
from clopos_assets.clopos.store import MemoryStore, Store
from clopos_assets.clopos.window import Lease, RateLimit, Wait, Window, WindowState

T = TypeVar("T")

_LONGEST_WAIT_WINDOWS = 5
_WORTH_A_WORD_SECONDS = 1.0
_SHORTEST_WAIT_SECONDS = 0.001
# How long a request may keep its slot before it is sent, and how long after its answer until that is written down.
_MARGIN_SECONDS = 10.0

_log = logging.getLogger(__name__)


class Priority(Enum):
    """Who goes first when the window is scarce."""

    URGENT = "urgent"
    ORDINARY = "ordinary"


class Slot:
    """One request's place in the window. Say how it went; a slot left without a word counts as sent and unanswered."""

    def __init__(self, lease: Lease, clock: Callable[[], float]) -> None:
        self._lease = lease
        self._clock = clock
        self._begun = clock()
        self._end: tuple[float, Callable[[Window, float], None]] | None = None

    @property
    def is_late(self) -> bool:
        """Whether so much time has passed that the slot may not be held until an answer: cancel or renew it."""
        return self.held_seconds > _MARGIN_SECONDS

    @property
    def held_seconds(self) -> float:
        """How long the place has been held, since it was got or renewed."""
        return self._clock() - self._begun

    def settle(self, headers: Mapping[str, str]) -> None:
        """An answer came, whatever it says; `headers` are its `RateLimit-*` in any mapping that finds them."""
        told = RateLimit.read(headers)
        self._close(lambda window, now: window.settle(self._lease, now, told))

    def refuse(self, headers: Mapping[str, str]) -> None:
        """The answer was 429: every client of the brand waits."""
        told = RateLimit.read(headers)
        self._close(lambda window, now: window.refuse(self._lease, now, told))

    def cancel(self) -> None:
        """Nothing was sent, so nothing is spent."""
        self._close(lambda window, _: window.cancel(self._lease))

    def give_up(self) -> None:
        """Sent, perhaps counted, never answered."""
        self._close(lambda window, now: window.give_up(self._lease, now))

    def renew(self, window: Window, now: float) -> None:
        """The place is held from now on."""
        self._lease = window.renew(self._lease, now)
        self._begun = self._clock()

    def _close(self, change: Callable[[Window, float], None]) -> None:
        if self._end is None:
            self._end = self._clock(), change

    def end(self, window: Window, now: float) -> None:
        """Write down what was said, as of the moment when it was said."""
        self.give_up()
        assert self._end is not None, "giving up says how it went"
        said_at, change = self._end
        change(window, now - max(0.0, self._clock() - said_at))


@dataclass(frozen=True)
class _Told:
    """The wait that one request was told, and when: others that ask before it is over are told what is left of it."""

    at: float
    wait: Wait


class Waiting:
    """How long anybody has waited, in seconds of a clock; those that wait together count once. For any thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._count = 0
        self._since = 0.0
        self._seconds = 0.0

    @property
    def seconds(self) -> float:
        """So far, the wait under way included."""
        with self._lock:
            return self._seconds + (self._clock() - self._since if self._count else 0.0)

    def begin(self) -> None:
        """One more waits."""
        with self._lock:
            self._count += 1
            if self._count == 1:
                self._since = self._clock()

    def end(self) -> None:
        """One of those that began waits no longer."""
        with self._lock:
            self._count -= 1
            if self._count == 0:
                self._seconds += self._clock() - self._since


class Quota:
    """The window of one integrator and brand, as this process sees it. Any thread and event loop may share it.

    With a `store`, all that name the same state there share the window; one that dies has held each of its slots
    for `longest_request_seconds`, the margins around it, and a window. Without, it is this process's alone.
    `waiting` counts the waits, and may be one that other windows count theirs in.
    """

    def __init__(
        self,
        requests_per_window: int,
        window_seconds: float,
        *,
        store: Store | None = None,
        name: str = "quota",
        longest_request_seconds: float = inf,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.requests_per_window = requests_per_window
        self.window_seconds = window_seconds
        self._make_window = partial(
            Window,
            requests_per_window,
            window_seconds,
            lease_seconds=longest_request_seconds + 2 * _MARGIN_SECONDS,
        )
        self._make_window()  # complains of numbers that make no window
        self._bound_seconds = _LONGEST_WAIT_WINDOWS * window_seconds
        self._store = store if store is not None else MemoryStore(clock)
        self._name = name
        self._clock = clock
        self._sleep = sleep
        self._lock = Lock()
        self._told: dict[Priority, _Told] = {}
        self.waiting = Waiting(clock)
        self._logged_until = -inf

    @property
    def waited_seconds(self) -> float:
        """How long anybody in this process has been kept waiting; requests that wait together count once."""
        return self.waiting.seconds

    @asynccontextmanager
    async def slot(
        self, on_wait: Callable[[float, str], None] | None = None, priority: Priority = Priority.URGENT
    ) -> AsyncIterator[Slot]:
        """A place in the window, waited for; `on_wait` is told, once, of a wait of a second or more.

        While urgent requests wait, ordinary ones get a fifth of the slots. Raises CloposUnavailableError where nobody
        got a place for five windows, or would, and where the store fails; a later run may succeed.
        """
        slot = Slot(await self._reserve(on_wait, priority), self._clock)
        try:
            yield slot
        finally:
            await self._end(slot)

    async def is_closed(self) -> bool:
        """Whether Clopos has said that nobody may send for now. Raises CloposUnavailableError where the store fails; a
        later run may succeed.
        """
        return await self._change(Window.is_closed)

    async def renew(self, slot: Slot) -> None:
        """Hold a place that is late from now on, in whatever room there is. Raises CloposUnavailableError where the
        store fails; a later run may succeed.
        """
        await self._change(slot.renew)

    async def _end(self, slot: Slot) -> None:
        try:
            await self._change(slot.end)
        except CloposUnavailableError as error:
            # The answer is here and worth keeping; the slot's lease ends by itself.
            _log.warning("a slot of the request quota was not given back: %s", error)

    async def _change(self, turn: Callable[[Window, float], T]) -> T:
        def change(state: WindowState, now: float) -> T:
            return turn(self._make_window(state=state), now)

        return await self._store.change(self._name, WindowState, change)

    async def _reserve(self, on_wait: Callable[[float, str], None] | None, priority: Priority) -> Lease:
        outcome = await self._try_to_reserve(priority)
        if isinstance(outcome, Lease):
            return outcome
        since = self._clock()
        self.waiting.begin()
        is_told = False
        try:
            while isinstance(outcome, Wait):
                waited = self._clock() - since
                self._refuse_endless_wait(min(waited, outcome.idle_seconds) + outcome.seconds)
                if not is_told and waited + outcome.seconds >= _WORTH_A_WORD_SECONDS:
                    is_told = True
                    self._log_once(outcome)
                    if on_wait is not None:
                        on_wait(outcome.seconds, outcome.reason)
                await self._sleep(outcome.seconds)
                outcome = await self._try_to_reserve(priority)
            return outcome
        finally:
            self.waiting.end()

    async def _try_to_reserve(self, priority: Priority) -> Lease | Wait:
        """Ask the store, unless somebody of this process was just told how long to wait."""
        with self._lock:
            told = self._told.get(priority)
            passed = self._clock() - told.at if told is not None else 0.0
        left = told.wait.seconds - passed if told is not None else 0.0
        if told is not None and left > _SHORTEST_WAIT_SECONDS:
            return Wait(left, told.wait.reason, told.wait.idle_seconds + passed)
        outcome = await self._change(lambda window, now: window.reserve(now, is_urgent=priority is Priority.URGENT))
        with self._lock:
            if isinstance(outcome, Wait):
                self._told[priority] = _Told(self._clock(), outcome)
        return outcome

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
        if seconds > self._bound_seconds:
            raise CloposUnavailableError(
                f"Clopos' request quota stays used up: {seconds:.0f} s of waiting would exceed "
                f"{self._bound_seconds:.0f} s; run again later, and see which other integrations of the brand spend it"
            )
