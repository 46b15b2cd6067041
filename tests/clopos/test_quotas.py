"""Two windows at once: a request waits for both, and an answer speaks of one of them."""

import asyncio
import logging
from collections import deque

import pytest

from clopos_assets.clopos.dialect import V1, V2
from clopos_assets.clopos.quota import Priority, Quota
from clopos_assets.clopos.quotas import Quotas, make_quota
from clopos_assets.clopos.store import MemoryStore
from clopos_assets.clopos.window import Lease, Wait

from .brand import Brand, connect
from .server import Asked, Reply, Server, reply_json


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def read(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def _quotas(clock: _Clock, minute: int = 3, hour: int = 5) -> Quotas:
    windows = ((minute, 60), (hour, 3600))
    return Quotas([Quota(count, seconds, clock=clock.read, sleep=clock.sleep) for count, seconds in windows])


def _take(quotas: Quotas, clock: _Clock, count: int, headers: dict[str, str] | None = None) -> list[float]:
    """When each of so many requests was let go."""
    times: list[float] = []

    async def run() -> None:
        for _ in range(count):
            async with quotas.slot() as slot:
                times.append(clock.now)
                slot.settle(headers or {})

    asyncio.run(run())
    return times


def test_both_windows_hold() -> None:
    clock = _Clock()
    quotas = _quotas(clock)
    assert _take(quotas, clock, 6) == [0, 0, 0, 60, 60, 3600]
    assert quotas.waited_seconds == 3600


class _SharedClock(_Clock):
    """Goes on to the next who wakes, when all others sleep."""

    def __init__(self) -> None:
        super().__init__()
        self._asleep: list[float] = []

    async def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        self._asleep.append(until)
        while self.now < until:
            await asyncio.sleep(0)
            if len(self._asleep) == len(asyncio.all_tasks()) - 1:  # the one that waits for these has no sleep
                self.now = max(self.now, min(self._asleep))
        self._asleep.remove(until)


def test_who_waits_for_the_hour_while_another_waits_for_the_minute_is_counted_once() -> None:
    clock = _SharedClock()
    quotas = _quotas(clock, minute=1, hour=2)
    times: list[float] = []

    async def take() -> None:
        async with quotas.slot() as slot:
            times.append(clock.now)
            slot.settle({})

    async def run() -> None:
        await asyncio.gather(take(), take(), take())

    asyncio.run(run())
    assert sorted(times) == [0, 60, 3600]
    assert quotas.waited_seconds == 3600


@pytest.mark.parametrize(
    ("headers", "until"),
    [
        # The others' requests may have been counted just now, so they are held for a whole window.
        ({"RateLimit-Limit": "3", "RateLimit-Remaining": "0", "RateLimit-Reset": "40"}, 60),
        ({"RateLimit-Limit": "5", "RateLimit-Remaining": "0", "RateLimit-Reset": "1800"}, 3600),
        # Of the minute's limit, with a reset that no minute has: it is the hour's, whose limit was not told.
        ({"RateLimit-Limit": "3", "RateLimit-Remaining": "0", "RateLimit-Reset": "1800"}, 1800),
        ({"RateLimit-Reset": "40"}, 40),
        ({"RateLimit-Reset": "1800"}, 1800),
        ({}, 60),
    ],
)
def test_a_refusal_closes_the_window_that_it_speaks_of(headers: dict[str, str], until: float) -> None:
    clock = _Clock()
    quotas = _quotas(clock)

    async def refuse() -> None:
        async with quotas.slot() as slot:
            slot.refuse(headers)

    asyncio.run(refuse())
    assert _take(quotas, clock, 1) == [until]


def test_who_waits_for_the_minute_while_the_hour_is_closed_waits_for_that_too() -> None:
    clock = _SharedClock()
    quotas = _quotas(clock, minute=1, hour=10)
    times: list[float] = []

    async def take(number: int) -> None:
        async with quotas.slot() as slot:
            times.append(clock.now)
            if number:
                slot.settle({})
            else:
                await clock.sleep(10)  # the others have their places of the hour by now
                slot.refuse({"RateLimit-Limit": "10", "RateLimit-Remaining": "9", "RateLimit-Reset": "1800"})

    async def run() -> None:
        await asyncio.gather(*map(take, range(4)))

    asyncio.run(run())
    assert times == [0, 1810, 1870, 1930]


def test_what_others_spend_of_the_hour_is_not_taken_for_the_minutes() -> None:
    clock = _Clock()
    quotas = _quotas(clock)
    told = {"RateLimit-Limit": "5", "RateLimit-Remaining": "2", "RateLimit-Reset": "3000"}
    assert _take(quotas, clock, 1, told) == [0]
    # Two of the hour's five are left; the minute's three are ours alone.
    assert _take(quotas, clock, 3) == [0, 0, 3600]


def test_a_place_not_used_is_spent_nowhere() -> None:
    clock = _Clock()
    quotas = _quotas(clock, minute=1, hour=1)

    async def cancel() -> None:
        async with quotas.slot() as slot:
            slot.cancel()

    asyncio.run(cancel())
    assert _take(quotas, clock, 1) == [0]


def test_who_gives_up_waiting_for_the_minute_spends_nothing_of_the_hour() -> None:
    clock = _Clock()
    hour = Quota(1, 3600, clock=clock.read, sleep=clock.sleep)
    minute = Quota(1, 60, clock=clock.read, sleep=clock.sleep)

    async def run() -> None:
        async with minute.slot() as held:  # under way, and never answered
            with pytest.raises(Exception, match="run again later"):
                async with Quotas([minute, hour]).slot():
                    raise AssertionError("the minute is taken")
            held.cancel()
        async with hour.slot() as slot:
            slot.settle({})

    asyncio.run(run())
    assert clock.now < 3600


def test_windows_of_the_versions() -> None:
    assert isinstance(make_quota(V2, 300, 60), Quota)
    both = make_quota(V1, 100, 60)
    assert isinstance(both, Quotas)
    assert [(quota.requests_per_window, quota.window_seconds) for quota in both.windows] == [(1000, 3600), (100, 60)]


def test_processes_share_each_window_and_one_that_dies_leaves_its_places() -> None:
    clock = _Clock()
    store = MemoryStore(clock.read)

    def reserve() -> list[type[Lease | Wait]]:
        quotas = make_quota(V1, 1, 60, store=store, name="brand", longest_request_seconds=30)
        assert isinstance(quotas, Quotas)
        return [type(asyncio.run(quota._try_to_reserve(Priority.URGENT))) for quota in quotas.windows]

    assert reserve() == [Lease, Lease]  # and dies
    assert reserve() == [Wait, Wait]
    clock.now = 30 + 2 * 10 + 60
    assert reserve() == [Lease, Lease]


class _TwoWindows:
    """Answers by id, and refuses what exceeds `limits` in any of their seconds; tells of the tightest."""

    def __init__(self, *limits: tuple[int, float], clock: _Clock) -> None:
        self.limits = limits
        self.clock = clock
        self.times: list[deque[float]] = [deque() for _ in limits]
        self.refused = 0

    def __call__(self, asked: Asked) -> Reply | None:
        if asked.path.endswith("/auth"):
            return None
        told = []
        for (limit, seconds), times in zip(self.limits, self.times, strict=True):
            while times and times[0] <= self.clock.now - seconds:
                times.popleft()
            reset = times[0] + seconds - self.clock.now if times else seconds
            told.append((limit - len(times), limit, reset))
        left, limit, reset = min(told)
        if left:
            for times in self.times:
                times.append(self.clock.now)
        else:
            self.refused += 1
        headers = {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(left - 1, 0)),
            "X-RateLimit-Reset": str(reset),
        }
        body: dict[str, object] = {"success": True, "data": {"id": 5, "stock_operations": []}}
        return reply_json(body if left else {"success": False, "error": "limit"}, 200 if left else 429, headers)


