"""daily_cogs: given these rows, expect those."""

from decimal import Decimal

import pytest

from clopos_assets.tables import ContractError
from tests.sql.day import NOON, Day, line, operation, pick, receipt


def test_a_day_with_all_its_columns(day: Day) -> None:
    rows = day.cost(
        [receipt(1, total=60, i_tax=10), receipt(2, total="3.5", i_tax=None), receipt(3, status=1, total=99, i_tax=9)],
        [
            line(11, 1, total=50),
            line(12, 1, total=0, is_gift=True),
            line(13, 2, total=10),
            line(14, 3, total=99),
        ],
        [
            operation(901, 1, 11, total_cost=9),
            operation(902, 1, 12, total_cost=2, before_quantity=0),
            operation(903, 1, 77, total_cost="1.5"),
            operation(904, 3, 14, total_cost=50, before_quantity=-1),
        ],
    )["daily_cogs"]
    assert rows == [
        {
            "venue_id": 1,
            "receipts": 2,
            "lines": 3,
            "net_sales": Decimal(60),
            "cogs": Decimal("12.5"),
            "gross_profit": Decimal("47.5"),
            "food_cost_pct": pytest.approx(1250 / 60, rel=1e-12, abs=0),
            "gift_cogs": Decimal(2),
            "undeducted_lines": 1,
            "undeducted_sales": Decimal(10),
            "unassigned_cogs": Decimal("1.5"),
            "estimated_cogs": Decimal(2),
            "receipts_total": Decimal("63.5"),
            "inclusive_tax": Decimal(10),
            "food_cost_pct_excl_tax": 25.0,
        }
    ]


def test_a_venue_with_closed_receipts_but_no_lines(day: Day) -> None:
    rows = day.cost([receipt(1, total=5, i_tax=1)])["daily_cogs"]
    (row,) = rows
    assert pick(rows, "venue_id receipts lines receipts_total inclusive_tax") == [(1, 1, 0, 5, 1)]
    zeros = "net_sales cogs gross_profit gift_cogs undeducted_lines undeducted_sales unassigned_cogs estimated_cogs"
    assert pick(rows, zeros) == [(0,) * 8]
    assert row["food_cost_pct"] is None
    assert row["food_cost_pct_excl_tax"] == 0.0  # nothing was sold, but the tax makes a divisor of −1


def test_a_venue_without_a_closed_receipt_has_no_row(day: Day) -> None:
    rows = day.cost(
        [receipt(1, venue_id=1), receipt(2, venue_id=2, status=1), receipt(3, venue_id=3, deleted_at=NOON)],
        [line(id_ + 10, id_, venue_id=id_, total=1) for id_ in (1, 2, 3)],
    )["daily_cogs"]
    assert pick(rows, "venue_id receipts lines net_sales") == [(1, 1, 1, 1)]


def test_venues_stand_apart(day: Day) -> None:
    rows = day.cost(
        [receipt(1, venue_id=1, total=5), receipt(2, venue_id=2, total=7), receipt(3, venue_id=2, total=9)],
        [line(11, 1, total=5), line(12, 2, venue_id=2, total=7), line(13, 3, venue_id=2, total=9)],
        [
            operation(901, 1, 11, total_cost=1),
            operation(902, 2, 12, venue_id=2, total_cost=2),
            operation(903, 3, 99, venue_id=2, total_cost=4),
            operation(904, 1, 99, total_cost=8, before_quantity=0),
        ],
    )["daily_cogs"]
    assert pick(rows, "venue_id receipts lines net_sales cogs unassigned_cogs estimated_cogs receipts_total") == [
        (1, 1, 1, 5, 9, 8, 8, 5),
        (2, 2, 2, 16, 6, 4, 0, 16),
    ]


def test_operations_of_a_deleted_line_are_unassigned(day: Day) -> None:
    rows = day.cost(
        [receipt(1)],
        [line(11, 1, total=5), line(12, 1, total=9, deleted_at=NOON)],
        [operation(901, 1, 11, total_cost=1), operation(902, 1, 12, total_cost=2)],
    )["daily_cogs"]
    assert pick(rows, "lines net_sales cogs unassigned_cogs") == [(1, 5, 3, 2)]


