"""The three rate limits of the Open API as sliding windows: who may ask, and what the headers say about it.

Documented on the vendor's page "Rate limits": 300 requests a minute per `integrator_id:brand` over all tokens
and venues, 600 failed requests a minute per client address, 60 authentications a minute per client address.
Where the page is silent: a refused request does not use up the 300, but its 429 is a failed request;
`RateLimit-Reset` is the time until the oldest counted request leaves the window, in whole seconds, rounded
up. v1 has 100 a minute and 1,000 an hour "per API key": here they are the brand's, whatever its keys and venues.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LimitOptions:
    """Numbers per window of `window_seconds`, v1's hour per sixty of them.

    Raise all at once: the headers tell of the tightest.
    """

    requests: int = 300
    failures: int = 600
    authentications: int = 60
    window_seconds: float = 60
    requests_v1: int = 100
    requests_v1_per_hour: int = 1000

    @classmethod
    def unlimited(cls) -> "LimitOptions":
        """Limits that no test meets."""
        return cls(10**9, 10**9, 10**9, requests_v1=10**9, requests_v1_per_hour=10**10)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One limit's answer about one request; `reset` is in seconds."""

    allowed: bool
    limit: int
    remaining: int
    reset: int

    def headers(self, prefix: str = "RateLimit-") -> dict[str, str]:
        return {
            f"{prefix}Limit": str(self.limit),
            f"{prefix}Remaining": str(self.remaining),
            f"{prefix}Reset": str(self.reset),
        }


def tightest(first: Verdict, second: Verdict) -> Verdict:
    """The limit of which the smaller share is left: the tier that the headers speak of."""
    return second if second.remaining * first.limit < first.remaining * second.limit else first


class _Window:
    """Times of the events counted in the last `seconds`; an event exactly that old is counted no more."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self.times: deque[float] = deque()

    def look(self, now: float) -> Verdict:
        while self.times and self.times[0] <= now - self.seconds:
            self.times.popleft()
        free = self.limit - len(self.times)
        oldest = self.times[0] if self.times else now
        reset = max(1, math.ceil(oldest + self.seconds - now))
        return Verdict(free > 0, self.limit, max(free, 0), reset)

    def count(self, now: float) -> None:
        self.times.append(now)


class Limits:
    """All windows of one server. `clock` counts seconds and never goes back."""

    def __init__(self, options: LimitOptions | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.options = options or LimitOptions()
        self._clock = clock
        self._lock = threading.Lock()
        self._requests: dict[str, _Window] = {}
        self._failures: dict[str, _Window] = {}
        self._authentications: dict[str, _Window] = {}
        self._minutes_v1: dict[str, _Window] = {}
        self._hours_v1: dict[str, _Window] = {}

    def take_request_v1(self, brand: str) -> Verdict:
        """Counts a request of a brand to v1 in the minute's and the hour's window, unless either is full."""
        with self._lock:
            now = self._clock()
            windows = self._windows_v1(brand)
            refusals = [verdict for verdict in (window.look(now) for window in windows) if not verdict.allowed]
            if refusals:
                return max(refusals, key=lambda verdict: verdict.reset)
            for window in windows:
                window.count(now)
            told = tightest(*(window.look(now) for window in windows))
            return Verdict(True, told.limit, told.remaining, told.reset)

    def look_at_requests_v1(self, brand: str) -> Verdict:
        """What is left to a brand of its requests to v1; counts nothing."""
        with self._lock:
            now = self._clock()
            return tightest(*(window.look(now) for window in self._windows_v1(brand)))

    def _windows_v1(self, brand: str) -> tuple[_Window, _Window]:
        options = self.options
        hour = _Window(options.requests_v1_per_hour, 60 * options.window_seconds)
        return self._window(self._minutes_v1, brand, options.requests_v1), self._hours_v1.setdefault(brand, hour)

    def take_request(self, tenant: str) -> Verdict:
        """Counts a request of a tenant (`integrator_id:brand`) unless the window is full."""
        return self._take(self._requests, tenant, self.options.requests)

    def take_authentication(self, address: str) -> Verdict:
        """Counts an authentication from a client address unless the window is full."""
        return self._take(self._authentications, address, self.options.authentications)

    def look_at_failures(self, address: str) -> Verdict:
        """What is left of a client address's failed requests; counts nothing."""
        with self._lock:
            return self._window(self._failures, address, self.options.failures).look(self._clock())

    def count_failure(self, address: str) -> None:
        """Counts an answer of status 400 or above to a client address, up to the limit."""
        self._take(self._failures, address, self.options.failures)

    def reset(self) -> None:
        """Forgets everything counted so far."""
        with self._lock:
            self._requests.clear()
            self._failures.clear()
            self._authentications.clear()
            self._minutes_v1.clear()
            self._hours_v1.clear()

    def _take(self, windows: dict[str, _Window], key: str, limit: int) -> Verdict:
        with self._lock:
            now = self._clock()
            window = self._window(windows, key, limit)
            verdict = window.look(now)
            if not verdict.allowed:
                return verdict
            window.count(now)
            after = window.look(now)
            return Verdict(True, after.limit, after.remaining, after.reset)

    def _window(self, windows: dict[str, _Window], key: str, limit: int) -> _Window:
        return windows.setdefault(key, _Window(limit, self.options.window_seconds))
