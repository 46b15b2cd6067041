"""What following late receipts costs, and how soon it is done: `python -m tests.benchmarks.late`.

A restaurant's history runs on in steps of one poll interval, the sensor's look and the runs that it asks for after
each. Requests beyond list pages are compared with one per closed receipt that is new or has changed: nobody can know
its stock operations for less. The time from a change to the corrected cost of goods is told in poll intervals.
"""

import argparse
import asyncio
import os
import tempfile
import time
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as Printed

from clopos_assets.access import Access
from clopos_assets.ingest.made import RunState
from clopos_assets.late.budget import Budget
from clopos_assets.late.deciding import Surroundings
from clopos_assets.late.look import look
from clopos_assets.late.state import State
from clopos_assets.line import line_of
from clopos_assets.sandbox import History, HistoryOptions, LimitOptions, Sandbox
from clopos_assets.settings import Settings
from tests.ingest.shop import days_from
from tests.line.runner import run_through

FIRST = date(2026, 3, 2)
POLL = timedelta(seconds=300)
BY_ID = ("/v2/receipts/{id}", "/v2/receipts/{id}/stock-operations")


@dataclass
class Figures:
    """What was measured; `intervals` holds, per change, how long it took in poll intervals."""

    changes: int = 0
    least: int = 0
    asked: int = 0
    runs: int = 0
    intervals: list[float] = field(default_factory=list)

    @property
    def requests_ratio(self) -> float:
        """Requests beyond list pages over the least possible."""
        return self.asked / max(1, self.least)


class Follower:
    """A made lake, and a history that goes on."""

    def __init__(self, history: History, sandbox: Sandbox, days: list[str]) -> None:
        self.history = history
        self.sandbox = sandbox
        self.days = days
        self.access = Access(Settings.read())
        self.line = line_of(self.access)
        self.state = State()
        self.states: dict[str, RunState] = {}
        self.figures = Figures()

    def make(self, run_key: str, shift_dates: list[str]) -> None:
        """One run of every table."""
        bad = run_through(self.line, f"run-{run_key}", shift_dates)
        assert not bad, bad
        self.states[run_key] = "succeeded"

    def stamps(self) -> dict[int, tuple[str, int]]:
        """When each receipt of the made shift dates was last changed, and its status."""
        world = self.history.world
        receipts = (world.receipt(receipt_id) for receipt_id in world.receipt_ids())
        return {r["id"]: (r["updated_at"], r["status"]) for r in receipts if r["shift_date"] in self.days}

    def step(self) -> None:
        """One poll interval: the history goes on, the sensor looks, its runs run."""
        before = self.stamps()
        now = self.history.world.now + POLL
        self.history.advance(now)
        after = self.stamps()
        changed = {i: said for i, said in after.items() if before.get(i) != said}
        self.figures.changes += len(changed)
        self.figures.least += sum(status == 2 for _, status in changed.values())
        self.sandbox.requests.reset()
        began = time.monotonic()
        asyncio.run(self._look())
        took = timedelta(seconds=time.monotonic() - began)
        self.figures.asked += sum(self.sandbox.requests.count("GET", route) for route in BY_ID)
        if changed:
            late = (now + took - datetime.fromisoformat(stamp) for stamp, _ in changed.values())
            self.figures.intervals += [each / POLL for each in late]

    async def _look(self) -> None:
        around = Surroundings(
            lake=self.access.lake,
            partitions=frozenset(self.days),
            first_date=self.days[0],
            run_state=lambda run_key: self.states.get(run_key, "none"),
            behind={},
            now=time.time(),
            poll_seconds=int(POLL.total_seconds()),
        )
        async with self.access.clopos() as clopos:
            seen = await look(clopos, self.access.scope, self.state, around, Budget(25, 30.0))
        self.state = seen.state
        for request in seen.decision.requests:
            await asyncio.to_thread(self.make, request.run_key, request.shift_dates)
            self.figures.runs += 1


def measure(root: Path, *, days: int, hours: int, receipts_per_day: int, seed: int) -> Figures:
    """Make some shift dates and follow them for some hours."""
    options = HistoryOptions(
        start_date=FIRST,
        seed=seed,
        venues=2,
        receipts_per_day=receipts_per_day,
        late_rate=0.05,
        edit_rate=0.1,
        move_rate=0.0,
        deletion_rate=0.0,
    )
    history = History(options)
    made = days_from(FIRST.isoformat(), days)
    history.advance(datetime.combine(FIRST + timedelta(days=days), datetime.min.time()) + timedelta(hours=6))
    with Sandbox(history, limits=LimitOptions.unlimited()) as sandbox:
        kept = dict(os.environ)
        os.environ.update(sandbox.settings(), CLOPOS_LAKE=str(root / "lake"), CLOPOS_VENUE_IDS="all")
        os.environ.update(CLOPOS_REQUESTS_PER_WINDOW="1000000")
        try:
            follower = Follower(history, sandbox, made)
            follower.make("first", made)
            for _ in range(int(timedelta(hours=hours) / POLL)):
                follower.step()
        finally:
            os.environ.clear()
            os.environ.update(kept)
    return follower.figures


def show(figures: Figures, console: Console) -> None:
    """Print the figures beside their goals."""
    printed = Printed(title="Following late receipts")
    for name in ("figure", "measured", "goal"):
        printed.add_column(name, justify="left" if name == "figure" else "right")
    rows: list[tuple[str, Any, str]] = [
        ("late changes", figures.changes, ""),
        ("runs", figures.runs, ""),
        ("requests beyond list pages / least possible", f"{figures.requests_ratio:.2f}", "≤ 1.1"),
        ("change to corrected tables, poll intervals, mean", f"{_mean(figures.intervals):.2f}", ""),
        ("change to corrected tables, poll intervals, most", f"{max(figures.intervals, default=0):.2f}", "≤ 2"),
    ]
    for name, value, goal in rows:
        printed.add_row(name, str(value), goal)
    console.print(printed)


def _mean(values: list[float]) -> float:
    return sum(values) / max(1, len(values))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.late", description=__doc__)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--receipts-per-day", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        figures = measure(
            Path(root),
            days=given.days,
            hours=given.hours,
            receipts_per_day=given.receipts_per_day,
            seed=given.seed,
        )
    show(figures, Console())


if __name__ == "__main__":
    main()
