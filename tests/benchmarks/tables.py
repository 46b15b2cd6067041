"""How long each table's SQL takes, as ratios to the time DuckDB needs to sum the columns that it reads.

`python -m tests.benchmarks.tables` makes a lake of one large shift date behind a standard window, and measures
every table that is one select over it. `--operations 100000` is quick; `--help` says the rest. Seconds differ
from machine to machine; ratios are what to compare.
"""

import argparse
import re
import resource
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import duckdb
import pyarrow as pa

from clopos_assets.compute import MEMORY_LIMIT, Rules, connect, query_of, select
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
_ADDED_UP = {Kind.ID, Kind.WHOLE, Kind.DECIMAL, Kind.RATIO}

# 10 venues with 300 products of 4 ingredients each; every eighth line has a modifier, stock comes in now and then.
_MADE_UP = {
    "receipts": """
        select
            id, 1 + id % 10 as venue_id, 2 as status, 30.0 as total, 30.0 as subtotal, 0.0 as total_discount,
            0.0 as remaining, 4.5 as i_tax, [{'id': 1, 'name': 'Cash', 'amount': 30.0}] as payment_methods,
            timestamp '2026-02-01 10:00:00' + to_seconds(id % 40000) as created_at, created_at as updated_at,
            created_at + interval 30 minutes as closed_at
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
                timestamp '2026-02-01 10:30:00' + to_seconds(receipt_id % 40000) as operated_at
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
    """What one table took: seconds, against those of summing its own inputs' columns and the operations'."""

    table: str
    rows: int
    seconds: float
    own: float
    operations: float


def made_up(connection: duckdb.DuckDBPyConnection, table: Table, operations: int) -> pa.Table:
    """Rows of a raw table, or of the ledger over the stored operations; columns that no SQL reads are NULL."""
    query = _MADE_UP[table.name]
    sizes = {"operations": operations, "lines": operations // OPERATIONS_PER_LINE}
    made = connection.sql(query, params={name: value for name, value in sizes.items() if f"${name}" in query})
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


def make_lake(root: Path, operations: int) -> None:
    """One shift date of raw tables, ledger, cost tables and recipes; the window before it repeats its aggregates."""
    lake = Lake(root)
    with duckdb.connect() as connection:
        quiet(connection)
        for table in RAW:
            lake.replace(table, SHIFT_DATE, made_up(connection, table, operations), {})
        connection.register("stock_operations", connection.read_parquet(str(lake.path(STOCK_OPERATIONS, SHIFT_DATE))))
        lake.replace(STOCK_LEDGER, SHIFT_DATE, made_up(connection, STOCK_LEDGER, operations), {})
    with connect() as connection:
        quiet(connection)
        for table in (*COST, RECIPE_OBSERVED):
            lake.replace(table, SHIFT_DATE, run(connection, lake, table), {})
    for table in IN_WINDOW:
        rows = lake.read(table, SHIFT_DATE)
        assert rows is not None
        for day in RULES.window(SHIFT_DATE):
            lake.replace(table, day, rows, {})


def inputs_of(connection: duckdb.DuckDBPyConnection, lake: Lake, table: Table) -> dict[str, duckdb.DuckDBPyRelation]:
    """The table's inputs over the lake's Parquet, by the names that its SQL knows them by."""
    inputs = {name: connection.read_parquet(str(lake.path(TABLES[name], SHIFT_DATE))) for name in table.inputs}
    for name in table.trailing:
        window = [lake.path(TABLES[name], day) for day in RULES.window(SHIFT_DATE)]
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


def add_up(inputs: Mapping[str, duckdb.DuckDBPyRelation], query: str) -> None:
    """Sum the columns of the inputs that a query names; what can't be summed is compared."""
    words = set(re.findall(r"\w+", re.sub(r"--.*", "", query)))
    for name, relation in inputs.items():
        table = TABLES[name.removeprefix("trailing_")]
        read = [column for column in table.columns if column.name in words]
        sums = [f'{"sum" if column.kind in _ADDED_UP else "max"}("{column.name}")' for column in read]
        relation.aggregate(", ".join(sums)).fetchall()


def seconds_of(action: Callable[[], object], repeats: int) -> float:
    """The shortest of some runs."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        taken.append(time.perf_counter() - start)
    return min(taken)


def measure(root: Path, repeats: int, names: Collection[str]) -> list[Figure]:
    """A figure per named table."""
    lake = Lake(root)
    figures = []
    with connect() as connection:
        quiet(connection)
        operations = {"stock_operations": connection.read_parquet(str(lake.path(STOCK_OPERATIONS, SHIFT_DATE)))}
        base = seconds_of(partial(add_up, operations, query_of(RECIPE_OBSERVED)), repeats)
        for table in MEASURED:
            if table.name not in names:
                continue
            query = query_of(table)
            rows = run(connection, lake, table).num_rows
            taken = seconds_of(partial(run, connection, lake, table), repeats)
            own = seconds_of(partial(add_up, inputs_of(connection, lake, table), query), repeats)
            figures.append(Figure(table.name, rows, taken, taken / own, taken / base))
    return figures


def show(operations: int, figures: list[Figure]) -> None:
    """Print the figures of one size as a table."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\n{operations:,} operations; DuckDB's memory limit {MEMORY_LIMIT}, the process took {peak:,.0f} MB at most")
    print(f"{'table':<20}{'rows':>12}{'seconds':>10}{'× its inputs':>14}{'× operations':>14}")
    for figure in figures:
        print(
            f"{figure.table:<20}{figure.rows:>12,}{figure.seconds:>10.3f}{figure.own:>14.1f}{figure.operations:>14.1f}"
        )


def in_process_of_its_own(work: Callable[..., None], *arguments: object) -> None:
    """Run it where its memory is its own, so that one size does not count for another."""
    process = get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)


def measure_and_show(root: Path, operations: int, repeats: int, names: Collection[str]) -> None:
    """One size, in figures."""
    show(operations, measure(root, repeats, names))


def main() -> None:
    """Make the lakes, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, nargs="+", default=[1_000_000, 10_000_000], help="sizes")
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the shortest counts")
    every = [table.name for table in MEASURED]
    parser.add_argument("--tables", nargs="+", choices=every, default=every, help="which of them", metavar="TABLE")
    parser.add_argument("--lake", type=Path, help="keep the lakes in this folder, and use those that are there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for operations in options.operations:
            root = (options.lake or Path(scratch)) / str(operations)
            if not root.exists():
                in_process_of_its_own(make_lake, root, operations)
            in_process_of_its_own(measure_and_show, root, operations, options.repeats, options.tables)


if __name__ == "__main__":
    main()
