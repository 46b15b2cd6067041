"""Promise 3: requests are spent once."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import Mock
from zoneinfo import ZoneInfo

import pytest

from clopos_assets.ingest import operations
from clopos_assets.ingest.day import POSTING_TIME, ClosedReceipt
from clopos_assets.ingest.made import life_of
from clopos_assets.lake import Lake
from clopos_assets.tables import STOCK_OPERATIONS, Table
from tests.ingest.shop import Shop
from tests.ingest.test_runs_beside import before

DAYS = ("2026-01-19", "2026-01-20")


def test_a_range_lists_its_stretch_once(shop: Shop) -> None:
    made, then = shop.make(*DAYS)
    assert not made.bad
    assert not then.bad
    assert shop.asked() == {"list": 1, "operations": 3}
    queries = [r.query for r in shop.sandbox.requests.latest() if r.route == "/v2/receipts"]
    assert queries == [
        "page=1&sort[0]=id&sort[1]=1&limit=200&date[0]=2026-01-17&date[1]=2026-01-21"
        "&with[0]=receipt_products&with[1]=receipt_products.modificators"
    ]


def test_made_again_it_lists_only_and_writes_nothing(shop: Shop) -> None:
    shop.make(*DAYS)
    before = {file: file.stat().st_mtime_ns for file in shop.lake.root.rglob("*.parquet")}
    made, then = shop.make(*DAYS)
    assert shop.asked() == {"list": 1}
    assert {file: file.stat().st_mtime_ns for file in shop.lake.root.rglob("*.parquet")} == before
    assert made.facts["receipts"]["2026-01-19"]["receipts_changed"] == 0
    assert then.facts["stock_operations"]["2026-01-19"]["requests_spared"] == 2


@pytest.mark.parametrize(
    "change",
    [
        {"order_status": "CANCELLED"},
        {"fiscal_id": "F1"},
        {"lock": True},
        {"undocumented": 1},
        {"updated_at": "2026-01-19 12:30:01"},
    ],
)
def test_any_listed_field_that_differs_costs_one_request(shop: Shop, change: dict[str, object]) -> None:
    shop.make(*DAYS)
    shop.world.put_receipt(shop.world.receipt(1) | change)
    shop.make(*DAYS)
    assert shop.asked() == {"list": 1, "operations": 1}
    shop.make(*DAYS)
    assert shop.asked() == {"list": 1}


def test_a_line_that_differs_costs_one_request(shop: Shop) -> None:
    shop.make(*DAYS)
    receipt = shop.world.receipt(1)
    receipt["receipt_products"][0]["is_gift"] = True
    shop.world.put_receipt(receipt)
    shop.make(*DAYS)
    assert shop.asked() == {"list": 1, "operations": 1}


def test_order_of_keys_and_scale_of_numbers_are_no_difference(shop: Shop) -> None:
    shop.make(*DAYS)
    receipt = shop.world.receipt(1)
    receipt["total"] = "12.500"
    shop.world.put_receipt(dict(reversed(receipt.items())))
    shop.make(*DAYS)
    assert shop.asked() == {"list": 1}


def test_order_of_lines_is_no_difference(shop: Shop) -> None:
    (line,) = shop.world.receipt(1)["receipt_products"]
    lines = [line, line | {"id": 11}]
    shop.world.update_receipt(1, receipt_products=lines)
    shop.make(*DAYS)
    shop.world.put_receipt(shop.world.receipt(1) | {"receipt_products": lines[::-1]})
    shop.make(*DAYS)
    assert shop.asked() == {"list": 1}


def test_open_receipts_and_those_without_lines_are_asked_sparingly(shop: Shop) -> None:
    shop.sell(4, "2026-01-19", status=1, closed_at=None, payment_methods=[])
    shop.sell(5, "2026-01-19", receipt_products=[])
    shop.world.put_operations(5, [])
    shop.make(*DAYS)
    assert shop.asked() == {"list": 1, "operations": 4}  # all closed ones, once
    shop.make(*DAYS)
    assert shop.asked() == {"list": 1}


@pytest.mark.parametrize(("hours", "again"), [(23, 1), (24, 0), (25, 0)])
def test_closed_with_lines_but_no_operation_is_asked_again_for_a_day(shop: Shop, hours: int, again: int) -> None:
    closed_at = shop.world.now - timedelta(hours=hours)
    shop.sell(4, "2026-01-24", closed_at=closed_at.strftime("%Y-%m-%d %H:%M:%S"))
    shop.world.put_operations(4, [])
    shop.make("2026-01-24")
    shop.make("2026-01-24")
    assert shop.asked().get("operations", 0) == again


@pytest.mark.parametrize("month", [3, 10])  # Clocks are set on the 29th of March, and on the 25th of October.
@pytest.mark.parametrize(("hours", "again"), [(23.5, True), (24.5, False)])
def test_a_day_has_24_hours_where_clocks_are_set(shop: Shop, month: int, hours: float, again: bool) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    now = datetime(2026, month, 29 if month == 3 else 25, 12, tzinfo=UTC)
    scope = replace(shop.scope, zone=berlin, clock=lambda: now)
    closed_at = (now - timedelta(hours=hours)).astimezone(berlin).replace(tzinfo=None)
    receipt = ClosedReceipt(1, 1, closed_at, has_lines=True, version=b"")
    assert receipt.may_still_post(scope.local_now(POSTING_TIME)) == again


def test_operations_posted_late_are_found_within_a_day(shop: Shop) -> None:
    closed_at = shop.world.now - timedelta(hours=1)
    shop.sell(4, "2026-01-24", closed_at=closed_at.strftime("%Y-%m-%d %H:%M:%S"))
    shop.world.put_operations(4, [])
    shop.make("2026-01-24")
    assert shop.ids(STOCK_OPERATIONS, "2026-01-24") == []
    shop.deduct(4)
    shop.make("2026-01-24")
    assert shop.ids(STOCK_OPERATIONS, "2026-01-24") == [400]


def test_refresh_all_asks_for_every_closed_receipt(shop: Shop) -> None:
    shop.make(*DAYS)
    shop.deduct(1, total_cost=1)  # a change that nothing in the listing shows
    shop.make(*DAYS)
    assert shop.asked() == {"list": 1}
    _, then = shop.make(*DAYS, refresh="all")
    assert shop.asked() == {"list": 1, "operations": 3}
    assert then.facts["stock_operations"]["2026-01-19"]["total_cost"] == 1 + shop.world.operations(2)[0]["total_cost"]


def test_a_refresh_that_was_killed_goes_on_where_it_stopped(shop: Shop) -> None:
    shop.make(*DAYS)
    for receipt_id in (1, 3):  # of both dates, so that both are written
        shop.deduct(receipt_id, total_cost=1)
    killed = Mock(side_effect=KeyboardInterrupt)
    at_the_second = before("replace", lambda of, day, *_: (of, day) == (STOCK_OPERATIONS, DAYS[1]), killed)
    with at_the_second, pytest.raises(KeyboardInterrupt):
        shop.make(*DAYS, refresh="all")
    assert shop.asked() == {"list": 1, "operations": 3}
    _, then = shop.make(*DAYS, refresh="all")
    assert shop.asked() == {"list": 1}
    rest = shop.world.operations(2)[0]["total_cost"]
    assert [then.facts["stock_operations"][day]["total_cost"] for day in DAYS] == [1 + rest, 1]
    shop.make(*DAYS, refresh="all")
    assert shop.asked() == {"list": 1, "operations": 3}


def test_a_refresh_beside_another_asks_for_what_that_has_done(shop: Shop) -> None:
    """It was asked for later, perhaps for something that was mended meanwhile."""
    shop.make(*DAYS)
    shop.run_id = "first"

    def refresh_beside() -> None:
        beside = Shop(Path(shop.lake.uri()).parent, shop.sandbox)
        beside.run_id = "second"
        shop.deduct(1, total_cost=1)
        with ThreadPoolExecutor() as threads, beside.lake.locked([life_of("second")], seconds=0):
            threads.submit(beside.make_operations, DAYS[0], refresh="all").result(60)

    with shop.lake.locked([life_of("first")], seconds=0):
        with before("make", lambda day: day == DAYS[1], refresh_beside, of=operations._Making):
            shop.make(*DAYS, refresh="all")
        assert shop.asked() == {"list": 1, "operations": 5}
    stored = shop.lake.read(STOCK_OPERATIONS, DAYS[0])
    assert stored is not None
    assert 1 in stored.column("total_cost").to_pylist()
    shop.make(*DAYS, refresh="all")
    assert shop.asked() == {"list": 1, "operations": 3}


def test_a_refresh_after_one_that_failed_for_an_answer_asks_for_all_anew(shop: Shop) -> None:
    """People mend what was wrong, and not that alone."""
    shop.make(*DAYS)
    shop.answer("/receipts/1/stock-operations", '{"success": true, "data": [{"id": null}]}')
    assert shop.make(*DAYS, refresh="all")[1].bad.keys() == {DAYS[0]}
    shop.answer_truly()
    for receipt_id in (1, 2, 3):
        shop.deduct(receipt_id, total_cost=1)
    shop.make(*DAYS, refresh="all")
    assert shop.asked() == {"list": 1, "operations": 3}


def test_a_refresh_after_one_that_got_no_answers_any_more_goes_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clopos_assets.ingest.operations.FAILURES_BORNE", 0)
    shop.make(*DAYS)
    shop.answer("/receipts/3/stock-operations", "no")
    assert shop.make(*DAYS, refresh="all")[1].bad.keys() == {DAYS[1]}
    shop.answer_truly()
    shop.make(*DAYS, refresh="all")
    assert shop.asked() == {"list": 1, "operations": 1}


def test_rows_keep_the_instant_at_which_their_version_was_first_read(shop: Shop) -> None:
    shop.make(*DAYS)
    shop.world.pass_time(timedelta(hours=1))
    shop.world.update_receipt(1, order_status="READY")
    shop.make(*DAYS, refresh="all")
    rows = shop.lake.read(STOCK_OPERATIONS, "2026-01-19")
    assert rows is not None
    assert len(set(rows.column("fetched_at").to_pylist())) == 1  # operations of receipt 1 did not change


def test_more_requests_than_one_page(shop: Shop) -> None:
    for receipt_id in range(100, 560):
        shop.sell(receipt_id, "2026-01-19")
    made, then = shop.make("2026-01-19")
    assert not made.bad
    assert not then.bad
    assert shop.asked() == {"list": 3, "operations": 462}
    assert then.facts["stock_operations"]["2026-01-19"]["rows"] == 462


def test_files_of_a_date_are_read_as_often_as_they_are_needed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an object store each reading is a request."""
    shop.make(DAYS[0])
    read: Counter[str] = Counter()
    opened = Lake._open

    def counted(lake: Lake, table: Table, shift_date: str) -> object:
        read[table.name] += 1
        return opened(lake, table, shift_date)

    monkeypatch.setattr(Lake, "_open", counted)
    shop.make_operations(DAYS[0])
    assert read == {"receipts": 2, "receipt_products": 1, "stock_operations": 3}
