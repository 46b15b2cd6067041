"""Dates outside a run's range that can't be had cost the dates that have to do with them: named, and no others."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from clopos_assets.lake import BusyError, Lake
from clopos_assets.tables import RECEIPT_PRODUCTS, RECEIPTS, Table
from tests.ingest.shop import Shop

DAY, NEXT, LAST = "2026-01-19", "2026-01-20", "2026-01-21"


def test_one_that_can_not_lose_a_receipt_after_another_was_planned(shop: Shop) -> None:
    shop.sell(11, LAST)
    shop.sell(12, LAST)
    shop.sell(13, NEXT)
    shop.make(NEXT, LAST)
    shop.lake.wait_for(DAY, 11, 1)  # it had moved to the date that is not made yet
    shop.world.update_receipt(11, shift_date=NEXT)
    shop.lake.path(RECEIPT_PRODUCTS, LAST).unlink()
    made = shop.make_receipts(DAY)
    assert list(made.bad) == [DAY]
    assert made.bad[DAY].startswith(f"receipt_products of shift date {LAST} is missing")
    assert shop.ids(RECEIPTS, LAST) == [11, 12]


def test_one_that_is_held_by_the_run_that_took_the_receipt_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two looks another run files the receipt elsewhere; it goes on holding the date where it stood."""
    shop.sell(11, NEXT)
    shop.make(DAY, NEXT, LAST)
    shop.world.update_receipt(11, shift_date=DAY)
    find, locked = Lake.find, Lake.locked
    looks = [{NEXT: {11}}, {LAST: {11}}]
    held: list[str] = []

    def seen(lake: Lake, table: Table, column: str, ids: Mapping[int, object]) -> dict[str, set[int]]:
        return looks.pop(0) if looks and 11 in ids else find(lake, table, column, ids)

    @contextmanager
    def let_once(lake: Lake, names: Iterable[str], *, seconds: float) -> Iterator[None]:
        asked = set(names)
        held.extend(asked & {NEXT})
        if len(held) > 1:
            raise BusyError(f"shift date {NEXT} is being made by another run")
        with locked(lake, asked, seconds=seconds):
            yield

    monkeypatch.setattr(Lake, "find", seen)
    monkeypatch.setattr(Lake, "locked", let_once)
    made = shop.make_receipts(DAY)
    # It stands in the first place again for a third look, and can't be taken out of there.
    assert made.bad == {DAY: f"shift date {NEXT} is being made by another run"}
    monkeypatch.undo()
    assert not shop.make_receipts(DAY).bad
    assert 11 in (shop.ids(RECEIPTS, DAY) or [])
    assert shop.ids(RECEIPTS, NEXT) == [3]


def test_of_many_absent_receipts_no_more_are_asked_for_than_tell_a_mass_removal(shop: Shop) -> None:
    for receipt_id in range(100, 160):
        shop.sell(receipt_id, DAY)
    shop.make(DAY)
    for receipt_id in range(100, 160):
        shop.world.delete_receipt(receipt_id)
    shop.sandbox.requests.reset()
    made = shop.make_operations(DAY, refresh="all")
    assert "CLOPOS_ALLOW_MASS_REMOVAL" in made.bad[DAY]
    assert shop.asked()["by id"] == 6
