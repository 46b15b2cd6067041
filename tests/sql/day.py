"""One shift date in rows: say what matters, the rest has defaults; the cost tables come out."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa

from clopos_assets.compute import select
from clopos_assets.tables import COST, RECEIPT_PRODUCTS, RECEIPTS, STOCK_OPERATIONS, Kind, Table

Row = dict[str, Any]

NOON = datetime(2026, 1, 19, 12)


def receipt(receipt_id: int, **columns: object) -> Row:
    """A closed receipt of venue 1; `columns` say what is different."""
    row: Row = {"id": receipt_id, "venue_id": 1, "status": 2, "total": 0, "created_at": NOON, "updated_at": NOON}
    return row | columns


def line(line_id: int, receipt_id: int, **columns: object) -> Row:
    """A line that sold one Plov for nothing."""
    row: Row = {"id": line_id, "receipt_id": receipt_id, "venue_id": 1, "product_id": 10, "count": 1, "total": 0}
    return row | {"product_name": "Plov", "product_type": "DISH"} | columns


def operation(operation_id: int, receipt_id: int, line_id: int | None, **columns: object) -> Row:
    """A deduction of one unit of rice that cost nothing, from a stock of ten."""
    row: Row = {"id": operation_id, "receipt_id": receipt_id, "receipt_product_id": line_id, "venue_id": 1}
    row |= {"product_id": 501, "stock_id": 5501, "storage_id": 3, "product_name": "Rice", "storage_name": "Main"}
    row |= {"quantity": 1, "before_quantity": 10, "after_quantity": 9, "cost": 0, "total_cost": 0, "operated_at": NOON}
    return row | columns


def as_arrow(table: Table, rows: Sequence[Row]) -> pa.Table:
    """Rows as the table's Arrow: decimals may be written as text, columns not named are NULL."""
    decimals = {column.name for column in table.columns if column.kind is Kind.DECIMAL}
    unknown = {name for row in rows for name in row} - set(table.names)
    assert not unknown, f"{table.name} has no {unknown}"
    filled = [
        {name: Decimal(value) if name in decimals and value is not None else value for name, value in row.items()}
        for row in rows
    ]
    if "fetched_at" in table.names:
        filled = [row | {"fetched_at": datetime(2026, 1, 20, 6, tzinfo=UTC)} for row in filled]
    arrow = pa.Table.from_pylist(filled, schema=table.schema)
    table.check(arrow)
    return arrow


def cost_rows(connection: duckdb.DuckDBPyConnection, raw: Mapping[str, pa.Table]) -> dict[str, list[Row]]:
    """The cost tables made from raw ones, each checked against its declaration, in order of its key."""
    tables = dict(raw)
    for table in COST:
        rows = select(connection, table, {name: tables[name] for name in table.inputs})
        table.check(rows)
        tables[table.name] = rows
    return {
        table.name: tables[table.name].sort_by([(name, "ascending") for name in table.key]).to_pylist()
        for table in COST
    }


class Day:
    """Computes the cost tables of a day."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def cost(
        self, receipts: Sequence[Row], lines: Sequence[Row] = (), operations: Sequence[Row] = ()
    ) -> dict[str, list[Row]]:
        """The four tables, from raw rows."""
        return cost_rows(
            self.connection,
            {
                "receipts": as_arrow(RECEIPTS, receipts),
                "receipt_products": as_arrow(RECEIPT_PRODUCTS, lines),
                "stock_operations": as_arrow(STOCK_OPERATIONS, operations),
            },
        )


def pick(rows: Sequence[Row], columns: str) -> list[tuple[object, ...]]:
    """Some columns of the rows; decimals compare with whole numbers, and with `Decimal`s of any scale."""
    return [tuple(row[name] for name in columns.split()) for row in rows]
