"""Processes that ask one served brand for much, through one store: what the tests and the benchmark of the quota start.

Each process is a fresh interpreter with a client of its own; the store alone is shared.
"""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from clopos_assets.clopos.client import Clopos
from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.postgres import PostgresStore
from clopos_assets.clopos.quota import Priority, Quota
from clopos_assets.clopos.store import FileStore, Store
from clopos_assets.clopos.token import TokenCache
from clopos_assets.sandbox import LimitOptions, Sandbox, World

RECEIPT = 7
_SOON_SECONDS = 120.0


@dataclass(frozen=True)
class Task:
    """What one process asks: so many requests, with this priority, of the brand under these settings."""

    store: str
    settings: dict[str, str]
    requests: int
    priority: Priority = Priority.URGENT


@dataclass(frozen=True)
class Outcome:
    """How it went: requests sent, those of them that were answered well, and when by the wall clock."""

    sent: int
    answered: int
    begun: float
    ended: float


def open_store(where: str) -> Store:
    """A folder, or a database by its URL."""
    return PostgresStore(where) if "://" in where else FileStore(Path(where))


def client_of(task: Task) -> Clopos:
    """A client that shares what the store holds."""
    settings = task.settings
    connection = Connection(
        base_url=settings["CLOPOS_BASE_URL"],
        client_id=settings["CLOPOS_CLIENT_ID"],
        client_secret=settings["CLOPOS_CLIENT_SECRET"],
        brand=settings["CLOPOS_BRAND"],
        integrator_id=settings["CLOPOS_INTEGRATOR_ID"],
        backoff_seconds=0.05,
    )
    store = open_store(task.store)
    quota = Quota(
        int(settings["CLOPOS_REQUESTS_PER_WINDOW"]),
        float(settings["CLOPOS_WINDOW_SECONDS"]),
        store=store,
        longest_request_seconds=connection.timeout_seconds,
    )
    return Clopos(connection, quota=quota, tokens=TokenCache(store=store), priority=task.priority)


async def _ask(task: Task, begin: Any) -> Outcome:
    answered = 0
    async with client_of(task) as clopos:
        begin.wait(_SOON_SECONDS)
        begun = time.time()

        async def ask() -> None:
            nonlocal answered
            answer = await clopos.get_stock_operations(RECEIPT, None)
            answered += answer is not None

        async with asyncio.TaskGroup() as group:
            for _ in range(task.requests):
                group.create_task(ask())
        return Outcome(clopos.requests, answered, begun, time.time())


def _run(task: Task, begin: Any, outcomes: Any) -> None:
    outcomes.put(asyncio.run(_ask(task, begin)))


@contextmanager
def started(tasks: list[Task]) -> Iterator[tuple[list[BaseProcess], Callable[[int], list[Outcome]]]]:
    """The processes, which begin together, and what waits for so many of them; who still runs at the end is killed."""
    context = get_context("spawn")
    begin = context.Barrier(len(tasks))
    outcomes = context.Queue()
    processes: list[BaseProcess] = [context.Process(target=_run, args=(task, begin, outcomes)) for task in tasks]
    for process in processes:
        process.start()
    try:
        yield processes, lambda count: [outcomes.get(timeout=_SOON_SECONDS) for _ in range(count)]
    finally:
        for process in processes:
            process.join(0.5)
            if process.is_alive():
                process.kill()
                process.join()


def run_all(tasks: list[Task]) -> list[Outcome]:
    """Let them all finish."""
    with started(tasks) as (_, finish):
        return finish(len(tasks))


@contextmanager
def served(
    requests: int, seconds: float, delays: tuple[float, float] = (0.0, 0.01), seed: int = 1
) -> Iterator[Sandbox]:
    """A brand with one receipt under a quota; each request is counted after a random delay within `delays`."""
    world = World([{"id": 1, "name": "Filial", "is_main": 1, "media": []}], now=datetime(2026, 1, 25, 12))
    world.put_receipt(
        {
            "id": RECEIPT,
            "venue_id": 1,
            "status": 2,
            "created_at": "2026-01-19 12:00:00",
            "updated_at": "2026-01-19 12:30:00",
            "shift_date": "2026-01-19",
        }
    )
    chance = random.Random(seed)

    async def delay(request: Request) -> Response | None:
        await asyncio.sleep(chance.uniform(*delays))
        return None

    with Sandbox(world, limits=LimitOptions(requests, 10**9, 60, seconds)) as sandbox:
        sandbox.hooks.answer_instead = delay
        yield sandbox


def refusals(sandbox: Sandbox) -> int:
    """Requests answered 429."""
    return sum(request.status == 429 for request in sandbox.requests.latest())


@contextmanager
def stranger(sandbox: Sandbox, requests: int, seconds: float) -> Iterator[None]:
    """Another integration of the brand, which spends so many requests a window, evenly."""
    tenant = f"{sandbox.credentials.integrator_id}:{sandbox.credentials.brand}"
    stop = threading.Event()

    def spend() -> None:
        while not stop.wait(seconds / requests):
            sandbox.limits.take_request(tenant)

    thread = threading.Thread(target=spend)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
