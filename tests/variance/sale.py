"""One sale of rice, and what may be said differently of it: the rows that tests of the findings begin with."""

from datetime import datetime
from decimal import Decimal
from typing import Protocol

from clopos_assets.compute import Rules
from tests.sql.day import line, operation, receipt
from tests.variance.findings_oracle import Row

PAID = [{"id": 1, "name": "Cash", "amount": Decimal(20)}]
ENDED = datetime(2026, 1, 20, 6)
FIGURES = "expected actual difference amount_at_risk"

# A clean receipt of a sale that deducts; the receipts of each test say what is different.
SALE = [line(1, 1, total=20)]
RICE = [operation(1, 1, 1, cost=2, total_cost=2)]


class Find(Protocol):
    """Gives the findings of receipts, lines and operations, and of the rows of other tables."""

    def __call__(
        self,
        receipts: list[Row],
        lines: list[Row] = ...,
        operations: list[Row] = ...,
        *,
        recipes: list[Row] = ...,
        usage: list[Row] = ...,
        ledger: list[Row] = ...,
        rules: Rules | None = ...,
    ) -> list[Row]: ...


def sold(**columns: object) -> list[Row]:
    clean = {"total": 20, "remaining": 0, "payment_methods": PAID, "subtotal": 20, "total_discount": 0}
    clean |= {"service_charge_value": 0, "delivery_fee": 0, "e_tax": 0}
    return [receipt(1, **{**clean, **columns})]


def usage(quantity: object, total_cost: object, **columns: object) -> Row:
    """What a day of the window used of rice."""
    row: Row = {"venue_id": 1, "storage_id": 3, "product_id": 501, "operations": 1, "receipts": 1}
    return row | {"quantity": quantity, "total_cost": total_cost} | columns


def step(operation_id: int, **columns: object) -> Row:
    """A ledger row of rice whose stock before it is what the previous operation left: 9."""
    row: Row = {"stock_operation_id": operation_id, "receipt_id": 1, "venue_id": 1, "storage_id": 3, "stock_id": 5501}
    row |= {"product_id": 501, "product_name": "Rice", "previous_operation_id": 7, "quantity": 1, "cost": 2}
    row |= {"before_quantity": 9, "after_quantity": 8, "before_cost": 2, "operated_at": datetime(2026, 1, 19, 12, 30)}
    return row | {"previous_after_quantity": 9, "previous_cost": 2, "unexplained_value": 0} | columns


def only(rows: list[Row], check: str) -> Row:
    assert [row["check_name"] for row in rows] == [check]
    return rows[0]


def names(rows: list[Row]) -> list[str]:
    return sorted(row["check_name"] for row in rows)
