"""Several windows at once, such as a minute's and an hour's: a request takes a place in each. No arithmetic here."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from math import inf, log

from clopos_assets.clopos.dialect import Dialect
from clopos_assets.clopos.quota import Priority, Quota, Slot
from clopos_assets.clopos.store import Store
from clopos_assets.clopos.window import RateLimit

_UNTOLD: Mapping[str, str] = {}
_RESET = "RateLimit-Reset"
_MOST_TURNS = 10
"""Times that a request waits for all windows, as one that it held a place in was closed meanwhile."""
_AT_ONCE_SECONDS = 0.05
"""So long it takes at most to get a place that is not waited for."""


class Slots:
    """One request's places, one in each window. Headers speak of one window: the others count for themselves."""

    def __init__(self, quotas: Sequence[Quota], slots: Sequence[Slot]) -> None:
        self._quotas = quotas
        self._slots = slots

    def settle(self, headers: Mapping[str, str]) -> None:
        """An answer came; see `Slot.settle`."""
        self._tell(Slot.settle, headers)

    def refuse(self, headers: Mapping[str, str]) -> None:
        """The answer was 429: the window that it speaks of is closed."""
        self._tell(Slot.refuse, headers)

    @property
    def is_late(self) -> bool:
        """Whether any of the places has been held too long to be used."""
        return any(slot.is_late for slot in self._slots)

    def cancel(self) -> None:
        """Nothing was sent, so nothing is spent."""
        for slot in self._slots:
            slot.cancel()

    def _tell(self, word: Callable[[Slot, Mapping[str, str]], None], headers: Mapping[str, str]) -> None:
        told = RateLimit.read(headers)
        meant = _meant(self._quotas, told)
        of_it = headers
        if told.limit is not None and meant is not _nearest(self._quotas, told.limit):
            of_it = {_RESET: headers[_RESET]}  # the other numbers are those of a shorter window
        for quota, slot in zip(self._quotas, self._slots, strict=True):
            if quota is meant:
                word(slot, of_it)
            else:
                slot.settle(_UNTOLD)


class Quotas:
    """The windows of one brand, the longest first: who waits for the hour holds no place in the minute."""

    def __init__(self, quotas: Sequence[Quota]) -> None:
        self.windows = tuple(sorted(quotas, key=lambda quota: -quota.window_seconds))
        # While one request waits for the hour, another may wait for the minute: that is one wait.
        self._waiting = self.windows[0].waiting
        for quota in self.windows:
            quota.waiting = self._waiting

    @property
    def waited_seconds(self) -> float:
        """How long anybody has been kept waiting in any of the windows; waits at the same time count once."""
        return self._waiting.seconds

    @asynccontextmanager
    async def slot(
        self, on_wait: Callable[[float, str], None] | None = None, priority: Priority = Priority.URGENT
    ) -> AsyncIterator[Slots]:
        """A place in every window, waited for; see `Quota.slot`."""
        for turns_left in reversed(range(_MOST_TURNS)):
            async with AsyncExitStack() as held:
                slots: list[Slot] = []
                try:
                    for quota in self.windows:
                        slots += [await held.enter_async_context(quota.slot(on_wait, priority))]
                    is_closed = turns_left > 0 and await self._is_closed_meanwhile(slots)
                    for quota, slot in zip(self.windows, slots, strict=True):
                        if is_closed:
                            slot.cancel()
                        elif slot.is_late:  # for it was held while another was waited for
                            await quota.renew(slot)
                except BaseException:
                    for slot in slots:
                        slot.cancel()
                    raise
                if not is_closed:
                    yield Slots(self.windows, slots)
                    return

    async def _is_closed_meanwhile(self, slots: Sequence[Slot]) -> bool:
        """Whether Clopos has refused a request of a window while its place was held and another's waited for."""
        for quota, slot in list(zip(self.windows, slots, strict=True))[:-1]:
            if slot.held_seconds > _AT_ONCE_SECONDS and await quota.is_closed():
                return True
        return False


def _meant(quotas: Sequence[Quota], told: RateLimit) -> Quota:
    """The window that an answer speaks of: of those in which its reset can lie the one with the nearest limit, or the
    shortest where none is told.
    """
    shortest_first = sorted(quotas, key=lambda quota: quota.window_seconds)
    reset = told.reset_seconds or 0.0
    if told.limit is None:
        return next((quota for quota in shortest_first if reset <= quota.window_seconds), shortest_first[-1])
    # Twice as long: a moment is told by another clock.
    possible = [quota for quota in quotas if reset <= 2 * quota.window_seconds]
    return _nearest(possible or shortest_first[-1:], told.limit)


def _nearest(quotas: Sequence[Quota], limit: int) -> Quota:
    return min(quotas, key=lambda quota: abs(log(quota.requests_per_window / limit)))


def make_quota(
    dialect: Dialect,
    requests_per_window: int,
    window_seconds: float,
    *,
    store: Store | None = None,
    name: str = "quota",
    longest_request_seconds: float = inf,
) -> Quota | Quotas:
    """The quota of a version, whose shortest window is given; the others are in proportion to it.

    `store`, `name` and `longest_request_seconds` are as in `Quota`; each window has a state of its own.
    """
    quotas = [
        Quota(
            requests_per_window * requests,
            window_seconds * seconds,
            store=store,
            name=name if seconds == 1 else f"{name}-{seconds}",
            longest_request_seconds=longest_request_seconds,
        )
        for requests, seconds in dialect.windows
    ]
    return quotas[0] if len(quotas) == 1 else Quotas(quotas)
