"""The requests and answers printed on the vendor's v2 pages."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from clopos_assets.sandbox import World

from .asking import Asker

EXAMPLES: Any = json.loads(Path(__file__).with_name("vendor_examples.json").read_text("utf-8"), parse_float=Decimal)
ENVELOPE = {"success", "data", "time", "timestamp", "unix"}
LINE_FIELDS = {
    "id", "cid", "product_id", "count", "portion_size", "total", "price", "subtotal", "is_gift", "discount_type",
    "discount_value", "discount_rate", "total_discount", "receipt_discount", "loyalty_type", "loyalty_value", "meta",
    "created_at", "updated_at",
}  # fmt: skip
PAGE = "/v2/receipts?page=1&sort[0]=created_at&sort[1]=-1&limit=50&date[0]=2026-01-19&date[1]=2026-01-19"
WITH = (
    "with[0]=receipt_products.product.unit&with[1]=receipt_products.product.station"
    "&with[2]=receipt_products.modificators.modificator_group"
)


def test_list_receipts_answers_as_printed(asker: Asker) -> None:
    answer = asker.get(PAGE)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json
    assert body["success"] is True
    assert body["data"] == EXAMPLES["receipts"]
    assert list(body["data"][0]) == list(EXAMPLES["receipts"][0])
    assert body["total"] == 1
    assert {"created_at", "updated_at", "closed_at", "total", "id"} <= set(body["sorts"])
    assert set(body) == ENVELOPE | {"total", "sorts"}


def test_list_receipts_with_products_and_modifiers(asker: Asker) -> None:
    body = asker.get(f"{PAGE}&{WITH}").json
    assert body["data"] == [{**EXAMPLES["receipts"][0], "receipt_products": []}]


def test_receipt_by_id_answers_the_same_object(asker: Asker) -> None:
    body = asker.get("/v2/receipts/1").json
    assert body["data"] == EXAMPLES["receipts"][0]
    assert set(body) == ENVELOPE


def test_receipt_by_id_with_relations(asker: Asker) -> None:
    assert asker.get(f"/v2/receipts/1?{WITH}").json["data"]["receipt_products"] == []


def test_stock_operations_answer_as_printed(asker: Asker) -> None:
    body = asker.get("/v2/receipts/1/stock-operations").json
    assert body == {"data": EXAMPLES["stock_operations"]["1"]}
    assert list(body["data"][0]) == list(EXAMPLES["stock_operations"]["1"][0])


@pytest.mark.parametrize("path", ["/v2/receipts/2", "/v2/receipts/2/stock-operations"])
def test_an_unknown_receipt_is_not_found(asker: Asker, path: str) -> None:
    answer = asker.get(path)
    assert answer.status == 404
    assert answer.json == {"success": False, "error": "not_found", "message": "Receipt not found"}


def test_a_wrong_direction_is_an_invalid_parameter(asker: Asker) -> None:
    answer = asker.get("/v2/receipts?sort[0]=created_at&sort[1]=desc")
    assert answer.status == 400
    assert answer.json == {
        "success": False,
        "error": "invalid_parameter",
        "message": "sort[1] must be 1 or -1",
    }


@pytest.mark.parametrize("path", ["/v2/receipts", "/v2/receipts/1", "/v2/receipts/1/stock-operations", "/v2/venues"])
def test_a_missing_token_is_unauthorized(asker: Asker, path: str) -> None:
    answer = asker.send("GET", f"/open-api{path}", {})
    assert answer.status == 401
    assert answer.json == {
        "success": False,
        "error": "unauthorized",
        "message": "Missing authentication headers",
    }


def test_venues(asker: Asker) -> None:
    body = asker.get("/v2/venues").json
    assert body["success"] is True
    assert body["data"] == [{"id": 1, "name": "Filial 1", "is_main": 1, "media": []}]
    assert body["total"] == 1


def test_the_history_shows_the_fields_of_the_vendors_pages(month_asker: Asker) -> None:
    """The same field sets and order as the printed examples, on a generated receipt."""
    receipts = month_asker.get("/v2/receipts?limit=200&with[0]=receipt_products&date[0]=2026-01-19").json["data"]
    receipt = next(each for each in receipts if each["status"] == 2 and each["receipt_products"])
    assert [name for name in receipt if name != "receipt_products"] == list(EXAMPLES["receipts"][0])
    assert set(receipt["receipt_products"][0]) == LINE_FIELDS
    assert set(receipt["receipt_products"][0]["meta"]["product"]) == {"name", "type", "price", "barcode"}
    assert set(receipt["payment_methods"][0]) == {"id", "name", "amount"}
    operations = month_asker.get(f"/v2/receipts/{receipt['id']}/stock-operations").json["data"]
    example = EXAMPLES["stock_operations"]["1"][0]
    assert list(operations[0]) == list(example)
    assert list(operations[0]["product"]) == list(example["product"])
    assert set(operations[0]["stock"]["storage"]) == {"id", "name"}


def test_timestamp_is_utc_and_unix_says_the_same(vendor_world: World, asker: Asker) -> None:
    body = asker.get("/v2/venues").json
    assert str(vendor_world.now) == "2026-01-19 15:07:49"  # Asia/Baku, four hours ahead
    assert body["timestamp"] == "2026-01-19 11:07:49"
    assert body["unix"] == 1768820869
