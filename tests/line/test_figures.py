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
from clopos_assets.tables import (
    DAILY_COGS,
    INGREDIENT_USAGE,
    LINE_COGS,
    PRODUCT_COGS,
    RECEIPTS,
    RECIPE_OBSERVED,
    STOCK_GAPS,
    STOCK_OPERATIONS,
    USAGE_VARIANCE,
    VARIANCE_FINDINGS,
    Kind,
    Table,
)
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


def test_how_long_after_closing_the_last_deduction_came(lake: Lake) -> None:
    found = figures(
        lake,
        [receipt(1, closed_at=NOON), receipt(2, closed_at=NOON)],
        [
            operation(1, 1, None, operated_at=datetime(2026, 1, 19, 12, 0, 7)),
            operation(2, 2, None, operated_at=datetime(2026, 1, 19, 13)),
        ],
    )
    assert found["posting_lag_seconds"] == 3600


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


def numbered(table: Table, number: int, **columns: object) -> Row:
    """A row in which every figure is another one, and that has a key of its own."""
    row: Row = {}
    for place, column in enumerate(table.columns, start=1):
        if column.kind is Kind.DECIMAL:
            row[column.name] = Decimal(1000 * number + place)
        elif column.kind in (Kind.ID, Kind.WHOLE):
            row[column.name] = number
        elif column.required:
            row[column.name] = {Kind.FLAG: False, Kind.TIME: NOON, Kind.DATE: NOON.date()}.get(column.kind, "x")
    return row | columns


def of_table(lake: Lake, table: Table, *rows: Row) -> Facts:
    with connect() as connection:
        return figures_of(connection, lake, table, DAY, as_arrow(table, rows), Rules())


OF_SALES = ("units_sold", "net_sales", "cogs", "gross_profit")


@pytest.mark.parametrize(
    ("table", "summed"),
    [
        (LINE_COGS, OF_SALES),
        (PRODUCT_COGS, OF_SALES),
        (
            DAILY_COGS,
            (
                *("net_sales", "cogs", "gross_profit", "gift_cogs", "undeducted_sales", "unassigned_cogs"),
                *("estimated_cogs", "receipts_total", "inclusive_tax"),
            ),
        ),
        (INGREDIENT_USAGE, ("total_cost",)),
        (STOCK_GAPS, ("inflow_value", "outflow_value", "revaluation")),
        (RECIPE_OBSERVED, ("total_cost",)),
        (USAGE_VARIANCE, ("cost", "price_variance", "usage_variance", "total_variance")),
    ],
    ids=lambda each: str(each.name) if isinstance(each, Table) else "",
)
def test_sums_worth_plotting(lake: Lake, table: Table, summed: Sequence[str]) -> None:
    rows = [numbered(table, number) for number in (1, 2)]
    expected = {name: rows[0][name] + rows[1][name] for name in summed}
    found = of_table(lake, table, *rows)
    assert found["rows"] == 2
    assert {name: figure for name, figure in found.items() if isinstance(figure, Decimal)} == expected
    assert {name: of_table(lake, table)[name] for name in summed} == dict.fromkeys(summed, 0)


def test_no_sum_leaves_out_what_is_unknown(lake: Lake) -> None:
    rows = [numbered(STOCK_GAPS, 1), numbered(STOCK_GAPS, 2, inflow_value=None)]
    found = of_table(lake, STOCK_GAPS, *rows)
    assert "inflow_value" not in found
    assert found["outflow_value"] == sum(row["outflow_value"] for row in rows)


def test_variances_make_their_total(lake: Lake) -> None:
    """Of pairs with both; the cost is that of all."""
    both = {
        "cost": Decimal(10),
        "price_variance": Decimal(1),
        "usage_variance": Decimal(2),
        "total_variance": Decimal(3),
    }
    price = {"cost": Decimal(5), "price_variance": Decimal(100), "usage_variance": None, "total_variance": None}
    found = of_table(lake, USAGE_VARIANCE, numbered(USAGE_VARIANCE, 1, **both), numbered(USAGE_VARIANCE, 2, **price))
    assert {name: found[name] for name in both} == both | {"cost": Decimal(15)}
    assert found["pairs_without_standard"] == 1


def test_food_cost_is_that_of_all_venues_together(lake: Lake) -> None:
    """And not the mean of theirs; each has a row of its own."""
    first = {"net_sales": Decimal(1200), "cogs": Decimal(300), "gross_profit": Decimal(900), "food_cost_pct": 25.0}
    first |= {"inclusive_tax": Decimal(200), "food_cost_pct_excl_tax": 30.0}
    second = {"net_sales": Decimal(400), "cogs": Decimal("180.5"), "gross_profit": Decimal("219.5")}
    second |= {"inclusive_tax": Decimal(0)}
    third = {name: Decimal(0) for name in ("net_sales", "cogs", "gross_profit", "inclusive_tax")}
    found = of_table(
        lake,
        DAILY_COGS,
        numbered(DAILY_COGS, 1, **first),
        numbered(DAILY_COGS, 2, **second, food_cost_pct=45.125, food_cost_pct_excl_tax=45.125),
        numbered(DAILY_COGS, 3, **third, food_cost_pct=None, food_cost_pct_excl_tax=None),
    )
    assert found["food_cost_pct"] == pytest.approx(100 * 480.5 / 1600, rel=1e-12, abs=0)
    assert found["food_cost_pct_excl_tax"] == pytest.approx(100 * 480.5 / 1400, rel=1e-12, abs=0)
    assert str(found["venues"]).splitlines() == [
        "| venue | net sales | cost of goods | gross profit | food cost % | of sales without tax % |",
        "|--:|--:|--:|--:|--:|--:|",
        "| 1 | 1,200.00 | 300.00 | 900.00 | 25.00 | 30.00 |",
        "| 2 | 400.00 | 180.50 | 219.50 | 45.12 | 45.12 |",
        "| 3 | 0.00 | 0.00 | 0.00 |  |  |",
    ]
    assert not {"food_cost_pct", "food_cost_pct_excl_tax"} & set(
        of_table(lake, DAILY_COGS, numbered(DAILY_COGS, 3, **third))
    )


def test_recipes_that_changed_are_counted(lake: Lake) -> None:
    """One without a quantity per unit, now or before, is none of them."""
    pairs = [("0.2", "0.3"), ("0.3", "0.2"), ("0.2", "0.2"), (None, "0.2"), ("0.2", None)]
    rows = [
        numbered(RECIPE_OBSERVED, number, quantity_per_unit=now, previous_quantity_per_unit=before)
        for number, (now, before) in enumerate(pairs)
    ]
    assert of_table(lake, RECIPE_OBSERVED, *rows)["recipes_changed"] == 2
    assert of_table(lake, RECIPE_OBSERVED)["recipes_changed"] == 0
