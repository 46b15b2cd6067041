"""Personal fields at any depth: kept, hashed or dropped, and compared without giving them away."""

from decimal import Decimal
from typing import Any

import pytest

from clopos_assets.tables.privacy import Handling, Privacy, derive_key, is_personal, names_personal
from clopos_assets.tables.values import RowError, write_json

KEY = derive_key("made-up-secret", "brand")
ITEM: dict[str, Any] = {
    "id": 1,
    "customer_id": 7,
    "address": "Nizami 5",
    "description": "",
    "customer": {"id": 7, "name": "Leyla", "phones": ["+994501112233", 994501112233], "vip": True, "note": None},
    "total": Decimal("1.50"),
    "meta": {"user": {"name": "Ali"}, "delivery": [{"address": "Nizami 5", "floor": 3}]},
    "receipt_products": [{"id": 10, "description": "no onion", "meta": {"product": {"name": "Plov"}}}],
    "customerPhone": "+994501112233",
}
PERSONAL = ("Nizami", "Leyla", "99450111", "no onion")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("customer", True),
        ("address", True),
        ("description", True),
        ("customer_phone", True),
        ("customerName", True),
        ("delivery_address", True),
        ("addresses", True),
        ("Customers", True),
        ("customer_id", False),
        ("customerId", False),
        ("address_ids", False),
        ("customer_tax_id", True),
        ("customer-name", True),
        ("customer phone", True),
        ("customer.phone", True),
        ("deliveryaddress", True),
        ("total", False),
        ("addressed", False),
        ("order_number", False),
    ],
)
def test_which_fields_are_personal(name: str, expected: bool) -> None:
    assert is_personal(name) is expected


def test_kept_values_are_stored_as_they_came() -> None:
    stored, compared = Privacy("keep", KEY).forms(ITEM)
    assert stored is ITEM
    assert [word for word in PERSONAL if word in str(compared)] == []


def test_dropped_values_are_null_and_their_names_stay() -> None:
    dropped = Privacy("drop", KEY).stored(ITEM)
    assert dropped == ITEM | {
        "address": None,
        "description": None,
        "customer": None,
        "customerPhone": None,
        "meta": {"user": {"name": "Ali"}, "delivery": [{"address": None, "floor": 3}]},
        "receipt_products": [{"id": 10, "description": None, "meta": {"product": {"name": "Plov"}}}],
    }


def test_hashed_values_can_be_joined_and_keep_their_structure() -> None:
    hashed: Any = Privacy("hash", KEY).stored(ITEM)
    assert [word for word in PERSONAL if word in str(hashed)] == []
    assert hashed["address"] == hashed["meta"]["delivery"][0]["address"]
    assert len(hashed["address"]) == 32
    assert hashed["customer"].keys() == ITEM["customer"].keys()
    # The same number as text without the plus, and as a number.
    assert hashed["customer"]["phones"][0] == hashed["customerPhone"] != hashed["customer"]["phones"][1]
    assert hashed["customer"]["phones"][1] == Privacy("hash", KEY).stored({"address": "994501112233"})["address"]
    assert (hashed["description"], hashed["customer"]["note"]) == ("", None)
    assert (hashed["customer_id"], hashed["total"], hashed["meta"]["user"]) == (7, Decimal("1.50"), {"name": "Ali"})


def test_a_hash_is_the_same_in_every_run_and_another_under_another_secret() -> None:
    again = Privacy("hash", derive_key("made-up-secret", "brand"))
    assert again.stored(ITEM) == Privacy("hash", KEY).stored(ITEM)
    assert again.mark == Privacy("hash", KEY).mark
    for key in (derive_key("made-up-secret", "another brand"), derive_key("another-secret", "brand")):
        other = Privacy("hash", key)
        assert other.stored(ITEM)["address"] != again.stored(ITEM)["address"]
        assert other.mark != again.mark


def test_json_within_a_text_is_looked_into() -> None:
    packed = '{"customer": {"name": "Leyla"}, "table": 5, "paid": 1.10, "notes": ["{\\"address\\": \\"Nizami 5\\"}"]}'
    dropped = Privacy("drop", KEY).stored({"meta": packed, "list": [packed]})
    bare = r'{"customer":null,"notes":["{\"address\":null}"],"paid":1.10,"table":5}'
    assert dropped == {"meta": bare, "list": [bare]}
    assert [word for word in PERSONAL if word in str(Privacy("hash", KEY).stored({"meta": packed}))] == []
    assert names_personal(write_json({"meta": packed}))


def test_a_text_too_deep_to_look_into_is_treated_whole() -> None:
    assert Privacy("drop", KEY).stored({"meta": "[" * 70 + "]" * 70}) == {"meta": None}


@pytest.mark.parametrize(
    "text",
    [
        '{"customer": "Leyla',
        '{"customer" :"Leyla \\ud83d"}',
        '{"customer_phone": "994501112233", "paid": 1e9999999999999999999}',
        '[{"notes": "{\\"address\\": \\"Nizami 5\\"}"',
        '{"address": ' + "[" * 5000,
        '{"address": "Nizami 5", "notes": "{' + r"\"a\":\"b\"," * 8_000,
    ],
    ids=["cut short", "half an emoji", "beyond numbers", "text within it", "too deep", "long, and cut within"],
)
def test_a_text_that_can_not_be_read_is_treated_whole_where_it_names_a_personal_field(text: str) -> None:
    assert Privacy("drop", KEY).stored({"meta": text}) == {"meta": None}
    hashed = Privacy("hash", KEY).stored({"meta": text})["meta"]
    assert isinstance(hashed, str)
    assert len(hashed) == 32


@pytest.mark.parametrize(
    "text", ['{"table": 5}', '{"custom": ', "[1, 2]", "[" * 5000, '{"a": 1e9999999999999999999}', "{…}"]
)
def test_a_text_without_personal_values_is_itself(text: str) -> None:
    item = {"meta": text}
    assert Privacy("drop", KEY).stored(item) is item


@pytest.mark.parametrize("handling", ["keep", "hash", "drop"])
def test_what_is_compared_is_the_same_under_each_handling(handling: Handling) -> None:
    assert Privacy(handling, KEY).forms(ITEM)[1] == Privacy("hash", KEY).stored(ITEM)


@pytest.mark.parametrize("handling", ["keep", "hash", "drop"])
def test_an_object_without_personal_values_is_itself(handling: Handling) -> None:
    item = {"id": 1, "address": None, "meta": {"sale_type": {"name": "Delivery"}}, "taxes": [1, 2]}
    stored, compared = Privacy(handling, KEY).forms(item)
    assert stored is item
    assert compared is item


def test_the_object_given_is_not_changed() -> None:
    before = repr(ITEM)
    Privacy("drop", KEY).forms(ITEM)
    assert repr(ITEM) == before


def test_an_endless_nest_is_an_error_of_its_receipt() -> None:
    nest: object = "leaf"
    for _ in range(5000):
        nest = [nest]
    with pytest.raises(RowError, match="deep"):
        Privacy("keep", KEY).forms({"meta": nest})


def test_no_text_shows_the_key() -> None:
    assert "key" not in repr(Privacy("hash", KEY))
