"""Generated histories: both tables equal the oracle, and keep what must hold whatever was sold."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any

import pytest

from clopos_assets.compute import Rules
from clopos_assets.database import connect
from clopos_assets.sandbox import History, HistoryOptions
from tests.oracle import Json, Row, is_closed, shift_dates
from tests.variance.usage_days import Kitchen
from tests.variance.usage_oracle import Answers, differences, recipe_observed, usage_variance

Tables = dict[str, dict[date, list[Row]]]

FIRST = date(2026, 3, 1)
DAYS = 7
STANDARD_DAYS = 4
RULES = Rules(standard_days=STANDARD_DAYS)
RARE = HistoryOptions(
    start_date=FIRST,
    venues=2,
    receipts_per_day=12,
    ahead_rate=0.05,
    late_rate=0.08,
    never_closed_rate=0.03,
    edit_rate=0.1,
    move_rate=0.05,
    deletion_rate=0.05,
    reopen_rate=0.04,
    empty_rate=0.05,
    return_rate=0.1,
    gift_rate=0.05,
)
CLEAN = RARE.without_rare_events()
# Ingredient → the day from which its recipes take so many times as much: a new recipe, and slips by 1,000 both ways.
CHANGED = {105: (3, Decimal("1.1")), 109: (5, Decimal(1000)), 120: (4, Decimal("0.001"))}
MONEY = ("cost", "price_variance", "usage_variance", "total_variance", "standard_cost", "total_cost")


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kitchen]:
    with connect() as connection:
        yield Kitchen(connection, tmp_path_factory.mktemp("lakes"))


@cache
def history_of(options: HistoryOptions, changed: bool) -> dict[date, Answers]:
    """What the API says of each date a few days after the last one, recipes changed or not."""
    history = History(options)
    history.advance(datetime.combine(FIRST + timedelta(days=DAYS + 4), time(12)))
    world = history.world
    receipts = [dict(world.receipt(each)) for each in world.receipt_ids()]
    answers = {}
    for shift_date, rows in shift_dates(receipts).items():
        day = date.fromisoformat(shift_date)
        if day < FIRST + timedelta(days=DAYS):
            operations = {row["id"]: [dict(item) for item in world.operations(row["id"])] for row in rows}
            closed = {row["id"]: operations[row["id"]] for row in rows if is_closed(row)}
            answers[day] = Answers(
                rows, {each: change(items, day, each) if changed else items for each, items in closed.items()}
            )
    return answers


def change(items: Sequence[Json], day: date, receipt_id: int) -> list[Json]:
    """The operations of a receipt with the quantities and costs that the changed recipes give."""
    return [{**item, **scaled(item, factor_on(item["product_id"], day, receipt_id))} for item in items]


def factor_on(ingredient: int, day: date, receipt_id: int) -> Decimal:
    """On its first day every third receipt still has the old recipe."""
    since, factor = CHANGED.get(ingredient, (DAYS, Decimal(1)))
    days_since = (day - FIRST).days - since
    return factor if days_since > 0 or (days_since == 0 and receipt_id % 3) else Decimal(1)


def scaled(item: Mapping[str, Any], factor: Decimal) -> dict[str, Decimal]:
    step = Decimal("0.000001")
    return {name: (Decimal(item[name]) * factor).quantize(step) for name in ("quantity", "total_cost")}


def with_money(answers: Mapping[date, Answers], times: int) -> dict[date, Answers]:
    """Every amount of money that the tables read, times a whole number."""
    return {
        day: Answers(
            said.receipts,
            {
                receipt_id: [{**item, "total_cost": Decimal(item["total_cost"]) * times} for item in items]
                for receipt_id, items in said.operations.items()
            },
        )
        for day, said in answers.items()
    }


@pytest.mark.parametrize(("options", "seed"), [(CLEAN, 1), (RARE, 1), (RARE, 2)], ids=["clean", "rare", "rare too"])
def test_the_tables_equal_the_oracle(kitchen: Kitchen, options: HistoryOptions, seed: int) -> None:
    answers = history_of(replace(options, seed=seed), changed=True)
    tables = kitchen.make(answers, RULES)
    for day in answers:
        assert differences(tables["recipe_observed"][day], recipe_observed(day, answers, STANDARD_DAYS)) == [], day
        assert differences(tables["usage_variance"][day], usage_variance(day, answers, STANDARD_DAYS)) == [], day


def test_the_histories_hold_the_cases_that_matter() -> None:
    """By the oracle, which the tables equal."""
    answers = history_of(replace(RARE, seed=1), changed=True)
    recipes = [row for day in answers for row in recipe_observed(day, answers, STANDARD_DAYS)]
    variances = [row for day in answers for row in usage_variance(day, answers, STANDARD_DAYS)]
    cases = {
        "modified": any(row["modified_lines"] for row in recipes),
        "deviating": any(row["deviating_lines"] for row in recipes),
        "changed": sum(row["changed_on"] is not None for row in recipes) > 20,
        "slip": any(row["is_thousandfold"] for row in recipes),
        "no slip": not all(row["is_thousandfold"] for row in recipes),
        "negative units": any(row["units_sold"] < 0 for row in variances),
        "not deducted": any(not row["quantity"] and not row["cost"] for row in variances),
        "no standard": any(row["standard_cost"] is None for row in variances),
        "never sold before": any(
            row["standard_cost"] is not None and row["standard_quantity"] is None for row in variances
        ),
        "price": any(row["price_variance"] for row in variances),
        "usage": any(row["usage_variance"] for row in variances),
        "venues": {row["venue_id"] for row in variances} == {1, 2},
    }
    assert [name for name, met in cases.items() if not met] == []


def test_an_unchanged_recipe_shows_no_change(kitchen: Kitchen) -> None:
    """The sandbox's recipes stay as they are, returns and all; lines with modifiers are not in the figures."""
    tables = kitchen.make(history_of(replace(CLEAN, seed=1), changed=False), RULES)
    rows = [row for made in tables["recipe_observed"].values() for row in made]
    assert len(rows) > 400
    assert [row for row in rows if row["changed_on"] or row["is_thousandfold"] or row["deviating_lines"]] == []