def _ask(clock: _Clock, windows: _TwoWindows, times: int) -> None:
    """Ask for a receipt so often, within ten requests a minute and forty an hour."""

    async def run() -> None:
        async with connect(server, quota=_quotas(clock, 10, 40), dialect=V1) as clopos:
            for _ in range(times):
                assert await clopos.get_receipt(5, 1) is not None

    with Server(Brand(intervene=windows).answer) as server:
        asyncio.run(run())


def test_a_server_with_two_windows_never_refuses() -> None:
    clock = _Clock()
    windows = _TwoWindows((10, 60), (40, 3600), clock=clock)
    _ask(clock, windows, 100)
    assert windows.refused == 0
    # As fast as the windows allow: forty an hour, ten a minute.
    assert clock.now == pytest.approx(2 * 3600 + 60, abs=1)


def test_what_others_spent_of_v1s_minute_is_respected() -> None:
    clock = _Clock()
    windows = _TwoWindows((10, 60), (40, 3600), clock=clock)
    for times in windows.times:
        times.extend([0.0] * 5)
    _ask(clock, windows, 8)
    assert windows.refused == 0


def test_a_wait_for_the_minute_is_no_failed_try(caplog: pytest.LogCaptureFixture) -> None:
    clock = _Clock()
    windows = _TwoWindows((10, 60), (40, 3600), clock=clock)

    async def run() -> None:
        async with connect(server, quota=_quotas(clock, 10, 40), dialect=V1, attempts=1) as clopos:
            for _ in range(12):
                assert await clopos.get_receipt(5, 1) is not None

    with Server(Brand(intervene=windows).answer) as server, caplog.at_level(logging.WARNING):
        asyncio.run(run())
    assert caplog.messages == []
