"""CLOPOS_PERSONAL_DATA in the lake: no file, message or figure holds what was not to be kept, and switching it is
cheap.
"""

import json
from pathlib import Path
from typing import Any, Literal

import pytest

from clopos_assets.clopos.dialect import V1
from clopos_assets.ingest.stored import Handled
from clopos_assets.sandbox import LimitOptions, Quirks, Sandbox
from clopos_assets.tables import RECEIPT_PRODUCTS, RECEIPTS, STOCK_OPERATIONS
from clopos_assets.tables.privacy import Handling, Privacy, _personal_of
from tests.ingest.shop import Shop, open_shop

KEY = b"made up"
DAY = "2026-01-19"
SECRETS = ("Nizami küçəsi", "Leyla", "994501112233", "zəng etməyin")


@pytest.fixture
def delivered(shop: Shop) -> Shop:
    """Receipts 1 and 2 went to a customer's home, and every answer speaks of it wherever it can."""
    for receipt_id in (1, 2):
        lines = shop.world.receipt(receipt_id)["receipt_products"]
        shop.world.update_receipt(
            receipt_id,
            customer_id=7,
            customer={"id": 7, "name": "Leyla", "phone": "994501112233"},
            address="Nizami küçəsi 5",
            description="zəng etməyin",
            customer_phone="994501112233",
            meta={"delivery": {"address": "Nizami küçəsi 5"}},
            properties={"description": "zəng etməyin"},
            receipt_products=[line | {"description": "zəng etməyin"} for line in lines],
        )
        shop.deduct(receipt_id, customer={"name": "Leyla"})
    return shop


def handle(shop: Shop, handling: Handling, key: bytes = KEY) -> None:
    shop.privacy = Privacy(handling, key)


def told(root: Path) -> list[str]:
    """Which of the secrets any file below the root holds, in the clear or in a compressed column."""
    import pyarrow.parquet as pq

    texts = []
    for file in root.rglob("*"):
        if file.suffix == ".parquet":
            table = pq.read_table(file, partitioning=None)
            texts += [str(table.to_pylist()), str(table.schema.metadata)]
        elif file.is_file():
            texts.append(file.read_bytes().decode(errors="replace"))
    return [secret for secret in SECRETS if any(secret in text for text in texts)]


def stock(shop: Shop) -> list[dict[str, Any]]:
    rows = shop.lake.read(STOCK_OPERATIONS, DAY)
    assert rows is not None
    return [row | {"fetched_at": None} for row in rows.to_pylist()]


def row(shop: Shop, receipt_id: int = 1) -> dict[str, Any]:
    rows = shop.lake.read(RECEIPTS, DAY)
    assert rows is not None
    assert rows.schema == RECEIPTS.schema
    return next(row for row in rows.to_pylist() if row["id"] == receipt_id)


@pytest.mark.parametrize("handling", ["hash", "drop"])
def test_no_file_of_the_lake_holds_a_personal_value(delivered: Shop, handling: Handling) -> None:
    handle(delivered, "keep")
    delivered.make(DAY)
    assert told(delivered.lake.root) == list(SECRETS)  # the search finds what is there
    with open_shop(delivered.lake.root.parent / "other") as other:
        for receipt_id in (1, 2, 3):
            other.world.put_receipt(delivered.world.receipt(receipt_id))
            other.deduct(receipt_id, customer={"name": "Leyla"})
        handle(other, handling)
        receipts, operations = other.make(DAY, "2026-01-20")
        assert not receipts.bad | operations.bad
        assert told(other.lake.root) == []
        assert [secret for secret in SECRETS if secret in f"{receipts}{operations}"] == []
        stored = row(other)
        assert stored["customer_id"] == 7
        personal = [stored[name] for name in ("customer", "address", "description")]
        assert (personal == [None] * 3) is (handling == "drop")
        # That the answer had it is still told.
        assert json.loads(stored["extra"]).keys() == {"customer_phone"}


