"""What a day's update of the ledger reads and writes: the same few files however long the history is."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from clopos_assets.database import connect
from clopos_assets.lake import Lake
from clopos_assets.tables import STOCK_LEDGER, Table
from tests.variance.ledger_world import World, assert_ledger, day_after, make

FIRST = "2023-01-02"
STEP = 20
"""Days between shift dates: a long history of few files."""


class CountingLake(Lake):
    """Counts the files that are read and written, and what is kept in them."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.counts: Counter[str] = Counter()
        self.ledgers: set[str] = set()

    def read(self, table: Table, shift_date: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        self.counts["tables read"] += 1
        return super().read(table, shift_date, columns)

    def kept(self, name: str) -> bytes | None:
        body = super().kept(name)
        self.counts["files of the index read"] += body is not None
        return body

    def _write(self, name: str, body: bytes | pa.Buffer, *, durable: bool = True) -> None:
        self.counts["files written"] += 1
        super()._write(name, body, durable=durable)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as connection:
        yield connection


def costs(root: Path, connection: duckdb.DuckDBPyConnection, length: int) -> tuple[Counter[str], Counter[str]]:
    """Of a new day's making, and of making a day again that lies 20 shift dates back, after a late closing."""
    days = [day_after(FIRST, STEP * number) for number in range(length)]
    world = World(days, 0)
    for day in days:
        world.sell(day, f"{day} 12:00:00", f"{day} 13:00:00")
    world.file(Lake(root))
    make(Lake(root), connection, *days[:-1])
    newest, back = CountingLake(root), CountingLake(root)
    assert make(newest, connection, days[-1]) == {days[-1]}
    world.sell(days[-20], f"{days[-19]} 11:00:00")
    world.file(Lake(root))
    assert make(back, connection, days[-20]) == {days[-20], days[-19]}
    assert_ledger(Lake(root), world, days)
    return newest.counts, back.counts


def test_a_day_costs_the_same_on_any_length_of_history(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    one_year, three_years = (
        costs(tmp_path / str(length), connection, length) for length in (365 // STEP + 13, 1095 // STEP + 5)
    )
    assert dict(one_year[0]) == dict(three_years[0])
    # Further back there may be one block more to look beyond.
    for name, count in three_years[1].items():
        assert abs(count - one_year[1][name]) <= 2, name
    assert sum(three_years[0].values()) < 30
    assert sum(three_years[1].values()) < 60


def test_a_range_costs_as_much_as_its_days(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    totals = []
    for length in (10, 20, 40):
        days = [day_after(FIRST, number) for number in range(length)]
        world = World(days, 0)
        for day in days:
            world.sell(day, f"{day} 12:00:00", f"{day_after(day)} 02:00:00")
        lake = CountingLake(tmp_path / str(length))
        world.file(lake)
        lake.counts.clear()
        make(lake, connection, *days)
        totals.append(sum(lake.counts.values()))
        assert len(lake.dates(STOCK_LEDGER)) == length
    assert totals[2] - totals[1] < 2.2 * (totals[1] - totals[0])
    assert totals[2] < 40 * 20
