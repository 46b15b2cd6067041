"""How long each table's SQL takes, as ratios to the time DuckDB needs to sum the columns that it reads.

`python -m tests.benchmarks.tables` makes a lake of large shift dates behind a standard window, and measures every
table that is one select over each of them, in a process of its own; operations that are more than a date has,
`--largest`, are measured as several dates and as one. Then the same tables over many shift dates of an ordinary size,
computed and written one after the other as a run does. What is summed are the columns that DuckDB's plan of the query
says it reads, ids and texts included, from the same Parquet files in the same process. `made_up` makes the rows, and
says how much they hold. `--operations 100000` is quick; `--help` says the rest. Seconds differ from machine to
machine, and on a busy one processor time differs less; ratios are what to compare.
"""

import argparse
import json
import re
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from clopos_assets.compute import Rules, compute, query_of, registered, select
from clopos_assets.database import MEMORY_LIMIT, connect
from clopos_assets.lake import Lake
from clopos_assets.tables import (
    COST,
    DAILY_COGS,
    INGREDIENT_USAGE,
    PRODUCT_COGS,
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
from tests.benchmarks.made_up import as_declared, make_day

SHIFT_DATE = "2026-02-01"
RULES = Rules()
MEASURED = (*COST, RECIPE_OBSERVED, USAGE_VARIANCE, STOCK_GAPS, VARIANCE_FINDINGS)
IN_WINDOW = (PRODUCT_COGS, DAILY_COGS, INGREDIENT_USAGE, RECIPE_OBSERVED)
_SUMMED_BY = {Kind.ID: "sum", Kind.WHOLE: "sum", Kind.DECIMAL: "sum", Kind.RATIO: "sum", Kind.PAYMENTS: "count"}

_LEDGER = """
    select
        *, id as stock_operation_id, lag(id) over stock as previous_operation_id,
        lag(after_quantity) over stock as previous_after_quantity, lag(cost) over stock as previous_cost,
        before_quantity - previous_after_quantity as unexplained_quantity,
        cast(before_quantity * cast(cost as decimal(28, 6)) as decimal(18, 6)) - cast(
            previous_after_quantity * cast(previous_cost as decimal(28, 6)) as decimal(18, 6)
        ) as unexplained_value
    from stock_operations
    window stock as (partition by stock_id order by operated_at, id)
"""


@dataclass(frozen=True)
class Seconds:
    """Time that passed, and processor time of all threads."""

    passed: float
    processor: float

    def __add__(self, other: "Seconds") -> "Seconds":
        return Seconds(self.passed + other.passed, self.processor + other.processor)


@dataclass(frozen=True)
class Figure:
    """What one table took: rows made, seconds, and those of summing the columns that it reads."""

    table: str
    rows: int
    seconds: Seconds
    summed: Seconds


def file_inputs(root: Path, operations: int, shift_dates: Iterable[str]) -> None:
    """File the raw tables of shift dates and their ledger."""
    lake = Lake(root)
    with duckdb.connect() as connection:
        quiet(connection)
        for day in shift_dates:
            for name, rows in make_day(connection, operations, day).items():
                lake.replace(TABLES[name], day, rows, {})
            with registered(
                connection, {"stock_operations": connection.read_parquet(str(lake.path(STOCK_OPERATIONS, day)))}
            ):
                lake.replace(STOCK_LEDGER, day, as_declared(connection, STOCK_LEDGER, _LEDGER, {}), {})


def make_lake(root: Path, operations: int, shift_dates: Sequence[str] = (SHIFT_DATE,)) -> None:
    """Raw tables, ledger, cost tables and recipes of shift dates with so many operations each.

    The window before them repeats the first one's aggregates.
    """
    lake = Lake(root)
    file_inputs(root, operations, shift_dates)
    with connect() as connection:
        quiet(connection)
        for day in shift_dates:
            for table in (*COST, RECIPE_OBSERVED):
                lake.replace(table, day, run(connection, table, inputs_of(connection, lake, table, day), day), {})
            if day == shift_dates[0]:
                for table in IN_WINDOW:
                    rows = lake.read(table, day)
                    assert rows is not None
                    for before in RULES.window(day):
                        lake.replace(table, before, rows, {})


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


def run(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    inputs: Mapping[str, duckdb.DuckDBPyRelation],
    shift_date: str = SHIFT_DATE,
) -> pa.Table:
    """The table's rows from its SQL."""
    return select(connection, table, inputs, RULES.values(shift_date))


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


def timed(action: Callable[[], object]) -> Seconds:
    """What a run takes."""
    start = time.perf_counter(), time.process_time()
    action()
    return Seconds(time.perf_counter() - start[0], time.process_time() - start[1])


def least_of(action: Callable[[], object], repeats: int) -> Seconds:
    """The least that some runs took."""
    taken = [timed(action) for _ in range(repeats)]
    return Seconds(min(one.passed for one in taken), min(one.processor for one in taken))


def seconds_of(action: Callable[[], object], repeats: int) -> float:
    """The time that passed in the shortest of some runs."""
    return least_of(action, repeats).passed


def measure(root: Path, repeats: int, table: Table, shift_dates: Sequence[str] = (SHIFT_DATE,)) -> Figure:
    """One table of large shift dates."""
    lake = Lake(root)
    rows, taken, summed = 0, Seconds(0, 0), Seconds(0, 0)
    with connect() as connection:
        quiet(connection)
        inputs = inputs_of(connection, lake, table)
        columns = columns_read(connection, inputs, query_of(table), RULES.values(SHIFT_DATE))
        for day in shift_dates:
            inputs = inputs_of(connection, lake, table, day)
            rows += run(connection, table, inputs, day).num_rows
            taken += least_of(partial(run, connection, table, inputs, day), repeats)
            summed += least_of(partial(add_up, inputs, columns), repeats)
    return Figure(table.name, rows, taken, summed)


def days_of(operations: int, count: int) -> list[str]:
    """The shift dates, up to and with `SHIFT_DATE`, that so many operations make, `count` on each."""
    last = date.fromisoformat(SHIFT_DATE)
    return [(last - timedelta(days=back)).isoformat() for back in reversed(range(operations // count))]


def measure_days(root: Path, repeats: int, table: Table, shift_dates: Sequence[str]) -> Figure:
    """One table made for many shift dates in order, read and written as a run does it; summed are the same files."""
    lake = Lake(root)
    counts: list[int] = []
    with connect() as connection:
        quiet(connection)
        _file(lake, connection, table, shift_dates[0])  # what a process does once is left out
        taken = timed(lambda: counts.extend(_file(lake, connection, table, day) for day in shift_dates))
        of_last = inputs_of(connection, lake, table)
        columns = columns_read(connection, of_last, query_of(table), RULES.values(SHIFT_DATE))
        summed = Seconds(0, 0)
        for day in shift_dates:
            summed += least_of(partial(add_up, inputs_of(connection, lake, table, day), columns), repeats)
    return Figure(table.name, sum(counts), taken, summed)


def _file(lake: Lake, connection: duckdb.DuckDBPyConnection, table: Table, shift_date: str) -> int:
    made = compute(lake, connection, table, shift_date, RULES)
    lake.replace(table, shift_date, made, {})
    return len(made)


def show_heading(what: str) -> None:
    """Print what follows and the columns' names."""
    print(f"\n{what}; DuckDB's memory limit {MEMORY_LIMIT}, `processor` is the ratio of")
    print("processor times, `MB` what the process took at most")
    print(f"{'table':<20}{'rows':>12}{'seconds':>10}{'summing':>10}{'ratio':>8}{'processor':>12}{'MB':>8}", flush=True)


def show(figure: Figure) -> None:
    """Print a figure as a line of the table."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    taken, summed = figure.seconds, figure.summed
    print(
        f"{figure.table:<20}{figure.rows:>12,}{taken.passed:>10.3f}{summed.passed:>10.3f}"
        f"{taken.passed / summed.passed:>8.1f}{taken.processor / summed.processor:>12.1f}{peak:>8,.0f}",
        flush=True,
    )


def in_process_of_its_own(work: Callable[..., None], *arguments: object) -> None:
    """Run it where its memory is its own, so that one size does not count for another."""
    process = get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)


def measure_and_show(root: Path, repeats: int, table: Table, shift_dates: Sequence[str]) -> None:
    """One table of large shift dates, in figures."""
    show(measure(root, repeats, table, shift_dates))


def measure_days_and_show(root: Path, repeats: int, table: Table, shift_dates: Sequence[str]) -> None:
    """One table of many shift dates, in figures."""
    show(measure_days(root, repeats, table, shift_dates))


def main() -> None:
    """Make the lakes, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, nargs="*", default=[1_000_000, 10_000_000], help="sizes")
    parser.add_argument("--largest", type=int, default=1_000_000, help="operations of one of several large dates")
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
            # A brand's history comes in dates: what is more than one has is measured as one date and as several.
            for count in dict.fromkeys((min(operations, options.largest), operations)):
                days = days_of(operations, count)
                root = (options.lake or Path(scratch)) / f"{operations} in dates of {count}"
                if not root.exists():
                    in_process_of_its_own(make_lake, root, count, days)
                dates = f"{len(days)} shift dates" if len(days) > 1 else "one shift date"
                show_heading(f"{operations:,} operations as {dates}")
                for table in tables:
                    in_process_of_its_own(measure_and_show, root, options.repeats, table, days)
        if options.in_days:
            days = days_of(options.in_days, options.per_day)
            root = (options.lake or Path(scratch)) / f"{options.in_days} in days of {options.per_day}"
            if not root.exists():
                in_process_of_its_own(file_inputs, root, options.per_day, days)
            show_heading(f"{options.in_days:,} operations as {len(days)} shift dates, made one by one and written")
            for table in tables:
                in_process_of_its_own(measure_days_and_show, root, options.repeats, table, days)


if __name__ == "__main__":
    main()