@pytest.fixture(scope="module")
def plain(kitchen: Kitchen) -> Tables:
    """The tables of one history, which the tests below make in other ways."""
    return kitchen.make(history_of(replace(RARE, seed=4), changed=True), RULES)


def test_the_order_of_rows_does_not_matter(kitchen: Kitchen, plain: Tables) -> None:
    """Equal to the last bit, ratios too: they come from exact sums."""
    answers = history_of(replace(RARE, seed=4), changed=True)
    assert kitchen.make(answers, RULES, shuffle=Random(4)) == plain


def test_price_and_usage_add_up(plain: Tables) -> None:
    rows = [row for made in plain["usage_variance"].values() for row in made]
    split = [row for row in rows if row["total_variance"] is not None]
    assert len(split) > 200
    assert all(row["price_variance"] + row["usage_variance"] == row["total_variance"] for row in split)
    whole = [row for row in rows if row["total_variance"] is None]
    assert all(row["price_variance"] is None or row["usage_variance"] is None for row in whole)


def test_money_times_a_whole_number_scales_money_and_nothing_else(kitchen: Kitchen, plain: Tables) -> None:
    """Sums exactly; a variance, rounded once before and once after, within half a millionth a time."""
    times = 7
    dear = kitchen.make(with_money(history_of(replace(RARE, seed=4), changed=True), times), RULES)
    for table in ("recipe_observed", "usage_variance"):
        for day, rows in plain[table].items():
            assert [same(row) for row in rows] == [same(row) for row in dear[table][day]]
            for row, scaled_row in zip(rows, dear[table][day], strict=True):
                for name in MONEY:
                    if name in row:
                        assert agrees(name, row[name], scaled_row[name], times), (day, name, row, scaled_row)


def same(row: Row) -> Row:
    """What money does not change."""
    return {name: value is None if name in MONEY else value for name, value in row.items()}


def agrees(name: str, value: Any, scaled_value: Any, times: int) -> bool:
    if value is None or scaled_value is None:
        return value is scaled_value
    if isinstance(value, float):
        return bool(scaled_value == pytest.approx(value * times, rel=1e-12, abs=0))
    roundings = {"cost": 0, "total_cost": 0, "total_variance": 2}.get(name, 1)
    allowed = Decimal("0.0000005") * (times + 1) * roundings
    return bool(abs(scaled_value - value * times) <= allowed)


def test_a_date_that_is_not_made_is_not_in_the_window(kitchen: Kitchen) -> None:
    answers = history_of(replace(RARE, seed=5), changed=True)
    missing = min(answers) + timedelta(days=2)
    without = {day: said for day, said in answers.items() if day != missing}
    tables = kitchen.make(without, RULES)
    for day in without:
        assert differences(tables["usage_variance"][day], usage_variance(day, without, STANDARD_DAYS)) == []
        assert differences(tables["recipe_observed"][day], recipe_observed(day, without, STANDARD_DAYS)) == []
    after = missing + timedelta(days=1)
    assert usage_variance(after, without, STANDARD_DAYS) != usage_variance(after, answers, STANDARD_DAYS)
