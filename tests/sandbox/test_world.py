"""The world's own promises: mutations, exact values, the answers it is built from."""

import json
import threading
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from clopos_assets.sandbox import LimitOptions, Sandbox, World

from .asking import Asker

# Every number form that JSON knows, more digits than a double holds, both alphabets, and a field nobody documented.
SAMPLE = """{
 "receipts": [
  {"id": 31, "venue_id": 2, "cid": "a", "status": 2, "total": 12345678901.123456, "subtotal": 28.250,
   "remaining": "0.10", "discount_rate": 1e-7, "service_charge": -0.0, "delivery_fee": 12500000000000000000,
   "payment_methods": [{"id": 1, "name": "Nağd «карта»", "amount": 12345678901.123456}],
   "lock": false, "fiscal_id": null, "new_field": {"deep": [1, 2.50, null]},
   "created_at": "2026-01-19 12:00:00", "updated_at": "2026-01-19 12:50:00",
   "closed_at": "2026-01-19 12:50:00", "shift_date": "2026-01-19",
   "receipt_products": [
    {"id": 7, "product_id": 10, "count": 0.350, "price": 12.5, "total": 999999999999.999999, "is_gift": 1,
     "meta": {"product": {"name": "Ətli qutab", "type": "DISH", "price": 12.5, "barcode": null}},
     "modificators": [], "created_at": "2026-01-19 12:00:00", "updated_at": "2026-01-19 12:00:00"}]},
  {"id": 32, "venue_id": 5, "status": 1, "total": 0, "created_at": "2026-01-20 12:00:00",
   "updated_at": "2026-01-20 12:00:00", "closed_at": null, "shift_date": "2026-01-20"}
 ],
 "stock_operations": {
  "31": [{"id": 1, "receipt_id": 31, "receipt_product_id": 7, "quantity": 0.3500, "cost": 8E+3, "total_cost": 0.10,
          "product": {"id": 3, "name": "Un"}, "stock": {"id": 4, "storage": {"id": 1, "name": "Склад"}}}],
  "32": []
 }
}"""
TIME = datetime.fromisoformat("2026-01-21 10:00:00")


def exact(text: str | bytes) -> Any:
    """JSON with numbers kept as (value, digits), so that 28.250 is not 28.25."""

    def number(digits: str) -> tuple[str, Decimal]:
        return "number", Decimal(digits)

    return json.loads(text, parse_float=number)


def as_text(value: object) -> str:
    return repr(value)


def test_answers_round_trip_value_for_value() -> None:
    world = World.from_json(SAMPLE)
    sample = exact(SAMPLE)
    with Sandbox(world, limits=LimitOptions.unlimited()) as sandbox, Asker(sandbox) as asker:
        for receipt in sample["receipts"]:
            venue = receipt["venue_id"]
            path = f"/v2/receipts?{'with[0]=receipt_products.modificators' * ('receipt_products' in receipt)}"
            (listed,) = exact(asker.get(path, venue=venue).body)["data"]
            assert as_text(listed) == as_text(receipt)
            found = exact(asker.get(f"/v2/receipts/{receipt['id']}/stock-operations", venue=venue).body)["data"]
            assert as_text(found) == as_text(sample["stock_operations"][str(receipt["id"])])


def test_answers_name_venues_and_time() -> None:
    world = World.from_json(SAMPLE)
    assert world.venue_ids() == [2, 5]
    assert world.main_venue_id() == 2
    assert world.now == datetime.fromisoformat("2026-01-20 12:00:00")
    assert World.from_json(SAMPLE, now=TIME).now == TIME


def test_no_binary_float_gets_in() -> None:
    with pytest.raises(ValueError, match=r"answers\.receipts\[0\]\.total is a binary float"):
        World.from_answers(json.loads(SAMPLE))


def test_the_world_keeps_its_own_copy() -> None:
    answers = json.loads(SAMPLE, parse_float=Decimal)
    world = World.from_answers(answers)
    answers["receipts"][0]["total"] = 0
    answers["receipts"][0]["receipt_products"].clear()
    answers["stock_operations"]["31"].clear()
    assert world.receipt(31)["total"] == Decimal("12345678901.123456")
    assert len(world.receipt(31)["receipt_products"]) == 1
    assert len(world.operations(31)) == 1
    world.receipt(31)["receipt_products"].clear()
    assert len(world.receipt(31)["receipt_products"]) == 1


