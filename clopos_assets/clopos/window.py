"""The state of the brand's request window: plain data and its arithmetic; no clock, no lock, no waiting.

Clopos counts 300 requests in a sliding minute per integrator and brand, over all processes and machines
(https://developer.clopos.com/rate-limits). Times are seconds of one clock that never goes back and are passed in.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite

import msgspec

_USED_UP = "Clopos' request quota is used up"
_OTHERS_SPEND = "an answer will tell what others left of Clopos' request quota"
# How often to look again where only another request's answer can open the window.
_POLL_SECONDS = 0.02
_SHORTEST_WAIT_SECONDS = 0.001
# How long an answer that will tell is waited for: who asked may have died, and one request more does little harm.
_TELLING_ANSWER_SECONDS = 5.0
# A larger number is not one of requests: some say so that there is no limit.
_MOST_REQUESTS = 10**9
# A reset further away is not a number of seconds.
_LONGEST_RESET_SECONDS = 86_400.0
# Answers without the headers after which the headers are no longer waited for.
_UNTOLD_ANSWERS = 3
# How much faster than evenly over the window strangers are taken to spend.
_STRANGERS_HASTE = 2.0
# So many slots are left to them at first, so many more after each refusal, and at most.
_LEFT_AT_FIRST, _LEFT_MORE, _LEFT_AT_MOST = 4, 2, 20
# For how long they are expected back.
_STRANGERS_STAY_WINDOWS = 5
# Into how many lots the ends of a window's requests are put together at most, so that a large quota is a small state.
_LOTS = 500
# While urgent requests wait, ordinary ones get one slot for so many of theirs.
_URGENT_FOR_ONE = 4
# How late an urgent request may come for its slot before it is taken to be gone.
_GRACE_SECONDS = 0.5
# How often an ordinary request that gives way looks again, as a part of the window.
_GIVE_WAY_PART = 1 / 300


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
            limit=int(limit) if limit is not None and 1 <= limit <= _MOST_REQUESTS else None,
            remaining=int(remaining) if remaining is not None and remaining <= _MOST_REQUESTS else None,
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
    """No slot now; ask again after `seconds`. For `idle_seconds` nobody has had one that was not refused."""

    seconds: float
    reason: str
    idle_seconds: float = inf


class WindowState(msgspec.Struct):
    """Who holds which slot, and what is known of others.

    `leases` are the requests under way: number → when it was given out. `ends` are lots of finished requests,
    ascending: (when their slots are free again, how many). `strangers` is (holds until, requests), falling in requests;
    they were last seen by a request that was given out at `seen_at`. `served_at` is when a request last ended that was
    not refused.
    """

    numbers: int = 0
    leases: dict[int, float] = {}
    ends: list[tuple[float, int]] = []
    strangers: list[tuple[float, int]] = []
    told_limit: int | None = None
    seen_at: float = -inf
    room: int = 0
    strangers_until: float = -inf
    left_to_strangers: int = _LEFT_AT_FIRST
    known_until: float = -inf
    untold: int = 0
    closed_until: float = -inf
    served_at: float = -inf
    urgent_until: float = -inf
    credit: float = 0.0


class Window:
    """The arithmetic of a state. What requests and seconds are is the reader's setting, not part of the state.

    A slot is held while its request is under way and for one window after its answer: the server counts a request
    later than it was sent and before it was answered, so counting from the answer never overshoots. A request whose
    holder says nothing for `lease_seconds` is taken for one that was answered then.
    """

    def __init__(
        self, requests: int, seconds: float, *, lease_seconds: float = inf, state: WindowState | None = None
    ) -> None:
        if requests < 1 or not (isfinite(seconds) and seconds > 0):
            raise ValueError("a window takes at least one request and lasts longer than no time")
        self.requests = requests
        self.seconds = seconds
        self._lease_seconds = lease_seconds
        self._state = state if state is not None else WindowState()

    def reserve(self, now: float, *, is_urgent: bool = True) -> Lease | Wait:
        """A slot, or how long until there may be one. An ordinary request gives way to urgent ones that wait."""
        self._forget(now)
        state = self._state
        wait = self._find_wait(now)
        if wait is not None:
            if is_urgent and wait.reason in (_USED_UP, _OTHERS_SPEND):
                state.urgent_until = max(state.urgent_until, now + wait.seconds + _GRACE_SECONDS)
            return wait
        if state.urgent_until > now:
            if is_urgent:
                state.credit = min(1.0, state.credit + 1 / _URGENT_FOR_ONE)
            elif state.credit < 1:
                soon = min(max(self.seconds * _GIVE_WAY_PART, _POLL_SECONDS), state.urgent_until - now)
                return self._wait(soon, "urgent requests go first", now)
            else:
                state.credit = 0.0
        state.numbers += 1
        state.room -= 1
        state.leases[state.numbers] = now
        return Lease(state.numbers, now)

    def is_closed(self, now: float) -> bool:
        """Whether Clopos has said that nobody may send for now."""
        return self._state.closed_until > now

    def renew(self, lease: Lease, now: float) -> Lease:
        """The same slot from now on, for a request that was not sent yet. A lease that ended by itself stays spent."""
        self._forget(now)
        self._take_back(lease)
        self._state.numbers += 1
        self._state.leases[self._state.numbers] = now
        return Lease(self._state.numbers, now)

    def settle(self, lease: Lease, now: float, told: RateLimit) -> None:
        """The answer came at `now`: its headers are the truth about the window."""
        self._state.served_at = max(self._state.served_at, now)
        self._learn(lease, now, told)
        self._finish(lease, now)

    def refuse(self, lease: Lease, now: float, told: RateLimit) -> None:
        """Clopos answered 429: nobody sends until it says so, or for one window where it does not say."""
        self._learn(lease, now, told)
        self._finish(lease, now)
        self._state.left_to_strangers = min(self._state.left_to_strangers + _LEFT_MORE, _LEFT_AT_MOST)
        reset = told.reset_seconds if told.reset_seconds is not None else self.seconds
        self._state.closed_until = max(self._state.closed_until, now + reset)

    def give_up(self, lease: Lease, now: float) -> None:
        """No answer came; the request may have been counted as late as now."""
        self._state.served_at = max(self._state.served_at, now)
        self._finish(lease, now)

    def cancel(self, lease: Lease) -> None:
        """Nothing was sent."""
        self._take_back(lease)

    def _find_wait(self, now: float) -> Wait | None:
        state = self._state
        if self.is_closed(now):
            return self._wait(state.closed_until - now, _USED_UP, now)
        # A stranger may just have spent the window, so the first answer is heard before a second is asked for.
        last_asked_at = max(state.leases.values(), default=-inf)
        is_answer_near = now < last_asked_at + _TELLING_ANSWER_SECONDS
        if is_answer_near and state.known_until <= now:
            return self._wait(_POLL_SECONDS, "the first answer will tell what is left of Clopos' request quota", now)
        strangers = state.strangers[0][1] if state.strangers else 0
        limit = state.told_limit if state.told_limit is not None else self.requests
        held = len(state.leases) + self._count_ends(now)
        if held < min(self.requests, limit - strangers):
            # Beside strangers only as much is sent as the last answer left room for: what is under way may be missing
            # in it, and they go on. Where no answer is to be awaited, one request finds out.
            is_alone = now >= state.strangers_until
            is_asked = is_answer_near and last_asked_at > state.seen_at
            if not is_alone and is_asked and state.room <= self._count_unseen(strangers, now):
                return self._wait(_POLL_SECONDS, _OTHERS_SPEND, now)
            return None
        first_held = self._first_end(now)
        opens = [until for until, _ in (*state.ends[first_held : first_held + 1], *state.strangers)]
        return self._wait(min(opens) - now if opens else _POLL_SECONDS, _USED_UP, now)

    def _count_unseen(self, strangers: int, now: float) -> float:
        return max(
            self._state.left_to_strangers, _STRANGERS_HASTE * strangers / self.seconds * (now - self._state.seen_at)
        )

    def _wait(self, seconds: float, reason: str, now: float) -> Wait:
        idle = now - self._state.served_at
        # A time later than now was told by another clock, and says nothing.
        return Wait(max(seconds, _SHORTEST_WAIT_SECONDS), reason, idle if idle >= 0 else inf)

    def _finish(self, lease: Lease, now: float) -> None:
        # Also where the lease has ended by itself or the state is a new one: the request was sent.
        self._take_back(lease)
        self._hold_until(now + self.seconds)

    def _take_back(self, lease: Lease) -> None:
        # The same number of a state that was started anew is another's.
        if self._state.leases.get(lease.number) == lease.started_at:
            del self._state.leases[lease.number]

    def _hold_until(self, until: float) -> None:
        ends = self._state.ends
        count = 0
        if ends:
            until = max(until, ends[-1][0])
            if ends[-1][1] < self.requests // _LOTS:
                count = ends.pop()[1]
        ends.append((until, count + 1))

    def _first_end(self, after: float) -> int:
        return bisect_right(self._state.ends, after, key=lambda lot: lot[0])

    def _count_ends(self, after: float) -> int:
        return sum(count for _, count in self._state.ends[self._first_end(after) :])

    def _learn(self, lease: Lease, now: float, told: RateLimit) -> None:
        state = self._state
        if told.limit is None or told.remaining is None:
            state.untold += 1
            if state.untold >= _UNTOLD_ANSWERS:
                state.known_until = max(state.known_until, now + self.seconds)
            return
        state.untold = 0
        state.known_until = max(state.known_until, now + self.seconds)
        state.told_limit = told.limit
        # In an answer that was overtaken by a later one's, less has been counted.
        if lease.started_at >= state.seen_at:
            state.seen_at = lease.started_at
            state.room = told.remaining - len(state.leases.keys() - {lease.number})
        # At most these were ours when the server counted, some time since this request was sent; the rest were not.
        ours = len(state.leases) + self._count_ends(lease.started_at)
        strangers = told.limit - told.remaining - ours
        if strangers > 0:
            if now >= state.strangers_until:
                state.left_to_strangers = _LEFT_AT_FIRST
            state.strangers_until = now + _STRANGERS_STAY_WINDOWS * self.seconds
            while state.strangers and state.strangers[-1][1] <= strangers:
                state.strangers.pop()
            state.strangers.append((now + self.seconds, strangers))
        # Of our own we know better: the reset is rounded up to whole seconds.
        if strangers > 0 and told.remaining == 0 and told.reset_seconds is not None:
            state.closed_until = max(state.closed_until, now + told.reset_seconds)

    def _forget(self, now: float) -> None:
        state = self._state
        for number, started_at in [*state.leases.items()]:
            if started_at + self._lease_seconds <= now:
                del state.leases[number]
                self._hold_until(started_at + self._lease_seconds + self.seconds)
        while state.strangers and state.strangers[0][0] <= now:
            state.strangers.pop(0)
        self._shorten(now)
        # An answer still under way may count slots that ended since its request was sent.
        oldest = min(state.leases.values(), default=now)
        del state.ends[: self._first_end(oldest)]

    def _shorten(self, now: float) -> None:
        """Hold nothing for longer than a window from now: what is, was held before the setting was made shorter."""
        state = self._state
        longest = now + self.seconds
        first_later = self._first_end(longest)
        if later := sum(count for _, count in state.ends[first_later:]):
            state.ends[first_later:] = [(longest, later)]
        state.strangers = [(min(until, longest), requests) for until, requests in state.strangers]
        state.strangers_until = min(state.strangers_until, now + _STRANGERS_STAY_WINDOWS * self.seconds)
        # Unless Clopos itself keeps urgent requests waiting for longer.
        state.urgent_until = min(state.urgent_until, max(longest, state.closed_until) + _GRACE_SECONDS)
