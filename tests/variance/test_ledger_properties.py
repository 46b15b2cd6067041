"""stock_ledger and stock_gaps of random worlds: money scales money alone, and the order of rows does not matter."""

from decimal import Decimal
from random import Random
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from clopos_assets.compute import select
from clopos_assets.ledger import OTHER_OPERATIONS
from clopos_assets.tables import STOCK_GAPS, STOCK_LEDGER
from tests.oracle import differences, is_closed
from tests.tables.decoding import raw_arrow
from tests.variance.ledger_world import World, small_world
from tests.variance.usage_days import shuffled

Tables = dict[str, dict[str, list[dict[str, Any]]]]

SEEDS = range(3)
# A stock to which much is delivered on one day, at prices that are known: sums of many figures, with all their digits.
BUSY = 5600
TIMES = 7
MONEY_OF_OPERATIONS = ("cost", "before_cost", "total_cost")
MONEY = {
    "stock_ledger": {"cost", "before_cost", "previous_cost", "unexplained_value"},
    "stock_gaps": {"inflow_value", "outflow_value", "revaluation", "implied_unit_price"},
}
EXACT = Decimal("0.001")


def world_of(seed: int) -> World:
    """Some days in which stocks are now found as they were left, now not, or at another cost alone."""
    world = small_world(seed, days=4, events=300)
    random = Random(seed)
    busy = world.sell(world.days[0], *[f"{world.days[0]} 20:00:00"] * 20, stock_id=BUSY)
    for item in world.operations[busy]:
        quantity, cost, before_cost = (Decimal(random.randrange(10**6, 10**8)).scaleb(-6) for _ in range(3))
        item |= {"before_quantity": quantity, "after_quantity": Decimal(0), "cost": cost, "before_cost": before_cost}
    items = [item for answer in world.operations.values() for item in answer]
    left: dict[int, tuple[Decimal, Decimal]] = {}
    for item in sorted(items, key=lambda item: (item["operated_at"], item["id"])):
        if item["stock_id"] in left and item["stock_id"] != BUSY and random.random() < 0.5:
            item["before_quantity"], cost = left[item["stock_id"]]
            item["before_cost"] = random.choice((cost, cost, item["before_cost"]))
        left[item["stock_id"]] = item["after_quantity"], item["cost"]
        item["total_cost"] = item["cost"]
        # What is told of a stock is told by its operation with the greatest id.
        item["product_id"] = 501 + item["id"] % 3
        item["product"] = {"id": item["product_id"], "name": f"Düyü {item['id']}"}
    return world


def with_exact_values(world: World) -> World:
    """All figures in whole thousandths: their products have six decimals, and nothing is rounded."""
    for name in ("before_quantity", "after_quantity", *MONEY_OF_OPERATIONS):
        for item in (item for answer in world.operations.values() for item in answer):
            item[name] = None if item[name] is None else item[name].quantize(EXACT)
    return world


def tables_of(connection: duckdb.DuckDBPyConnection, world: World, shuffle: Random | None = None) -> Tables:
    """Both tables by shift date; to `shuffle` is to give every input in another order."""
    made: Tables = {"stock_ledger": {}, "stock_gaps": {}}
    for day in world.days:
        own = [receipt for receipt in world.receipts.values() if receipt["shift_date"] == day]
        others = [receipt for receipt in world.receipts.values() if receipt not in own and is_closed(receipt)]
        # One receipt is being moved, and stands under another shift date too.
        others += [receipt for receipt in own if is_closed(receipt)][:1]
        raw = raw_arrow(own, world.operations)
        elsewhere = raw_arrow(others, world.operations)["stock_operations"]
        inputs = {
            "receipts": raw["receipts"],
            "stock_operations": raw["stock_operations"],
            "other_operations": elsewhere.select(OTHER_OPERATIONS.names),
        }
        ledger = select(connection, STOCK_LEDGER, disordered(inputs, shuffle))
        gaps = select(connection, STOCK_GAPS, disordered({"stock_ledger": ledger}, shuffle))
        made["stock_ledger"][day], made["stock_gaps"][day] = ledger.to_pylist(), gaps.to_pylist()
    return made


def disordered(inputs: dict[str, pa.Table], shuffle: Random | None) -> dict[str, pa.Table]:
    return inputs if shuffle is None else {name: shuffled(rows, shuffle) for name, rows in inputs.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_rows_does_not_matter(connection: duckdb.DuckDBPyConnection, seed: int) -> None:
    """Equal to the last bit, prices too: they come from exact sums."""
    world = world_of(seed)
    assert tables_of(connection, world, Random(seed)) == tables_of(connection, world)


@pytest.mark.parametrize("seed", SEEDS)
def test_money_times_a_whole_number_scales_money_and_nothing_else(
    connection: duckdb.DuckDBPyConnection, seed: int
) -> None:
    """Exactly, as values are exact: a change that rounds to nothing is no gap, and seven times as much may be one."""
    world = with_exact_values(world_of(seed))
    plain = tables_of(connection, world)
    for item in (item for answer in world.operations.values() for item in answer):
        item |= {name: None if item[name] is None else item[name] * TIMES for name in MONEY_OF_OPERATIONS}
    dear = tables_of(connection, world)
    for table, days in plain.items():
        for day, rows in days.items():
            expected = [
                {
                    name: value * TIMES if name in MONEY[table] and value is not None else value
                    for name, value in row.items()
                }
                for row in rows
            ]
            assert differences(table, dear[table][day], expected) == [], day


@pytest.mark.parametrize("seed", SEEDS)
def test_the_worlds_hold_the_cases_that_matter(connection: duckdb.DuckDBPyConnection, seed: int) -> None:
    """And are those of the oracle: the properties are of the true tables."""
    world = with_exact_values(world_of(seed))
    tables = tables_of(connection, world)
    for day, expected in world.expected(world.days).items():
        assert differences("stock_ledger", tables["stock_ledger"][day], expected) == [], day
    ledger, gaps = ([row for day in tables[name].values() for row in day] for name in MONEY)
    followed = [row for row in ledger if row["previous_operation_id"] is not None]
    met = {
        "first of its stock": len(followed) < len(ledger),
        "as it was left": any(row["unexplained_quantity"] == row["unexplained_value"] == 0 for row in followed),
        "no cost before": any(row["before_cost"] is None and row["unexplained_quantity"] for row in followed),
        "venues": len({row["venue_id"] for row in gaps}) == 2,
        "several gaps": any(row["implied_unit_price"] and row["gaps"] > 15 for row in gaps),
        **{name: any(row[name] for row in gaps) for name in MONEY["stock_gaps"]},
        "no price": any(row["inflow_quantity"] and row["implied_unit_price"] is None for row in gaps),
    }
    assert [name for name, is_met in met.items() if not is_met] == []
