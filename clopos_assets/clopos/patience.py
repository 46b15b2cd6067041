"""How often and how long a request is tried again: bounds, back-off, and the words for it."""

import asyncio
import logging
from collections.abc import Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.errors import CloposUnavailable

_log = logging.getLogger(__name__)


class TryAgainError(Exception):
    """One try failed in a way that another may not; wait at least `wait_seconds`."""

    def __init__(self, cause: str, wait_seconds: float = 0.0) -> None:
        super().__init__(cause)
        self.wait_seconds = wait_seconds


def tries(connection: Connection, name: str, on_wait: Callable[[float, str], None] | None = None) -> AsyncRetrying:
    """Tries of the request called `name`: a body that raises TryAgainError is run again after a jittered pause.

    Raises CloposUnavailable after `connection.attempts`, or where the pause asked for is longer than the version
    of the API makes likely.
    """
    backoff = wait_exponential_jitter(
        multiplier=connection.backoff_seconds, max=connection.backoff_max_seconds, jitter=connection.backoff_seconds
    )

    def pause(state: RetryCallState) -> float:
        return max(backoff(state), _failure(state).wait_seconds)

    def is_enough(state: RetryCallState) -> bool:
        return stop_after_attempt(connection.attempts)(state) or (
            _failure(state).wait_seconds > connection.dialect.longest_wait_seconds
        )

    def announce(state: RetryCallState) -> None:
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
            on_wait(seconds, str(_failure(state)))

    def give_up(state: RetryCallState) -> None:
        count = state.attempt_number
        raise CloposUnavailable(
            f"{name}: given up after {count} {'try' if count == 1 else 'tries'}, the last: {_failure(state)}; "
            "run again later"
        ) from None

    return AsyncRetrying(
        sleep=asyncio.sleep,
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
