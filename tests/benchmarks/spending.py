"""Requests over the least possible, of a backfill and of a second run: `python -m tests.benchmarks.spending`.

The least possible: for each venue the pages of 200 that hold the receipts created in the listing's window, as many in
both runs, and in the first one request for each closed receipt of the shift dates. What was sent is the server's count
of all requests but authentications, which are outside of the quota; asking which venues there are is in it.
"""

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import ceil
from pathlib import Path
from unittest.mock import patch

from clopos_assets.access import Access
from clopos_assets.line import Run, line_of
from clopos_assets.sandbox import History, HistoryOptions, LimitOptions, Sandbox, World
from clopos_assets.settings import Settings
from tests.benchmarks.figure import Figure, show

FIRST = date(2026, 1, 12)
PAGE = 200


@dataclass(frozen=True)
class Spending:
    """Requests sent and the least possible, of the backfill and of the second run."""

    sent: tuple[int, int]
    least: tuple[int, int]


def least_possible(world: World, settings: Settings, shift_dates: list[str]) -> tuple[int, int]:
    """Requests that a backfill can't do without, and a second run."""
    window = (
        date.fromisoformat(shift_dates[0]) - timedelta(days=settings.list_days_before),
        date.fromisoformat(shift_dates[-1]) + timedelta(days=settings.list_days_after),
    )
    created: Counter[int] = Counter()
    closed = 0
    for receipt in map(world.receipt, world.receipt_ids()):
        day = datetime.fromisoformat(receipt["created_at"]).date()
        created[receipt["venue_id"]] += window[0] <= day <= window[1]
        closed += receipt["shift_date"] in shift_dates and receipt["status"] == 2 and not receipt.get("deleted_at")
    pages = sum(max(1, ceil(created[venue] / PAGE)) for venue in world.venue_ids())
    return pages + closed, pages


def measure(root: Path, days: int, receipts_per_day: int) -> Spending:
    """Make some shift dates of two venues, then the same again."""
    history = History(HistoryOptions(FIRST, receipts_per_day=receipts_per_day))
    history.advance(datetime.combine(FIRST + timedelta(days=days + 7), datetime.min.time()))
    shift_dates = [str(FIRST + timedelta(days=day)) for day in range(days)]
    with Sandbox(history, limits=LimitOptions.unlimited()) as sandbox:
        with patch.dict(os.environ, sandbox.settings() | {"CLOPOS_LAKE": str(root)}):
            settings = Settings.read()
        sent = (_make(sandbox, settings, shift_dates), _make(sandbox, settings, shift_dates))
        return Spending(sent, least_possible(sandbox.world, settings, shift_dates))


def _make(sandbox: Sandbox, settings: Settings, shift_dates: list[str]) -> int:
    sandbox.requests.reset()
    run = Run("benchmark", frozenset(shift_dates), recorded=lambda _: set())
    for maker in line_of(Access(settings)).makers[:2]:
        made = maker.make(run, shift_dates)
        assert not made.bad, made.bad
    return sum(count for (_, route), count in sandbox.requests.counts().items() if not route.endswith("/auth"))


def figures(spending: Spending) -> Iterator[Figure]:
    """Both runs together against the goal, and each by itself."""
    yield Figure("requests over the least possible, both runs", sum(spending.sent) / sum(spending.least), 1.02)
    for name, sent, least in zip(("the backfill", "the second run"), spending.sent, spending.least, strict=True):
        yield Figure(f"  {name}", sent / least, note=f"{sent:,} / {least:,}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--receipts-per-day", type=int, default=80, help="of each of two venues")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        spending = measure(Path(root), options.days, options.receipts_per_day)
    show(f"A backfill of {options.days} shift dates, and the same again", figures(spending))


if __name__ == "__main__":
    main()
