"""Rows to keep in a lake: a day's stock operations, as many as asked for, the same every time."""

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

from clopos_assets.lake import Lake
from clopos_assets.tables import STOCK_OPERATIONS
from clopos_assets.tables.rows import Row
from tests.tables.decoding import FETCHED_AT, OPERATION

DAY = "2026-01-19"
OTHER_DAY = "2026-01-20"
INGREDIENTS = 60
DISHES = 40


def operations(count: int, *, first_id: int = 1) -> pa.Table:
    """Deductions of a shift in order of time, ids ascending, as recipes make them.

    A dish takes fixed quantities of some ingredients, times how many were sold; a stock falls, and its unit cost
    (a moving average, six decimals) changes only where a delivery came between.
    """
    random = Random(first_id)
    stocks = [Decimal(random.randrange(100_000, 900_000)).scaleb(-2) for _ in range(INGREDIENTS)]
    costs = [_unit_cost(random) for _ in range(INGREDIENTS)]
    recipes = [
        [
            (random.randrange(INGREDIENTS), Decimal(random.randrange(5, 500)).scaleb(-3))
            for _ in range(random.randrange(2, 7))
        ]
        for _ in range(DISHES)
    ]
    rows: list[Row] = []
    line = 0
    while len(rows) < count:
        line += 1
        sold = random.choice((1, 1, 1, 2, 3))
        for stock, portion in random.choice(recipes)[: count - len(rows)]:
            if random.random() < 0.001:
                stocks[stock] += 500
                costs[stock] = _unit_cost(random)
            quantity = portion * sold
            before, stocks[stock] = stocks[stock], stocks[stock] - quantity
            answer = {
                "id": first_id + len(rows),
                "receipt_id": 100 + line // 3,
                "receipt_product_id": 1000 + line,
                "product_id": 500 + stock,
                "stock_id": 5500 + stock,
                "storage_id": 3,
                "quantity": quantity,
                "before_quantity": before,
                "after_quantity": stocks[stock],
                "cost": costs[stock],
                "before_cost": costs[stock],
                "total_cost": quantity * costs[stock],
                "operated_at": (datetime(2026, 1, 19, 9) + timedelta(seconds=line // 3 * 7)).isoformat(" "),
                "product": {"id": 500 + stock, "name": f"Ərzaq {stock}"},
                "stock": {"id": 5500 + stock, "storage": {"id": 3, "name": "Anbar 1"}},
            }
            rows.append(OPERATION.read(answer, 1))
    return OPERATION.to_arrow(rows, FETCHED_AT)


def _unit_cost(random: Random) -> Decimal:
    return Decimal(random.randrange(500_000, 20_000_000)).scaleb(-6)


def stored_ids(lake: Lake, shift_date: str = DAY) -> list[int] | None:
    """Ids of the stored operations in order; None while the partition is not materialized."""
    rows = lake.read(STOCK_OPERATIONS, shift_date)
    return None if rows is None else rows.column("id").to_pylist()


def files_under(root: Path) -> set[str]:
    """Every file of a folder, hidden ones too."""
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def column_metadata(file: Path) -> dict[str, pq.ColumnChunkMetaData]:
    """Of the file's first row group, by column path."""
    group = pq.read_metadata(file).row_group(0)
    chunks = [group.column(index) for index in range(group.num_columns)]
    return {chunk.path_in_schema: chunk for chunk in chunks}
