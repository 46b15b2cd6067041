"""Figures that a partition says of itself: given these rows, exactly those."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from clopos_assets.compute import Rules
from clopos_assets.database import connect
from clopos_assets.ingest.made import Facts
from clopos_assets.lake import Lake
from clopos_assets.line.figures import figures_of
from clopos_assets.tables import LINE_COGS, RECEIPTS, STOCK_OPERATIONS, VARIANCE_FINDINGS
from tests.sql.day import Row, as_arrow, operation, receipt

DAY = "2026-01-19"
NOON = datetime(2026, 1, 19, 12)
ENDED = datetime(2026, 1, 20, 6)
FITS = ("receipt_adds_up_fit_pct", "lines_add_up_fit_pct")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def figures(
    lake: Lake,
    receipts: Sequence[Row] = (),
    operations: Sequence[Row] = (),
    lines: Sequence[Row] = (),
    findings: Sequence[Row] = (),
) -> Facts:
    """What `variance_findings` of the day says of itself."""
    for table, rows in ((RECEIPTS, receipts), (STOCK_OPERATIONS, operations), (LINE_COGS, lines)):
        lake.replace(table, DAY, as_arrow(table, rows), {})
    with connect() as connection:
        return figures_of(connection, lake, VARIANCE_FINDINGS, DAY, as_arrow(VARIANCE_FINDINGS, findings), Rules())


def fitting(receipt_id: int, total: str, **columns: object) -> Row:
    """A receipt whose two formulas give 20."""
    row = receipt(receipt_id, total=total, subtotal=20, total_discount=0)
    return row | {"service_charge_value": 0, "delivery_fee": 0, "e_tax": 0} | columns


def sold(line_id: int, receipt_id: int, net_sales: str) -> Row:
    row: Row = {"receipt_product_id": line_id, "receipt_id": receipt_id, "venue_id": 1, "product_id": 10}
    row |= {"is_gift": False, "is_return": False, "deductions": 0, "units_sold": 1, "cogs": 0}
    return row | {"net_sales": net_sales, "gross_profit": net_sales}


def test_a_receipt_that_closes_as_the_shift_ends_is_late(lake: Lake) -> None:
    found = figures(
        lake,
        [
            receipt(1, closed_at=ENDED),
            receipt(2, closed_at=datetime(2026, 1, 20, 5, 59, 59)),
            receipt(3, closed_at=datetime(2026, 1, 20, 8, 30)),
        ],
    )
    assert (found["receipts_closed_late"], found["last_closing_hours_after_shift"]) == (2, 2.5)
    assert found["open_receipts"] == 0


def test_receipts_that_are_open_or_deleted_were_not_late(lake: Lake) -> None:
    late = datetime(2026, 1, 21)
    found = figures(
        lake,
        [
            receipt(1, closed_at=NOON),
            receipt(2, closed_at=late, deleted_at=late),
            receipt(3, closed_at=late, status=1),
            receipt(4, status=1, deleted_at=late),
        ],
        [
            operation(1, 1, None, operated_at=datetime(2026, 1, 19, 12, 0, 7)),
            operation(2, 2, None, operated_at=datetime(2026, 1, 25)),
            operation(3, 3, None, operated_at=datetime(2026, 1, 25)),
        ],
    )
    assert (found["open_receipts"], found["receipts_closed_late"]) == (1, 0)
    assert found["last_closing_hours_after_shift"] == -18
    assert found["posting_lag_seconds"] == 7


def test_formulas_are_tried_on_closed_receipts_that_tell_what_they_need(lake: Lake) -> None:
    found = figures(
        lake,
        [
            fitting(1, "20.01"),  # as far off as is borne
            fitting(2, "20.010001"),
            fitting(3, "20"),
            fitting(4, "20", e_tax=None),
            fitting(5, "99", status=1),
            fitting(6, "99", deleted_at=NOON),
        ],
        lines=[sold(1, 1, "15"), sold(2, 1, "5.01"), sold(3, 2, "20.02"), sold(5, 5, "99"), sold(6, 6, "99")],
    )
    # The third has no line: no formula of lines can be tried on it.
    assert [found[name] for name in FITS] == pytest.approx([200 / 3, 50], rel=1e-12, abs=0)


def test_without_a_receipt_to_try_them_on_the_formulas_fit_is_not_told(lake: Lake) -> None:
    found = figures(lake)
    assert not {*FITS, "last_closing_hours_after_shift", "posting_lag_seconds"} & found.keys()
    assert (found["rows"], found["amount_at_risk"], found["open_receipts"]) == (0, 0, 0)


def test_what_is_told_for_information_is_not_at_risk(lake: Lake) -> None:
    rows = [
        {"finding_id": str(number), "check_name": "x", "severity": severity, "amount_at_risk": amount}
        | {"venue_id": 1, "message": "."}
        for number, (severity, amount) in enumerate([("INFO", "8"), ("WARN", "1.5"), ("ERROR", "0.25"), ("WARN", None)])
    ]
    found = figures(lake, findings=rows)
    assert found["amount_at_risk"] == Decimal("1.75")
    assert [found[f"findings_{name}"] for name in ("error", "warn", "info")] == [1, 2, 1]
