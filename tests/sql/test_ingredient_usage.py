"""ingredient_usage: given these rows, expect those."""

from decimal import Decimal

import pytest

from clopos_assets.tables import ContractError
from tests.sql.day import Day, line, operation, pick, receipt


def test_an_ingredient_with_all_its_columns(day: Day) -> None:
    rows = day.cost(
        [receipt(1), receipt(2)],
        [line(11, 1), line(12, 2)],
        [
            operation(901, 1, 11, quantity="0.4", total_cost="1.28"),
            operation(902, 1, 11, quantity="0.2", total_cost="0.64"),
            operation(903, 2, 12, quantity="0.2", total_cost="0.64"),
        ],
    )["ingredient_usage"]
    assert rows == [
        {
            "venue_id": 1,
            "storage_id": 3,
            "product_id": 501,
            "product_name": "Rice",
            "storage_name": "Main",
            "operations": 3,
            "receipts": 2,
            "quantity": Decimal("0.8"),
            "total_cost": Decimal("2.56"),
            "unit_cost": pytest.approx(3.2, rel=1e-12, abs=0),
        }
    ]


def test_venues_storages_and_products_stand_apart(day: Day) -> None:
    rows = day.cost(
        [receipt(1), receipt(2, venue_id=2)],
        [],
        [
            operation(901, 1, None, total_cost=1),
            operation(902, 1, None, storage_id=4, total_cost=2),
            operation(903, 1, None, product_id=502, total_cost=4),
            operation(904, 2, None, venue_id=2, total_cost=8),
            operation(905, 1, None, stock_id=9999, total_cost=16),
        ],
    )["ingredient_usage"]
    assert pick(rows, "venue_id storage_id product_id operations total_cost") == [
        (1, 3, 501, 2, 17),
        (1, 3, 502, 1, 4),
        (1, 4, 501, 1, 2),
        (2, 3, 501, 1, 8),
    ]


@pytest.mark.parametrize("newest", ["Rice", None])
def test_names_are_those_of_the_greatest_operation_id(day: Day, newest: str | None) -> None:
    operations = [
        operation(902, 1, None, product_name="Old rice", storage_name="Old"),
        operation(903, 1, None, product_name=newest, storage_name=newest),
        operation(901, 1, None, product_name="Oldest rice", storage_name="Oldest"),
    ]
    for order in (operations, operations[::-1]):
        rows = day.cost([receipt(1)], [], order)["ingredient_usage"]
        assert pick(rows, "product_name storage_name") == [(newest, newest)]


def test_operations_of_receipts_that_are_not_closed_are_left_out(day: Day) -> None:
    """Nor do they give a name."""
    rows = day.cost(
        [receipt(1), receipt(2, status=1)],
        [],
        [operation(901, 1, None, quantity=2), operation(902, 2, None, product_name="Open", product_id=501)],
    )["ingredient_usage"]
    assert pick(rows, "product_name operations receipts quantity") == [("Rice", 1, 1, 2)]


def test_without_quantity_there_is_no_unit_cost(day: Day) -> None:
    rows = day.cost(
        [receipt(1)],
        [],
        [operation(901, 1, None, quantity=1, total_cost=3), operation(902, 1, None, quantity=-1, total_cost=-1)],
    )["ingredient_usage"]
    assert pick(rows, "quantity total_cost unit_cost") == [(0, 2, None)]


def test_signs_are_kept_as_delivered(day: Day) -> None:
    rows = day.cost([receipt(1)], [], [operation(901, 1, None, quantity=-2, total_cost=-3)])["ingredient_usage"]
    assert pick(rows, "quantity total_cost unit_cost") == [(-2, -3, 1.5)]


def test_sums_of_seventeen_digits(day: Day) -> None:
    operations = [
        operation(id_, 1, None, quantity="0.000001", total_cost="12345678901.123457") for id_ in range(901, 908)
    ]
    rows = day.cost([receipt(1)], [], operations)["ingredient_usage"]
    assert pick(rows, "quantity total_cost") == [(Decimal("0.000007"), Decimal("86419752307.864199"))]


@pytest.mark.parametrize("column", ["quantity", "total_cost"])
def test_a_sum_that_does_not_fit_is_refused(day: Day, column: str) -> None:
    # The receipts' lines take one operation each, so that it is this table whose sum is too large.
    with pytest.raises(ContractError, match=r"^\w+: a figure is too large for its column \(.*\): c") as caught:
        day.cost(
            [receipt(1, venue_id=1)],
            [],
            [operation(id_, 1, None, **{column: "600000000000"}) for id_ in (901, 902)],
        )
    assert "\n" not in str(caught.value)
