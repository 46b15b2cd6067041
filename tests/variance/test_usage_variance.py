"""usage_variance: the golden dates, and given these sales, expect those variances."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pyarrow as pa
import pytest

from clopos_assets.compute import Rules, query_of
from clopos_assets.tables import RECIPE_OBSERVED, TABLES, USAGE_VARIANCE, Table
from tests.golden.period import DAYS, OPERATIONS, expected_rows
from tests.sql.day import pick
from tests.variance import usage_days
from tests.variance.usage_days import RICE, Kitchen, Till, day_of
from tests.variance.usage_oracle import Answers, differences, usage_variance

GOLDEN = {date.fromisoformat(day): Answers(receipts, OPERATIONS) for day, receipts in DAYS.items()}
VARIANCES = "price_variance usage_variance total_variance"


@pytest.fixture
def till() -> Till:
    return Till()


def test_the_golden_dates(kitchen: Kitchen) -> None:
    made = kitchen.make(GOLDEN)["usage_variance"]
    for day, rows in made.items():
        wanted = expected_rows("usage_variance", day.isoformat())
        assert wanted
        assert differences(rows, wanted) == []
        assert differences(usage_variance(day, GOLDEN), wanted) == []


@pytest.mark.parametrize("name", ["venue_id=7", "shift_date=old"])
def test_what_the_lakes_folder_is_called_is_no_column(kitchen: Kitchen, name: str) -> None:
    assert Kitchen(kitchen.connection, kitchen.folder / name).make(GOLDEN) == kitchen.make(GOLDEN)


def test_what_the_lakes_folder_is_called_is_no_pattern(
    kitchen: Kitchen, till: Till, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of another lake beside it would match."""
    other = Till()
    for number in (0, 1, 2):
        till.sell(number, {501: ("0.2", "0.6")})
        other.sell(number, {501: ("0.7", "9.9")})
    expected = kitchen.make(till.answers())
    monkeypatch.setattr(usage_days, "uuid4", lambda: Mock(hex="of one name"))
    Kitchen(kitchen.connection, tmp_path / "lake").make(other.answers())
    assert Kitchen(kitchen.connection, tmp_path / "l*e").make(till.answers()) == expected


@pytest.mark.parametrize("receipt", [{"status": 1}, {"deleted_at": "2026-03-01 13:00:00"}], ids=["open", "deleted"])
def test_operations_of_a_receipt_that_is_not_closed_cost_nothing(
    kitchen: Kitchen, till: Till, receipt: dict[str, Any]
) -> None:
    till.sell(0, RICE, receipt=receipt)
    assert [rows for made in kitchen.make(till.answers()).values() for rows in made.values() if rows] == []


def test_columns_are_those_of_the_contract() -> None:
    assert USAGE_VARIANCE.names == (
        *("venue_id", "product_id", "ingredient_id", "units_sold", "quantity", "cost", "standard_days"),
        *("standard_quantity", "standard_cost", "price_variance", "usage_variance", "total_variance"),
    )


@pytest.mark.parametrize("table", [RECIPE_OBSERVED, USAGE_VARIANCE], ids=lambda table: str(table.name))
def test_the_result_is_as_declared(kitchen: Kitchen, table: Table) -> None:
    """Names, order and types before anything is cast; a sum of decimals may be wider before it is checked to fit."""
    day = pa.array([], type=pa.date32())
    inputs = {name: TABLES[name].schema.empty_table() for name in table.inputs}
    inputs |= {
        f"trailing_{name}": TABLES[name].schema.empty_table().append_column("shift_date", day)
        for name in table.trailing
    }
    query = query_of(table)
    with kitchen.connection.cursor() as cursor:
        for name, rows in inputs.items():
            cursor.register(name, rows)
        params = {"shift_date": day_of(0)} if "$shift_date" in query else None
        relation = cursor.sql(query, params=params)
        assert relation is not None
        result = relation.to_arrow_table().schema
        for name in inputs:
            cursor.unregister(name)
    assert result.names == list(table.names)
    narrow = [pa.decimal128(18, 6) if kind == pa.decimal128(38, 6) else kind for kind in result.types]
    assert narrow == table.schema.types


def test_price_and_usage(kitchen: Kitchen, till: Till) -> None:
    """The standard is 0.2 for a unit at 3; then 0.5 went into 2 units, at 4."""
    till.sell(0, RICE)
    till.sell(1, {501: ("0.5", 2)}, units=2)
    assert kitchen.variances(till, 1) == [
        {
            "venue_id": 1,
            "product_id": 10,
            "ingredient_id": 501,
            "units_sold": Decimal(2),
            "quantity": Decimal("0.5"),
            "cost": Decimal(2),
            "standard_days": 1,
            "standard_quantity": pytest.approx(0.2, rel=1e-12, abs=0),
            "standard_cost": pytest.approx(3, rel=1e-12, abs=0),
            "price_variance": Decimal("0.5"),
            "usage_variance": Decimal("0.3"),
            "total_variance": Decimal("0.8"),
        }
    ]


