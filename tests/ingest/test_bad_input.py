"""Promise 8 and bad input: one line that says what was wrong; good dates are written, bad ones left as they were."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from clopos_assets.lake import Lake
from clopos_assets.tables import RECEIPT_PRODUCTS, RECEIPTS, STOCK_OPERATIONS
from tests.ingest.shop import Shop, operation

DAYS = ("2026-01-19", "2026-01-20")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"total": 10**12}, ["receipt 1", "total", "does not fit"]),
        ({"total": "12,50"}, ["receipt 1", "total", "'12,50' is not a number"]),
        ({"closed_at": "19.01.2026 12:30"}, ["receipt 1", "closed_at", "is not a time"]),
        ({"closed_at": "2026-02-30 12:30:00"}, ["receipt 1", "closed_at", "is not a time"]),
        ({"status": None}, ["receipt 1", "status is missing"]),
        ({"id": None}, ["receipt None", "id is missing"]),
        ({"id": "one"}, ["receipt one", "id", "is not a number"]),
        ({"lock": "perhaps"}, ["receipt 1", "lock", "neither true"]),
        ({"payment_methods": [{"id": 1, "name": "Nağd", "amount": "x"}]}, ["receipt 1", "payment_methods", "amount"]),
        ({"receipt_products": [{"id": 10, "product_id": 7, "total": 1}]}, ["receipt 1", "line 10", "count is missing"]),
        ({"receipt_products": None}, ["receipt 1", "receipt_products is missing"]),
        ({"venue_id": 2}, ["receipt 1", "venue 1 was asked for, and venue 2 answered"]),
    ],
)
def test_a_receipt_that_can_not_be_read_costs_its_date_alone(
    shop: Shop, change: dict[str, Any], words: list[str]
) -> None:
    receipts = [shop.world.receipt(i) | (change if i == 1 else {}) for i in (1, 2, 3)]
    shop.answer("/receipts", json.dumps({"success": True, "data": receipts, "total": 3}, default=float))
    made = shop.make_receipts(*DAYS)
    assert list(made.bad) == ["2026-01-19"]
    assert all(word in made.bad["2026-01-19"] for word in words), made.bad
    assert "\n" not in made.bad["2026-01-19"]
    assert shop.ids(RECEIPTS, "2026-01-19") is None
    assert shop.ids(RECEIPTS, "2026-01-20") == [3]
    shop.answer_truly()
    assert not shop.make_receipts(*DAYS).bad


def test_a_shift_date_that_can_not_be_read_costs_the_dates_it_may_be(shop: Shop) -> None:
    shop.sell(4, "2026-01-23")
    shop.world.update_receipt(1, shift_date="2026-13-45")
    made = shop.make_receipts("2026-01-19", "2026-01-20", "2026-01-21", "2026-01-22", "2026-01-23")
    assert sorted(made.bad) == ["2026-01-19", "2026-01-20", "2026-01-21"]  # created on the 19th
    assert shop.ids(RECEIPTS, "2026-01-23") == [4]


@pytest.mark.parametrize(
    ("totals", "words"), [((12.5, 1), "the listing holds it twice"), (("x", "y"), "total: 'x' is not a number")]
)
def test_one_id_twice_in_one_answer_with_different_content(shop: Shop, totals: tuple[object, ...], words: str) -> None:
    others = [shop.world.receipt(i) for i in (2, 3)]
    data = [*(shop.world.receipt(1) | {"total": total} for total in totals), *others]
    shop.answer("/receipts", json.dumps({"success": True, "data": data, "total": 3}, default=float))
    made = shop.make_receipts(*DAYS)
    assert f"receipt 1: {words}" in made.bad["2026-01-19"]
    assert shop.ids(RECEIPTS, "2026-01-20") == [3]


@pytest.mark.parametrize("later", [{}, {"total": 1}])
def test_a_list_read_in_parts_that_knows_no_days(
    shop: Shop, later: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part holds all receipts: once, where they are the same."""
    monkeypatch.setattr("clopos_assets.clopos.listing._LONG", 0)
    receipts = [shop.world.receipt(i) for i in (1, 2, 3)]
    totals = iter([4, 4])  # promises one that does not come, until the list is read in parts

    async def answer(request: Request) -> Response | None:
        if not request.url.path.endswith("/receipts"):
            return None
        changed = [receipts[0] | (later if "date[1]=2026-01-21" in request.url.query else {}), *receipts[1:]]
        envelope = {"success": True, "data": changed, "total": next(totals, 3)}
        return Response(json.dumps(envelope, default=float), media_type="application/json")

    shop.sandbox.hooks.answer_instead = answer
    made = shop.make_receipts(*DAYS)
    assert shop.ids(RECEIPTS, "2026-01-20") == [3]
    if later:
        assert "receipt 1: the listing holds it twice, with different content" in made.bad["2026-01-19"]
    else:
        assert not made.bad
        assert shop.ids(RECEIPTS, "2026-01-19") == [1, 2]