def test_update_sets_updated_at_to_now_unless_told() -> None:
    world = World.from_json(SAMPLE, now=TIME)
    world.update_receipt(31, fiscal_id="F1")
    assert (world.receipt(31)["fiscal_id"], world.receipt(31)["updated_at"]) == ("F1", "2026-01-21 10:00:00")
    world.update_receipt(31, order_status="COMPLETED", updated_at="2026-01-22 00:00:00")
    assert world.receipt(31)["updated_at"] == "2026-01-22 00:00:00"
    with pytest.raises(ValueError, match="keeps its id"):
        world.update_receipt(31, id=32)


def test_close_pays_and_files_operations() -> None:
    world = World.from_json(SAMPLE, now=TIME)
    world.update_receipt(32, total=Decimal("7.50"), remaining=Decimal("7.50"))
    world.close_receipt(32, operations=[{"id": 9, "receipt_id": 32}])
    receipt = world.receipt(32)
    assert (receipt["status"], receipt["remaining"]) == (2, 0)
    assert receipt["closed_at"] == receipt["updated_at"] == "2026-01-21 10:00:00"
    assert receipt["payment_methods"] == [{"id": 1, "name": "Cash", "amount": Decimal("7.50")}]
    assert world.operations(32) == [{"id": 9, "receipt_id": 32}]


def test_close_at_another_time_with_other_payments() -> None:
    world = World.from_json(SAMPLE, now=TIME)
    world.close_receipt(32, closed_at=TIME - timedelta(hours=1), payment_methods=[], remaining=5, total=5)
    receipt = world.receipt(32)
    assert (receipt["closed_at"], receipt["payment_methods"], receipt["remaining"]) == (
        "2026-01-21 09:00:00",
        [],
        5,
    )


def test_reopen_takes_back_payment_and_operations() -> None:
    world = World.from_json(SAMPLE, now=TIME)
    world.reopen_receipt(31)
    receipt = world.receipt(31)
    assert (receipt["status"], receipt["closed_at"], receipt["payment_methods"]) == (1, None, [])
    assert receipt["remaining"] == receipt["total"]
    assert receipt["updated_at"] == "2026-01-21 10:00:00"
    assert world.operations(31) == []


def test_move_changes_the_shift_date_and_not_the_day_of_creation() -> None:
    world = World.from_json(SAMPLE, now=TIME)
    world.move_receipt(31, date(2026, 1, 18))
    assert world.receipt(31)["shift_date"] == "2026-01-18"
    assert world.receipt(31)["updated_at"] == "2026-01-21 10:00:00"
    assert [each["id"] for each in world.created_between(2, date(2026, 1, 19), date(2026, 1, 19))] == [31]


def test_another_day_of_creation_is_listed_there() -> None:
    world = World.from_json(SAMPLE)
    world.update_receipt(31, created_at="2026-02-01 00:00:00")
    assert world.created_between(2, None, date(2026, 1, 31)) == []
    assert [each["id"] for each in world.created_between(2, date(2026, 2, 1), None)] == [31]


def test_delete_leaves_a_trace_only_in_deleted() -> None:
    world = World.from_json(SAMPLE)
    world.delete_receipt(31)
    assert world.deleted == {31}
    assert world.receipt_ids() == [32]
    for change in (
        lambda: world.receipt(31),
        lambda: world.operations(31),
        lambda: world.delete_receipt(31),
        lambda: world.update_receipt(31, total=1),
        lambda: world.put_operations(31, []),
    ):
        with pytest.raises(LookupError, match="receipt 31 is not in the sandbox"):
            change()


def test_counts() -> None:
    world = World.from_json(SAMPLE)
    assert world.counts() == {
        "venues": 2,
        "receipts": 2,
        "open": 1,
        "closed": 1,
        "deleted": 0,
        "receipt_products": 1,
        "stock_operations": 1,
    }


def test_the_world_changes_while_it_is_listed() -> None:
    """A total and its rows belong together even while another thread adds and deletes."""
    world = World.from_json(SAMPLE)
    template = world.receipt(31)
    stop = threading.Event()

    def churn() -> None:
        receipt_id = 100
        while not stop.is_set():
            world.put_receipt({**template, "id": receipt_id})
            world.delete_receipt(receipt_id)
            receipt_id += 1

    with Sandbox(world, limits=LimitOptions.unlimited()) as sandbox, Asker(sandbox) as asker:
        thread = threading.Thread(target=churn)
        thread.start()
        try:
            for _ in range(100):
                body = asker.get("/v2/receipts").json
                assert len(body["data"]) == body["total"]
        finally:
            stop.set()
            thread.join()
