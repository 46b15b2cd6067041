"""Receipts that would leave a shift date all at once, as they do under a wrong brand or venue, stay."""

from datetime import date

from clopos_assets.tables import RECEIPTS, STOCK_OPERATIONS
from tests.ingest.shop import Shop


def test_a_large_part_does_not_leave_at_once(shop: Shop) -> None:
    for receipt_id in range(100, 120):
        shop.sell(receipt_id, "2026-01-21")
    shop.make("2026-01-21")
    for receipt_id in range(100, 106):
        shop.world.delete_receipt(receipt_id)
    made, _ = shop.make("2026-01-21")
    assert "CLOPOS_ALLOW_MASS_REMOVAL" in made.bad["2026-01-21"]
    assert "\n" not in made.bad["2026-01-21"]
    assert len(shop.ids(RECEIPTS, "2026-01-21") or []) == 20
    shop.allow_mass_removal = True
    made, then = shop.make("2026-01-21")
    assert not made.bad
    assert not then.bad
    assert len(shop.ids(STOCK_OPERATIONS, "2026-01-21") or []) == 14


def test_five_receipts_may_leave(shop: Shop) -> None:
    for receipt_id in range(100, 106):
        shop.sell(receipt_id, "2026-01-21")
    shop.make("2026-01-21")
    for receipt_id in range(100, 105):
        shop.world.delete_receipt(receipt_id)
    made, _ = shop.make("2026-01-21")
    assert not made.bad
    assert shop.ids(RECEIPTS, "2026-01-21") == [105]


def test_ten_of_two_hundred_may_leave(shop: Shop) -> None:
    for receipt_id in range(1000, 1200):
        shop.sell(receipt_id, "2026-01-21")
    shop.make_receipts("2026-01-21")
    for receipt_id in range(1000, 1010):
        shop.world.delete_receipt(receipt_id)
    assert not shop.make_receipts("2026-01-21").bad


def test_a_date_outside_that_would_lose_too_much_costs_only_what_has_to_do_with_it(shop: Shop) -> None:
    for receipt_id in range(100, 110):
        shop.sell(receipt_id, "2026-01-18")
    shop.make("2026-01-18")
    for receipt_id in range(100, 110):
        shop.world.move_receipt(receipt_id, date(2026, 1, 19))
    made, _ = shop.make("2026-01-19", "2026-01-20", "2026-01-21")
    assert list(made.bad) == ["2026-01-19"]
    assert "CLOPOS_ALLOW_MASS_REMOVAL" in made.bad["2026-01-19"]
    assert shop.ids(STOCK_OPERATIONS, "2026-01-20") == [300]
    assert len(shop.ids(RECEIPTS, "2026-01-18") or []) == 10


def test_mass_removal_is_seen_before_any_leaves(shop: Shop) -> None:
    for receipt_id in range(100, 120):
        shop.sell(receipt_id, "2026-01-21")
    shop.make_receipts("2026-01-21")
    for receipt_id in range(100, 110):
        shop.world.delete_receipt(receipt_id)
    then = shop.make_operations("2026-01-21")
    assert "CLOPOS_ALLOW_MASS_REMOVAL" in then.bad["2026-01-21"]
    assert len(shop.ids(RECEIPTS, "2026-01-21") or []) == 20