def test_identical_repeats_are_one_row(shop: Shop) -> None:
    receipts = [shop.world.receipt(i) for i in (1, 2, 3)]
    shop.answer("/receipts", json.dumps({"success": True, "data": [*receipts, receipts[0]], "total": 3}, default=float))
    assert not shop.make_receipts(*DAYS).bad
    assert shop.ids(RECEIPTS, "2026-01-19") == [1, 2]


def test_one_id_in_two_venues(shop: Shop) -> None:
    shop.world.venues.append({"id": 2, "name": "Filial 2", "is_main": 0, "media": []})
    shop.venue_ids = None

    shop.answer("/receipts", json.dumps({"success": True, "data": [shop.world.receipt(3)], "total": 1}, default=float))
    assert not shop.make_receipts(*DAYS).bad
    shop.venue_ids = (1, 2)
    assert "venue 2 was asked for, and venue 1 answered" in shop.make_receipts(*DAYS).bad["2026-01-20"]


def test_unknown_fields_are_kept_and_named(shop: Shop) -> None:
    shop.world.update_receipt(1, mood="good", tags=[1])
    made, _ = shop.make(*DAYS)
    assert made.facts["receipts"]["2026-01-19"]["unknown_fields"] == "mood, tags"
    rows = shop.lake.read(RECEIPTS, "2026-01-19", ["extra"])
    assert rows is not None
    assert rows.column("extra").to_pylist() == ['{"mood":"good","tags":[1]}', None]


def test_operations_of_another_receipt(shop: Shop) -> None:
    shop.deduct(1, receipt_id=2)
    _, then = shop.make(*DAYS)
    assert "receipt 1: stock operation 100: it belongs to receipt 2" in then.bad["2026-01-19"]
    assert shop.ids(STOCK_OPERATIONS, "2026-01-19") is None
    assert shop.ids(STOCK_OPERATIONS, "2026-01-20") == [300]


def test_one_operation_twice_in_one_answer_with_different_content(shop: Shop) -> None:
    closed_at = shop.world.receipt(1)["closed_at"]
    shop.world.put_operations(1, [operation(1, closed_at), operation(1, closed_at, quantity=7)])
    _, then = shop.make(*DAYS)
    assert "receipt 1: stock operation 100: it stands twice" in then.bad["2026-01-19"]
    assert shop.ids(STOCK_OPERATIONS, "2026-01-20") == [300]


def test_a_line_of_another_receipt(shop: Shop) -> None:
    lines = [line | {"receipt_id": 2} for line in shop.world.receipt(1)["receipt_products"]]
    shop.world.update_receipt(1, receipt_products=lines)
    made, _ = shop.make(*DAYS)
    assert "receipt 1: line 10: it belongs to receipt 2" in made.bad["2026-01-19"]
    assert shop.ids(RECEIPTS, "2026-01-20") == [3]


