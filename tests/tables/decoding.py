"""API objects as Arrow, by the product's own readers: the way from an answer to the lake without HTTP."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from clopos_assets.tables import RECEIPT_PRODUCTS, RECEIPTS, STOCK_OPERATIONS
from clopos_assets.tables.rows import RowReader

Json = Mapping[str, Any]

FETCHED_AT = datetime(2026, 1, 22, 6, 0, 30, 123456, tzinfo=UTC)
RECEIPT = RowReader(RECEIPTS)
LINE = RowReader(RECEIPT_PRODUCTS, ("receipt_id", "venue_id"))
OPERATION = RowReader(STOCK_OPERATIONS, ("venue_id",))


def load_json(path: Path) -> dict[str, Any]:
    """A JSON file, its decimals exact."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    return content


def raw_arrow(receipts: Sequence[Json], operations: Mapping[int, Sequence[Json]]) -> dict[str, pa.Table]:
    """The raw tables of one shift date; every answer in `operations` to a receipt of these is taken."""
    rows = [RECEIPT.read(receipt) for receipt in receipts]
    lines = [
        LINE.read(line, receipt["id"], receipt["venue_id"])
        for receipt in receipts
        for line in receipt["receipt_products"]
    ]
    deductions = [
        OPERATION.read(item, receipt["venue_id"]) for receipt in receipts for item in operations.get(receipt["id"], ())
    ]
    return {
        RECEIPTS.name: RECEIPT.to_arrow(rows, FETCHED_AT),
        RECEIPT_PRODUCTS.name: LINE.to_arrow(lines, FETCHED_AT),
        STOCK_OPERATIONS.name: OPERATION.to_arrow(deductions, FETCHED_AT),
    }