@pytest.mark.parametrize("folder", ["shift_date=2020-01-01/product_id=9", "shift_date=2020-01-01 [1] {a,b} *"])
def test_the_window_is_read_whatever_the_folders_above_are_called(
    kitchen: Kitchen, till: Till, tmp_path: Path, folder: str
) -> None:
    till.sell(0, RICE)
    till.sell(1, {501: ("0.5", 2)}, units=2)
    elsewhere = Kitchen(kitchen.connection, tmp_path / folder)
    assert elsewhere.variances(till, 1) == kitchen.variances(till, 1)


def test_without_a_window_there_is_no_standard(kitchen: Kitchen, till: Till) -> None:
    till.sell(0, RICE)
    columns = f"quantity standard_days standard_quantity standard_cost {VARIANCES}"
    assert pick(kitchen.variances(till, 0), columns) == [(Decimal("0.2"), 0, None, None, None, None, None)]


def test_a_pair_of_the_window_whose_product_was_sold_without_it(kitchen: Kitchen, till: Till) -> None:
    till.sell(0, RICE)
    till.sell(1, units=3)
    assert pick(kitchen.variances(till, 1), f"units_sold quantity cost {VARIANCES}") == [
        (3, 0, 0, 0, Decimal("-1.8"), Decimal("-1.8"))
    ]


def test_a_pair_of_the_window_whose_product_was_not_sold(kitchen: Kitchen, till: Till) -> None:
    till.sell(0, RICE)
    till.sell(0, RICE, product=11)
    till.sell(1, {502: (1, 1)}, product=11)
    assert pick(kitchen.variances(till, 1), "product_id ingredient_id") == [(11, 501), (11, 502)]


def test_a_product_sold_before_without_the_ingredient(kitchen: Kitchen, till: Till) -> None:
    """Its standard quantity is 0; the standard cost comes from another product."""
    till.sell(0, units=4)
    till.sell(0, RICE, product=11)
    till.sell(1, RICE)
    (row,) = kitchen.variances(till, 1)
    assert row["standard_quantity"] == 0.0
    assert pick([row], VARIANCES) == [(0, Decimal("0.6"), Decimal("0.6"))]


def test_a_product_not_sold_before_has_no_standard_quantity(kitchen: Kitchen, till: Till) -> None:
    till.sell(0, RICE, product=11)
    till.sell(1, {501: ("0.2", 1)})
    (row,) = kitchen.variances(till, 1)
    assert row["standard_cost"] == pytest.approx(3, rel=1e-12, abs=0)
    assert pick([row], f"standard_quantity {VARIANCES}") == [(None, Decimal("0.4"), None, None)]


@pytest.mark.parametrize("units", [0, -1])
def test_no_standard_quantity_unless_units_were_sold(kitchen: Kitchen, till: Till, units: int) -> None:
    till.sell(0, RICE, units=units)
    till.sell(1, RICE)
    assert pick(kitchen.variances(till, 1), f"standard_quantity {VARIANCES}") == [(None, 0, None, None)]


@pytest.mark.parametrize("quantity", [0, "-0.2"])
def test_no_standard_cost_unless_something_was_deducted(kitchen: Kitchen, till: Till, quantity: object) -> None:
    till.sell(0, {501: (str(quantity), 1)})
    till.sell(1, RICE)
    (row,) = kitchen.variances(till, 1)
    assert row["standard_quantity"] == pytest.approx(float(str(quantity)), rel=1e-12, abs=0)
    assert pick([row], f"standard_cost {VARIANCES}") == [(None, None, None, None)]


def test_a_return(kitchen: Kitchen, till: Till) -> None:
    till.sell(0, RICE)
    till.sell(1, {501: ("-0.3", "-0.6")}, units=-1)
    assert pick(kitchen.variances(till, 1), f"units_sold quantity cost {VARIANCES}") == [
        (-1, Decimal("-0.3"), Decimal("-0.6"), Decimal("0.3"), Decimal("-0.3"), 0)
    ]


def test_units_are_those_of_all_lines(kitchen: Kitchen, till: Till) -> None:
    """Modified lines, and lines without the ingredient, on the date and before it."""
    modified = {"modificators": [{"id": 801}]}
    till.sell(0, RICE)
    till.sell(0, {501: ("0.4", "1.2")}, units=3, line=modified)
    till.sell(1, RICE)
    till.sell(1, units=1)
    till.sell(1, {501: ("0.7", "2.1")}, units=2, line=modified)
    (row,) = kitchen.variances(till, 1)
    assert row["standard_quantity"] == pytest.approx(0.15, rel=1e-12, abs=0)
    assert pick([row], f"units_sold quantity {VARIANCES}") == [
        (4, Decimal("0.9"), 0, Decimal("0.9"), Decimal("0.9")),
    ]


def test_the_cost_standard_is_the_venues_over_all_storages_and_lines(kitchen: Kitchen, till: Till) -> None:
    """Operations of no line count for an ingredient's cost and for no product."""
    till.sell(0, {501: (1, 1)}, storage=3)
    till.sell(0, {501: (1, 2)}, storage=4, product=11)
    till.sell(0, {501: (2, 9)}, operation={"receipt_product_id": None}, product=12)
    till.sell(1, {501: (1, 5)})
    (row,) = kitchen.variances(till, 1)
    assert row["standard_cost"] == pytest.approx(3, rel=1e-12, abs=0)
    assert pick([row], VARIANCES) == [(2, 0, 2)]


