"""Receipts whose new date refuses to take them: they stay where they are, and what waits goes on waiting."""

from datetime import date
from pathlib import Path

from clopos_assets.ingest.venues import read_venues
from clopos_assets.tables import RECEIPTS
from tests.ingest.shop import Shop, open_shop
from tests.ingest.test_filing import DAYS, stands_in


def test_a_receipt_stays_where_it_is_while_its_new_date_can_not_be_written(shop: Shop) -> None:
    shop.make(*DAYS)
    lines = shop.world.receipt(3)["receipt_products"]  # whose id stands in the 20th already
    shop.sell(9, DAYS[1], receipt_products=lines)
    shop.world.move_receipt(1, date.fromisoformat(DAYS[1]))
    made = shop.make_receipts(*DAYS)
    assert made.bad[DAYS[0]] == f"receipts move from here to {DAYS[1]}, which was not made"
    assert made.bad[DAYS[1]].startswith("receipt_products: more than one row for id 30")
    assert shop.stands(1) == stands_in(DAYS[0])


def test_a_waiting_receipt_whose_new_date_can_not_be_written_goes_on_waiting(shop: Shop) -> None:
    """No listing shows it: without the note nobody would ask for it again."""
    shop.make(*DAYS)
    lines = shop.world.receipt(3)["receipt_products"]
    shop.sell(9, DAYS[1], created_at="2026-01-02 10:00:00", receipt_products=lines)
    shop.lake.wait_for("2026-01-23", 9, 1)
    assert shop.make_receipts("2026-01-23").bad.keys() == {DAYS[1]}
    assert shop.lake.waiting("2026-01-23") == {9: 1}


def test_a_date_is_made_for_the_venues_that_are_not_read_this_time_too(tmp_path: Path) -> None:
    with open_shop(tmp_path, venues=2) as shop:
        shop.sell(1, DAYS[0])
        for shop.venue_ids in ((1, 2), (1,)):
            assert not shop.make_receipts(DAYS[0]).bad
            assert read_venues(shop.lake.notes(RECEIPTS, DAYS[0])) == {1, 2}
            shop.world.update_receipt(1, total="13.50", updated_at="2026-01-25 11:00:00")
