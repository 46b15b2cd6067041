"""Fields that the documents do not name go to `extra` as they came; fields they do name never do."""

import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from clopos_assets.tables import RECEIPTS, STOCK_OPERATIONS, Table
from clopos_assets.tables.rows import RowReader, unknown_fields
from clopos_assets.tables.values import write_json
from tests.tables.decoding import LINE, OPERATION, RECEIPT
from tests.tables.test_reading import LINE_MINIMAL, MINIMAL, OPERATION_MINIMAL


def extra_of(reader: RowReader, item: dict[str, Any], *given: int) -> Any:
    """What `extra` says, decimals exact; None where it is NULL."""
    text = dict(zip(reader.names, reader.read(item, *given), strict=True))["extra"]
    return None if text is None else json.loads(str(text), parse_float=Decimal)


@pytest.mark.parametrize(
    "value",
    [
        {"since": "2026-11"},
        None,
        "",
        False,
        [],
        {},
        Decimal("12345678901.123456"),
        Decimal("0.1000"),
        Decimal("1e-30"),
        123456789012345678901234567890,
        'Ət "ağ"\n\t\u2028',
        [1, [None, {"a": Decimal("1.5")}]],
    ],
)
def test_an_unknown_field_is_kept_exactly(value: object) -> None:
    for reader, item, given in (
        (RECEIPT, MINIMAL, ()),
        (LINE, LINE_MINIMAL, (1, 1)),
        (OPERATION, OPERATION_MINIMAL, (1,)),
    ):
        assert extra_of(reader, {**item, "new_field": value}, *given) == {"new_field": value}


def test_digits_are_kept_as_they_were_written() -> None:
    item = {**MINIMAL, "new_field": Decimal("0.1000"), "another": Decimal("12345678901.123456")}
    row = dict(zip(RECEIPT.names, RECEIPT.read(item), strict=True))
    assert row["extra"] == '{"another":12345678901.123456,"new_field":0.1000}'


def test_the_text_does_not_depend_on_the_order_of_fields() -> None:
    forward = {"b": {"y": 1, "x": 2}, "a": 3}
    backward = {"a": 3, "b": {"x": 2, "y": 1}}
    assert list(forward) != list(backward)
    assert RECEIPT.read({**MINIMAL, **forward}) == RECEIPT.read({**backward, **MINIMAL})
    assert write_json(forward) == '{"a":3,"b":{"x":2,"y":1}}'


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"product": {"id": 7, "name": "Rice"}, "stock": {"id": 8, "storage": {"id": 3, "name": "Main"}}}, None),
        ({"product": None, "stock": None}, None),
        ({"product": {"name": None}, "stock": {"storage": None}}, None),
        ({"product": {}, "stock": {"storage": {}}}, None),
        ({"product": {"id": None}}, None),
        ({"product": {"name": "Rice", "unit": {"id": 2}}}, {"product": {"unit": {"id": 2}}}),
        ({"product": {"name": "Rice", "deleted_at": None}}, {"product": {"deleted_at": None}}),
        ({"stock": {"id": 8, "batch": "x"}}, {"stock": {"batch": "x"}}),
        ({"stock": {"storage": {"id": 3, "zone": 7}}}, {"stock": {"storage": {"zone": 7}}}),
        ({"stock": {"storage": {"id": 3, "zone": None}}}, {"stock": {"storage": {"zone": None}}}),
        ({"stock": 5, "product": "Rice"}, {"stock": 5, "product": "Rice"}),
        ({"stock": {"storage": [3]}}, {"stock": {"storage": [3]}}),
    ],
)
def test_what_an_operations_objects_hold_besides(fields: dict[str, Any], expected: object) -> None:
    assert extra_of(OPERATION, {**OPERATION_MINIMAL, **fields}, 1) == expected


def test_what_payments_hold_besides_stands_at_their_place() -> None:
    payments = [{"id": 1, "amount": 5}, {"id": 2, "amount": 6, "tip": Decimal("0.5"), "card": None}]
    assert extra_of(RECEIPT, {**MINIMAL, "payment_methods": payments}) == {
        "payment_methods": [{}, {"tip": Decimal("0.5"), "card": None}]
    }
    assert extra_of(RECEIPT, {**MINIMAL, "payment_methods": payments[:1]}) is None


