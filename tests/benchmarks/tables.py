"""How long each table's SQL takes, as ratios to the time DuckDB needs to sum the columns that it reads.

`python -m tests.benchmarks.tables` makes a lake of one large shift date behind a standard window, and measures
every table that is one select over it, each in a process of its own; then the same tables over many shift dates of
an ordinary size, computed and written one after the other as a run does. What is summed are the columns that
DuckDB's plan of the query says it reads, ids and texts included, from the same Parquet files in the same process.
`--operations 100000` is quick; `--help` says the rest. Seconds differ from machine to machine; ratios are what to
compare.
"""

import argparse
import json
import re
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from clopos_assets.compute import MEMORY_LIMIT, Rules, compute, connect, query_of, registered, select
from clopos_assets.lake import Lake
from clopos_assets.tables import (
    COST,
    DAILY_COGS,
    INGREDIENT_USAGE,
    PRODUCT_COGS,
    RAW,
    RECIPE_OBSERVED,
    STOCK_GAPS,
    STOCK_LEDGER,
    STOCK_OPERATIONS,
    TABLES,
    USAGE_VARIANCE,
    VARIANCE_FINDINGS,
    Kind,
    Table,
)

SHIFT_DATE = "2026-02-01"
RULES = Rules()
MEASURED = (*COST, RECIPE_OBSERVED, USAGE_VARIANCE, STOCK_GAPS, VARIANCE_FINDINGS)
IN_WINDOW = (PRODUCT_COGS, DAILY_COGS, INGREDIENT_USAGE, RECIPE_OBSERVED)
LINES_PER_RECEIPT = 3
OPERATIONS_PER_LINE = 4
_SUMMED_BY = {Kind.ID: "sum", Kind.WHOLE: "sum", Kind.DECIMAL: "sum", Kind.RATIO: "sum", Kind.PAYMENTS: "count"}

# 10 venues with 300 products of 4 ingredients each; every eighth line has a modifier, stock comes in now and then.
_MADE_UP = {
    "receipts": """
        select
            id, 1 + id % 10 as venue_id, 2 as status, 30.0 as total, 30.0 as subtotal, 0.0 as total_discount,
            0.0 as remaining, 4.5 as i_tax, [{'id': 1, 'name': 'Cash', 'amount': 30.0}] as payment_methods,
            cast($day as timestamp) + interval 10 hours + to_seconds(id % 40000) as created_at,
            created_at as updated_at, created_at + interval 30 minutes as closed_at
        from range($lines // 3 + 1) as made(id)
    """,
    "receipt_products": """
        select
            id, id // 3 as receipt_id, 1 + receipt_id % 10 as venue_id, hash(id) % 300 as product_id,
            'Product ' || product_id as product_name, 'DISH' as product_type, false as is_gift,
            1 + id % 3 as count, 1 as portion_size, 10.0 as total,
            if(id % 8 = 0, '[{"id": 801, "name": "Extra"}]', '[]') as modificators
        from range($lines) as made(id)
    """,
    "stock_operations": """
        with deducted as (
            select
                id, id // 4 as receipt_product_id, receipt_product_id // 3 as receipt_id,
                1 + receipt_id % 10 as venue_id,
                1000 + (hash(receipt_product_id) % 300 + 31 * (id % 4)) % 400 as product_id,
                product_id * 10 + venue_id as stock_id,
                cast((1 + product_id % 7) * 0.025 * (1 + receipt_product_id % 3) as decimal(18, 6)) as quantity,
                cast(1 + (product_id % 90) * 0.11 as decimal(18, 6)) as cost,
                cast($day as timestamp) + interval 630 minutes + to_seconds(receipt_id % 40000) as operated_at
            from range($operations) as made(id)
        ),
        stocked as (
            select
                *,
                sum(quantity) over stock as taken,
                count(*) over stock as number
            from deducted
            window stock as (partition by stock_id order by operated_at, id)
        )
        select
            *, venue_id as storage_id, 'Ingredient ' || product_id as product_name,
            'Storage ' || venue_id as storage_name, 1000000 + 20 * (number // 100) - taken as after_quantity,
            after_quantity + quantity as before_quantity, cost as before_cost,
            cast(cast(quantity as decimal(28, 6)) * cost as decimal(18, 6)) as total_cost
        from stocked
    """,
    "stock_ledger": """
        select
            *, id as stock_operation_id, lag(id) over stock as previous_operation_id,
            lag(after_quantity) over stock as previous_after_quantity, lag(cost) over stock as previous_cost,
            before_quantity - previous_after_quantity as unexplained_quantity,
            cast(before_quantity * cast(cost as decimal(28, 6)) as decimal(18, 6)) - cast(
                previous_after_quantity * cast(previous_cost as decimal(28, 6)) as decimal(18, 6)
            ) as unexplained_value
        from stock_operations
        window stock as (partition by stock_id order by operated_at, id)
    """,
}


@dataclass(frozen=True)
class Figure:
    """What one table took: rows made, seconds, and those of summing the columns that it reads."""

    table: str
    rows: int
    seconds: float
    summed: float


