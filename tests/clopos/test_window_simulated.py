"""The window beside a server that counts exactly, in simulated time: many workers, random delays, strangers."""

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clopos_assets.clopos.window import Lease, RateLimit, Window

WINDOW_SECONDS = 6.0


@dataclass
class Simulation:
    """Workers that share a window, and a stranger who sends `strangers` requests a window, evenly."""

    limit: int
    workers: int
    requests: int
    strangers: int
    chance: random.Random
    delays: tuple[float, float] = (0.01, 0.05)
    dying: float = 0.0
    now: float = 0.0
    answered: int = 0
    refused: list[float] = field(default_factory=list)
    lost: int = 0
    _counted: deque[float] = field(default_factory=deque)
    _queue: list[tuple[float, int, Callable[[], object]]] = field(default_factory=list)
    _numbers: int = 0

    def run(self) -> None:
        self.window = Window(self.limit, WINDOW_SECONDS, lease_seconds=1.0)
        for _ in range(self.workers):
            self._in(0.0, self._work)
        if self.strangers:
            self._in(0.0, self._spend)
        while self.answered + self.lost < self.requests:
            self.now, _, step = heapq.heappop(self._queue)
            assert self.now < 100 * WINDOW_SECONDS, "it does not end"
            step()

    @property
    def windows(self) -> float:
        return max(1.0, self.now / WINDOW_SECONDS)

    def _in(self, seconds: float, step: Callable[[], object]) -> None:
        self._numbers += 1
        heapq.heappush(self._queue, (self.now + seconds, self._numbers, step))

    def _work(self) -> None:
        outcome = self.window.reserve(self.now)
        if not isinstance(outcome, Lease):
            self._in(outcome.seconds + self.chance.uniform(0, 0.005), self._work)
            return
        lease = outcome
        if self.chance.random() < self.dying:
            self.lost += 1
            self._in(self.chance.uniform(0, 1), self._try_to_count)  # it may still arrive
            self._in(0.0, self._work)
        else:
            self._in(self.chance.uniform(*self.delays), lambda: self._count(lease))

    def _try_to_count(self) -> bool:
        while self._counted and self._counted[0] <= self.now - WINDOW_SECONDS:
            self._counted.popleft()
        is_counted = len(self._counted) < self.limit
        if is_counted:
            self._counted.append(self.now)
        return is_counted

    def _count(self, lease: Lease) -> None:
        is_counted = self._try_to_count()
        reset = max(1, math.ceil(self._counted[0] + WINDOW_SECONDS - self.now))
        told = RateLimit(self.limit, self.limit - len(self._counted), reset)
        self._in(self.chance.uniform(0, 0.005), lambda: self._answer(lease, told, is_counted))

    def _answer(self, lease: Lease, told: RateLimit, is_counted: bool) -> None:
        if is_counted:
            self.window.settle(lease, self.now, told)
            self.answered += 1
            self._work()
        else:
            self.window.refuse(lease, self.now, told)
            self.refused.append(self.now)
            self._in(told.reset_seconds or 0.0, self._work)

    def _spend(self) -> None:
        self._try_to_count()
        self._in(WINDOW_SECONDS / self.strangers, self._spend)


@pytest.mark.parametrize("workers", [16, 32, 64])
def test_nearly_all_of_the_quota_is_used_and_nothing_refused(workers: int) -> None:
    simulation = Simulation(300, workers, 1500, 0, random.Random(1))
    simulation.run()
    assert simulation.refused == []
    assert 4 * WINDOW_SECONDS / simulation.now > 0.95


@pytest.mark.parametrize("workers", [16, 32, 64])
@pytest.mark.parametrize("strangers", [30, 75, 150])
@pytest.mark.parametrize("seed", range(4))
def test_beside_strangers_at_most_one_a_window_is_refused(workers: int, strangers: int, seed: int) -> None:
    simulation = Simulation(300, workers, 1500, strangers, random.Random(seed))
    simulation.run()
    # In the first window nobody knows of them before they are met.
    assert len(simulation.refused) <= simulation.windows + 5
    assert len([when for when in simulation.refused if when > 1.0]) <= simulation.windows
    assert simulation.now < 7 * WINDOW_SECONDS  # the stranger's share and what is left to them cost no more


@settings(max_examples=60, deadline=None)
@given(
    limit=st.integers(2, 80),
    workers=st.integers(1, 40),
    slowest=st.floats(0.001, 0.9),
    dying=st.sampled_from([0.0, 0.02]),
    seed=st.integers(0, 10**6),
)
def test_alone_nothing_is_ever_refused_whoever_dies(
    limit: int, workers: int, slowest: float, dying: float, seed: int
) -> None:
    simulation = Simulation(limit, workers, 4 * limit, 0, random.Random(seed), (0.0, slowest), dying)
    simulation.run()
    assert simulation.refused == []