@pytest.mark.parametrize("value", [{"anything": {"at": "all"}}, [], "text", 5])
def test_of_an_object_with_a_column_nothing_is_left_over(value: object) -> None:
    for name in ("meta", "properties", "customer"):
        item = {**MINIMAL, name: value}
        row = dict(zip(RECEIPT.names, RECEIPT.read(item), strict=True))
        assert row[name] == write_json(value)
        assert row["extra"] is None
    for name in ("modificators", "taxes", "product", "meta"):
        item = {**LINE_MINIMAL, name: value}
        row = dict(zip(LINE.names, LINE.read(item, 1, 1), strict=True))
        assert row[name] == write_json(value)
        assert row["extra"] is None


def test_fields_that_live_elsewhere_are_not_left_over() -> None:
    elsewhere = {"shift_date": "2026-01-19", "receipt_products": [{"new": 1}], "stock_operations": [{"new": 1}]}
    assert extra_of(RECEIPT, {**MINIMAL, **elsewhere}) is None
    assert extra_of(LINE, {**LINE_MINIMAL, "receipt_id": 9}, 1, 1) is None


def test_v1_modifiers_stand_in_the_same_column() -> None:
    v1 = dict(zip(LINE.names, LINE.read({**LINE_MINIMAL, "receipt_product_modificators": [1]}, 1, 1), strict=True))
    v2 = dict(zip(LINE.names, LINE.read({**LINE_MINIMAL, "modificators": [1]}, 1, 1), strict=True))
    assert v1 == v2
    assert v2["modificators"] == "[1]"


def test_unknown_fields_are_told_by_name() -> None:
    extra = pa.chunked_array([[None, '{"b":1,"a":null}'], ['{"c":{"d":1}}', '{"a":2}']], type=pa.string())
    assert unknown_fields(RECEIPTS, extra) == "a, b, c"
    assert unknown_fields(RECEIPTS, pa.chunked_array([[None]], type=pa.string())) == ""


@pytest.mark.parametrize(
    ("table", "left", "names"),
    [
        (
            STOCK_OPERATIONS,
            '{"product":{"code":1},"stock":{"storage":{"code":2},"unit":"g"}}',
            "product.code, stock.storage.code, stock.unit",
        ),
        (STOCK_OPERATIONS, '{"product":"Rice","stock":{"storage":[1]}}', "product, stock.storage"),
        (
            RECEIPTS,
            '{"payment_methods":[{},{"fee":1},{"fee":2}],"courier":{"name":"A"}}',
            "courier, payment_methods.fee",
        ),
        (RECEIPTS, '{"product":{"code":1}}', "product"),
    ],
)
def test_what_a_documented_object_holds_besides_is_told_by_its_own_name(table: Table, left: str, names: str) -> None:
    assert unknown_fields(table, pa.chunked_array([[left]], type=pa.string())) == names


@pytest.mark.parametrize("product_id", [501, "501"])
@pytest.mark.parametrize("own_id", [501, "501", " 501"])
def test_an_id_that_is_repeated_beside_its_object_is_not_kept_twice(product_id: object, own_id: object) -> None:
    item = {**OPERATION_MINIMAL, "product_id": product_id, "product": {"id": own_id, "name": "Düyü"}}
    is_same = own_id != " 501"  # that is no number
    assert extra_of(OPERATION, item, 1) == (None if is_same else {"product": {"id": " 501"}})


def test_of_two_lists_of_modifiers_none_is_lost() -> None:
    both = {**LINE_MINIMAL, "modificators": [{"id": 1}], "receipt_product_modificators": [{"id": 2}]}
    assert extra_of(LINE, both, 1, 1) == {"receipt_product_modificators": [{"id": 2}]}
    assert extra_of(LINE, {**both, "receipt_product_modificators": [{"id": 1}]}, 1, 1) is None
    assert extra_of(LINE, {**both, "receipt_product_modificators": []}, 1, 1) is None
    row = dict(zip(LINE.names, LINE.read({**both, "modificators": []}, 1, 1), strict=True))
    assert (row["modificators"], row["extra"]) == (write_json([{"id": 2}]), None)