def test_a_line_whose_modifiers_and_product_are_null(shop: Shop) -> None:
    lines = [line | {"modificators": None, "meta": None} for line in shop.world.receipt(1)["receipt_products"]]
    shop.world.update_receipt(1, receipt_products=lines)
    assert not shop.make_receipts(*DAYS).bad
    rows = shop.lake.read(RECEIPT_PRODUCTS, "2026-01-19", ["modificators", "meta", "product_name"])
    assert rows is not None
    assert rows.to_pylist()[0] == {"modificators": None, "meta": None, "product_name": None}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<html>502 Bad Gateway</html>", "HTTP 200"),
        ('{"data": [{"id": 1', "HTTP 200"),
        ('{"data": {}}', "data"),
        ('{"data": [], "total": 1}', "0 of 1 operations came"),
        ('{"data": [{"id": 100, "receipt_id": 1}]}', "stock operation 100: product_id is missing"),
    ],
)
def test_a_receipt_whose_operations_keep_failing_is_named_and_the_rest_is_kept(
    shop: Shop, body: str, words: str
) -> None:
    shop.answer("/receipts/1/stock-operations", body)
    _, then = shop.make(*DAYS)
    reason = then.bad["2026-01-19"]
    assert "receipt 1" in reason
    assert words in reason
    assert "\n" not in reason
    assert shop.ids(STOCK_OPERATIONS, "2026-01-19") is None
    shop.answer_truly()
    _, then = shop.make(*DAYS)
    assert not then.bad
    assert shop.asked() == {"list": 1, "operations": 1}  # receipt 2 was kept
    assert not list((shop.lake.root / "_staging").rglob("*.json"))


@pytest.mark.parametrize("status", [400, 403, 422])
def test_a_refusal_of_one_receipt_costs_its_date_alone(shop: Shop, status: int) -> None:
    shop.answer("/receipts/1/stock-operations", '{"success": false, "error": "odd"}', status)
    _, then = shop.make(*DAYS)
    assert list(then.bad) == ["2026-01-19"]
    assert "receipt 1" in then.bad["2026-01-19"]
    assert shop.ids(STOCK_OPERATIONS, "2026-01-20") == [300]


@pytest.mark.parametrize("status", [400, 403, 500])
def test_a_receipt_refused_by_its_id_costs_its_date_alone(shop: Shop, status: int) -> None:
    shop.make(*DAYS)
    shop.world.update_receipt(1, created_at="2026-01-10 10:00:00")
    shop.world.update_receipt(3, order_status="READY")
    shop.answer("/receipts/1", '{"success": false, "error": "odd"}', status)
    made = shop.make_receipts(*DAYS)
    assert list(made.bad) == ["2026-01-19"]
    assert made.facts["receipts"]["2026-01-20"]["receipts_changed"] == 1


def test_answers_that_can_not_be_read_are_no_outage(shop: Shop) -> None:
    for receipt_id in range(100, 130):
        shop.sell(receipt_id, "2026-01-19")
        shop.deduct(receipt_id, quantity="x")
    _, then = shop.make(*DAYS)
    assert list(then.bad) == ["2026-01-19"]
    assert "stock operations of 30 of 32 closed receipts" in then.bad["2026-01-19"]
    assert shop.ids(STOCK_OPERATIONS, "2026-01-20") == [300]


@pytest.mark.parametrize("left", [b"", b'{"success": true, "data": [], "total": 1}'], ids=["empty", "in part"])
def test_a_kept_answer_that_is_damaged_is_asked_for_again(shop: Shop, left: bytes) -> None:
    shop.answer("/receipts/1/stock-operations", "no")
    shop.make(*DAYS)
    shop.answer_truly()
    (kept,) = (shop.lake.root / "_staging").rglob("*.json")
    kept.write_bytes(left)
    _, then = shop.make(*DAYS)
    assert not then.bad
    assert shop.asked() == {"list": 1, "operations": 2}


