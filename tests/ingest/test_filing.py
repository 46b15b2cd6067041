"""Promises 2 and 5: nothing is lost to the listing; a move writes the destination first."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import pyarrow as pa
import pytest

from clopos_assets.lake import Lake, LakeError
from clopos_assets.tables import RECEIPT_PRODUCTS, RECEIPTS, STOCK_OPERATIONS, Table
from tests.ingest.shop import Shop, days_from

DAYS = ("2026-01-19", "2026-01-20")
GONE = '{"success": false, "error": "not_found", "message": "Receipt not found"}'
EVERYWHERE = ("receipts", "receipt_products", "stock_operations")


def stands_in(*shift_dates: str) -> dict[str, list[str]]:
    return {table: list(shift_dates) for table in EVERYWHERE}


def test_an_empty_shift_date_has_a_file_without_rows(shop: Shop) -> None:
    shop.make("2026-01-21")
    for table in (RECEIPTS, RECEIPT_PRODUCTS, STOCK_OPERATIONS):
        assert shop.ids(table, "2026-01-21") == []
        assert shop.ids(table, "2026-01-22") is None


@pytest.mark.parametrize("created", ["2026-01-17 10:00:00", "2026-01-20 05:00:00"])
def test_created_days_ahead_or_after_midnight_is_filed_under_its_shift_date(shop: Shop, created: str) -> None:
    shop.sell(4, "2026-01-19", created_at=created)
    shop.make("2026-01-19")
    assert shop.ids(RECEIPTS, "2026-01-19") == [1, 2, 4]


def test_created_outside_the_window_stays_once_it_is_in(shop: Shop) -> None:
    shop.make(*DAYS)
    shop.world.update_receipt(1, created_at="2026-01-10 10:00:00")
    shop.make(*DAYS)
    assert shop.asked() == {"list": 1, "by id": 1, "operations": 1}
    assert shop.stands(1) == stands_in("2026-01-19")


def test_deleted_leaves_after_one_question(shop: Shop) -> None:
    shop.make(*DAYS)
    shop.world.delete_receipt(1)
    made, _ = shop.make(*DAYS)
    assert shop.asked() == {"list": 1, "by id": 1}
    assert shop.stands(1) == stands_in()
    assert made.facts["receipts"]["2026-01-19"]["receipts_removed"] == 1


def test_deleted_by_a_mark_leaves_too(shop: Shop) -> None:
    shop.make(*DAYS)
    shop.world.update_receipt(1, created_at="2026-01-10 10:00:00", deleted_at="2026-01-20 10:00:00")
    shop.make(*DAYS)
    assert shop.stands(1) == stands_in()


def test_listed_with_a_mark_of_deletion_is_kept_raw_without_operations(shop: Shop) -> None:
    shop.sell(4, "2026-01-19", deleted_at="2026-01-19 13:00:00")
    made, _ = shop.make(*DAYS)
    assert made.facts["receipts"]["2026-01-19"]["open_receipts"] == 0
    assert shop.asked() == {"list": 1, "operations": 3}
    assert shop.stands(4) == stands_in("2026-01-19") | {"stock_operations": []}


def test_opened_again_loses_its_operations(shop: Shop) -> None:
    shop.make(*DAYS)
    shop.world.reopen_receipt(1)
    shop.make(*DAYS)
    assert shop.asked() == {"list": 1}
    assert shop.stands(1) == stands_in("2026-01-19") | {"stock_operations": []}


def test_moved_within_the_range(shop: Shop) -> None:
    shop.make(*DAYS)
    shop.world.move_receipt(1, date(2026, 1, 20))
    shop.world.move_receipt(3, date(2026, 1, 19))
    made, then = shop.make(*DAYS)
    assert not made.bad
    assert not then.bad
    assert shop.asked() == {"list": 1, "operations": 2}
    assert shop.stands(1) == stands_in("2026-01-20")
    assert shop.stands(3) == stands_in("2026-01-19")
    assert made.facts["receipts"]["2026-01-19"]["receipts_moved_away"] == 1


@pytest.mark.parametrize("made_again", DAYS)
def test_moved_across_the_edge_of_the_range_changes_both_dates(shop: Shop, made_again: str) -> None:
    shop.make(*DAYS)
    shop.world.move_receipt(1, date(2026, 1, 20))
    made, then = shop.make(made_again)
    assert shop.stands(1) == stands_in("2026-01-20")
    assert set(made.facts["receipts"]) == set(DAYS)
    assert set(then.facts["stock_operations"]) == set(DAYS)
    shop.make(*DAYS)
    assert shop.asked() == {"list": 1}


def test_moved_to_a_date_not_made_yet_waits_for_it(shop: Shop) -> None:
    shop.make("2026-01-19")
    # Created too early for the listing of the date it moves to: only the note can bring it there.
    shop.world.update_receipt(1, shift_date="2026-01-24")
    shop.make("2026-01-19")
    assert shop.stands(1) == stands_in()
    assert shop.lake.waiting("2026-01-24") == {1: 1}
    made, _ = shop.make("2026-01-24")
    assert not made.bad
    assert shop.asked() == {"list": 1, "by id": 1, "operations": 1}
    assert shop.stands(1) == stands_in("2026-01-24")
    assert shop.lake.waiting("2026-01-24") == {}


def test_a_waiting_receipt_that_is_gone_or_elsewhere_is_not_waited_for(shop: Shop) -> None:
    shop.make("2026-01-19")
    for receipt_id in (3, 77):
        shop.lake.wait_for("2026-01-24", receipt_id, 1)
    made, _ = shop.make("2026-01-24")
    assert not made.bad
    assert shop.ids(RECEIPTS, "2026-01-24") == []
    assert shop.lake.waiting("2026-01-24") == {}
    assert shop.lake.waiting("2026-01-20") == {3: 1}  # where it really belongs, and that is not made yet


@pytest.mark.parametrize("writes", range(1, 9))
def test_a_move_that_dies_leaves_the_receipt_twice_at_worst_and_never_nowhere(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    shop.make(*DAYS)
    shop.world.move_receipt(1, date(2026, 1, 20))
    left = [writes]
    replace = Lake.replace

    def dying(lake: Lake, table: Table, shift_date: str, rows: pa.Table, notes: dict[str, str]) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise LakeError("the machine died")
        replace(lake, table, shift_date, rows, notes)

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "replace", dying)
        shop.make("2026-01-19")
    for table, places in shop.stands(1).items():
        assert places, table
    # What died was asked for by either date; each alone brings all three tables right.
    shop.make("2026-01-20")
    shop.make("2026-01-19")
    assert shop.stands(1) == stands_in("2026-01-20")


def test_a_receipt_gone_between_listing_and_operations_leaves(shop: Shop) -> None:
    shop.make_receipts(*DAYS)
    shop.world.delete_receipt(1)
    then = shop.make_operations(*DAYS)
    assert not then.bad
    assert shop.stands(1) == stands_in()
    assert then.facts["receipts"]["2026-01-19"]["rows"] == 1


def test_a_receipt_moved_between_listing_and_operations_is_told_and_brought_right(shop: Shop) -> None:
    shop.make(*DAYS)
    shop.world.update_receipt(1, order_status="READY")
    shop.make_receipts(*DAYS)
    shop.world.move_receipt(1, date(2026, 1, 20))
    shop.answer("/receipts/1/stock-operations", GONE, 404, times=1)
    then = shop.make_operations(*DAYS)
    assert "receipt 1 moved to 2026-01-20 while it was read" in then.bad["2026-01-19"]
    assert shop.stands(1) == stands_in("2026-01-19")
    shop.make(*DAYS)
    assert shop.stands(1) == stands_in("2026-01-20")


def test_operations_that_answer_404_while_the_receipt_stands_are_none(shop: Shop) -> None:
    shop.answer("/receipts/1/stock-operations", GONE, 404)
    made, then = shop.make(*DAYS)
    assert not made.bad
    assert not then.bad
    assert shop.asked()["by id"] == 1
    assert shop.stands(1) == stands_in("2026-01-19") | {"stock_operations": []}


def test_dates_apart_are_listed_apart(shop: Shop) -> None:
    made, _ = shop.make("2026-01-19", "2026-01-23")
    assert not made.bad
    assert shop.asked()["list"] == 2


def test_a_venue_that_is_not_read_keeps_its_receipts(shop: Shop) -> None:
    shop.world.venues.append({"id": 2, "name": "Filial 2", "is_main": 0, "media": []})
    shop.sell(9, "2026-01-19", venue_id=2)
    shop.make("2026-01-19")
    assert shop.ids(RECEIPTS, "2026-01-19") == [1, 2, 9]
    shop.venue_ids = (1,)
    shop.make("2026-01-19")
    assert shop.asked() == {"list": 1}
    assert shop.ids(RECEIPTS, "2026-01-19") == [1, 2, 9]


def test_the_tokens_own_venue_needs_no_header(shop: Shop) -> None:
    shop.venue_ids = None
    shop.make(*DAYS)
    venues = {request.route: request.venue for request in shop.sandbox.requests.latest()}
    # Of one receipt it is known which venue it belongs to, and it is named.
    assert venues == {"/v2/receipts": None, "/v2/receipts/{id}/stock-operations": "1", "/v2/auth": None}
    assert shop.ids(RECEIPTS, "2026-01-19") == [1, 2]


def test_a_long_range_files_every_date(shop: Shop) -> None:
    days = days_from("2025-11-01", 80)
    for number, shift_date in enumerate(days):
        shop.sell(1000 + number, shift_date)
    made, then = shop.make(*days)
    assert not made.bad
    assert not then.bad
    assert all(shop.ids(STOCK_OPERATIONS, day) is not None for day in days)
    assert sum(len(shop.ids(RECEIPTS, day) or []) for day in days) == 82


@pytest.mark.parametrize("table", [RECEIPTS, RECEIPT_PRODUCTS, STOCK_OPERATIONS])
def test_a_file_that_was_taken_away_comes_back_whole(shop: Shop, table: Table) -> None:
    shop.make(*DAYS)
    before = {other.name: shop.lake.read(other, "2026-01-19") for other in (RECEIPTS, RECEIPT_PRODUCTS)}
    shop.lake.path(table, "2026-01-19").unlink()
    made, then = shop.make(*DAYS)
    assert not made.bad
    assert not then.bad
    assert shop.stands(1) == stands_in("2026-01-19")
    for other in (RECEIPTS, RECEIPT_PRODUCTS):
        rows, known = shop.lake.read(other, "2026-01-19"), before[other.name]
        assert rows is not None
        assert known is not None
        assert rows.drop_columns(["fetched_at"]) == known.drop_columns(["fetched_at"])


def test_a_date_outside_that_is_held_costs_only_what_has_to_do_with_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clopos_assets.ingest.receipts.OUTSIDE_LOCK_SECONDS", 0.1)
    shop.sell(9, "2026-01-18")
    shop.make("2026-01-18", *DAYS)
    shop.world.move_receipt(1, date(2026, 1, 18))
    shop.world.update_receipt(3, order_status="READY")
    with shop.lake.locked(["2026-01-18"], seconds=1):
        made = shop.make_receipts(*DAYS)
    assert list(made.bad) == ["2026-01-19"]
    assert "being made by another run" in made.bad["2026-01-19"]
    assert made.facts["receipts"]["2026-01-20"]["receipts_changed"] == 1
    shop.make(*DAYS)
    assert shop.stands(1) == stands_in("2026-01-18")


def test_receipts_of_other_venues_stay_when_only_the_tokens_own_is_read(shop: Shop) -> None:
    shop.world.venues.append({"id": 2, "name": "Filial 2", "is_main": 0, "media": []})
    shop.sell(9, "2026-01-19", venue_id=2)
    shop.make("2026-01-19")
    shop.venue_ids = None
    made, _ = shop.make("2026-01-19")
    assert not made.bad
    assert shop.asked() == {"list": 1}
    assert shop.ids(RECEIPTS, "2026-01-19") == [1, 2, 9]


def test_where_the_tokens_own_venue_lists_nothing_each_receipt_is_asked_for(shop: Shop) -> None:
    shop.make("2026-01-19")
    shop.venue_ids = None
    for receipt_id in (1, 2, 3):
        shop.world.delete_receipt(receipt_id)
    shop.make("2026-01-19")
    assert shop.asked() == {"list": 1, "by id": 2}
    assert shop.ids(RECEIPTS, "2026-01-19") == []


class _DiedError(Exception):
    """Stands for the death of the process."""


@contextmanager
def die_before(table: Table, shift_date: str) -> Iterator[None]:
    """Die just before a partition would be replaced."""
    replace = Lake.replace

    def dying(lake: Lake, of: Table, day: str, rows: pa.Table, notes: dict[str, str]) -> None:
        if (of, day) == (table, shift_date):
            raise _DiedError
        replace(lake, of, day, rows, notes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lake, "replace", dying)
        with pytest.raises(_DiedError):
            yield


def test_lines_of_a_receipt_that_came_and_went_around_a_crash_are_gone(shop: Shop) -> None:
    shop.make(*DAYS)
    shop.sell(9, "2026-01-19")
    with die_before(RECEIPTS, "2026-01-19"):
        shop.make_receipts("2026-01-19")
    assert shop.stands(9)["receipt_products"] == ["2026-01-19"]
    shop.world.delete_receipt(9)
    shop.make(*DAYS)
    assert shop.stands(9) == stands_in()


def test_lines_of_a_receipt_that_left_and_came_back_around_a_crash_are_there(shop: Shop) -> None:
    shop.make(*DAYS)
    before = shop.world.receipt(1), shop.world.operations(1)
    shop.world.delete_receipt(1)
    with die_before(RECEIPTS, "2026-01-19"):
        shop.make_receipts("2026-01-19")
    shop.world.put_receipt(before[0])
    shop.world.put_operations(1, before[1])
    shop.make(*DAYS)
    assert shop.stands(1) == stands_in("2026-01-19")


@pytest.mark.parametrize("created", ["2026-01-19 10:00:00", "2026-01-02 10:00:00"])
def test_a_waiting_receipt_that_moved_on_reaches_its_date(shop: Shop, created: str) -> None:
    shop.make("2026-01-24")
    shop.sell(9, "2026-01-24", created_at=created)
    shop.lake.wait_for("2026-01-20", 9, 1)
    made, _ = shop.make("2026-01-20")
    assert not made.bad
    assert shop.stands(9)["receipts"] == ["2026-01-24"]


def test_a_waiting_receipt_whose_new_date_fails_goes_on_waiting(shop: Shop) -> None:
    shop.make(*DAYS)
    shop.sell(9, "2026-01-20", created_at="2026-01-02 10:00:00")
    shop.lake.wait_for("2026-01-23", 9, 1)
    with die_before(RECEIPTS, "2026-01-20"):
        shop.make_receipts("2026-01-23")
    assert shop.lake.waiting("2026-01-23") == {9: 1}
    shop.make("2026-01-23")
    assert shop.stands(9)["receipts"] == ["2026-01-20"]
    assert shop.lake.waiting("2026-01-23") == {}


def test_answers_kept_by_an_unfinished_refresh_do_not_answer_the_next(shop: Shop) -> None:
    shop.make(*DAYS)
    shop.answer("/receipts/1/stock-operations", "no")
    shop.make("2026-01-19", refresh="all")
    shop.answer_truly()
    shop.make("2026-01-19")
    shop.deduct(2, total_cost=1)
    shop.make("2026-01-19", refresh="all")
    assert shop.asked() == {"list": 1, "operations": 2}
