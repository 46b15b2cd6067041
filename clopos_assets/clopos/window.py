"""The state of the brand's request window: plain data, no clock, no lock, no waiting.

Clopos counts 300 requests in a sliding minute per integrator and brand, over all processes and machines
(https://developer.clopos.com/rate-limits). Times are seconds of one monotonic clock and are passed in.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

# How often to look again where only another request's answer can open the window.
_POLL_SECONDS = 0.02
_SHORTEST_WAIT_SECONDS = 0.001
# A reset further away is not a number of seconds.
_LONGEST_RESET_SECONDS = 86_400.0
# Answers without the headers after which the headers are no longer waited for.
_UNTOLD_ANSWERS = 3


@dataclass(frozen=True)
class RateLimit:
    """What the headers of one answer say; None where one is missing or makes no sense."""

    limit: int | None = None
    remaining: int | None = None
    reset_seconds: float | None = None

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> "RateLimit":
        """Takes any mapping that finds `RateLimit-Limit`, `-Remaining` and `-Reset`; a dict must spell them so."""
        limit = read_seconds(headers.get("RateLimit-Limit"))
        remaining = read_seconds(headers.get("RateLimit-Remaining"))
        reset = read_seconds(headers.get("RateLimit-Reset"))
        return cls(
            limit=int(limit) if limit is not None and limit >= 1 else None,
            remaining=int(remaining) if remaining is not None else None,
            reset_seconds=reset if reset is not None and reset <= _LONGEST_RESET_SECONDS else None,
        )


def read_seconds(text: str | None) -> float | None:
    """A number of a header that is not below zero; None for anything else, dates included."""
    try:
        number = float(text) if text is not None else -1.0
    except ValueError:
        return None
    return number if number >= 0 and isfinite(number) else None


@dataclass(frozen=True)
class Lease:
    """The right to send one request, from `started_at` on."""

    number: int
    started_at: float


@dataclass(frozen=True)
class Wait:
    """No slot now; ask again after `seconds`."""

    seconds: float
    reason: str


class Window:
    """Who holds which slot.

    A slot is held while its request is under way and for one window after its answer: the server counts a request
    later than it was sent and before it was answered, so counting from the answer never overshoots.
    """

    def __init__(self, requests: int, seconds: float) -> None:
        if requests < 1 or not (isfinite(seconds) and seconds > 0):
            raise ValueError("a window takes at least one request and lasts longer than no time")
        self.requests = requests
        self.seconds = seconds
        self._leases: dict[int, Lease] = {}
        self._numbers = 0
        self._ends: list[float] = []  # ascending; when the slots of finished requests are free again
        self._strangers: deque[tuple[float, int]] = deque()  # (holds until, requests), falling in requests
        self._told_limit: int | None = None
        self._known_until = float("-inf")
        self._untold = 0
        self._closed_until = float("-inf")

    def reserve(self, now: float) -> Lease | Wait:
        """A slot, or how long until there may be one."""
        self._forget(now)
        if self._closed_until > now:
            return _wait(self._closed_until - now, "Clopos' request quota is used up")
        # Another process may just have spent the window, so the first answer is heard before a second is asked for.
        if self._leases and self._known_until <= now:
            return _wait(_POLL_SECONDS, "the first answer will tell what is left of Clopos' request quota")
        first_held = bisect_right(self._ends, now)
        held = len(self._leases) + len(self._ends) - first_held
        strangers = self._strangers[0][1] if self._strangers else 0
        limit = self._told_limit if self._told_limit is not None else self.requests
        if held < min(self.requests, limit - strangers):
            self._numbers += 1
            lease = Lease(self._numbers, now)
            self._leases[lease.number] = lease
            return lease
        opens = [*self._ends[first_held : first_held + 1], *(until for until, _ in self._strangers)]
        return _wait(min(opens) - now if opens else _POLL_SECONDS, "Clopos' request quota is used up")

    def settle(self, lease: Lease, now: float, told: RateLimit) -> None:
        """The answer is here: its headers are the truth about the window."""
        self._learn(lease, now, told)
        self._finish(lease, now)

    def refuse(self, lease: Lease, now: float, told: RateLimit) -> None:
        """Clopos answered 429: nobody sends until it says so, or for one window where it does not say."""
        self.settle(lease, now, told)
        reset = told.reset_seconds if told.reset_seconds is not None else self.seconds
        self._closed_until = max(self._closed_until, now + reset)

    def give_up(self, lease: Lease, now: float) -> None:
        """No answer came; the request may have been counted as late as now."""
        self._finish(lease, now)

    def cancel(self, lease: Lease) -> None:
        """Nothing was sent."""
        self._leases.pop(lease.number, None)

    def _finish(self, lease: Lease, now: float) -> None:
        if self._leases.pop(lease.number, None) is not None:
            self._ends.append(now + self.seconds)

    def _learn(self, lease: Lease, now: float, told: RateLimit) -> None:
        if told.limit is None or told.remaining is None:
            self._untold += 1
            if self._untold >= _UNTOLD_ANSWERS:
                self._known_until = now + self.seconds
            return
        self._untold = 0
        self._known_until = now + self.seconds
        self._told_limit = told.limit
        # At most these were ours when the server counted, some time since this request was sent; the rest were not.
        ours = len(self._leases) + len(self._ends) - bisect_right(self._ends, lease.started_at)
        strangers = told.limit - told.remaining - ours
        if strangers > 0:
            while self._strangers and self._strangers[-1][1] <= strangers:
                self._strangers.pop()
            self._strangers.append((now + self.seconds, strangers))
        if told.remaining == 0 and told.reset_seconds is not None:
            self._closed_until = max(self._closed_until, now + told.reset_seconds)

    def _forget(self, now: float) -> None:
        while self._strangers and self._strangers[0][0] <= now:
            self._strangers.popleft()
        # An answer still under way may count slots that ended since its request was sent.
        oldest = min((lease.started_at for lease in self._leases.values()), default=now)
        del self._ends[: bisect_right(self._ends, oldest)]


def _wait(seconds: float, reason: str) -> Wait:
    return Wait(max(seconds, _SHORTEST_WAIT_SECONDS), reason)
