"""The vendor's example answers, value for value, and every documented field's home.

`vendor_examples/` holds the answers as the pages print them: "Get receipt by ID" (v1: an example, and one that
names all fields), "List receipts" (v2), "Get Receipt Stock Operations" (v2), and their error answers.
"""

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from clopos_assets.tables import RECEIPT_PRODUCTS, RECEIPTS, STOCK_OPERATIONS, Kind, Table
from clopos_assets.tables.rows import RowReader
from clopos_assets.tables.values import RowError
from tests.tables.decoding import LINE, OPERATION, RECEIPT, load_json

EXAMPLES = Path(__file__).parent / "vendor_examples"


def example(name: str) -> Any:
    """What an example answer's `data` says."""
    return load_json(EXAMPLES / f"{name}.json")["data"]


def read(reader: RowReader, item: dict[str, Any], *given: int) -> dict[str, object]:
    """The columns that an API object fills, by name."""
    row = dict(zip(reader.names, reader.read(item, *given), strict=True))
    return {name: value for name, value in row.items() if value is not None}


def money(value: object) -> Decimal:
    return Decimal(str(value)).quantize(Decimal("0.000001"))


def test_v2_receipt_of_the_list() -> None:
    (item,) = example("v2_receipts")
    assert read(RECEIPT, item) == {
        "id": 1,
        "venue_id": 1,
        "cid": "96ab5d26-d6bb-4976-a6f8-9e8806ef6aa5",
        "sale_type_id": 2,
        "source": "web",
        "guests": 1,
        "status": 2,
        "order_status": "IN_PROGRESS",
        "order_number": "006",
        "lock": False,
        "total": money(33000),
        "subtotal": money(33000),
        "discount_type": 0,
        "discount_value": money(0),
        "discount_rate": money(0),
        "total_discount": money(0),
        "service_charge": money(0),
        "service_charge_value": money(0),
        "delivery_fee": money(0),
        "remaining": money(0),
        "i_tax": money(0),
        "e_tax": money(0),
        "total_tax": money(0),
        "payment_methods": [{"id": 1, "name": "Cash", "amount": money(33000)}],
        "created_at": datetime(2026, 1, 19, 14, 51, 33),
        "updated_at": datetime(2026, 1, 19, 15, 7, 49),
        "closed_at": datetime(2026, 1, 19, 15, 7, 49),
    }


def test_v1_receipt_by_id() -> None:
    item = example("v1_receipt_by_id")
    row = read(RECEIPT, item)
    assert json.loads(str(row.pop("meta"))) == item["meta"]
    assert json.loads(str(row.pop("properties"))) == {"daily_id": 1, "monthly_id": 1}
    assert row == {
        "id": 1,
        "venue_id": 1,
        "cid": "43025959-0e82-4fbd-bcc7-1bc0101183b7",
        "user_id": 1,
        "terminal_id": 1,
        "source": "web",
        "sale_type_id": 1000,
        "guests": 1,
        "status": 2,
        "inventory_status": 0,
        "report_status": 3,
        "printed": False,
        "total": money(30000),
        "subtotal": money(30000),
        "original_subtotal": money(30000),
        "gift_total": money(0),
        "payment_methods": [{"id": 1, "name": "Cash", "amount": money(30000)}],
        "by_cash": money(30000),
        "by_card": money(0),
        "remaining": money(0),
        "discount_type": 0,
        "discount_value": money(0),
        "discount_rate": money(0),
        "service_charge": money(0),
        "service_charge_value": money(0),
        "delivery_fee": money(0),
        "total_tax": money(0),
        "created_at": datetime(2025, 8, 18, 13, 45, 16),
        "updated_at": datetime(2025, 8, 19, 16, 54, 15),
        "closed_at": datetime(2025, 8, 18, 14, 47, 5),
    }


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (0, (14, 31042, "f5b17d93-5586-411b-9e9d-934d3aa2e2ff", "Апельсинли реване", 22000)),
        (1, (15, 31046, "c5202cc3-1f03-47b1-9dbc-5f049dabf997", "Ачма узум жевиз", 8000)),
    ],
)
def test_v1_lines(index: int, expected: tuple[int, int, str, str, int]) -> None:
    item = example("v1_receipt_by_id")["receipt_products"][index]
    row = read(LINE, item, 1, 7)
    assert json.loads(str(row.pop("meta"))) == item["meta"]
    line, product, cid, name, price = expected
    assert row == {
        "id": line,
        "receipt_id": 1,
        "venue_id": 7,
        "product_id": product,
        "cid": cid,
        "product_name": name,
        "count": money(1),
        "price": money(price),
        "product_price": money(price),
        "total": money(price),
    }


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (0, (1001, 14, 31042, 5001, "Апельсинли реване", 1, 120, 119, 8000, 8000)),
        (1, (1002, 15, 31046, 5002, "Ачма узум жевиз", 2, 50, 48, 1500, 3000)),
    ],
)
def test_v2_stock_operations(index: int, expected: tuple[int, int, int, int, str, int, int, int, int, int]) -> None:
    operation, line, product, stock, name, quantity, before, after, cost, total_cost = expected
    assert read(OPERATION, example("v2_stock_operations")[index], 7) == {
        "id": operation,
        "receipt_id": 1,
        "receipt_product_id": line,
        "venue_id": 7,
        "product_id": product,
        "stock_id": stock,
        "storage_id": 3,
        "product_name": name,
        "storage_name": "Main Storage",
        "quantity": money(quantity),
        "before_quantity": money(before),
        "after_quantity": money(after),
        "cost": money(cost),
        "before_cost": money(cost),
        "total_cost": money(total_cost),
        "operated_at": datetime(2026, 1, 19, 15, 7, 49),
    }


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("error_400_sort", "invalid_parameter", "sort[1] must be 1 or -1"),
        ("error_401_headers", "unauthorized", "Missing authentication headers"),
        ("error_404_receipt", "not_found", "Receipt not found"),
    ],
)
def test_an_error_answer_is_no_row(name: str, error: str, message: str) -> None:
    answer = load_json(EXAMPLES / f"{name}.json")
    assert answer == {"success": False, "error": error, "message": message}
    for reader, given in ((RECEIPT, ()), (LINE, (1, 1)), (OPERATION, (1,))):
        with pytest.raises(RowError, match=r"^id is missing$"):
            reader.read(answer, *given)


