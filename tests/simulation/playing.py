"""Histories played by number, in this process or in several, with all that makes them fast."""

import functools
import gc
import logging
import multiprocessing
import os
import shutil
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from unittest.mock import patch

import clopos_assets.access
import clopos_assets.clopos.client
import clopos_assets.line.derived
from clopos_assets.clopos.connection import Connection
from clopos_assets.database import connect
from tests.simulation.events import Event, history_of, venues_of
from tests.simulation.planted import planted
from tests.simulation.server import Server, serving
from tests.simulation.shrinking import shrink
from tests.simulation.stage import Outcome, Stage

CI_SEEDS = range(200)
PAGE_SIZE = 6
"""Receipts on a page: few, so that a tick reads several pages."""
_PART = 5
"""Histories that a process plays before it takes others."""


class Theatre:
    """Plays one history after the other, at need with a bug planted. To be used as a context manager."""

    def __init__(self, bug: str = "") -> None:
        self._bug = bug
        self._stack = ExitStack()
        self._server = Server()

    def __enter__(self) -> "Theatre":
        self._server = self._stack.enter_context(serving())
        self._stack.enter_context(_fast())
        self._stack.enter_context(planted(self._bug))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def play(self, seed: int, events: Sequence[Event] | None = None) -> Outcome:
        """The outcome of a seed's history, or of other events at the same brand."""
        root = Path(tempfile.mkdtemp(prefix="simulation-"))
        try:
            stage = Stage(root, self._server, venues_of(seed))
            return stage.play(history_of(seed) if events is None else events)
        except Exception:
            return Outcome(wrong=[f"the program broke: {traceback.format_exc(limit=-8)}"], broke=True)
        finally:
            shutil.rmtree(root)

    def explain(self, seed: int) -> str:
        """A failing history as short as it gets, and what is wrong with it."""
        events = shrink(history_of(seed), lambda fewer: bool(self.play(seed, fewer).wrong))
        wrong = self.play(seed, events).wrong
        said = "\n".join(f"    {event}," for event in events)
        return f"seed {seed}, of its events only these are needed:\n{said}\n" + "\n".join(
            f"  - {text}" for text in wrong
        )


@contextmanager
def _fast() -> Iterator[None]:
    """Small pages, a client that gives up soon, nothing forced to the disk; one connection to the database."""
    log = logging.getLogger("clopos_assets")
    level = log.level
    impatient = functools.partial(Connection, attempts=2, backoff_seconds=0.001, backoff_max_seconds=0.001)
    log.setLevel(logging.CRITICAL)  # of faults there are many, all wanted
    try:
        with (
            connect() as connection,
            patch.object(clopos_assets.line.derived, "connect", lambda: nullcontext(connection)),
            patch.object(clopos_assets.access, "Connection", impatient),
            patch.object(clopos_assets.clopos.client, "_LARGEST_PAGE", PAGE_SIZE),
            patch.object(os, "fsync", lambda _: None),
        ):
            gc.freeze()  # what is imported is most of what would be searched for garbage again and again
            yield
    finally:
        gc.unfreeze()
        log.setLevel(level)


def play_all(seeds: Sequence[int], bug: str = "", processes: int | None = None) -> Iterator[tuple[int, Outcome]]:
    """Seeds with their outcomes, in order, played by as many processes as there are processors."""
    parts = [seeds[start : start + _PART] for start in range(0, len(seeds), _PART)]
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes or os.cpu_count(), mp_context=context)
    try:
        for part in pool.map(_play_part, parts, [bug] * len(parts)):
            yield from part
    finally:
        pool.shutdown(cancel_futures=True)


def _play_part(seeds: Sequence[int], bug: str) -> list[tuple[int, Outcome]]:
    with Theatre(bug) as theatre:
        return [(seed, theatre.play(seed)) for seed in seeds]
