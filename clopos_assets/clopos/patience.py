"""How often and how long a request is tried again, and a whole run fails: bounds, back-off, and the words for it."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from math import inf
from threading import Lock

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.errors import CloposUnavailableError

_LATER = "run again later"

_log = logging.getLogger(__name__)


class TryAgainError(Exception):
    """One try failed in a way that another may not; wait at least `wait_seconds`.

    `is_quota` says that it failed because the quota is used up, and not because the API does not work;
    `maybe_elsewhere` that the API may not be where it was looked for.
    """

    def __init__(
        self, cause: str, wait_seconds: float = 0.0, *, is_quota: bool = False, maybe_elsewhere: bool = False
    ) -> None:
        super().__init__(cause)
        self.wait_seconds = wait_seconds
        self.is_quota = is_quota
        self.remedy = f"{_LATER}, and check CLOPOS_BASE_URL if that does not help" if maybe_elsewhere else _LATER
        self.hint = f"{cause} (is CLOPOS_BASE_URL right?)" if maybe_elsewhere else cause


class Patience:
    """How long a run bears an API that gives it no good answer; shared by all its requests, of any thread.

    What counts is the time in which at least one request is under way or pauses before its next try. Waiting for
    the quota does not, and any good answer begins anew.
    """

    def __init__(self, seconds: float = 900.0, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._lock = Lock()
        self._busy = 0
        self._busy_since = 0.0
        self._spent = 0.0
        self._last = ""
        self._remedy = _LATER

    @contextmanager
    def spending(self) -> Iterator[None]:
        """While a request is under way, or pauses."""
        with self._lock:
            self._busy += 1
            if self._busy == 1:
                self._busy_since = self._clock()
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1
                if self._busy == 0:
                    self._spent += self._clock() - self._busy_since

    def renew(self) -> None:
        """A good answer came."""
        with self._lock:
            self._busy_since = self._clock()
            self._spent = 0.0
            self._last = ""

    def note(self, cause: str, remedy: str = _LATER) -> None:
        """A try failed; `remedy` is what to do if nothing better comes."""
        with self._lock:
            self._last, self._remedy = cause, remedy

    def end(self) -> None:
        """It is over, for requests under way too, unless one of them brings a good answer yet."""
        with self._lock:
            self._spent = inf

    def is_over(self, more_seconds: float = 0.0) -> bool:
        """Whether the run has failed for long enough, or would after `more_seconds`."""
        with self._lock:
            under_way = self._clock() - self._busy_since if self._busy else 0.0
            return bool(self._last) and self._spent + under_way + more_seconds > self.seconds

    def check(self) -> None:
        """Raises CloposUnavailableError, before anything is sent, once the run has failed for long enough."""
        if self.is_over():
            raise CloposUnavailableError(self.describe())

    def describe(self) -> str:
        """The one line to end a run with."""
        return (
            f"Clopos gives no good answer, and the {self.seconds / 60:g} minutes for which a run bears that are used "
            f"up; the last: {self._last}; {self._remedy}"
        )


def tries(
    connection: Connection,
    name: str,
    on_wait: Callable[[float, str], None] | None = None,
    patience: Patience | None = None,
) -> AsyncRetrying:
    """Tries of the request called `name`: a body that raises TryAgainError is run again after a jittered pause.

    Raises CloposUnavailableError after `connection.attempts`, where the pause asked for is longer than the version of
    the API makes likely, and where the run's `patience` is over.
    """
    patience = patience if patience is not None else Patience()
    patience.check()
    backoff = wait_exponential_jitter(
        multiplier=connection.backoff_seconds, max=connection.backoff_max_seconds, jitter=connection.backoff_seconds
    )

    def pause(state: RetryCallState) -> float:
        return max(backoff(state), _failure(state).wait_seconds)

    def is_enough(state: RetryCallState) -> bool:
        failure = _failure(state)
        if not failure.is_quota:
            patience.note(f"{name}: {failure}", failure.remedy)
        return (
            stop_after_attempt(connection.attempts)(state)
            or failure.wait_seconds > connection.dialect.longest_wait_seconds
            or (not failure.is_quota and patience.is_over(state.upcoming_sleep))
        )

    is_for_quota = False

    async def sleep(seconds: float) -> None:
        with nullcontext() if is_for_quota else patience.spending():
            await asyncio.sleep(seconds)

    def announce(state: RetryCallState) -> None:
        nonlocal is_for_quota
        is_for_quota = _failure(state).is_quota
        seconds = state.upcoming_sleep
        _log.warning(
            "%s: %s; try %d of %d follows in %.1f s",
            name,
            _failure(state),
            state.attempt_number + 1,
            connection.attempts,
            seconds,
        )
        if on_wait is not None:
            on_wait(seconds, _failure(state).hint)

    def give_up(state: RetryCallState) -> None:
        count = state.attempt_number
        failure = _failure(state)
        is_too_long = failure.wait_seconds > connection.dialect.longest_wait_seconds
        is_last = count >= connection.attempts or is_too_long
        if not is_last or patience.is_over():
            patience.end()
            raise CloposUnavailableError(patience.describe()) from None
        asked = f", which asks to wait {failure.wait_seconds / 60:,.0f} minutes" if is_too_long else ""
        raise CloposUnavailableError(
            f"{name}: given up after {count} {'try' if count == 1 else 'tries'}, the last: {failure}{asked}; "
            f"{failure.remedy}"
        ) from None

    return AsyncRetrying(
        sleep=sleep,
        stop=is_enough,
        wait=pause,
        retry=retry_if_exception_type(TryAgainError),
        before_sleep=announce,
        retry_error_callback=give_up,
    )


def _failure(state: RetryCallState) -> TryAgainError:
    error = state.outcome.exception() if state.outcome is not None else None
    assert isinstance(error, TryAgainError), "only this exception is tried again"
    return error
