"""How long the stock ledger takes, as ratios: to summing the columns it reads, and of long histories to short ones.

`python -m tests.benchmarks.ledger` prints, for 1 and 10 million operations, the time of the SQL over all of them as
one shift date, and of making them as a range of shift dates with everything that is read and written on the way;
each against the time DuckDB needs to sum the same columns of the same Parquet files. Then what a new day costs
behind one and behind three years. Seconds differ from machine to machine; ratios are what to compare.
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from clopos_assets.compute import query_of, registered
from clopos_assets.database import MEMORY_LIMIT, connect
from clopos_assets.lake import Lake
from clopos_assets.ledger import OTHER_OPERATIONS, make_stock_ledger
from clopos_assets.tables import RECEIPTS, STOCK_LEDGER, STOCK_OPERATIONS, Kind, Table
from tests.benchmarks.tables import add_up, columns_read, in_process_of_its_own, quiet, seconds_of

FIRST = date(2023, 1, 1)
STOCKS = 600
PER_RECEIPT = 8
YEAR = 365

# 600 stocks by turns; each hundredth operation of one follows a delivery, at another cost.
_MADE_UP = {
    RECEIPTS.name: f"""
        select
            id, 1 + id % 3 as venue_id, 2 as status, 30.0 as total,
            timestamp '2023-01-01 10:00:00' as created_at, created_at as updated_at
        from range($first // {PER_RECEIPT}, ($first + $count) // {PER_RECEIPT} + 1) as made(id)
    """,
    STOCK_OPERATIONS.name: f"""
        select
            id, id // {PER_RECEIPT} as receipt_id, 1 + receipt_id % 3 as venue_id,
            id // {STOCKS} as number,
            5000 + id % {STOCKS} as stock_id, 500 + stock_id % 200 as product_id, stock_id % 6 as storage_id,
            'Ingredient ' || product_id as product_name, 0.125 as quantity,
            9000 + (number // 100) * 12.5 - number * 0.125 as before_quantity,
            before_quantity - 0.125 as after_quantity,
            stock_id % 50 * 0.37 + (number // 100) * 0.01 as "cost", "cost" as before_cost, 0 as total_cost,
            cast($day as timestamp) + interval 10 hours + to_seconds((id - $first) * 57600 // $count) as operated_at
        from range($first, $first + $count) as made(id)
    """,
}


def file_day(lake: Lake, connection: duckdb.DuckDBPyConnection, number: int, count: int) -> str:
    """File a shift date of so many operations, from ten in the morning to two at night; the number-th of a history."""
    day = FIRST + timedelta(days=number)
    for table in (RECEIPTS, STOCK_OPERATIONS):
        query = _MADE_UP[table.name]
        values = {"first": number * count, "count": count, "day": day}
        made = connection.sql(query, params={name: value for name, value in values.items() if f"${name}" in query})
        lake.replace(table, day.isoformat(), _as_declared(table, made), {})
    return day.isoformat()


def _as_declared(table: Table, made: duckdb.DuckDBPyRelation) -> pa.Table:
    given = set(made.columns)
    columns = [column for column in table.columns if column.kind is not Kind.INSTANT]
    values = ((column, f'"{column.name}"' if column.name in given else "null") for column in columns)
    casts = ", ".join(f'cast({value} as {column.sql_type}) as "{column.name}"' for column, value in values)
    rows: pa.Table = made.project(casts).to_arrow_table()
    fetched_at = pa.repeat(pa.scalar(datetime(2023, 1, 2, tzinfo=UTC), type=pa.timestamp("us", tz="UTC")), len(rows))
    return rows.append_column("fetched_at", fetched_at).cast(table.schema)


def files_of(lake: Lake, connection: duckdb.DuckDBPyConnection) -> dict[str, duckdb.DuckDBPyRelation]:
    """What the lake holds of the ledger's inputs."""
    return {
        table.name: connection.read_parquet([str(lake.path(table, day)) for day in lake.dates(table)])
        for table in (RECEIPTS, STOCK_OPERATIONS)
    }


def _columns_read(connection: duckdb.DuckDBPyConnection, lake: Lake) -> dict[str, list[str]]:
    """The columns that the ledger's SQL reads, found out on one shift date."""
    inputs = {
        table.name: connection.read_parquet(str(lake.path(table, lake.dates(table)[0])))
        for table in (RECEIPTS, STOCK_OPERATIONS)
    }
    inputs["other_operations"] = connection.from_arrow(OTHER_OPERATIONS.empty_table())
    return columns_read(connection, inputs, query_of(STOCK_LEDGER), {})


def measure_sql(root: Path, operations: int, repeats: int) -> None:
    """All operations as one shift date: the select alone, its columns summed so that all are computed."""
    lake = Lake(root)
    with connect() as connection:
        quiet(connection)
        inputs = files_of(lake, connection)
        query = query_of(STOCK_LEDGER)
        summed = {Kind.ID, Kind.DECIMAL}
        sums = ", ".join(f'{"sum" if c.kind in summed else "max"}("{c.name}")' for c in STOCK_LEDGER.columns)
        columns = _columns_read(connection, lake)
        base = seconds_of(lambda: add_up(inputs, columns), repeats)
        with registered(connection, {**inputs, "other_operations": OTHER_OPERATIONS.empty_table()}):
            taken = seconds_of(lambda: connection.sql(query).aggregate(sums).fetchall(), repeats)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{operations:,} operations as one shift date: {taken:.3f} s, {taken / base:.1f} × the sums of its columns")
    print(f"  DuckDB's memory limit {MEMORY_LIMIT}, the process took {peak:,.0f} MB at most")


def measure_range(root: Path, operations: int, repeats: int) -> None:
    """All operations as a range of shift dates, made into a lake without a ledger."""
    lake = Lake(root)
    days = lake.dates(STOCK_OPERATIONS)
    with connect() as connection:
        quiet(connection)
        columns = _columns_read(connection, lake)
        base = seconds_of(lambda: add_up(files_of(lake, connection), columns), repeats)
        start = time.perf_counter()
        _make(lake, connection, days)
        taken = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{operations:,} operations of {len(days)} shift dates, made: {taken:.1f} s, {taken / base:.1f} × their sums")
    print(f"  {1000 * taken / len(days):.1f} ms a shift date, the process took {peak:,.0f} MB at most")


def measure_increments(scratch: Path, count: int, new_days: int) -> None:
    """New days behind one and three years, by turns, so that both meet the same machine."""
    years = (1, 3)
    lakes = {length: Lake(scratch / f"{length} years") for length in years}
    taken: dict[int, list[float]] = {length: [] for length in years}
    with connect() as connection:
        quiet(connection)
        for length, lake in lakes.items():
            _make(lake, connection, [file_day(lake, connection, number, count) for number in range(YEAR * length)])
        for number in range(new_days):
            for length, lake in lakes.items():
                day = file_day(lake, connection, YEAR * length + number, count)
                start = time.perf_counter()
                _make(lake, connection, [day])
                taken[length].append(time.perf_counter() - start)
    short, long = (statistics.median(taken[length]) for length in years)
    print(
        f"a new day of {count:,} operations: {1000 * short:.1f} ms behind 1 year, {1000 * long:.1f} ms behind 3 years"
    )
    print(f"  {long / short:.2f} × (medians of {new_days} days)")


def _make(lake: Lake, connection: duckdb.DuckDBPyConnection, days: Iterable[str]) -> None:
    made = make_stock_ledger(lake, connection, list(days))
    if made.bad:
        raise SystemExit(str(made.bad))


def file_days(root: Path, operations: int, count: int) -> None:
    """File so many operations, `count` a shift date."""
    lake = Lake(root)
    with duckdb.connect() as connection:
        quiet(connection)
        for number in range(operations // count):
            file_day(lake, connection, number, count)


def main() -> None:
    """Make the lakes, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, nargs="*", default=[1_000_000, 10_000_000], help="sizes")
    parser.add_argument("--per-day", type=int, default=10_000, help="operations of a shift date of a range")
    parser.add_argument("--increment", type=int, default=5_000, help="operations of a new day; 0 leaves that out")
    parser.add_argument("--new-days", type=int, default=15, help="how many new days are measured")
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the shortest counts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for operations in options.operations:
            for what, count in ((measure_sql, operations), (measure_range, options.per_day)):
                root = Path(scratch) / f"{operations} {what.__name__}"
                in_process_of_its_own(file_days, root, operations, count)
                in_process_of_its_own(what, root, operations, options.repeats)
        if options.increment:
            in_process_of_its_own(measure_increments, Path(scratch), options.increment, options.new_days)


if __name__ == "__main__":
    main()
