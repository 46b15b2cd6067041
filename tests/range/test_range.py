"""A range against the sandbox equals an oracle in plain Python, whether made at once or followed day by day."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest

from clopos_assets.compute import Rules
from clopos_assets.database import connect
from clopos_assets.lake import Lake
from clopos_assets.sandbox import History, HistoryOptions, LimitOptions, Sandbox
from clopos_assets.tables import COST, RAW
from tests.ingest.shop import Shop, days_from
from tests.oracle import differences, lake_tables
from tests.simulation.memory import Memory

FIRST = date(2026, 3, 1)
DAYS = days_from(FIRST.isoformat(), 8)


def options(seed: int) -> HistoryOptions:
    """Three venues in which everything rare happens often."""
    return HistoryOptions(
        start_date=FIRST,
        seed=seed,
        venues=3,
        receipts_per_day=12,
        ahead_rate=0.05,
        late_rate=0.06,
        never_closed_rate=0.03,
        edit_rate=0.1,
        move_rate=0.05,
        deletion_rate=0.05,
        reopen_rate=0.04,
        empty_rate=0.03,
        return_rate=0.05,
        gift_rate=0.05,
    )


@contextmanager
def history_shop(seed: int, root: Path) -> Iterator[tuple[History, Shop]]:
    history = History(options(seed))
    with Sandbox(history, limits=LimitOptions.unlimited()) as sandbox:
        yield history, Shop(root, sandbox)


def make_all(shop: Shop, days: Sequence[str], memory: Memory) -> None:
    made, then = shop.make(*days)
    assert not made.bad
    assert not then.bad
    with connect() as connection:
        for table in COST:
            for day in days:
                shop.lake.replace(table, day, memory.compute(shop.lake, connection, table, day, Rules()), {})


def compare_with_oracle(history: History, lake: Lake) -> None:
    world = history.world
    receipts = [world.receipt(i) for i in world.receipt_ids()]
    for modifier in (m for receipt in receipts for line in receipt["receipt_products"] for m in line["modificators"]):
        del modifier["modificator_group"]  # a relation that the client does not ask for
    expected = lake_tables(receipts, {receipt["id"]: world.operations(receipt["id"]) for receipt in receipts})
    assert sum(len(expected[day]["receipts"]) for day in DAYS) > 200
    for day in DAYS:
        for table in (*RAW, *COST):
            rows = lake.read(table, day)
            assert rows is not None
            assert not differences(table.name, rows.to_pylist(), expected[day][table.name]), (table.name, day)


@pytest.mark.parametrize("seed", range(3))
def test_at_once(seed: int, tmp_path: Path) -> None:
    with history_shop(seed, tmp_path) as (history, shop):
        history.advance(datetime.combine(FIRST + timedelta(days=14), time(12)))
        make_all(shop, DAYS, Memory())
        compare_with_oracle(history, shop.lake)
        made, then = shop.make(*DAYS)
        assert {**made.bad, **then.bad} == {}
        assert set(shop.asked()) == {"list"}


@pytest.mark.parametrize("seed", range(3))
def test_followed_day_by_day(seed: int, tmp_path: Path) -> None:
    memory = Memory()
    with history_shop(seed, tmp_path) as (history, shop):
        for number in range(1, 15):
            history.advance(datetime.combine(FIRST + timedelta(days=number), time(7)))
            # The shift that ended, and the five before it again: what was known of them may have changed.
            make_all(shop, DAYS[max(0, number - 6) : number], memory)
        make_all(shop, DAYS, memory)
        compare_with_oracle(history, shop.lake)
        for table in RAW:
            column = "id" if table.name == "receipts" else "receipt_id"
            places = shop.lake.find(table, column, range(1_000_000))
            ids = [receipt_id for found in places.values() for receipt_id in found]
            assert len(ids) == len(set(ids)), table.name
