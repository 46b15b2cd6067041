"""Waiting for the window: with a clock of the test's own, and against a server that counts exactly."""

import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

from clopos_assets.clopos.errors import CloposUnavailableError
from clopos_assets.clopos.quota import Quota, Waiting
from clopos_assets.clopos.store import FileStore, MemoryStore, S, T

from .brand import Brand, connect
from .server import Asked, Reply, Server, reply_json

ROOM = {"RateLimit-Limit": "2", "RateLimit-Remaining": "1", "RateLimit-Reset": "60"}


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def read(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def _quota(clock: _Clock, requests: int = 2) -> Quota:
    return Quota(requests, 60, clock=clock.read, sleep=clock.sleep)


def test_the_third_of_two_waits_a_window_and_says_so() -> None:
    clock, waits = _Clock(), []
    quota = _quota(clock)

    async def run() -> None:
        for _ in range(3):
            async with quota.slot(lambda seconds, reason: waits.append((seconds, reason))) as slot:
                slot.settle(ROOM)

    asyncio.run(run())
    assert waits == [(60.0, "Clopos' request quota is used up")]
    assert quota.waited_seconds == clock.now == 60.0


def test_waits_are_bounded() -> None:
    clock = _Clock()
    quota = _quota(clock)

    async def run() -> None:
        async with quota.slot() as slot:
            slot.refuse({"RateLimit-Reset": "3600"})
        async with quota.slot():
            raise AssertionError("there is no slot")

    with pytest.raises(CloposUnavailableError, match="3600 s of waiting would exceed 300 s"):
        asyncio.run(run())
    assert clock.now == 0.0


def test_a_window_that_never_opens_ends_the_wait() -> None:
    clock = _Clock()
    quota = _quota(clock, requests=1)

    async def run() -> None:
        async with quota.slot() as held:
            async with quota.slot():
                raise AssertionError("the only slot is held")
            held.cancel()

    with pytest.raises(CloposUnavailableError, match="run again later"):
        asyncio.run(run())
    assert 290 < clock.now <= 300


class _Rival(_Clock):
    """Takes the slot whenever one opens, so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.quota = Quota(1, 60, clock=self.read, sleep=self.sleep)
        self.left = times

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.left:
            self.left -= 1
            await self.take()

    async def take(self) -> None:
        async with self.quota.slot() as slot:
            slot.settle(ROOM)


def test_while_others_are_served_a_wait_goes_on() -> None:
    rival = _Rival(times=9)

    async def run() -> None:
        await rival.take()
        await rival.take()

    asyncio.run(run())
    assert rival.now == 600


def test_waits_at_the_same_time_count_once() -> None:
    clock = _Clock()
    waiting = Waiting(clock.read)
    waiting.begin()
    clock.now = 5
    waiting.begin()
    clock.now = 8
    assert waiting.seconds == 8
    waiting.end()
    clock.now = 10
    waiting.end()
    clock.now = 100
    assert waiting.seconds == 10


class _BrokenStore(MemoryStore):
    """Fails from the second change on."""

    def __init__(self) -> None:
        super().__init__()
        self._changes = 0

    async def change(self, name: str, kind: type[S], turn: Callable[[S, float], T]) -> T:
        self._changes += 1
        if self._changes > 1:
            raise CloposUnavailableError("the disk is full")
        return await super().change(name, kind, turn)


def test_an_answer_is_kept_where_its_slot_can_not_be_given_back(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> str:
        async with Quota(2, 60, store=_BrokenStore()).slot() as slot:
            slot.settle(ROOM)
            return "kept"

    assert asyncio.run(run()) == "kept"
    assert "not given back: the disk is full" in caplog.text


def test_a_slot_left_by_an_exception_is_spent_and_a_cancelled_one_is_not() -> None:
    clock = _Clock()
    quota = _quota(clock, requests=1)

    async def run() -> None:
        async with quota.slot() as slot:
            slot.cancel()
        assert clock.now == 0.0
        with pytest.raises(LookupError):
            async with quota.slot():
                raise LookupError
        async with quota.slot() as slot:
            slot.settle(ROOM)

    asyncio.run(run())
    assert clock.now == 60.0


def test_threads_with_loops_of_their_own_share_one_window() -> None:
    quota = Quota(5, 0.5)
    taken: list[float] = []

    async def take() -> None:
        for _ in range(4):
            async with quota.slot() as slot:
                taken.append(time.monotonic())
                await asyncio.sleep(0.001)
                slot.settle({"RateLimit-Limit": "5", "RateLimit-Remaining": "4"})

    threads = [threading.Thread(target=lambda: asyncio.run(take())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken.sort()
    assert len(taken) == 12
    assert all(later - earlier >= 0.5 for earlier, later in zip(taken, taken[5:], strict=False))


def test_a_429_closes_the_window_of_every_client() -> None:
    clock = _Clock()
    answers = iter([reply_json({"success": False, "error": "limit"}, 429)])

    def intervene(asked: Asked) -> Reply | None:
        return None if asked.path.endswith("/auth") else next(answers, reply_json({"data": []}, headers=ROOM))

    with Server(Brand(intervene=intervene).answer) as server:
        assert _ask_many(server, _quota(clock), 1) == 2
    assert 60 <= clock.now < 61


class _SlidingWindow:
    """Answers by id, and refuses what exceeds `limit` in any `seconds`."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self.times: deque[float] = deque()
        self.refused = 0
        self._random = random.Random(1)

    def spend(self, count: int) -> None:
        self.times.extend([time.monotonic()] * count)

    def __call__(self, asked: Asked) -> Reply | None:
        if asked.path.endswith("/auth"):
            return None
        now = time.monotonic()
        while self.times and self.times[0] <= now - self.seconds:
            self.times.popleft()
        is_refused = len(self.times) >= self.limit
        if is_refused:
            self.refused += 1
        else:
            self.times.append(now)
        reset = max(0.0, self.times[0] + self.seconds - now)
        headers = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.limit - len(self.times)),
            "RateLimit-Reset": f"{reset:.3f}",
        }
        delay = self._random.uniform(0.0, 0.04)
        if is_refused:
            return reply_json({"success": False, "error": "limit"}, 429, headers, delay)
        return reply_json({"data": []}, 200, headers, delay)


