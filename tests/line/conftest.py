"""A shop whose line is run without Dagster: what a run records is kept here."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pytest

from clopos_assets.access import Access
from clopos_assets.ingest.made import RunState
from clopos_assets.line import Line, Run, left_behind, line_of
from clopos_assets.settings import Settings
from clopos_assets.tables import TABLES, Table
from tests.ingest.shop import Shop, open_shop
from tests.line.runner import Recorded, in_order, run_through


@pytest.fixture(scope="module", autouse=True)
def _memory(memory: None) -> None:
    """Runs of all modules here."""


class DiedError(BaseException):
    """The run's process is gone."""


@dataclass
class Runs:
    """Runs over the line of a lake, one after the other, and how they ended."""

    shop: Shop
    line: Line
    states: dict[str, RunState] = field(default_factory=dict)
    recorded: dict[str, Recorded] = field(default_factory=dict)
    bad: dict[str, dict[str, str]] = field(default_factory=dict)

    def make(self, *shift_dates: str, planned: Collection[str] = tuple(TABLES)) -> str:
        """One run over the dates; its id. A run that dies raises what it died of."""
        run_id = f"run-{len(self.states) + 1}"
        done = self.recorded[run_id] = set()
        self.states[run_id] = "running"
        self.bad[run_id] = run_through(self.line, run_id, shift_dates, planned, recorded=done)
        self.states[run_id] = "failed" if self.bad[run_id] else "succeeded"
        return run_id

    def steps(self, run_id: str, *shift_dates: str) -> Iterator[None]:
        """A run over the dates that goes on by a step with every `next`."""
        done = self.recorded[run_id] = set()
        self.states[run_id] = "running"
        run = Run(run_id, frozenset(shift_dates), lambda tables: {day for name, day in done if name in tables})
        for maker in in_order(self.line.makers):
            made = self.line.step(run, maker, tuple(TABLES))
            assert not made.bad
            done |= {(name, day) for name, facts in made.facts.items() for day in facts}
            yield
        self.states[run_id] = "succeeded"

    def behind(self) -> dict[str, set[str]]:
        """What dead runs left behind."""
        return left_behind(self.shop.lake, lambda run_id: self.states.get(run_id, "none"))

    def tables(self) -> dict[tuple[str, str], pa.Table]:
        """All rows, but for the times of finding_history and when raw rows were fetched."""
        tables = {}
        for table in TABLES.values():
            for day in self.shop.lake.dates(table):
                rows = self.shop.lake.read(table, day)
                assert rows is not None
                left_out = {"fetched_at", "first_seen_at", "last_seen_at"} & set(rows.column_names)
                tables[table.name, day] = rows.drop_columns(sorted(left_out))
        return tables

    def stamps(self, *tables: Table) -> dict[tuple[str, str], str]:
        """What changes when a partition is written."""
        return {(t.name, day): stamp for t in tables for day, stamp in self.shop.lake.stamps(t).items()}


def runs_on(shop: Shop, root: Path, monkeypatch: pytest.MonkeyPatch, lake: str) -> Runs:
    for name, value in shop.sandbox.settings().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CLOPOS_LAKE", str(root / lake))
    monkeypatch.setenv("CLOPOS_STANDARD_DAYS", "3")
    access = Access(Settings.read())
    shop.lake = access.lake
    return Runs(shop, line_of(access))


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    """Two receipts on each of six shift dates, none of which is made yet."""
    with open_shop(tmp_path) as shop:
        for number in range(12):
            shop.sell(number + 1, f"2026-01-{12 + number // 2}")
        yield runs_on(shop, tmp_path, monkeypatch, "lake")
