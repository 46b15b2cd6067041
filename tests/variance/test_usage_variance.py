"""usage_variance: the golden dates, and given these sales, expect those variances."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clopos_assets.compute import Rules, query_of, select
from clopos_assets.database import connect
from clopos_assets.tables import RECIPE_OBSERVED, TABLES, USAGE_VARIANCE, ContractError, Table
from tests.golden.period import DAYS, OPERATIONS, expected_rows
from tests.sql.day import pick
from tests.variance import usage_days
from tests.variance.usage_days import RICE, Kitchen, Till, day_of
from tests.variance.usage_oracle import Answers, differences, figure, usage_variance

GOLDEN = {date.fromisoformat(day): Answers(receipts, OPERATIONS) for day, receipts in DAYS.items()}
VARIANCES = "price_variance usage_variance total_variance"


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kitchen]:
    with connect() as connection:
        yield Kitchen(connection, tmp_path_factory.mktemp("lakes"))


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


# One pair: units, quantity and cost of the date, and in the window units, quantity of the pair, quantity and cost of
# the ingredient, all in millionths.
Figures = tuple[int, int, int, int, int, int, int]
SIZES = st.one_of(
    st.sampled_from([0, 1, -1, 3, 500_000, 1_000_000, 12_345_678_901_123_456, 9_999_999_999_999_999]),
    st.integers(-(10**7), 10**7),
    st.integers(-(10**12), 10**12),
    st.integers(-(10**17), 10**17),
)
POSITIVE = SIZES.map(lambda size: abs(size) + 1)
LARGE = st.integers(9 * 10**16, 10**17)  # near each other, so that results fit while their products are huge
FIGURES = st.one_of(
    st.tuples(SIZES, SIZES, SIZES, POSITIVE, SIZES, POSITIVE, SIZES),
    st.tuples(LARGE, LARGE, LARGE, LARGE, LARGE, LARGE, LARGE),
)


def fractions_of(figures: Figures) -> tuple[Fraction, Fraction]:
    units, quantity, cost, then_units, then_pair, then_quantity, then_cost = map(Fraction, figures)
    standard_cost = then_cost / then_quantity
    price = cost - standard_cost * quantity
    usage = standard_cost * (quantity - then_pair / then_units * units)
    return price / 10**6, usage / 10**6


def inputs_of(figures: Figures) -> dict[str, pa.Table]:
    units, quantity, cost, then_units, then_pair, then_quantity, then_cost = (
        Decimal(f"{figure_}e-6") for figure_ in figures
    )
    pair = {"venue_id": 1, "product_id": 10, "ingredient_id": 501}
    rows: dict[str, dict[str, Any]] = {
        "recipe_observed": pair | {"quantity": quantity, "total_cost": cost},
        "product_cogs": {"venue_id": 1, "product_id": 10, "units_sold": units},
        "trailing_recipe_observed": pair | {"quantity": then_pair},
        "trailing_product_cogs": {"venue_id": 1, "product_id": 10, "units_sold": then_units},
        "trailing_ingredient_usage": {
            "venue_id": 1,
            "product_id": 501,
            "quantity": then_quantity,
            "total_cost": then_cost,
        },
        "trailing_daily_cogs": {"venue_id": 1},
    }
    inputs = {}
    for name, row in rows.items():
        schema = TABLES[name.removeprefix("trailing_")].schema
        nullable = pa.schema([field.with_nullable(True) for field in schema])
        inputs[name] = pa.Table.from_pylist([row], schema=nullable)
        if name.startswith("trailing_"):
            inputs[name] = inputs[name].append_column("shift_date", pa.array([day_of(0)], type=pa.date32()))
    return inputs


@settings(derandomize=True, deadline=None, database=None, max_examples=150)
@given(FIGURES)
@example((10**17, -(10**17) + 7, 10**17 - 1, 10**17 - 3, -(10**17) + 9, 10**17 - 11, 10**17 - 13))
@example((10**17 - 1, 10**17 - 1, 10**17 - 1, 28 * 10**16, 28 * 10**16 - 1, 28 * 10**16, 28 * 10**16 - 3))
@example((1, 5, 0, 2, 1, 3, 1))
def test_variances_are_exact_to_the_last_digit(kitchen: Kitchen, figures: Figures) -> None:
    """Where the column can hold them; what it can't is refused and never cut."""
    price, usage = map(figure, fractions_of(figures))
    largest = Decimal("999999999999.999999")
    fits = all(abs(value) <= largest for value in (price, usage, price + usage))
    if not fits:
        with pytest.raises(ContractError, match=r"^usage_variance: a figure is too large for its column"):
            select(kitchen.connection, USAGE_VARIANCE, inputs_of(figures))
        return
    rows = select(kitchen.connection, USAGE_VARIANCE, inputs_of(figures)).to_pylist()
    assert pick(rows, VARIANCES) == [(price, usage, price + usage)]
    (row,) = rows
    assert row["standard_quantity"] == pytest.approx(figures[4] / figures[3], rel=1e-12, abs=0)
    assert row["standard_cost"] == pytest.approx(figures[6] / figures[5], rel=1e-12, abs=0)


def test_sums_too_large_to_multiply_are_refused(kitchen: Kitchen) -> None:
    """A divisor of 2 × 18 digits and a rest beside it leave no room in 128 bits."""
    inputs = inputs_of((10**18 - 1, 10**18 - 1, 1, 10**18 - 1, 1, 10**18 - 1, 10**18 - 1))
    for name in ("trailing_product_cogs", "trailing_ingredient_usage"):
        inputs[name] = pa.concat_tables([inputs[name]] * 20)
    with pytest.raises(ContractError, match=r"^usage_variance: a figure is too large for its column"):
        select(kitchen.connection, USAGE_VARIANCE, inputs)


def test_the_examples_hold_large_and_small_figures() -> None:
    """The strategy is worth as much as what it meets: halves aside, results that fit and results that do not."""
    met = {"fits": 0, "does not": 0, "needs more than 128 bits": 0}

    @settings(derandomize=True, deadline=None, database=None, max_examples=150)
    @given(FIGURES)
    def count(figures: Figures) -> None:
        price, usage = fractions_of(figures)
        fits = max(abs(price), abs(usage), abs(price + usage)) < 10**12
        met["fits"] += fits
        met["does not"] += not fits
        units, quantity, _, then_units, then_pair, _, then_cost = figures
        met["needs more than 128 bits"] += (
            fits and abs(then_cost * (quantity * then_units - then_pair * units)) >= 1 << 127
        )

    count()
    assert all(met.values()), met