def test_numeric_strings_are_numbers_everywhere(shop: Shop) -> None:
    receipts = [shop.world.receipt(i) | {"id": str(i), "venue_id": "1"} for i in (1, 2, 3)]
    shop.answer("/receipts", json.dumps({"success": True, "data": receipts, "total": "3"}, default=float))
    assert not shop.make_receipts(*DAYS).bad
    assert shop.ids(RECEIPTS, "2026-01-19") == [1, 2]


def test_damaged_operations_cost_their_date_alone(shop: Shop) -> None:
    shop.make(*DAYS)
    shop.lake.path(STOCK_OPERATIONS, "2026-01-19").write_bytes(b"PAR1 no more")
    shop.world.update_receipt(3, order_status="READY")
    _, then = shop.make(*DAYS)
    assert list(then.bad) == ["2026-01-19"]
    assert then.facts["stock_operations"]["2026-01-20"]["requests"] == 1


def test_a_damaged_partition_costs_its_date_alone(shop: Shop) -> None:
    shop.make(*DAYS)
    shop.lake.path(RECEIPTS, "2026-01-19").write_bytes(b"PAR1 no more")
    shop.world.update_receipt(3, order_status="READY")
    made = shop.make_receipts(*DAYS)
    assert list(made.bad) == ["2026-01-19"]
    assert "): remove it and make 2026-01-19 again" in made.bad["2026-01-19"]
    shop.lake.path(RECEIPTS, "2026-01-19").unlink()
    assert not shop.make_receipts(*DAYS).bad


def test_an_api_that_is_down_is_not_asked_for_every_receipt(shop: Shop) -> None:
    for receipt_id in range(100, 200):
        shop.sell(receipt_id, "2026-01-19")
    shop.make_receipts(*DAYS)
    shop.sandbox.requests.reset()
    shop.answer("/stock-operations", '{"success": false, "message": "down"}', 503)
    then = shop.make_operations(*DAYS)
    assert sorted(then.bad) == list(DAYS)
    assert shop.asked()["operations"] < 100


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, {"success": False, "message": "Wrong credentials"}, "CLOPOS_CLIENT_SECRET"),
        (400, {"success": False, "error": "Invalid integrator_id"}, "CLOPOS_INTEGRATOR_ID"),
        (200, {"success": False, "error": "Integrator is in test mode. But brand is not in test mode"}, "CLOPOS_BRAND"),
    ],
)
def test_refused_credentials_fail_every_date_with_one_reason(
    shop: Shop, status: int, body: dict[str, Any], words: str
) -> None:
    shop.answer("/auth", json.dumps(body), status)
    made = shop.make_receipts(*DAYS)
    assert sorted(made.bad) == list(DAYS)
    assert len(set(made.bad.values())) == 1
    assert words in made.bad["2026-01-19"]
    assert shop.sandbox.credentials.client_secret not in made.bad["2026-01-19"]


def test_a_listing_that_is_refused_costs_its_own_dates_alone(shop: Shop) -> None:
    async def answer(request: Request) -> Response | None:
        is_second = "date[1]=2026-01-23" in request.url.query
        return Response('{"success": false, "error": "odd"}', 400) if is_second else None

    shop.sandbox.hooks.answer_instead = answer
    made = shop.make_receipts("2026-01-19", "2026-01-22")
    assert list(made.bad) == ["2026-01-22"]
    assert shop.ids(RECEIPTS, "2026-01-19") == [1, 2]


def test_an_unknown_venue_is_named(shop: Shop) -> None:
    shop.venue_ids = (1, 99)
    made = shop.make_receipts(*DAYS)
    assert "99" in made.bad["2026-01-19"]
    assert "CLOPOS_VENUE_IDS" in made.bad["2026-01-19"]