def timed(item: dict[str, Any]) -> dict[str, Any]:
    """The example that names all fields says "<string>" where a time stands."""
    return {key: "2026-01-19 10:00:00" if key.endswith("_at") else value for key, value in item.items()}


def test_every_field_of_a_v1_receipt_has_a_column() -> None:
    row = read(RECEIPT, timed(example("v1_receipt_schema")))
    assert set(RECEIPTS.names) - set(row) == {"extra", "fetched_at"}


def test_every_field_of_a_v1_line_has_a_column() -> None:
    (line,) = example("v1_receipt_schema")["receipt_products"]
    row = read(LINE, timed(line), 123, 123)
    # The example's `meta` is empty; products are v2's and not asked for.
    of_product = {"product_name", "product_type", "product_barcode", "product_price", "product"}
    assert set(RECEIPT_PRODUCTS.names) - set(row) == {"extra", "fetched_at", *of_product}
    assert row["modificators"] == '["<any>"]'


V2_RECEIPT = """
    id cid venue_id customer_id sale_type_id source guests status order_status order_number lock total subtotal
    discount_type discount_value discount_rate total_discount service_charge service_charge_value delivery_fee
    remaining i_tax e_tax total_tax payment_methods fiscal_id loyalty_type loyalty_value address description
    created_at updated_at closed_at shift_date receipt_products
"""
V2_LINE = """
    id cid product_id count portion_size total price subtotal is_gift discount_type discount_value discount_rate
    total_discount receipt_discount loyalty_type loyalty_value meta.product.name meta.product.type
    meta.product.price meta.product.barcode modificators product.unit product.station created_at updated_at
"""
V2_OPERATION = """
    id operation_id receipt_id receipt_product_id product_id stock_id storage_id quantity before_quantity
    after_quantity cost before_cost total_cost operated_at product.id product.name stock.id stock.storage.id
    stock.storage.name
"""


@pytest.mark.parametrize(
    ("table", "documented"),
    [(RECEIPTS, V2_RECEIPT), (RECEIPT_PRODUCTS, V2_LINE), (STOCK_OPERATIONS, V2_OPERATION)],
    ids=lambda value: value.name if isinstance(value, Table) else "",
)
def test_every_field_of_the_v2_pages_has_a_home(table: Table, documented: str) -> None:
    """A column reads it; or a column holds the object it stands in; or it is known to live elsewhere."""
    paths = documented.split()
    sources = {".".join(column.source) for column in table.columns if column.source}
    objects = {source for source in sources if "." not in source}
    homeless = [
        path
        for path in paths
        if path not in sources | table.also_known
        and path.split(".")[0] not in objects
        # The id of a nested object repeats the operation's own.
        and path not in {"product.id", "stock.id", "stock.storage.id"}
    ]
    assert homeless == []
    reader = RowReader(table)
    row = read(reader, sample(table, paths))
    assert "extra" not in row


SAMPLES = {Kind.ID: 1, Kind.WHOLE: 2, Kind.DECIMAL: 1, Kind.TIME: "2026-01-19 10:00:00"}


def sample(table: Table, paths: list[str]) -> dict[str, Any]:
    """An API object of the documented fields, null but for the required ones."""
    required = {".".join(column.source): column.kind for column in table.columns if column.required}
    item: dict[str, Any] = {}
    for path in paths:
        *branches, leaf = path.split(".")
        place = item
        for branch in branches:
            place = place.setdefault(branch, {})
        place[leaf] = SAMPLES[required[path]] if path in required else None
    return item
