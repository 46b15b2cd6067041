"""line_cogs: given these rows, expect those."""

from decimal import Decimal

import pytest

from clopos_assets.tables import ContractError
from tests.sql.day import Day, line, operation, pick, receipt


def test_a_line_with_all_its_columns(day: Day) -> None:
    rows = day.cost(
        [receipt(1, venue_id=7, sale_type_id=2, total="12.5")],
        [line(11, 1, venue_id=7, count=2, total="12.5")],
        [operation(901, 1, 11, venue_id=7, total_cost="1.28"), operation(902, 1, 11, venue_id=7, total_cost="4.47")],
    )["line_cogs"]
    assert rows == [
        {
            "receipt_product_id": 11,
            "receipt_id": 1,
            "venue_id": 7,
            "sale_type_id": 2,
            "product_id": 10,
            "product_name": "Plov",
            "product_type": "DISH",
            "is_gift": False,
            "is_return": False,
            "deductions": 2,
            "units_sold": Decimal(2),
            "net_sales": Decimal("12.5"),
            "cogs": Decimal("5.75"),
            "gross_profit": Decimal("6.75"),
        }
    ]


def test_nothing_gives_nothing(day: Day) -> None:
    assert day.cost([]) == {"line_cogs": [], "product_cogs": [], "daily_cogs": [], "ingredient_usage": []}


def test_several_operations_do_not_multiply_the_sale(day: Day) -> None:
    rows = day.cost(
        [receipt(1)],
        [line(11, 1, count=3, total=9), line(12, 1, count=1, total=4)],
        [operation(id_, 1, 11, total_cost="0.1") for id_ in range(901, 904)] + [operation(904, 1, 12, total_cost=1)],
    )["line_cogs"]
    assert pick(rows, "receipt_product_id deductions units_sold net_sales cogs") == [
        (11, 3, 3, 9, Decimal("0.3")),
        (12, 1, 1, 4, 1),
    ]


@pytest.mark.parametrize(
    ("portion_size", "units"),
    [(None, 4), (0, 4), ("0.000000", 4), (1, 4), ("0.5", 2), ("2.5", 10), (-1, -4)],
)
def test_units_are_count_times_portion(day: Day, portion_size: object, units: int) -> None:
    rows = day.cost([receipt(1)], [line(11, 1, count=4, portion_size=portion_size)])["line_cogs"]
    assert pick(rows, "units_sold is_return") == [(units, units < 0)]


@pytest.mark.parametrize(
    ("count", "portion_size", "units"),
    [
        # The seventh decimal is a half: to the even neighbour, on both sides of zero and at any size.
        ("0.000001", "0.5", "0"),
        ("0.000003", "0.5", "0.000002"),
        ("0.000005", "0.5", "0.000002"),
        ("0.000007", "0.5", "0.000004"),
        ("-0.000001", "0.5", "0"),
        ("-0.000003", "0.5", "-0.000002"),
        ("-0.000005", "0.5", "-0.000002"),
        ("123456789012.000001", "0.5", "61728394506"),
        ("123456789012.000003", "0.5", "61728394506.000002"),
        ("-123456789012.000005", "0.5", "-61728394506.000002"),
        # Not quite a half.
        ("0.000001", "0.499999", "0"),
        ("0.000001", "0.500001", "0.000001"),
        ("0.000005", "0.500001", "0.000003"),
        ("0.333333", "0.333333", "0.111111"),
        # Products that DECIMAL(18,6) × DECIMAL(18,6) could not hold.
        ("150", "8000", "1200000"),
        ("999999.999999", "12345", "12344999999.987655"),
        ("999999999999.999999", "1", "999999999999.999999"),
        ("999999999999.999999", "0.999999", "999998999999.999999"),
        ("999999999999.999999", "0.000001", "1000000"),
    ],
)
def test_units_are_rounded_half_even(day: Day, count: str, portion_size: str, units: str) -> None:
    rows = day.cost([receipt(1)], [line(11, 1, count=count, portion_size=portion_size)])["line_cogs"]
    assert pick(rows, "units_sold") == [(Decimal(units),)]


def test_units_that_do_not_fit_are_refused(day: Day) -> None:
    for count, portion_size in (("999999999999.999999", "1.000001"), ("-999999999999.999999", "999999999999.999999")):
        with pytest.raises(
            ContractError, match=r"^line_cogs: a figure is too large for its column \(.*\): c"
        ) as caught:
            day.cost([receipt(1)], [line(11, 1, count=count, portion_size=portion_size)])
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("is_gift", "expected"), [(True, True), (False, False), (None, False)])
def test_gifts(day: Day, is_gift: bool | None, expected: bool) -> None:
    rows = day.cost([receipt(1)], [line(11, 1, is_gift=is_gift)])["line_cogs"]
    assert pick(rows, "is_gift") == [(expected,)]


