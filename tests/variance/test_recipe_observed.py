"""recipe_observed: given these sales, expect this recipe."""

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal

import pytest

from clopos_assets.compute import Rules
from clopos_assets.database import connect
from tests.oracle import Row
from tests.sql.day import pick
from tests.variance.usage_days import RICE, TO_RECIPES, Kitchen, Takes, Till, day_of

MODIFIED = {"modificators": [{"id": 801, "name": "Extra"}]}


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kitchen]:
    with connect() as connection:
        yield Kitchen(connection, tmp_path_factory.mktemp("lakes"))


@pytest.fixture
def till() -> Till:
    return Till()


def rice(quantity: object, cost: str | int = 1) -> Takes:
    return {501: (str(quantity), cost)}


def test_a_pair_with_all_its_columns(kitchen: Kitchen, till: Till) -> None:
    till.sell(0, rice("0.1"))
    till.sell(1, {501: ("0.4", "1.2"), 502: ("0.3", "4.5")}, units=2)
    till.sell(1, rice("0.2", "0.6"))
    till.sell(1, rice("0.25", "0.75"))
    till.sell(1, rice("0.5", "1.5"), line=MODIFIED)
    rows = kitchen.recipes(till, 1)
    expected = {
        "venue_id": 1,
        "product_id": 10,
        "ingredient_id": 501,
        "product_name": "Plov",
        "ingredient_name": "Ingredient 501",
        "quantity": Decimal("1.35"),
        "total_cost": Decimal("4.05"),
        "lines": 3,
        "quantity_per_unit": Decimal("0.2"),
        "deviating_lines": 1,
        "deviating_share": pytest.approx(1 / 3, rel=1e-12, abs=0),
        "modified_lines": 1,
        "previous_quantity_per_unit": Decimal("0.1"),
        "changed_on": date(2026, 3, 2),
        "is_thousandfold": False,
    }
    assert rows[0] == expected
    assert list(rows[0]) == list(expected)
    assert pick(rows, "ingredient_id quantity_per_unit lines changed_on") == [
        (501, Decimal("0.2"), 3, date(2026, 3, 2)),
        (502, Decimal("0.15"), 1, None),
    ]


@pytest.mark.parametrize(
    ("quantities", "most_frequent", "deviating"),
    [
        (["0.2"], "0.2", 0),
        (["0.3", "0.2", "0.3"], "0.3", 1),
        (["0.3", "0.2"], "0.2", 1),
        (["0.3", "0.3", "0.1", "0.2", "0.2"], "0.2", 3),
        (["-0.2", "0.2"], "-0.2", 1),
        (["0.2", "0.2000001"], "0.2", 0),
        (["0.2", "0.200001"], "0.2", 1),
        (["0"], "0", 0),
    ],
)
def test_the_most_frequent_and_of_equals_the_smallest(
    kitchen: Kitchen, till: Till, quantities: Sequence[str], most_frequent: str, deviating: int
) -> None:
    for quantity in quantities:
        till.sell(0, rice(quantity))
    rows = kitchen.recipes(till, 0)
    assert pick(rows, "quantity_per_unit deviating_lines lines") == [
        (Decimal(most_frequent), deviating, len(quantities))
    ]


@pytest.mark.parametrize(
    ("quantity", "units", "per_unit"),
    [
        ("0.000001", "2", "0"),
        ("0.000003", "2", "0.000002"),
        ("0.000005", "2", "0.000002"),
        ("-0.000003", "2", "-0.000002"),
        ("-0.000005", "-2", "0.000002"),
        ("0.000005", "-2", "-0.000002"),
        ("0.000004", "2.000001", "0.000002"),
        ("0.000005", "1.999999", "0.000003"),
        ("1", "3", "0.333333"),
        ("2", "3", "0.666667"),
        ("123456789012.123456", "123456789012.123457", "1"),
        ("999999999999.999999", "7", "142857142857.142857"),
        ("0.5", "0.000001", "500000"),
        ("999999.999999", "0.000001", "999999999999"),
    ],
)
def test_quantity_per_unit_is_divided_exactly_and_rounded_half_to_even(
    kitchen: Kitchen, till: Till, quantity: str, units: str, per_unit: str
) -> None:
    till.sell(0, rice(quantity), units=units)
    assert pick(kitchen.recipes(till, 0), "quantity_per_unit quantity") == [(Decimal(per_unit), Decimal(quantity))]


@pytest.mark.parametrize("units", ["0", "0.000001", "-0.000001"])
def test_without_units_or_next_to_none_there_is_no_quantity_per_unit(kitchen: Kitchen, till: Till, units: str) -> None:
    """The other line has one; the quotient by a millionth of a unit would fit no column."""
    till.sell(0, rice("5000000"), units=units)
    rows = kitchen.recipes(till, 0)
    assert pick(rows, "quantity lines quantity_per_unit deviating_lines") == [(5000000, 1, None, 0)]
    till.sell(0, rice("3"))
    rows = kitchen.recipes(till, 0)
    assert pick(rows, "quantity lines quantity_per_unit deviating_lines") == [(5000003, 2, 3, 0)]