@pytest.mark.parametrize("line_id", [12, 99, None])
def test_operations_of_no_line_of_their_receipt_are_unassigned(day: Day, line_id: int | None) -> None:
    """12 is a line of the other receipt, 99 of none."""
    rows = day.cost(
        [receipt(1), receipt(2)], [line(11, 1), line(12, 2)], [operation(901, 1, line_id, total_cost="2.5")]
    )
    assert pick(rows["daily_cogs"], "cogs unassigned_cogs") == [(Decimal("2.5"), Decimal("2.5"))]
    assert pick(rows["line_cogs"], "cogs") == [(0,), (0,)]


def test_a_gift_is_part_of_cogs(day: Day) -> None:
    rows = day.cost(
        [receipt(1)],
        [line(11, 1, is_gift=True), line(12, 1, is_gift=False), line(13, 1, is_gift=None)],
        [operation(900 + id_, 1, id_, total_cost=cost) for id_, cost in ((11, 1), (12, 2), (13, 4))],
    )["daily_cogs"]
    assert pick(rows, "cogs gift_cogs") == [(7, 1)]


def test_undeducted_lines(day: Day) -> None:
    """A line counts that sold something, or took it back, and has no operation; one that cost 0 has one."""
    rows = day.cost(
        [receipt(1)],
        [
            line(11, 1, count=1, total=1),
            line(12, 1, count=-1, total=-2),
            line(13, 1, count=0, total=4),
            line(14, 1, count=1, total=8),
            line(15, 1, count=1, total=16, is_gift=True),
        ],
        [operation(901, 1, 14, total_cost=0)],
    )["daily_cogs"]
    assert pick(rows, "undeducted_lines undeducted_sales") == [(3, 15)]


@pytest.mark.parametrize(("before_quantity", "estimated"), [("0.000001", 0), (0, 3), ("-0.000001", 3), (-5, 3), (5, 0)])
def test_cost_is_estimated_where_the_stock_was_not_above_zero(
    day: Day, before_quantity: object, estimated: int
) -> None:
    rows = day.cost(
        [receipt(1)], [line(11, 1)], [operation(901, 1, 11, before_quantity=before_quantity, total_cost=3)]
    )["daily_cogs"]
    assert pick(rows, "cogs estimated_cogs") == [(3, estimated)]


@pytest.mark.parametrize(
    ("net_sales", "tax", "percentage", "excluding_tax"),
    [(100, 0, 20.0, 20.0), (125, 25, 16.0, 20.0), (0, 0, None, None), (10, 10, 200.0, None), (0, 20, None, -100.0)],
)
def test_food_cost(day: Day, net_sales: int, tax: int, percentage: float | None, excluding_tax: float | None) -> None:
    rows = day.cost([receipt(1, i_tax=tax)], [line(11, 1, total=net_sales)], [operation(901, 1, 11, total_cost=20)])[
        "daily_cogs"
    ]
    assert pick(rows, "inclusive_tax food_cost_pct food_cost_pct_excl_tax") == [(tax, percentage, excluding_tax)]


def test_sums_of_seventeen_digits(day: Day) -> None:
    amount = "12345678901.123457"
    rows = day.cost(
        [receipt(id_, total=amount, i_tax=amount) for id_ in range(1, 8)],
        [line(10 + id_, id_, total=amount) for id_ in range(1, 8)],
        [operation(900 + id_, id_, 10 + id_, total_cost="9999999999.999999") for id_ in range(1, 8)],
    )["daily_cogs"]
    total = Decimal("86419752307.864199")
    assert pick(rows, "net_sales cogs gross_profit receipts_total inclusive_tax") == [
        (total, Decimal("69999999999.999993"), Decimal("16419752307.864206"), total, total)
    ]


def test_a_sum_that_does_not_fit_is_refused(day: Day) -> None:
    with pytest.raises(ContractError, match=r"^daily_cogs: a figure is too large for its column \(.*\): c") as caught:
        day.cost([receipt(id_, total="600000000000") for id_ in (1, 2)])
    assert "\n" not in str(caught.value)
