"""A clean history into whose last shift date every fault was planted."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from functools import cache

from clopos_assets.sandbox import History, HistoryOptions, LimitOptions, Sandbox, World
from tests.ingest.shop import days_from
from tests.variance.planting import FAULTS, Garden

FIRST = date(2026, 3, 2)
DAYS = days_from(FIRST.isoformat(), 8)


@cache
def clean_answers() -> tuple[list[dict[str, object]], dict[int, list[dict[str, object]]]]:
    options = HistoryOptions(start_date=FIRST, seed=3, venues=2, receipts_per_day=25).without_rare_events()
    history = History(options)
    history.advance(datetime.fromisoformat(f"{DAYS[-1]} 23:59:59"))
    history.advance(datetime(2026, 3, 10, 7))
    world = history.world
    receipts = [world.receipt(i) for i in world.receipt_ids() if world.receipt(i)["shift_date"] in DAYS]
    return receipts, {receipt["id"]: world.operations(receipt["id"]) for receipt in receipts}


def faulty_world() -> World:
    """The history's answers with all faults planted on the last date."""
    receipts, operations = copy.deepcopy(clean_answers())
    garden = Garden(receipts, operations, since=DAYS[-1])
    for check in FAULTS:
        garden.plant(check)
    return World.from_answers(
        {"receipts": garden.receipts, "stock_operations": garden.operations}, now=datetime(2026, 3, 12, 12)
    )


@contextmanager
def served(world: World) -> Iterator[Sandbox]:
    """The world served without limits."""
    with Sandbox(world, limits=LimitOptions.unlimited()) as sandbox:
        yield sandbox