def test_portions_count_as_units(kitchen: Kitchen, till: Till) -> None:
    till.sell(0, rice("0.6"), units=2, line={"portion_size": "1.5"})
    assert pick(kitchen.recipes(till, 0), "quantity_per_unit") == [(Decimal("0.2"),)]


@pytest.mark.parametrize(
    ("fields", "modified"),
    [
        ({}, 0),
        ({"modificators": None}, 0),
        ({"modificators": []}, 0),
        ({"modificators": [{"id": 1}]}, 1),
        ({"modificators": [1, 2]}, 1),
        ({"modificators": {"0": {"id": 1}}}, 1),  # a list with gaps, as PHP writes it
        ({"modificators": {}}, 0),
        ({"modificators": "none"}, 0),
        ({"receipt_product_modificators": [{"id": 1}]}, 1),
        ({"receipt_product_modificators": []}, 0),
    ],
)
def test_lines_with_modifiers_stand_apart(
    kitchen: Kitchen, till: Till, fields: dict[str, object], modified: int
) -> None:
    till.sell(0, rice("0.2", 1), line=fields)
    rows = kitchen.recipes(till, 0)
    assert pick(rows, "quantity total_cost lines modified_lines") == [(Decimal("0.2"), 1, 1 - modified, modified)]
    assert pick(rows, "quantity_per_unit deviating_share") == [(None, None) if modified else (Decimal("0.2"), 0.0)]


def test_a_line_that_deducts_an_ingredient_twice_counts_once(kitchen: Kitchen, till: Till) -> None:
    till.sell(0, [(501, "0.1", 1), (501, "0.15", 2), (502, "1", 4)])
    till.sell(0, [(501, "0.25", 8)])
    assert pick(kitchen.recipes(till, 0), "ingredient_id quantity total_cost lines quantity_per_unit") == [
        (501, Decimal("0.5"), 11, 2, Decimal("0.25")),
        (502, 1, 4, 1, 1),
    ]


def test_many_ingredients_on_a_line_are_told_apart(kitchen: Kitchen, till: Till) -> None:
    """More than there are bits to tell repeated ones by, ids that differ by 61 and a negative one among them."""
    ingredients = [*range(1, 140), -7]
    for _ in range(2):
        till.sell(0, [(ingredient, ingredient, 1) for ingredient in ingredients])
    rows = kitchen.recipes(till, 0)
    assert pick(rows, "ingredient_id quantity_per_unit quantity lines deviating_lines") == [
        (ingredient, ingredient, 2 * ingredient, 2, 0) for ingredient in sorted(ingredients)
    ]


def test_what_no_line_of_the_receipt_deducted_is_left_out(kitchen: Kitchen, till: Till) -> None:
    other = till.sell(0, RICE)
    line_id = other["receipt_products"][0]["id"]
    for wrong in (line_id, 999_999, None):
        till.sell(0, RICE, operation={"receipt_product_id": wrong})
    till.sell(0, RICE, line={"deleted_at": "2026-03-01 13:00:00"})
    till.sell(0, RICE, receipt={"status": 1})
    assert pick(kitchen.recipes(till, 0), "quantity lines") == [(Decimal("0.2"), 1)]


def test_only_such_operations_give_no_row(kitchen: Kitchen, till: Till) -> None:
    till.sell(0, RICE, operation={"receipt_product_id": None})
    assert kitchen.recipes(till, 0) == []


def test_venues_and_products_stand_apart(kitchen: Kitchen, till: Till) -> None:
    till.sell(0, rice("0.1"), venue=2)
    till.sell(1, rice("0.2"), venue=1)
    till.sell(1, rice("0.3"), venue=2)
    till.sell(1, rice("0.4"), venue=2, product=11)
    columns = "venue_id product_id quantity_per_unit previous_quantity_per_unit"
    assert pick(kitchen.recipes(till, 1), columns) == [
        (1, 10, Decimal("0.2"), None),
        (2, 10, Decimal("0.3"), Decimal("0.1")),
        (2, 11, Decimal("0.4"), None),
    ]


@pytest.mark.parametrize("quantities", [("0.2", "0.2"), ("0.2", "0.3"), ("0.3", "0.2")])
def test_names_are_those_of_the_greatest_ids(kitchen: Kitchen, till: Till, quantities: Sequence[str]) -> None:
    for name, quantity in zip(("Old", "New"), quantities, strict=True):
        till.sell(
            0,
            rice(quantity),
            line={"meta": {"product": {"name": f"{name} plov"}}},
            operation={"product": {"id": 501, "name": f"{name} rice"}},
        )
    receipts, _ = till.days[day_of(0)]
    receipts.reverse()
    assert pick(kitchen.recipes(till, 0), "product_name ingredient_name") == [("New plov", "New rice")]


