"""What the looks ask for, once made, equals what one range run into an empty lake gives."""

import asyncio
import random
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from clopos_assets.ingest import make_receipts, make_stock_operations
from clopos_assets.ingest.made import RunState
from clopos_assets.lake import Lake
from clopos_assets.late.budget import Budget
from clopos_assets.late.deciding import Surroundings
from clopos_assets.late.look import Look, look
from clopos_assets.late.state import State, read_state, write_state
from clopos_assets.tables import RECEIPT_PRODUCTS, RECEIPTS, STOCK_OPERATIONS
from tests.ingest.shop import Shop, days_from, open_shop

DAYS = days_from("2026-01-10", 6)
TABLES = (RECEIPTS, RECEIPT_PRODUCTS, STOCK_OPERATIONS)


class Restaurant:
    """Something happens, is looked at, and some of the runs asked for fail; all of it from one seed."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self.shop = shop
        self.chance = random.Random(seed)
        self.cursor = write_state(State())
        self.runs: dict[str, RunState] = {}
        self.next_id = 1
        self.now = 0.0
        self.shop.world.now = datetime(2026, 1, 17, 12)

    def happen(self) -> None:
        """A sale, or a change to a receipt; some at one and the same time, some of a date that is not made yet."""
        world = self.shop.world
        world.pass_time(timedelta(seconds=self.chance.choice([0, 0, 1, 400])))
        stamp = str(world.now)
        known = world.receipt_ids()
        match self.chance.choice(["sell", "sell old", "edit", "close", "move"]) if len(known) > 5 else "sell":
            case "sell" | "sell old" as kind:
                day = self.chance.choice(DAYS)
                created = date.fromisoformat(day) - timedelta(days=40 if kind == "sell old" else 0)
                state = {"status": 1, "closed_at": None} if self.chance.random() < 0.3 else {"closed_at": stamp}
                self.shop.sell(self.next_id, day, created_at=f"{created} 12:00:00", updated_at=stamp, **state)
                self.next_id += 1
            case "edit":
                world.update_receipt(self.chance.choice(known), order_status="READY")
            case "close":
                receipt_id = self.chance.choice(known)
                if world.receipt(receipt_id)["status"] == 1:
                    world.update_receipt(receipt_id, status=2, closed_at=stamp)
                    self.shop.deduct(receipt_id)
            case _:
                world.move_receipt(self.chance.choice(known), date.fromisoformat(self.chance.choice(DAYS)))

    def look(self, pages: int) -> Look:
        """From the cursor to the cursor, as text."""
        state = read_state(self.cursor)
        assert state is not None
        around = Surroundings(
            lake=self.shop.lake,
            partitions=DAYS,
            first_date=DAYS[0],
            run_state=lambda run_key: self.runs.get(run_key, "none"),
            behind={},
            now=self.now,
            poll_seconds=300,
        )

        async def once() -> Look:
            async with self.shop.clopos() as clopos:
                return await look(clopos, self.shop.scope, state, around, Budget(pages, 60))

        seen = asyncio.run(once())
        self.cursor = write_state(seen.state)
        self.now += 300
        return seen

    def run(self, seen: Look, *, may_fail: bool) -> None:
        for request in seen.decision.requests:
            is_new = request.run_key not in self.runs
            if is_new and may_fail and self.chance.random() < 0.3:
                self.runs[request.run_key] = self.chance.choice(["failed", "none"])
            elif is_new:
                made = self.shop.make(*request.shift_dates)
                assert not [each.bad for each in made if each.bad]
                self.runs[request.run_key] = "succeeded"


@pytest.mark.parametrize("seed", range(3))
def test_incremental_equals_full(tmp_path: Path, seed: int) -> None:
    with open_shop(tmp_path) as shop:
        restaurant = Restaurant(shop, seed)
        for _ in range(30):
            restaurant.happen()
        shop.make(*DAYS[:4])  # the others are made later, for the first time
        for turn in range(12):
            for _ in range(restaurant.chance.randrange(12)):
                restaurant.happen()
            restaurant.run(restaurant.look(pages=restaurant.chance.choice([1, 25])), may_fail=True)
            if turn == 6:
                shop.make(*DAYS[4:])
        for _ in range(12):
            restaurant.now += 6 * 3600
            seen = restaurant.look(pages=25)
            restaurant.run(seen, may_fail=False)
        assert (seen.decision.requests, seen.state.asked, seen.state.kept) == ([], {}, {})

        full = Lake(tmp_path / "full")
        for receipt_id in shop.world.receipt_ids():
            receipt = shop.world.receipt(receipt_id)
            full.wait_for(receipt["shift_date"], receipt_id, 1)

        async def make() -> None:
            async with shop.clopos() as clopos:
                assert not (await make_receipts(full, clopos, shop.scope, DAYS)).bad
                assert not (await make_stock_operations(full, clopos, shop.scope, DAYS, "changed")).bad

        asyncio.run(make())
        for table in TABLES:
            for day in DAYS:
                ours, theirs = shop.lake.read(table, day), full.read(table, day)
                assert ours is not None
                assert theirs is not None
                assert ours.drop(["fetched_at"]) == theirs.drop(["fetched_at"]), f"seed {seed}: {table.name} of {day}"
