"""Bytes and scan time of the lake's files against pyarrow's default writer: `python -m tests.benchmarks.files`.

The raw tables of a month of ordinary shift dates, a file for each, and those of one big shift date, all of a sandbox's
history. Both writers get the same sorted rows; DuckDB then sums the columns that cost is made from, and pyarrow
reads the same columns whole. Times are processor time on one thread, the least of some rounds.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from clopos_assets.lake import Lake
from clopos_assets.sandbox import History, HistoryOptions
from clopos_assets.tables import RECEIPT_PRODUCTS, RECEIPTS, STOCK_OPERATIONS, Table
from clopos_assets.tables.rows import RowReader
from tests.benchmarks.figure import Figure, show

FIRST = date(2026, 1, 1)
TABLES = (RECEIPTS, RECEIPT_PRODUCTS, STOCK_OPERATIONS)
SCANS: Mapping[str, str] = {
    "receipts": """
        select count(venue_id), sum(status), sum(total), sum(subtotal), sum(total_discount), sum(i_tax), max(closed_at)
    """,
    "receipt_products": """
        select sum(product_id), max(product_name), max(receipt_id), sum(count), sum(portion_size), sum(total)
    """,
    "stock_operations": """
        select sum(product_id), max(storage_id), max(receipt_id), max(product_name), sum(quantity),
            sum(before_quantity), sum(after_quantity), sum(cost), sum(total_cost), max(operated_at)
    """,
}
COLUMNS: Mapping[str, Sequence[str]] = {
    "receipts": ("venue_id", "status", "total", "subtotal", "total_discount", "i_tax", "closed_at"),
    "receipt_products": ("product_id", "product_name", "receipt_id", "count", "portion_size", "total"),
    "stock_operations": (
        "product_id",
        "storage_id",
        "receipt_id",
        "product_name",
        "quantity",
        "before_quantity",
        "after_quantity",
        "cost",
        "total_cost",
        "operated_at",
    ),
}
Days = Mapping[str, Mapping[str, pa.Table]]


@dataclass(frozen=True)
class Comparison:
    """One table: bytes and processor seconds of the lake's files, each followed by those of the default writer's."""

    table: str
    rows: int
    bytes: tuple[float, float]
    scan: tuple[float, float]
    reading: tuple[float, float]
    writing: tuple[float, float]


def play(days: int, receipts_per_day: int, venues: int = 2) -> Days:
    """Rows of the raw tables, by shift date and table, sorted as they are filed."""
    history = History(HistoryOptions(FIRST, venues=venues, receipts_per_day=receipts_per_day))
    history.advance(datetime.combine(FIRST + timedelta(days=days), datetime.min.time()) + timedelta(hours=6))
    world = history.world
    readers = (
        RowReader(RECEIPTS),
        RowReader(RECEIPT_PRODUCTS, given=("receipt_id", "venue_id")),
        RowReader(STOCK_OPERATIONS, given=("venue_id",)),
    )
    rows: dict[str, tuple[list[Any], list[Any], list[Any]]] = {}
    for receipt_id in world.receipt_ids():
        receipt = world.receipt(receipt_id)
        of_receipts, of_lines, of_operations = rows.setdefault(receipt["shift_date"], ([], [], []))
        of_receipts.append(readers[0].read(receipt))
        of_lines += [readers[1].read(line, receipt_id, receipt["venue_id"]) for line in receipt["receipt_products"]]
        of_operations += [readers[2].read(one, receipt["venue_id"]) for one in world.operations(receipt_id)]
    fetched_at = datetime(2026, 2, 2, tzinfo=UTC)
    shift_dates = [str(FIRST + timedelta(days=day)) for day in range(days)]
    return {
        shift_date: {
            table.name: reader.to_arrow(of_table, fetched_at).sort_by(table.key[0])
            for table, reader, of_table in zip(TABLES, readers, rows[shift_date], strict=True)
        }
        for shift_date in shift_dates
    }


def measure(root: Path, days: Days, rounds: int) -> list[Comparison]:
    """Write both ways, look that both say the same, and compare."""
    return [_compare(root, table, days, rounds) for table in TABLES]


def _compare(root: Path, table: Table, days: Days, rounds: int) -> Comparison:
    lake = Lake(root / "ours")
    default = root / "default" / table.name
    default.mkdir(parents=True)

    def file_ours() -> None:
        for day, rows in days.items():
            lake.replace(table, day, rows[table.name], {})

    def write_default() -> None:
        for day, rows in days.items():
            pq.write_table(rows[table.name], default / f"{day}.parquet")

    writing = _seconds(file_ours, rounds), _seconds(write_default, rounds)
    ours, theirs = [lake.path(table, day) for day in days], [default / f"{day}.parquet" for day in days]
    for one, other in zip(ours, theirs, strict=True):
        assert _read(one) == _read(other), "both writers keep the same rows"
    with duckdb.connect(config={"threads": 1}) as connection:
        scan = _both(lambda files: _scan(connection, table, files), ours, theirs, rounds)
    reading = _both(lambda files: [_read(file, COLUMNS[table.name]) for file in files], ours, theirs, rounds)
    rows = sum(rows[table.name].num_rows for rows in days.values())
    return Comparison(table.name, rows, (_size(ours), _size(theirs)), scan, reading, writing)


def _scan(connection: duckdb.DuckDBPyConnection, table: Table, files: Sequence[Path]) -> list[Any]:
    named = ", ".join(f"'{file}'" for file in files)
    return connection.execute(f"{SCANS[table.name]} from read_parquet([{named}])").fetchall()


def _read(file: Path, columns: Sequence[str] | None = None) -> pa.Table:
    with pq.ParquetFile(file) as opened:
        rows: pa.Table = opened.read(columns=columns, use_threads=False)
    return rows.replace_schema_metadata(None)


def _both(
    act: Callable[[Sequence[Path]], object], ours: Sequence[Path], theirs: Sequence[Path], rounds: int
) -> tuple[float, float]:
    assert act(ours) == act(theirs), "both files say the same"
    return _seconds(lambda: act(ours), rounds), _seconds(lambda: act(theirs), rounds)


def _seconds(act: Callable[[], object], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        begun = time.process_time()
        act()
        taken.append(time.process_time() - begun)
    return min(taken)


def _size(files: Sequence[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def figures(comparisons: Sequence[Comparison]) -> Iterator[Figure]:
    """Goals are half the bytes and half the time to read, over the three tables; each table is told beside."""
    yield Figure("bytes", _share([one.bytes for one in comparisons]), 0.5)
    yield Figure("pyarrow's reading of the columns", _share([one.reading for one in comparisons]), 0.5)
    yield Figure("DuckDB's summing of the columns", _share([one.scan for one in comparisons]), 0.5)
    yield Figure("writing, with check, sort and flush to the disk", _share([one.writing for one in comparisons]))
    for one in comparisons:
        shares = (one.bytes, one.reading, one.scan, one.writing)
        yield Figure(
            f"  {one.table}, {one.rows:,} rows: bytes",
            _share([one.bytes]),
            note="reading {1:.2f}, summing {2:.2f}, writing {3:.2f}".format(*(_share([share]) for share in shares)),
        )


def _share(pairs: Sequence[tuple[float, float]]) -> float:
    return sum(ours for ours, _ in pairs) / sum(theirs for _, theirs in pairs)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--receipts-per-day", type=int, default=80, help="of each of two venues, on ordinary dates")
    parser.add_argument("--big-day", type=int, default=20_000, help="receipts of the one big date")
    parser.add_argument("--rounds", type=int, default=7, help="of which the least counts")
    options = parser.parse_args()
    for title, days, receipts in (
        (f"{options.days} ordinary shift dates, over pyarrow's default", options.days, options.receipts_per_day),
        ("one big shift date, over pyarrow's default", 1, options.big_day // 2),
    ):
        with tempfile.TemporaryDirectory() as root:
            show(title, figures(measure(Path(root), play(days, receipts), options.rounds)))


if __name__ == "__main__":
    main()