def test_a_missing_name_is_null(kitchen: Kitchen, till: Till) -> None:
    till.sell(0, RICE)
    till.sell(0, RICE, line={"meta": {}}, operation={"product": {"id": 501, "name": None}})
    assert pick(kitchen.recipes(till, 0), "product_name ingredient_name") == [(None, None)]


@pytest.mark.parametrize(
    ("by_day", "previous", "changed"),
    [
        (["0.2"], None, None),
        (["0.2", "0.2"], "0.2", None),
        (["0.2", "0.3"], "0.2", 1),
        (["0.2", "0.3", "0.3"], "0.3", 1),
        (["0.2", "0.3", "0.2", "0.2"], "0.2", 2),
        (["0.2", "0.3", "0.2"], "0.3", 2),
        (["0.2", None, "0.2"], "0.2", None),
        (["0.2", None, "0.3"], "0.2", 2),
        (["0.2", "0.3", None, "0.3"], "0.3", 1),
        (["0.2", "modified", "0.3"], "0.2", 2),
        (["0.2", "0.3", "modified"], "0.3", 1),
        (["0.2", "modified"], "0.2", None),
    ],
)
def test_changes_over_days(
    kitchen: Kitchen, till: Till, by_day: Sequence[str | None], previous: str | None, changed: int | None
) -> None:
    """None is a date without the product; "modified" one on which it was sold with modifiers alone."""
    for number, quantity in enumerate(by_day):
        till.open(number)
        if quantity == "modified":
            till.sell(number, rice("9"), line=MODIFIED)
        elif quantity is not None:
            till.sell(number, rice(quantity))
    rows = kitchen.recipes(till, len(by_day) - 1)
    assert pick(rows, "previous_quantity_per_unit changed_on") == [
        (previous and Decimal(previous), None if changed is None else day_of(changed))
    ]


@pytest.mark.parametrize(("days_later", "previous"), [(28, Decimal("0.1")), (29, None)])
def test_the_twenty_eighth_day_before_is_in_the_window_and_the_day_before_it_is_not(
    kitchen: Kitchen, till: Till, days_later: int, previous: Decimal | None
) -> None:
    till.sell(0, rice("0.1"))
    till.sell(days_later, rice("0.2"))
    changed_on = None if previous is None else day_of(days_later)
    assert pick(kitchen.recipes(till, days_later), "previous_quantity_per_unit changed_on") == [(previous, changed_on)]


def test_a_window_of_two_days(kitchen: Kitchen, till: Till) -> None:
    for number, quantity in enumerate(["0.1", None, "0.2", "0.2", "0.2"]):
        till.open(number)
        if quantity:
            till.sell(number, rice(quantity))
    tables = kitchen.make(till.answers(), Rules(standard_days=2), tables=TO_RECIPES)["recipe_observed"]
    found: list[Row] = [row for rows in tables.values() for row in rows]
    assert pick(found, "previous_quantity_per_unit changed_on") == [
        (None, None),
        (Decimal("0.1"), day_of(2)),
        (Decimal("0.2"), None),
        (Decimal("0.2"), None),
    ]


@pytest.mark.parametrize(
    ("before", "now", "slip"),
    [
        ("0.2", "200", True),
        ("200", "0.2", True),
        ("0.2", "180", True),
        ("0.2", "179.999999", False),
        ("0.2", "220", True),
        ("0.2", "220.000001", False),
        ("180", "0.2", True),
        ("179.999999", "0.2", False),
        ("220", "0.2", True),
        ("220.000001", "0.2", False),
        ("-0.2", "-200", True),
        ("-0.2", "200", False),
        ("0", "0", False),
        ("0", "1000", False),
        ("1000", "0", False),
        ("0.2", "0.2", False),
        ("999999999.999999", "999999999999.999", True),
        (None, "1000", False),
    ],
)
def test_a_slip_by_a_thousand(kitchen: Kitchen, till: Till, before: str | None, now: str, slip: bool) -> None:
    if before is not None:
        till.sell(0, rice(before))
    till.sell(1, rice(now))
    assert pick(kitchen.recipes(till, 1), "is_thousandfold") == [(slip,)]


def test_a_slip_is_one_on_its_first_date_alone(kitchen: Kitchen, till: Till) -> None:
    for number, quantity in enumerate(["0.2", "200", "200"]):
        till.sell(number, rice(quantity))
    assert pick(kitchen.recipes(till, 2), "is_thousandfold changed_on") == [(False, day_of(1))]
