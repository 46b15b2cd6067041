"""product_cogs: given these rows, expect those."""

from decimal import Decimal

import pytest

from clopos_assets.tables import ContractError
from tests.sql.day import Day, line, operation, pick, receipt


def test_a_product_with_all_its_columns(day: Day) -> None:
    rows = day.cost(
        [receipt(1), receipt(2)],
        [line(11, 1, count=2, total=25), line(12, 2, count="0.5", total="6.25")],
        [operation(901, 1, 11, total_cost=5), operation(902, 2, 12, total_cost="1.25")],
    )["product_cogs"]
    assert rows == [
        {
            "venue_id": 1,
            "product_id": 10,
            "product_name": "Plov",
            "product_type": "DISH",
            "lines": 2,
            "units_sold": Decimal("2.5"),
            "net_sales": Decimal("31.25"),
            "cogs": Decimal("6.25"),
            "gross_profit": Decimal(25),
            "food_cost_pct": 20.0,
            "unit_cost": 2.5,
        }
    ]


def test_venues_and_products_stand_apart(day: Day) -> None:
    rows = day.cost(
        [receipt(1), receipt(2, venue_id=2)],
        [
            line(11, 1, total=1),
            line(12, 1, product_id=20, total=2),
            line(13, 2, venue_id=2, total=4),
            line(14, 1, total=8),
        ],
    )["product_cogs"]
    assert pick(rows, "venue_id product_id lines net_sales") == [(1, 10, 2, 9), (1, 20, 1, 2), (2, 10, 1, 4)]


@pytest.mark.parametrize("newest", ["Plov", None])
def test_names_are_those_of_the_greatest_line_id(day: Day, newest: str | None) -> None:
    lines = [
        line(12, 1, product_name="Old Plov", product_type="GOODS"),
        line(13, 1, product_name=newest, product_type=newest),
        line(11, 1, product_name="Oldest Plov", product_type="TIMER"),
    ]
    for order in (lines, lines[::-1]):
        assert pick(day.cost([receipt(1)], order)["product_cogs"], "product_name product_type") == [(newest, newest)]


def test_without_net_sales_there_is_no_percentage(day: Day) -> None:
    rows = day.cost([receipt(1)], [line(11, 1, total=5), line(12, 1, total=-5)], [operation(901, 1, 11, total_cost=1)])[
        "product_cogs"
    ]
    assert pick(rows, "net_sales food_cost_pct unit_cost") == [(0, None, 0.5)]


def test_without_units_there_is_no_unit_cost(day: Day) -> None:
    rows = day.cost(
        [receipt(1)],
        [line(11, 1, count=1, total=5), line(12, 1, count=-1, total=3)],
        [operation(901, 1, 11, total_cost=1)],
    )["product_cogs"]
    assert pick(rows, "units_sold food_cost_pct unit_cost") == [(0, 12.5, None)]


def test_a_ratio_of_large_sums_is_near_enough(day: Day) -> None:
    rows = day.cost(
        [receipt(1)],
        [line(11, 1, count="0.000003", total="12345678901.123456"), line(12, 1, count=0, total="0.000001")],
        [operation(901, 1, 11, total_cost="9999999999.999999")],
    )["product_cogs"]
    (percentage, unit_cost), *_ = pick(rows, "food_cost_pct unit_cost")
    assert percentage == pytest.approx(
        float(Decimal("999999999999.9999") / Decimal("12345678901.123457")), rel=1e-12, abs=0
    )
    assert unit_cost == pytest.approx(float(Decimal("9999999999.999999") / Decimal("0.000003")), rel=1e-12, abs=0)


@pytest.mark.parametrize("column", ["count", "total"])
def test_a_sum_that_does_not_fit_is_refused(day: Day, column: str) -> None:
    lines = [line(id_, 1, **{column: "600000000000"}) for id_ in (11, 12)]
    with pytest.raises(ContractError, match=r"^product_cogs: a figure is too large for its column \(.*\): c") as caught:
        day.cost([receipt(1)], lines)
    assert "\n" not in str(caught.value)


def test_sums_of_seventeen_digits(day: Day) -> None:
    lines = [line(id_, 1, total="12345678901.123457") for id_ in range(11, 18)]
    rows = day.cost([receipt(1)], lines)["product_cogs"]
    assert pick(rows, "net_sales gross_profit") == [(Decimal("86419752307.864199"), Decimal("86419752307.864199"))]