def test_an_operation_of_no_line_makes_no_pair(kitchen: Kitchen, till: Till) -> None:
    till.sell(0, {501: (1, 1)}, operation={"receipt_product_id": None})
    till.sell(1)
    assert kitchen.variances(till, 0) == []
    assert kitchen.variances(till, 1) == []


def test_venues_stand_apart(kitchen: Kitchen, till: Till) -> None:
    till.sell(0, {501: (1, 1)}, venue=1)
    till.sell(0, {501: (2, 8)}, venue=2)
    till.sell(1, {501: (1, 2)}, venue=2)
    till.sell(2, {501: (3, 3)}, venue=1)
    till.sell(2, {501: (3, 3)}, venue=2)
    till.sell(2, {501: (3, 3)}, venue=3)
    rows = kitchen.variances(till, 2)
    assert pick(rows, f"venue_id standard_days {VARIANCES}") == [
        (1, 1, 0, 2, 2),
        (2, 2, -7, 5, -2),
        (3, 0, None, None, None),
    ]
    assert [row["standard_quantity"] for row in rows] == [1.0, 1.5, None]


def test_standard_days_are_those_with_a_closed_receipt(kitchen: Kitchen, till: Till) -> None:
    """An empty date and one with an open receipt alone do not count; a closed receipt without operations does."""
    till.sell(0, RICE)
    till.open(1)
    till.sell(2, RICE, receipt={"status": 1})
    till.sell(3, receipt={"receipt_products": []})
    till.sell(5, RICE, receipt={"deleted_at": "2026-03-06 13:00:00"})
    till.sell(6, RICE)
    till.sell(6, RICE)
    till.sell(7, RICE)
    assert pick(kitchen.variances(till, 7), "standard_days") == [(3,)]


@pytest.mark.parametrize(("days_later", "standard_days"), [(1, 1), (28, 1), (29, 0)])
def test_the_twenty_eighth_day_before_is_in_the_window_and_the_day_before_it_is_not(
    kitchen: Kitchen, till: Till, days_later: int, standard_days: int
) -> None:
    till.sell(0, RICE)
    till.sell(days_later, {501: ("0.2", 1)})
    found = (Decimal("0.4"), 0, Decimal("0.4")) if standard_days else (None, None, None)
    assert pick(kitchen.variances(till, days_later), f"standard_days {VARIANCES}") == [(standard_days, *found)]


def test_the_date_itself_and_later_ones_are_not_in_the_window(kitchen: Kitchen, till: Till) -> None:
    till.sell(0, RICE)
    till.sell(1, {501: (1, 1)})
    before = kitchen.variances(till, 0)
    answers = till.answers()
    again = kitchen.make({day: answers[day] for day in (day_of(0), day_of(1))}, Rules(standard_days=1))
    assert again["usage_variance"][day_of(0)] == before
    assert pick(again["usage_variance"][day_of(1)], "standard_cost") == [(pytest.approx(3, rel=1e-12, abs=0),)]


def test_the_length_of_the_window_is_a_setting(kitchen: Kitchen, till: Till) -> None:
    for number, cost in enumerate((1, 3, 5, 9)):
        till.sell(number, {501: (1, cost)})
    for days, price in ((1, 4), (2, 5), (3, 6), (28, 6)):
        rules = Rules(standard_days=days)
        assert pick(kitchen.variances(till, 3, rules), "standard_days price_variance") == [(min(days, 3), price)]


@pytest.mark.parametrize(
    ("cost", "price"),
    [(1, "-0.333333"), (2, "0.666667"), ("1.333333", "0"), ("1.333334", "0.000001"), ("-1", "-2.333333")],
)
def test_thirds_are_rounded_once(kitchen: Kitchen, till: Till, cost: str | int, price: str) -> None:
    till.sell(0, {501: (3, 4)})
    till.sell(1, {501: (1, cost)})
    assert pick(kitchen.variances(till, 1), "price_variance") == [(Decimal(price),)]


@pytest.mark.parametrize(
    ("quantity", "price", "usage"),
    [
        ("0.000001", "0", "0"),
        ("0.000003", "-0.000002", "0.000002"),
        ("0.000005", "-0.000002", "0.000002"),
        ("0.000007", "-0.000004", "0.000004"),
        ("-0.000003", "0.000002", "-0.000002"),
        ("-0.000005", "0.000002", "-0.000002"),
    ],
)
def test_halves_go_to_the_even_side(kitchen: Kitchen, till: Till, quantity: str, price: str, usage: str) -> None:
    """At a standard cost of 0.5 and a standard quantity of 0."""
    till.sell(0)
    till.sell(0, {501: (2, 1)}, product=11)
    till.sell(1, {501: (quantity, 0)})
    assert pick(kitchen.variances(till, 1), "price_variance usage_variance") == [(Decimal(price), Decimal(usage))]