@pytest.mark.parametrize("handling", ["hash", "drop"])
def test_an_interrupted_run_keeps_no_personal_value_either(delivered: Shop, handling: Handling) -> None:
    handle(delivered, handling)
    delivered.answer("/receipts/2/stock-operations", "{}", status=503)
    _, operations = delivered.make(DAY)
    assert DAY in operations.bad
    assert told(delivered.lake.root) == []
    delivered.answer_truly()
    assert not delivered.make(DAY)[1].bad
    assert delivered.ids(STOCK_OPERATIONS, DAY) == [100, 200]


@pytest.mark.parametrize("handling", ["hash", "drop"])
def test_an_error_quotes_no_personal_value(delivered: Shop, handling: Handling) -> None:
    handle(delivered, handling)
    secret = {"customer": {"name": "Leyla"}, "address": "Nizami küçəsi 5"}
    for wrong in ({"payment_methods": secret}, {"total": secret}, {"closed_at": secret}):
        receipt = delivered.world.receipt(1) | wrong
        delivered.answer("/receipts", json.dumps({"success": True, "data": [receipt], "total": 1}, default=float))
        made = delivered.make_receipts(DAY)
        assert next(iter(wrong)) in made.bad[DAY]
        assert [value for value in SECRETS if value in made.bad[DAY]] == []


def test_a_hash_joins_receipts_of_one_customer(delivered: Shop) -> None:
    handle(delivered, "hash")
    delivered.make(DAY)
    first, second = row(delivered, 1), row(delivered, 2)
    for name in ("customer", "address", "description"):
        assert first[name] == second[name] is not None
    assert json.loads(first["customer"])["phone"] == json.loads(first["extra"])["customer_phone"]


@pytest.mark.parametrize("handling", ["keep", "hash", "drop"])
def test_a_second_run_finds_nothing_changed(delivered: Shop, handling: Handling) -> None:
    handle(delivered, handling)
    delivered.make(DAY)
    before = [delivered.lake.stamp(table, DAY) for table in (RECEIPTS, RECEIPT_PRODUCTS, STOCK_OPERATIONS)]
    delivered.make(DAY)
    assert delivered.asked() == {"list": 1}
    assert [delivered.lake.stamp(table, DAY) for table in (RECEIPTS, RECEIPT_PRODUCTS, STOCK_OPERATIONS)] == before


@pytest.mark.parametrize(("before", "after"), [("keep", "drop"), ("keep", "hash"), ("drop", "keep"), ("hash", "drop")])
def test_switching_rewrites_receipts_and_asks_for_stock_of_persons_alone(
    delivered: Shop, before: Handling, after: Handling
) -> None:
    delivered.sell(5, DAY)
    handle(delivered, after)
    delivered.make(DAY)
    wanted = row(delivered) | {"fetched_at": None}
    taken = stock(delivered)
    for handling in (before, after):
        handle(delivered, handling)
        receipts, _ = delivered.make(DAY)
        assert delivered.asked() == {"list": 1, "operations": 2}
    assert row(delivered) | {"fetched_at": None} == wanted
    assert stock(delivered) == taken
    if after != "keep":
        assert told(delivered.lake.root) == []
    delivered.make(DAY)
    assert delivered.asked() == {"list": 1}
    facts = receipts.facts["receipts"][DAY]
    assert (facts["receipts_stored_anew"], facts["receipts_changed"]) == (3, 0)
    assert "changes" not in facts


