"""The findings of days by the product's own SQL: of given rows, and of a whole history through the lake.

What other tables of the variance group give is built here from the same rows in plain Python, so that these
tests speak of the findings alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
import pyarrow as pa

from clopos_assets.compute import Rules, compute, select
from clopos_assets.lake import Lake
from clopos_assets.tables import INGREDIENT_USAGE, LINE_COGS, RECEIPT_PRODUCTS, RECEIPTS, STOCK_OPERATIONS, TABLES
from clopos_assets.tables.variance import RECIPE_OBSERVED, STOCK_LEDGER, VARIANCE_FINDINGS
from tests.oracle import Json, cost_tables, raw_tables, shift_dates
from tests.sql.day import as_arrow
from tests.tables.decoding import raw_arrow
from tests.variance.findings_oracle import Limits, Row, ledger_rows

FINDINGS = VARIANCE_FINDINGS
# Of the cost tables those that findings are made from.
COST = (LINE_COGS, INGREDIENT_USAGE)
Answers = tuple[list[dict[str, Any]], dict[int, list[dict[str, Any]]]]


def limits_of(rules: Rules) -> Limits:
    """The same rules in the oracle's words."""
    return Limits(
        money=Fraction(rules.money_tolerance),
        quantity=Fraction(rules.quantity_tolerance),
        cost_unit=Fraction(rules.cost_unit),
        shift_end=rules.shift_end,
        standard_days=rules.standard_days,
    )


def oracle_days(answers: Answers, since: str = "") -> dict[str, dict[str, list[Row]]]:
    """Raw and cost rows by shift date, by the oracle, `since` one, inclusive."""
    receipts, operations = answers
    return {
        day: {**raw_tables(rows, operations), **cost_tables(rows, operations)}
        for day, rows in shift_dates(receipts).items()
        if day >= since
    }


def recipe_rows(line_cogs: Iterable[Row], operations: Iterable[Row]) -> list[Row]:
    """A row per venue, product sold and ingredient; of its figures only sums are filled."""
    lines = {(line["receipt_id"], line["receipt_product_id"]): line for line in line_cogs}
    pairs: dict[tuple[int, int, int], Row] = {}
    for operation in operations:
        line = lines.get((operation["receipt_id"], operation["receipt_product_id"]))
        if line is None:
            continue
        key = (line["venue_id"], line["product_id"], operation["product_id"])
        row = pairs.setdefault(key, recipe_row(*key, quantity=Decimal(0), total_cost=Decimal(0)))
        row["quantity"] += operation["quantity"]
        row["total_cost"] += operation["total_cost"]
    return list(pairs.values())


def recipe_row(venue_id: int, product_id: int, ingredient_id: int, **columns: object) -> Row:
    """A pair of which nothing is known but that it deducted something."""
    row: Row = {"venue_id": venue_id, "product_id": product_id, "ingredient_id": ingredient_id}
    row |= {"quantity": 1, "total_cost": 1, "lines": 0, "deviating_lines": 0, "modified_lines": 0}
    return row | {"is_thousandfold": False} | columns


def dated(table_rows: pa.Table, shift_date: object) -> pa.Table:
    """Rows as they stand in a window: with the shift date they are of."""
    return table_rows.append_column("shift_date", pa.array([shift_date] * table_rows.num_rows, type=pa.date32()))


def findings_of_rows(
    connection: duckdb.DuckDBPyConnection,
    receipts: Sequence[Row],
    lines: Sequence[Row] = (),
    operations: Sequence[Row] = (),
    *,
    recipes: Sequence[Row] = (),
    usage: Sequence[Row] = (),
    ledger: Sequence[Row] = (),
    rules: Rules | None = None,
    shift_date: str = "2026-01-19",
) -> list[Row]:
    """The findings of one shift date; `recipes` and `usage` are the window's rows, of one day of it.

    Without `ledger` the operations are each their stock's first.
    """
    rules = rules or Rules()
    day = rules.values(shift_date)["shift_date"]
    tables = {
        RECEIPTS.name: as_arrow(RECEIPTS, receipts),
        RECEIPT_PRODUCTS.name: as_arrow(RECEIPT_PRODUCTS, lines),
        STOCK_OPERATIONS.name: as_arrow(STOCK_OPERATIONS, operations),
        STOCK_LEDGER.name: as_arrow(STOCK_LEDGER, ledger),
        "trailing_recipe_observed": dated(as_arrow(RECIPE_OBSERVED, recipes), day),
        "trailing_ingredient_usage": dated(as_arrow(INGREDIENT_USAGE, usage), day),
    }
    tables[LINE_COGS.name] = select(connection, LINE_COGS, {name: tables[name] for name in LINE_COGS.inputs})
    sold, deducted = tables[LINE_COGS.name].to_pylist(), tables[STOCK_OPERATIONS.name].to_pylist()
    tables[RECIPE_OBSERVED.name] = as_arrow(RECIPE_OBSERVED, recipe_rows(sold, deducted))
    return select_findings(connection, tables, shift_date, rules)


def select_findings(
    connection: duckdb.DuckDBPyConnection, tables: Mapping[str, pa.Table], shift_date: str, rules: Rules
) -> list[Row]:
    """The SQL over its inputs, checked against the declaration."""
    names = (*FINDINGS.inputs, *(f"trailing_{name}" for name in FINDINGS.trailing))
    found = select(connection, FINDINGS, {name: tables[name] for name in names}, rules.values(shift_date))
    FINDINGS.check(found)
    rows: list[Row] = found.to_pylist()
    return rows


class Books:
    """A history's lake, from the answers of the API to its findings."""

    def __init__(self, lake: Lake, connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
        self.lake = lake
        self.connection = connection
        self.rules = rules

    def make(self, answers: Answers, since: str = "") -> dict[str, list[Row]]:
        """The findings of every shift date `since` one, inclusive, all tables made in order of date.

        The lake must hold what is before that date.
        """
        receipts, operations = answers
        days = shift_dates(receipts)
        self._file(days, operations, since)
        found: dict[str, list[Row]] = {}
        for day in (day for day in days if day >= since):
            for table in (*COST, FINDINGS):
                if table is FINDINGS:
                    self._file_recipes(day)
                rows = compute(self.lake, self.connection, table, day, self.rules)
                self.lake.replace(table, day, rows, {})
            found[day] = rows.to_pylist()
        return found

    def _file(self, days: Mapping[str, Sequence[Json]], operations: Mapping[int, Sequence[Json]], since: str) -> None:
        raw: dict[str, dict[str, list[Row]]] = {}
        for day, receipts in days.items():
            if day >= since:
                for name, rows in raw_arrow(receipts, operations).items():
                    self.lake.replace(TABLES[name], day, rows, {})
            raw[day] = {STOCK_OPERATIONS.name: self._rows(STOCK_OPERATIONS.name, day)}
        for day, ledger in ledger_rows(raw).items():
            if day >= since:
                self.lake.replace(STOCK_LEDGER, day, as_arrow(STOCK_LEDGER, ledger), {})

    def _file_recipes(self, day: str) -> None:
        lines, operations = self._rows("line_cogs", day), self._rows(STOCK_OPERATIONS.name, day)
        self.lake.replace(RECIPE_OBSERVED, day, as_arrow(RECIPE_OBSERVED, recipe_rows(lines, operations)), {})

    def _rows(self, name: str, day: str) -> list[Row]:
        rows = self.lake.read(TABLES[name], day)
        assert rows is not None
        listed: list[Row] = rows.to_pylist()
        return listed
