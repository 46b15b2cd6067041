"""Variances of one pair to the last digit, whatever the sizes of its figures, beside fractions."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clopos_assets.compute import select
from clopos_assets.tables import TABLES, USAGE_VARIANCE, ContractError
from tests.sql.day import pick
from tests.variance.test_usage_variance import VARIANCES
from tests.variance.usage_days import Kitchen, day_of
from tests.variance.usage_oracle import figure

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