def made_up(
    connection: duckdb.DuckDBPyConnection, table: Table, operations: int, shift_date: str = SHIFT_DATE
) -> pa.Table:
    """Rows of a raw table, or of the ledger over the stored operations; columns that no SQL reads are NULL."""
    query = _MADE_UP[table.name]
    values = {"operations": operations, "lines": operations // OPERATIONS_PER_LINE, "day": shift_date}
    made = connection.sql(query, params={name: value for name, value in values.items() if f"${name}" in query})
    given = set(made.columns)
    columns = ", ".join(
        f'cast({column.name if column.name in given else "null"} as {column.sql_type}) as "{column.name}"'
        for column in table.columns
        if column.name != "fetched_at"
    )
    rows: pa.Table = made.project(columns).to_arrow_table()
    if "fetched_at" in table.names:
        fetched_at = pa.repeat(
            pa.scalar(datetime(2026, 2, 2, tzinfo=UTC), type=pa.timestamp("us", tz="UTC")), len(rows)
        )
        rows = rows.append_column("fetched_at", fetched_at)
    return rows.cast(table.schema)


def file_inputs(lake: Lake, operations: int, shift_dates: Iterable[str]) -> None:
    """File the raw tables of shift dates and their ledger."""
    with duckdb.connect() as connection:
        quiet(connection)
        for day in shift_dates:
            for table in RAW:
                lake.replace(table, day, made_up(connection, table, operations, day), {})
            with registered(
                connection, {"stock_operations": connection.read_parquet(str(lake.path(STOCK_OPERATIONS, day)))}
            ):
                lake.replace(STOCK_LEDGER, day, made_up(connection, STOCK_LEDGER, operations, day), {})


def make_lake(root: Path, operations: int) -> None:
    """One shift date of raw tables, ledger, cost tables and recipes; the window before it repeats its aggregates."""
    lake = Lake(root)
    file_inputs(lake, operations, [SHIFT_DATE])
    with connect() as connection:
        quiet(connection)
        for table in (*COST, RECIPE_OBSERVED):
            lake.replace(table, SHIFT_DATE, run(connection, lake, table), {})
    for table in IN_WINDOW:
        rows = lake.read(table, SHIFT_DATE)
        assert rows is not None
        for day in RULES.window(SHIFT_DATE):
            lake.replace(table, day, rows, {})


def inputs_of(
    connection: duckdb.DuckDBPyConnection, lake: Lake, table: Table, shift_date: str = SHIFT_DATE
) -> dict[str, duckdb.DuckDBPyRelation]:
    """The table's inputs over the lake's Parquet, by the names that its SQL knows them by."""
    inputs = {name: connection.read_parquet(str(lake.path(TABLES[name], shift_date))) for name in table.inputs}
    for name in table.trailing:
        window = [lake.path(TABLES[name], day) for day in RULES.window(shift_date)]
        made = [str(path) for path in window if path.exists()]
        if made:
            inputs[f"trailing_{name}"] = connection.read_parquet(made, hive_partitioning=True)
        else:
            empty = TABLES[name].schema.empty_table().append_column("shift_date", pa.array([], type=pa.date32()))
            inputs[f"trailing_{name}"] = connection.from_arrow(empty)
    return inputs


def quiet(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Without the bar that DuckDB draws while a query takes long."""
    return connection.execute("set enable_progress_bar = false")


def run(connection: duckdb.DuckDBPyConnection, lake: Lake, table: Table) -> pa.Table:
    """The table's rows from its SQL."""
    return select(connection, table, inputs_of(connection, lake, table), RULES.values(SHIFT_DATE))


def columns_read(
    connection: duckdb.DuckDBPyConnection,
    inputs: Mapping[str, duckdb.DuckDBPyRelation],
    query: str,
    values: Mapping[str, object],
) -> dict[str, list[str]]:
    """The columns that DuckDB's plan of a query reads, by input."""
    bound = {name: value for name, value in values.items() if f"${name}" in query}
    with registered(connection, inputs):
        plan = connection.execute(f"explain (analyze, format json) {query}", bound).fetchall()[0][1]
    read: dict[str, set[str]] = {}
    for scan in _scans(json.loads(plan)["operator"]):
        folder = Path(scan["Filename(s)"].split(", ")[0]).parent
        name = folder.parent.name
        if f"trailing_{name}" in inputs and folder.name != f"shift_date={SHIFT_DATE}":
            name = f"trailing_{name}"
        words = set(re.findall(r"\w+", f"{scan.get('Projections')} {scan.get('Filters')}"))
        read.setdefault(name, set()).update(words & set(inputs[name].columns))
    return {name: sorted(columns) for name, columns in read.items() if columns}


def _scans(operators: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for operator in operators:
        if "Filename(s)" in operator["extra_info"]:
            yield operator["extra_info"]
        yield from _scans(operator.get("children", []))


def add_up(inputs: Mapping[str, duckdb.DuckDBPyRelation], columns: Mapping[str, Iterable[str]]) -> None:
    """Sum columns of the inputs; of what can't be summed the greatest is found, and lists are counted."""
    for name, read in columns.items():
        kinds = {column.name: column.kind for column in TABLES[name.removeprefix("trailing_")].columns}
        sums = [f'{_SUMMED_BY.get(kinds.get(column, Kind.DATE), "max")}("{column}")' for column in read]
        inputs[name].aggregate(", ".join(sums)).fetchall()


def seconds_of(action: Callable[[], object], repeats: int) -> float:
    """The shortest of some runs."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        taken.append(time.perf_counter() - start)
    return min(taken)


def measure(root: Path, repeats: int, table: Table) -> Figure:
    """One table of the one large shift date."""
    lake = Lake(root)
    with connect() as connection:
        quiet(connection)
        inputs = inputs_of(connection, lake, table)
        columns = columns_read(connection, inputs, query_of(table), RULES.values(SHIFT_DATE))
        rows = run(connection, lake, table).num_rows
        taken = seconds_of(partial(run, connection, lake, table), repeats)
        summed = seconds_of(partial(add_up, inputs, columns), repeats)
    return Figure(table.name, rows, taken, summed)


def days_of(operations: int, count: int) -> list[str]:
    """The shift dates, up to and with `SHIFT_DATE`, that so many operations make, `count` on each."""
    last = date.fromisoformat(SHIFT_DATE)
    return [(last - timedelta(days=back)).isoformat() for back in reversed(range(operations // count))]


def measure_days(root: Path, repeats: int, table: Table, shift_dates: Sequence[str]) -> Figure:
    """One table made for many shift dates in order, read and written as a run does it; summed are the same files."""
    lake = Lake(root)
    rows = 0
    with connect() as connection:
        quiet(connection)
        start = time.perf_counter()
        for day in shift_dates:
            made = compute(lake, connection, table, day, RULES)
            lake.replace(table, day, made, {})
            rows += made.num_rows
        taken = time.perf_counter() - start
        of_last = inputs_of(connection, lake, table)
        columns = columns_read(connection, of_last, query_of(table), RULES.values(SHIFT_DATE))
        summed = 0.0
        for day in shift_dates:
            summed += seconds_of(partial(add_up, inputs_of(connection, lake, table, day), columns), repeats)
    return Figure(table.name, rows, taken, summed)


def show_heading(what: str) -> None:
    """Print what follows and the columns' names."""
    print(f"\n{what}; DuckDB's memory limit {MEMORY_LIMIT}, `MB` is what the process took at most")
    print(f"{'table':<20}{'rows':>12}{'seconds':>10}{'summing':>10}{'ratio':>8}{'MB':>8}", flush=True)


def show(figure: Figure) -> None:
    """Print a figure as a line of the table."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{figure.table:<20}{figure.rows:>12,}{figure.seconds:>10.3f}{figure.summed:>10.3f}"
        f"{figure.seconds / figure.summed:>8.1f}{peak:>8,.0f}",
        flush=True,
    )


def in_process_of_its_own(work: Callable[..., None], *arguments: object) -> None:
    """Run it where its memory is its own, so that one size does not count for another."""
    process = get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)


def measure_and_show(root: Path, repeats: int, table: Table) -> None:
    """One table of one large shift date, in figures."""
    show(measure(root, repeats, table))


def measure_days_and_show(root: Path, repeats: int, table: Table, shift_dates: Sequence[str]) -> None:
    """One table of many shift dates, in figures."""
    show(measure_days(root, repeats, table, shift_dates))


def main() -> None:
    """Make the lakes, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, nargs="*", default=[1_000_000, 10_000_000], help="sizes")
    parser.add_argument("--in-days", type=int, default=1_000_000, help="operations over many dates; 0 leaves that out")
    parser.add_argument("--per-day", type=int, default=5_000, help="operations of one of those dates")
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the shortest counts")
    every = [table.name for table in MEASURED]
    parser.add_argument("--tables", nargs="+", choices=every, default=every, help="which of them", metavar="TABLE")
    parser.add_argument("--lake", type=Path, help="keep the lakes in this folder, and use those that are there")
    options = parser.parse_args()
    tables = [table for table in MEASURED if table.name in options.tables]
    with tempfile.TemporaryDirectory() as scratch:
        for operations in options.operations:
            root = (options.lake or Path(scratch)) / str(operations)
            if not root.exists():
                in_process_of_its_own(make_lake, root, operations)
            show_heading(f"{operations:,} operations as one shift date")
            for table in tables:
                in_process_of_its_own(measure_and_show, root, options.repeats, table)
        if options.in_days:
            days = days_of(options.in_days, options.per_day)
            root = (options.lake or Path(scratch)) / f"{options.in_days} in days of {options.per_day}"
            if not root.exists():
                in_process_of_its_own(file_inputs, Lake(root), options.per_day, days)
            show_heading(f"{options.in_days:,} operations as {len(days)} shift dates, made one by one and written")
            for table in tables:
                in_process_of_its_own(measure_days_and_show, root, options.repeats, table, days)


if __name__ == "__main__":
    main()
