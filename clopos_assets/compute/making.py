"""Making the rows of a derived table: what it reads of which shift dates, and whether what comes out adds up."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import duckdb
import pyarrow as pa

from clopos_assets.compute.inputs import ComputeError, are_small, open_partition, open_window, registered
from clopos_assets.compute.querying import select
from clopos_assets.database import set_threads
from clopos_assets.lake import Lake
from clopos_assets.tables import RECEIPTS, STOCK_OPERATIONS, TABLES, ContractError, Table


@dataclass(frozen=True)
class Rules:
    """What the settings say of standards and tolerances; the SQL knows them as parameters of these names."""

    standard_days: int = 28
    money_tolerance: Decimal = Decimal("0.01")
    quantity_tolerance: Decimal = Decimal("0.000001")
    cost_unit: Decimal = Decimal("0.01")
    shift_end: time = time(6)

    def values(self, shift_date: str) -> dict[str, object]:
        """The parameters of one shift date; `shift_ended_at` is local time, the first moment after the shift."""
        day = date.fromisoformat(shift_date)
        return {
            "shift_date": day,
            "shift_ended_at": datetime.combine(day + timedelta(days=1), self.shift_end),
            "money_tolerance": self.money_tolerance,
            "quantity_tolerance": self.quantity_tolerance,
            "cost_unit": self.cost_unit,
        }

    def window(self, shift_date: str) -> list[str]:
        """The calendar days before the shift date that set its standards, ascending."""
        day = date.fromisoformat(shift_date)
        return [(day - timedelta(days=back)).isoformat() for back in range(self.standard_days, 0, -1)]


def compute(lake: Lake, connection: duckdb.DuckDBPyConnection, table: Table, shift_date: str, rules: Rules) -> pa.Table:
    """A table's rows for one shift date, over its inputs and, as `trailing_{name}` with a column `shift_date`,
    its trailing inputs as far as they are materialized.

    Raises ComputeError where an input is not materialized, or where another run has changed what an input was computed
    from and the two do not go together any more; LakeError where one can't be read; ContractError where the rows are
    not what the table declares; duckdb.Error, for which `database.explain` has words, where DuckDB can't.
    """
    try:
        return _compute(lake, connection, table, shift_date, rules)
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error:
        # DuckDB names no file. The lake does, if one is damaged; else it was replaced while DuckDB read it.
        for name in table.inputs:
            lake.read(TABLES[name], shift_date)
    # The lake reads the window itself now: it names what is damaged there, and gives what an older version wrote the
    # declared columns.
    return _compute(lake, connection, table, shift_date, rules, is_packed=False)


def _compute(
    lake: Lake,
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    shift_date: str,
    rules: Rules,
    *,
    is_packed: bool = True,
) -> pa.Table:
    inputs: dict[str, object] = {}
    for name in table.inputs:
        inputs[name] = open_partition(lake, TABLES[name], shift_date)
    # A date that has only some of its trailing tables is left out: they would not go together in a standard.
    window = (
        lake.has_each([TABLES[name] for name in table.trailing], rules.window(shift_date)) if table.trailing else []
    )
    for name in table.trailing:
        inputs[f"trailing_{name}"] = open_window(lake, TABLES[name], window, is_packed=is_packed)
    set_threads(connection, for_few_rows=are_small(lake, table, shift_date, window))
    made = select(connection, table, inputs, rules.values(shift_date))
    if table.name in _RECONCILED:
        try:
            _reconcile(connection, table, made, inputs)
        except ContractError:
            _look_for_changes(lake, connection, table, shift_date, rules)
            raise
    return made


_DEDUCTED = """
    select stock_operations.venue_id, sum(total_cost)
    from stock_operations
    semi join receipts
        on receipts.id = stock_operations.receipt_id and receipts.status = 2 and receipts.deleted_at is null
    group by stock_operations.venue_id
"""
_OF_OPERATIONS = (_DEDUCTED, (RECEIPTS.name, STOCK_OPERATIONS.name), "stock operations")
_OF_LINES = ("select venue_id, sum(cogs) from line_cogs group by venue_id", ("line_cogs",), "lines")
_RECONCILED = {
    "daily_cogs": ("cogs", *_OF_OPERATIONS),
    "ingredient_usage": ("total_cost", *_OF_OPERATIONS),
    "product_cogs": ("cogs", *_OF_LINES),
}
"""The column whose sum is known: from which query, over which inputs, and what these are called."""


def _reconcile(
    connection: duckdb.DuckDBPyConnection, table: Table, made: pa.Table, inputs: Mapping[str, object]
) -> None:
    """Refuse a table whose cost is not that of what it was made from, venue by venue."""
    column, query, of, words = _RECONCILED[table.name]
    with registered(connection, {name: inputs[name] for name in of}):
        wanted: dict[int, Decimal] = dict(connection.execute(query).fetchall())
    summed = made.group_by("venue_id").aggregate([(column, "sum")])
    got: dict[int, Decimal] = dict(zip(*(column.to_pylist() for column in summed.columns), strict=True))
    for venue_id in sorted(wanted.keys() | got.keys()):
        if wanted.get(venue_id, 0) != got.get(venue_id, 0):
            raise ContractError(
                f"{table.name}: cost of goods of venue {venue_id} is {got.get(venue_id, 0)}, and its {words} cost "
                f"{wanted.get(venue_id, 0)}"
            )


def _look_for_changes(
    lake: Lake, connection: duckdb.DuckDBPyConnection, table: Table, shift_date: str, rules: Rules
) -> None:
    """Raise ComputeError where a computed input is not what its own inputs give now.

    A run holds a shift date while it makes one table of it. Another run may change it before the next, and then goes on
    to bring all its tables up to date; its mark says so until it has. Times of files would not tell: they are coarse in
    an object store, and what comes out the same is not written again.
    """
    for computed in (TABLES[name] for name in table.inputs if TABLES[name].group != "raw"):
        if compute(lake, connection, computed, shift_date, rules) != lake.read(computed, shift_date):
            raise ComputeError(
                f"{table.name}: another run has changed the shift date since {computed.name} was made: that run brings "
                "its tables up to date, or make it again when that has ended"
            )