def _ask_many(server: Server, quota: Quota, count: int) -> int:
    async def run() -> int:
        async with connect(server, quota=quota, attempts=8) as clopos:
            answers = await asyncio.gather(*(clopos.get_stock_operations(n, None) for n in range(count)))
            assert all(answer is not None and answer.items == [] for answer in answers)
            return clopos.requests

    return asyncio.run(run())


def test_an_exact_window_never_refuses() -> None:
    window = _SlidingWindow(60, 1.0)
    with Server(Brand(intervene=window).answer) as server:
        assert _ask_many(server, Quota(60, 1.0), 200) == 200
    assert window.refused == 0


def test_two_clients_of_one_quota_are_never_refused() -> None:
    window = _SlidingWindow(60, 1.0)
    quota = Quota(60, 1.0)
    with Server(Brand(intervene=window).answer) as server:
        threads = [threading.Thread(target=_ask_many, args=(server, quota, 70)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.count("/stock-operations") == 140
    assert window.refused == 0


def test_what_a_stranger_spent_before_is_respected() -> None:
    window = _SlidingWindow(60, 1.0)
    with Server(Brand(intervene=window).answer) as server:
        window.spend(45)
        assert _ask_many(server, Quota(60, 1.0), 100) == 100
    assert window.refused == 0


def test_beside_a_stranger_that_keeps_spending_all_is_answered() -> None:
    window = _SlidingWindow(60, 1.0)
    quota = Quota(60, 1.0)
    with Server(Brand(intervene=window).answer) as server:
        stop = threading.Event()

        def spend() -> None:
            while not stop.wait(0.05):
                if len(window.times) < window.limit:
                    window.spend(1)

        stranger = threading.Thread(target=spend)
        stranger.start()
        try:
            sent = _ask_many(server, quota, 120)
        finally:
            stop.set()
            stranger.join()
    # The two race for the same slots; what one learns of the other is as old as its last answer.
    assert sent - 120 == window.refused <= 12


@pytest.mark.parametrize("said", [str(2**64 - 1), "1e30"])
def test_a_limit_beyond_64_bits_is_none(said: str, tmp_path: Path) -> None:
    async def run() -> None:
        quota = Quota(300, 60, store=FileStore(tmp_path))
        for _ in range(2):
            async with quota.slot() as slot:
                slot.settle({"RateLimit-Limit": said, "RateLimit-Remaining": said, "RateLimit-Reset": "60"})

    asyncio.run(run())