def test_a_venue_without_a_readable_id_is_not_left_out(shop: Shop) -> None:
    shop.answer("/venues", json.dumps({"success": True, "data": [{"id": 1}, {"id": "x"}], "total": 2}))
    made = shop.make_receipts(*DAYS)
    assert sorted(made.bad) == list(DAYS)
    assert "names no venues by id" in made.bad["2026-01-19"]


def test_a_listing_that_never_completes_fails(shop: Shop) -> None:
    shop.answer("/receipts", json.dumps({"success": True, "data": [shop.world.receipt(3)], "total": 2}, default=float))
    made = shop.make_receipts(*DAYS)
    assert sorted(made.bad) == list(DAYS)
    assert "1 of 2" in made.bad["2026-01-19"]
    assert shop.ids(RECEIPTS, "2026-01-20") is None


def test_a_move_to_a_date_that_fails_keeps_the_receipt_where_it_was(shop: Shop) -> None:
    shop.make(*DAYS)
    shop.world.move_receipt(1, date(2026, 1, 20))
    shop.world.update_receipt(3, total="many")
    made, then = shop.make(*DAYS)
    assert list(made.bad) == ["2026-01-20"]
    assert not then.bad
    # The date that can't be made still takes in what moved there; the rest of it stays as it was.
    assert shop.stands(1)["receipts"] == ["2026-01-20"]
    assert shop.ids(RECEIPTS, "2026-01-20") == [1, 3]


def test_a_lake_that_is_not_writable(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    shop.lake = Lake(tmp_path / "file" / "lake")
    made = shop.make_receipts(*DAYS)
    assert "CLOPOS_LAKE" in made.bad["2026-01-19"]
    assert "\n" not in made.bad["2026-01-19"]


def test_operations_without_receipts_say_what_to_do(shop: Shop) -> None:
    assert "materialize receipts first" in shop.make_operations("2026-01-19").bad["2026-01-19"]


KILLED = """
    import sys
    from pathlib import Path
    from clopos_assets.sandbox import Sandbox
    from tests.ingest.shop import Shop

    class Remote:  # the sandbox of the other process, as far as a shop needs it
        def __init__(self, url, credentials, world):
            self.url, self.credentials, self.world = url, credentials, world

    from clopos_assets.sandbox import Credentials, World
    from tests.ingest.shop import NOW
    shop = Shop(Path(sys.argv[2]), Remote(sys.argv[1], Credentials(), World([{"id": 1}], now=NOW)))
    shop.make_operations("2026-01-19")
"""


def test_a_process_killed_in_mid_run_is_continued(shop: Shop, tmp_path: Path) -> None:
    for receipt_id in range(100, 160):
        shop.sell(receipt_id, "2026-01-19")
    shop.make_receipts("2026-01-19")
    shop.sandbox.requests.reset()

    async def stall(request: Any) -> None:
        number = shop.asked().get("operations", 0)
        while number >= 20 and child.poll() is None:
            await __import__("asyncio").sleep(0.01)

    shop.sandbox.hooks.answer_instead = stall
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), shop.sandbox.url, str(tmp_path)],
        cwd=Path(__file__).parents[2],
    )
    kept = shop.lake.root / "_staging"
    deadline = time.monotonic() + 60
    while len(list(kept.rglob("*.json"))) < 10 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    finished = len(list(kept.rglob("*.json")))
    assert 10 <= finished < 62
    asked: list[str] = []

    # Counted at the door: what the killed run had asked for is still being answered.
    async def count(request: Any) -> None:
        asked.append(request.url.path)

    shop.sandbox.hooks.answer_instead = count
    assert not shop.make_operations("2026-01-19").bad  # the killed run's lock is free
    assert len([path for path in asked if path.endswith("/stock-operations")]) == 62 - finished
    assert len(shop.ids(STOCK_OPERATIONS, "2026-01-19") or []) == 62
