"""The stock ledger and its gaps of a whole history in plain Python, told apart from the product on purpose.

Written from the data contract with the standard library alone, over all operations of the history at once. API
objects and rows are as in `tests.oracle`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from tests.oracle import EXACT, KEYS, STEP, Json, Row, exact, is_closed, moment, shift_dates, text, whole

KEYS.update(
    {"stock_ledger": ("stock_operation_id",), "stock_gaps": ("venue_id", "storage_id", "stock_id", "ledger_date")}
)


def ledger_tables(receipts: Iterable[Json], operations: Mapping[int, Sequence[Json]]) -> dict[str, list[Row]]:
    """`stock_ledger` by shift date, from all receipts and their operations by receipt id."""
    by_date = shift_dates(receipts)
    applied: dict[int, list[tuple[str, Json, Json]]] = defaultdict(list)
    for shift_date, filed in by_date.items():
        for receipt in filter(is_closed, filed):
            for item in operations.get(receipt["id"], ()):
                applied[whole(item["stock_id"])].append((shift_date, receipt, item))
    rows: dict[str, list[Row]] = {shift_date: [] for shift_date in by_date}
    for entries in applied.values():
        entries.sort(key=lambda entry: (moment(entry[2]["operated_at"]), entry[2]["id"]))
        previous = None
        for shift_date, receipt, item in entries:
            rows[shift_date].append(_ledger_row(receipt, item, previous))
            previous = item
    return {shift_date: sorted(day, key=lambda row: int(row["stock_operation_id"])) for shift_date, day in rows.items()}


def _ledger_row(receipt: Json, item: Json, previous: Json | None) -> Row:
    before = exact(item["before_quantity"])
    before_cost = None if item.get("before_cost") is None else exact(item["before_cost"])
    after, cost = (None, None) if previous is None else (exact(previous["after_quantity"]), exact(previous["cost"]))
    change = None
    if after is not None and cost is not None and before_cost is not None:
        worth, worth_then = EXACT.multiply(before, before_cost), EXACT.multiply(after, cost)
        change = EXACT.subtract(worth, worth_then).quantize(STEP, context=EXACT)
    product = item.get("product") or {}
    return {
        "stock_operation_id": item["id"],
        "receipt_id": receipt["id"],
        "venue_id": receipt["venue_id"],
        "storage_id": item["storage_id"],
        "stock_id": item["stock_id"],
        "product_id": item["product_id"],
        "product_name": None if product.get("name") is None else text(product["name"]),
        "previous_operation_id": None if previous is None else previous["id"],
        "quantity": exact(item["quantity"]),
        "before_quantity": before,
        "after_quantity": exact(item["after_quantity"]),
        "cost": exact(item["cost"]),
        "before_cost": before_cost,
        "previous_after_quantity": after,
        "previous_cost": cost,
        "unexplained_quantity": None if after is None else EXACT.subtract(before, after),
        "unexplained_value": change,
        "operated_at": moment(item["operated_at"]),
    }


def gaps_of(ledger: Iterable[Row]) -> list[Row]:
    """`stock_gaps` of one shift date, from the rows of its ledger."""
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in ledger:
        if row["unexplained_quantity"] or row["unexplained_value"]:
            key = (row["venue_id"], row["storage_id"], row["stock_id"], row["operated_at"].date())
            groups[key].append(row)
    return [_gap_row(key, groups[key]) for key in sorted(groups)]


def _gap_row(key: tuple[Any, ...], rows: Sequence[Row]) -> Row:
    latest = max(rows, key=lambda row: int(row["stock_operation_id"]))
    came = [row for row in rows if row["unexplained_quantity"] > 0]
    went = [row for row in rows if row["unexplained_quantity"] < 0]
    stayed = [row for row in rows if row["unexplained_quantity"] == 0]
    return {
        **dict(zip(KEYS["stock_gaps"], key, strict=True)),
        "product_id": latest["product_id"],
        "product_name": latest["product_name"],
        "gaps": len(rows),
        "inflow_quantity": _total(came, "unexplained_quantity"),
        "inflow_value": _value(came),
        "outflow_quantity": EXACT.minus(_total(went, "unexplained_quantity")),
        "outflow_value": None if (lost := _value(went)) is None else EXACT.minus(lost),
        "revaluation": _total(stayed, "unexplained_value"),
        "implied_unit_price": _price(came),
    }


def _value(rows: Sequence[Row]) -> Decimal | None:
    if any(row["unexplained_value"] is None for row in rows):
        return None
    return _total(rows, "unexplained_value")


def _total(rows: Iterable[Row], column: str) -> Decimal:
    total = STEP - STEP
    for row in rows:
        total = EXACT.add(total, row[column])
    return total


def _price(came: Sequence[Row]) -> float | None:
    worth = Decimal(0)
    for row in came:
        if row["previous_after_quantity"] < 0 or row["before_quantity"] <= 0 or row["before_cost"] is None:
            return None
        worth = EXACT.add(worth, EXACT.multiply(row["before_quantity"], row["before_cost"]))
        worth = EXACT.subtract(worth, EXACT.multiply(row["previous_after_quantity"], row["previous_cost"]))
    quantity = _total(came, "unexplained_quantity")
    return float(EXACT.divide(worth, quantity)) if quantity else None
