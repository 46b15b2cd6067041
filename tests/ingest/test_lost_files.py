"""Files that somebody removed or put aside, or that are damaged: what stood in them is read again, or it is said."""

from pathlib import Path

import pytest

from clopos_assets.tables import RECEIPT_PRODUCTS, RECEIPTS, STOCK_OPERATIONS, Table
from tests.ingest.shop import Shop, open_shop
from tests.ingest.test_filing import DAYS, stands_in


def move(shop: Shop, receipt_id: int, shift_date: str) -> None:
    shop.world.update_receipt(receipt_id, shift_date=shift_date, updated_at="2026-01-25 11:00:00")


@pytest.mark.parametrize("removed", [(RECEIPTS,), (RECEIPTS, RECEIPT_PRODUCTS), (RECEIPTS, STOCK_OPERATIONS)])
def test_made_again_a_date_has_what_was_created_outside_the_listing(shop: Shop, removed: tuple[Table, ...]) -> None:
    shop.make(*DAYS)
    shop.world.update_receipt(1, created_at="2026-01-10 10:00:00")
    for table in removed:
        shop.lake.path(table, DAYS[0]).unlink()
    made, then = shop.make(DAYS[0])
    assert {**made.bad, **then.bad} == {}
    assert shop.stands(1) == stands_in(DAYS[0])
    assert shop.asked()["by id"] == 1


def test_what_has_moved_away_meanwhile_goes_where_it_belongs(shop: Shop) -> None:
    shop.make(*DAYS)
    shop.lake.path(RECEIPTS, DAYS[0]).unlink()
    move(shop, 1, DAYS[1])
    shop.world.update_receipt(1, created_at="2026-01-10 10:00:00")
    made, then = shop.make(DAYS[0])
    assert {**made.bad, **then.bad} == {}
    assert shop.stands(1) == stands_in(DAYS[1])


def test_lines_are_not_lost_with_their_file_where_a_receipt_moves_out(shop: Shop) -> None:
    shop.make(*DAYS)
    shop.lake.path(RECEIPT_PRODUCTS, DAYS[0]).unlink()
    move(shop, 1, DAYS[1])
    made = shop.make_receipts(DAYS[1])
    assert made.bad == {
        DAYS[1]: f"receipt_products of shift date {DAYS[0]} is missing, and the lines of 1 receipts with it: "
        "make that shift date again, for all its venues"
    }
    assert shop.ids(RECEIPT_PRODUCTS, DAYS[0]) is None
    made, then = shop.make(*DAYS)
    assert {**made.bad, **then.bad} == {}
    assert shop.ids(RECEIPT_PRODUCTS, DAYS[0], "receipt_id") == [2]
    assert shop.stands(1) == stands_in(DAYS[1])


def test_lines_of_a_venue_that_is_not_read_are_not_lost_with_their_file(tmp_path: Path) -> None:
    with open_shop(tmp_path, venues=2) as shop:
        shop.sell(1, DAYS[0])
        shop.make(DAYS[0])
        shop.lake.path(RECEIPT_PRODUCTS, DAYS[0]).unlink()
        shop.venue_ids = (2,)
        assert "is missing, and the lines of 1 receipts with it" in shop.make_receipts(DAYS[0]).bad[DAYS[0]]


@pytest.mark.parametrize("damaged", [DAYS[1], "2026-01-24"])
def test_a_damaged_date_that_a_receipt_moves_to_costs_no_other(shop: Shop, damaged: str) -> None:
    dates = (*DAYS, "2026-01-21", "2026-01-22")
    shop.sell(8, "2026-01-22")
    shop.make(*dates, "2026-01-24")
    shop.lake.path(RECEIPTS, damaged).write_bytes(b"PAR1 no more")
    move(shop, 1, damaged)
    shop.world.update_receipt(8, total="13.50", updated_at="2026-01-25 11:00:00")
    made = shop.make_receipts(*dates)
    assert made.bad.keys() == {DAYS[0], damaged} & {*dates}
    assert all("can't be read" in reason for reason in made.bad.values())
    rows = shop.lake.read(RECEIPTS, "2026-01-22", ["total"])
    assert rows is not None
    assert str(rows.column(0)[0]) == "13.500000"
    assert shop.ids(RECEIPTS, DAYS[0]) == [1, 2]


def test_a_copy_put_aside_is_no_shift_date(shop: Shop) -> None:
    shop.make(*DAYS)
    folder = shop.lake.path(RECEIPTS, DAYS[0]).parent
    aside = folder.rename(f"{folder}.bak") / "part-0.parquet"
    before = aside.read_bytes()
    made, then = shop.make(DAYS[0])
    assert {**made.bad, **then.bad} == {}
    assert shop.lake.dates(RECEIPTS) == list(DAYS)
    assert shop.ids(RECEIPTS, DAYS[0]) == [1, 2]
    assert aside.read_bytes() == before