def test_a_receipt_that_was_not_read_since_is_switched_later(tmp_path: Path) -> None:
    with open_shop(tmp_path, venues=2) as shop:
        for receipt_id in (1, 2):
            shop.sell(receipt_id, DAY, venue_id=receipt_id, address="Nizami küçəsi 5")
        shop.make(DAY)
        handle(shop, "drop")
        shop.venue_ids = (1,)
        shop.make(DAY)
        assert Handled.read(shop.lake.notes(RECEIPTS, DAY)) == Handled("drop.2", frozenset({2}))
        assert (row(shop, 1)["address"], row(shop, 2)["address"]) == (None, "Nizami küçəsi 5")
        stamp = shop.lake.stamp(RECEIPTS, DAY)
        shop.make(DAY)
        assert shop.lake.stamp(RECEIPTS, DAY) == stamp
        shop.venue_ids = (1, 2)
        shop.make(DAY)
        assert row(shop, 2)["address"] is None
        assert Handled.read(shop.lake.notes(RECEIPTS, DAY)) == Handled("drop.2")


@pytest.mark.parametrize("handling", ["hash", "drop"])
def test_what_was_stored_by_older_rules_is_stored_anew(
    delivered: Shop, handling: Handling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an upgrade to a version that knows more of what is personal."""
    _personal_of.cache_clear()
    with monkeypatch.context() as older:
        older.setattr("clopos_assets.tables.privacy._RULES", 1)
        older.setattr("clopos_assets.tables.privacy.is_personal", lambda name: name == "address")
        handle(delivered, handling)
        delivered.make(DAY)
    assert told(delivered.lake.root)
    _personal_of.cache_clear()
    handle(delivered, handling)
    delivered.make(DAY)
    assert told(delivered.lake.root) == []
    assert delivered.asked() == {"list": 1, "operations": 2}
    delivered.make(DAY)
    assert delivered.asked() == {"list": 1}


def test_another_secret_writes_other_hashes(delivered: Shop) -> None:
    handle(delivered, "hash")
    delivered.make(DAY)
    before = row(delivered)["address"]
    handle(delivered, "hash", b"another")
    delivered.make(DAY)
    assert row(delivered)["address"] != before
    delivered.make(DAY)
    assert delivered.asked() == {"list": 1}


def test_a_dropped_value_can_not_be_found_by_trial(delivered: Shop) -> None:
    """The notes of a file hold versions of receipts: without the key they can't be made from guesses."""
    notes = []
    for key in (b"one", b"another"):
        with open_shop(delivered.lake.root.parent / key.decode()) as other:
            other.world.put_receipt(delivered.world.receipt(1))
            handle(other, "drop", key)
            assert not other.make_receipts(DAY).bad
            notes.append(other.lake.notes(RECEIPTS, DAY)["versions"])
    assert notes[0] != notes[1]


@pytest.mark.parametrize("told", ["everywhere", "by id"])
def test_a_hash_is_the_same_where_operations_come_with_their_receipt(
    delivered: Shop, told: Literal["everywhere", "by id"]
) -> None:
    delivered.deduct(1, customer_phone="994501112233")
    with Sandbox(delivered.world, limits=LimitOptions.unlimited(), quirks=Quirks(v1_operations=told)) as sandbox:
        brand = Shop(delivered.lake.root.parent / told, sandbox, V1)
        handle(brand, "hash")
        receipts, operations = brand.make(DAY)
    assert not receipts.bad | operations.bad
    assert json.loads(stock(brand)[0]["extra"]) == {
        "customer_phone": json.loads(row(brand)["extra"])["customer_phone"],
    }


@pytest.mark.parametrize("handling", ["hash", "drop"])
def test_what_waits_in_another_form_than_is_to_be_stored_is_asked_for(delivered: Shop, handling: Handling) -> None:
    delivered.deduct(1, customer_phone="994501112233")
    with Sandbox(delivered.world, limits=LimitOptions.unlimited()) as sandbox:
        brand = Shop(delivered.lake.root.parent / "v1", sandbox, V1)
        brand.make_receipts(DAY)
        handle(brand, handling)
        assert not brand.make_operations(DAY).bad
        assert "994501112233" not in str(stock(brand))
        assert brand.asked()["v1 by id"] == 2
