"""What another run files while this one is under way."""

import asyncio
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from clopos_assets.ingest import Made, receipts
from clopos_assets.tables import RECEIPTS
from tests.ingest.shop import Shop, open_shop
from tests.ingest.test_filing import DAYS, stands_in


def make_while_it_moves(shop: Shop, monkeypatch: pytest.MonkeyPatch, updated_at: str) -> Made:
    """Make the 20th, whose list is read before a receipt of it moves to the 19th, where another run files it."""
    plan_all = receipts._plan_all

    async def after_another_run(*args: Any) -> Any:
        monkeypatch.undo()
        shop.world.update_receipt(3, shift_date=DAYS[0], updated_at=updated_at)
        shop.world.now += timedelta(seconds=1)
        await asyncio.to_thread(shop.make, DAYS[0])
        return await plan_all(*args)

    monkeypatch.setattr(receipts, "_plan_all", after_another_run)
    return shop.make_receipts(DAYS[1])


@pytest.mark.parametrize("updated_at", ["2026-01-25 11:00:00", "2026-01-20 12:30:00"])
def test_an_older_list_does_not_move_a_receipt_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, updated_at: str
) -> None:
    shop.make(DAYS[0])
    made = make_while_it_moves(shop, monkeypatch, updated_at)
    assert made.bad == {DAYS[1]: f"receipt 3 was filed under {DAYS[0]} meanwhile, by another run: run this again"}
    made, then = shop.make(DAYS[1])
    assert {**made.bad, **then.bad} == {}
    assert shop.stands(3) == stands_in(DAYS[0])


def test_an_older_list_does_not_write_over_what_another_run_filed_under_another_date(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.make(DAYS[0])
    for day in (DAYS[1], DAYS[0]):  # where it waits for a date that is not made, and back
        shop.world.pass_time(timedelta(minutes=1))
        shop.world.move_receipt(1, date.fromisoformat(day))
        shop.make(DAYS[0])
    plan_all = receipts._plan_all

    async def after_another_run(*args: Any) -> Any:
        monkeypatch.undo()
        shop.world.pass_time(timedelta(minutes=1))
        shop.world.update_receipt(1, total="99.00", updated_at=str(shop.world.now))
        await asyncio.to_thread(shop.make, DAYS[0])
        return await plan_all(*args)

    monkeypatch.setattr(receipts, "_plan_all", after_another_run)
    made, then = shop.make(DAYS[1])
    assert {**made.bad, **then.bad} == {}
    assert shop.stands(1) == stands_in(DAYS[0])
    stored = shop.lake.read(RECEIPTS, DAYS[0], ["id", "total"])
    assert stored is not None
    assert {row["id"]: row["total"] for row in stored.to_pylist()}[1] == Decimal("99.00")
    assert shop.lake.waiting(DAYS[1]) == {}


def test_a_clock_that_is_ahead_does_not_keep_a_receipt_from_moving(shop: Shop) -> None:
    shop.world.now += timedelta(hours=1)
    shop.make(*DAYS)
    shop.world.now -= timedelta(hours=1)
    shop.world.update_receipt(1, shift_date=DAYS[1], updated_at="2026-01-25 11:00:00")
    made, then = shop.make(DAYS[1])
    assert {**made.bad, **then.bad} == {}
    assert shop.stands(1) == stands_in(DAYS[1])


def test_what_is_known_of_a_venue_stays_while_it_is_not_read(tmp_path: Path) -> None:
    with open_shop(tmp_path, venues=2) as shop:
        shop.sell(1, DAYS[0])
        shop.sell(2, DAYS[0], venue_id=2, updated_at="2026-01-19 13:00:00")
        known = []
        for shop.venue_ids in ((1, 2), (1,)):
            shop.make(DAYS[0])
            known.append(shop.lake.notes(RECEIPTS, DAYS[0])["known_until"])
            shop.world.update_receipt(1, total="13.50", updated_at="2026-01-25 11:00:00")
    assert known[0] == '{"1":"2026-01-19 12:30:00","2":"2026-01-19 13:00:00"}'
    assert known[1] == '{"1":"2026-01-25 11:00:00","2":"2026-01-19 13:00:00"}'


def test_a_receipt_that_waits_for_another_venue_by_now_goes_on_waiting(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A note that the sensor writes while the date is being made is not what the making has taken care of."""
    shop.lake.wait_for(DAYS[0], 9, 1)
    plan_all = receipts._plan_all

    async def then_a_note(*args: Any) -> Any:
        planned = await plan_all(*args)
        shop.lake.wait_for(DAYS[0], 9, 2)
        return planned

    monkeypatch.setattr(receipts, "_plan_all", then_a_note)
    assert not shop.make_receipts(DAYS[0]).bad
    assert shop.lake.waiting(DAYS[0]) == {9: 2}


def test_a_receipt_of_a_venue_that_is_not_read_waits_on(tmp_path: Path) -> None:
    with open_shop(tmp_path, venues=2) as shop:
        shop.sell(1, DAYS[0])
        shop.sell(2, DAYS[0], venue_id=2)
        shop.lake.wait_for(DAYS[0], 2, 2)
        shop.venue_ids = (1,)
        assert not shop.make_receipts(DAYS[0]).bad
        assert shop.asked() == {"list": 1}
        assert (shop.ids(RECEIPTS, DAYS[0]), shop.lake.waiting(DAYS[0])) == ([1], {2: 2})
        shop.venue_ids = (1, 2)
        assert not shop.make_receipts(DAYS[0]).bad
        assert (shop.ids(RECEIPTS, DAYS[0]), shop.lake.waiting(DAYS[0])) == ([1, 2], {})


def test_a_receipt_whose_date_fails_waits_on(shop: Shop) -> None:
    lines = shop.world.receipt(1)["receipt_products"]  # whose id stands in the date already
    shop.sell(9, DAYS[0], created_at="2026-01-01 12:00:00", receipt_products=lines)
    shop.lake.wait_for(DAYS[0], 9, 1)
    assert list(shop.make_receipts(*DAYS).bad) == [DAYS[0]]
    assert shop.lake.waiting(DAYS[0]) == {9: 1}


def test_a_venue_that_is_no_more_takes_no_receipt_with_it(tmp_path: Path) -> None:
    with open_shop(tmp_path, venues=2) as shop:
        shop.sell(1, DAYS[0])
        shop.sell(2, DAYS[0], venue_id=2)
        shop.venue_ids = (1, 2)
        assert not any(made.bad for made in shop.make(DAYS[0]))
        del shop.world.venues[1]
        bad = shop.make_operations(DAYS[0], refresh="all").bad
        assert "check that venue 2 in CLOPOS_VENUE_IDS is one of the brand's" in bad[DAYS[0]]
        assert shop.ids(RECEIPTS, DAYS[0]) == [1, 2]
