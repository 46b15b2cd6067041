"""Rows to keep in a lake: a day's stock operations, as many as asked for, the same every time."""

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

from clopos_assets.lake import Lake
from clopos_assets.tables import STOCK_OPERATIONS
from tests.tables.decoding import FETCHED_AT, OPERATION

DAY = "2026-01-19"
OTHER_DAY = "2026-01-20"
_INGREDIENTS = ("Düyü", "Mal əti", "Cola", "Un", "Yağ", "Pomidor", "Çay", "Şəkər")


def operations(count: int, *, first_id: int = 1) -> pa.Table:
    """Deductions of a shift in order of time, ids ascending: a stock falls, its cost now and then moves."""
    random = Random(first_id)
    stocks = {number: Decimal(1_000_000) for number in range(len(_INGREDIENTS))}
    costs = {number: Decimal(random.randrange(50, 2000)).scaleb(-2) for number in stocks}
    opened = datetime(2026, 1, 19, 9)
    rows = []
    for number in range(count):
        stock = random.randrange(len(_INGREDIENTS))
        if random.random() < 0.002:
            costs[stock] = Decimal(random.randrange(50_000_000, 2_000_000_000)).scaleb(-8).quantize(Decimal("1e-6"))
        quantity = Decimal(random.randrange(1, 4000)).scaleb(-3)
        before, stocks[stock] = stocks[stock], stocks[stock] - quantity
        answer = {
            "id": first_id + number,
            "receipt_id": 100 + number // 8,
            "receipt_product_id": 1000 + number // 3,
            "product_id": 500 + stock,
            "stock_id": 5500 + stock,
            "storage_id": 3,
            "quantity": quantity,
            "before_quantity": before,
            "after_quantity": stocks[stock],
            "cost": costs[stock],
            "before_cost": costs[stock],
            "total_cost": quantity * costs[stock],
            "operated_at": (opened + timedelta(seconds=number // 8 * 7)).isoformat(" "),
            "product": {"id": 500 + stock, "name": _INGREDIENTS[stock]},
            "stock": {"id": 5500 + stock, "storage": {"id": 3, "name": "Anbar 1"}},
        }
        rows.append(OPERATION.read(answer, 1))
    return OPERATION.to_arrow(rows, FETCHED_AT)


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