@pytest.mark.parametrize(
    ("is_returns", "count", "expected"),
    [(None, 1, False), (False, 1, False), (True, 1, True), (None, -1, True), (False, -1, True), (None, 0, False)],
)
def test_a_return_is_flagged_or_negative(day: Day, is_returns: bool | None, count: int, expected: bool) -> None:
    rows = day.cost([receipt(1, is_returns=is_returns)], [line(11, 1, count=count)])["line_cogs"]
    assert pick(rows, "is_return") == [(expected,)]


def test_signs_are_kept_as_delivered(day: Day) -> None:
    rows = day.cost(
        [receipt(1)],
        [line(11, 1, count=-1, total="-3.25")],
        [operation(901, 1, 11, quantity=-1, total_cost="-1.1")],
    )["line_cogs"]
    assert pick(rows, "units_sold net_sales cogs gross_profit") == [
        (-1, Decimal("-3.25"), Decimal("-1.1"), Decimal("-2.15"))
    ]


def test_a_line_without_operations_costs_nothing(day: Day) -> None:
    rows = day.cost([receipt(1)], [line(11, 1, total=5)])["line_cogs"]
    assert pick(rows, "deductions cogs gross_profit") == [(0, 0, 5)]


def test_open_and_deleted_receipts_are_left_out(day: Day) -> None:
    receipts = [receipt(1), receipt(2, status=1), receipt(3, deleted_at=receipt(3)["created_at"]), receipt(4, status=3)]
    lines = [line(10 + id_, id_) for id_ in (1, 2, 3, 4)]
    operations = [operation(900 + id_, id_, 10 + id_, total_cost=1) for id_ in (1, 2, 3, 4)]
    tables = day.cost(receipts, lines, operations)
    assert pick(tables["line_cogs"], "receipt_product_id") == [(11,)]
    assert pick(tables["product_cogs"], "lines cogs") == [(1, 1)]
    assert pick(tables["daily_cogs"], "receipts lines cogs") == [(1, 1, 1)]
    assert pick(tables["ingredient_usage"], "operations receipts total_cost") == [(1, 1, 1)]


def test_a_deleted_line_is_left_out(day: Day) -> None:
    rows = day.cost([receipt(1)], [line(11, 1), line(12, 1, deleted_at=receipt(1)["created_at"])])["line_cogs"]
    assert pick(rows, "receipt_product_id") == [(11,)]


def test_an_operation_of_another_receipts_line_is_not_its_cost(day: Day) -> None:
    rows = day.cost([receipt(1), receipt(2)], [line(11, 1), line(12, 2)], [operation(901, 1, 12, total_cost=5)])
    assert pick(rows["line_cogs"], "receipt_product_id deductions cogs") == [(11, 0, 0), (12, 0, 0)]


def test_amounts_of_seventeen_digits(day: Day) -> None:
    rows = day.cost(
        [receipt(1)],
        [line(11, 1, total="12345678901.123456")],
        [operation(901, 1, 11, total_cost="9999999999.999999"), operation(902, 1, 11, total_cost="0.000001")],
    )["line_cogs"]
    assert pick(rows, "net_sales cogs gross_profit") == [
        (Decimal("12345678901.123456"), Decimal("10000000000"), Decimal("2345678901.123456"))
    ]


def test_the_largest_amounts(day: Day) -> None:
    most = Decimal("999999999999.999999")
    rows = day.cost([receipt(1)], [line(11, 1, total=most)], [operation(901, 1, 11, total_cost=most)])["line_cogs"]
    assert pick(rows, "net_sales cogs gross_profit") == [(most, most, 0)]
    large = [operation(901, 1, 11, total_cost="-0.000001"), operation(902, 1, 12, total_cost=-most)]
    with pytest.raises(ContractError) as caught:
        day.cost([receipt(1)], [line(12, 1, total="0.000001"), line(11, 1, total=most), line(13, 1)], large)
    assert str(caught.value) == (
        "line_cogs: a figure is too large for its column "
        "(gross_profit 1000000000000.000000 of receipt_product_id 11, receipt_id 1): correct what can't be right in "
        "Clopos, then make the shift date again"
    )
