"""The client against a brand on loopback: requests as documented, lists, single receipts."""

import asyncio
import json
from decimal import Decimal

import pytest

from clopos_assets.clopos.client import Clopos
from clopos_assets.clopos.errors import CloposAnswerError, CloposRefusedError, CloposUnavailableError
from clopos_assets.clopos.listing import Item
from clopos_assets.clopos.stock import StockAnswer, read_stock_operations

from .asking import (
    FIRST,
    LAST,
    always,
    get_fifth,
    get_fifth_operations,
    list_ids,
    numbers_of,
    refuse,
    run_with,
)
from .brand import NOT_FOUND, RATE, TOKEN, Brand, connect, make_receipts
from .server import Asked, Reply, Server, reply_json

# Requests as documented


def test_the_list_is_asked_for_as_documented() -> None:
    listing, server = run_with(Brand(make_receipts(450)), lambda clopos: list_ids(clopos, 7))
    assert [number for part in listing.parts for number in part] == list(range(1, 451))
    assert (listing.total, listing.restarts) == (450, 0)
    asked = server.asked[1]
    assert asked.target == (
        "/open-api/v2/receipts?page=1&sort[0]=id&sort[1]=1&limit=200&date[0]=2026-01-17&date[1]=2026-01-20"
        "&with[0]=receipt_products&with[1]=receipt_products.modificators"
    )
    assert asked.headers["x-token"] == f"{TOKEN}1"
    assert asked.headers["x-venue"] == "7"
    assert "authorization" not in asked.headers
    assert sorted(asked.query["page"] for asked in server.asked[1:]) == ["1", "2", "3"]


def test_one_receipt_is_asked_for_as_documented() -> None:
    receipt, server = run_with(Brand(make_receipts(5)), get_fifth)
    assert receipt == {"id": 5, "total": 50, "shift_date": "2026-01-19"}
    assert server.asked[1].target == (
        "/open-api/v2/receipts/5?with[0]=receipt_products&with[1]=receipt_products.modificators"
    )
    assert "x-venue" not in server.asked[1].headers


def test_stock_operations_are_asked_for_as_documented() -> None:
    answer, server = run_with(Brand(operations={5: reply_json({"data": [{"id": 1}]})}), get_fifth_operations)
    assert answer == StockAnswer([{"id": 1}], b'{"data": [{"id": 1}]}')
    assert server.asked[1].target == "/open-api/v2/receipts/5/stock-operations"
    assert server.asked[1].headers["x-venue"] == "7"


def test_numbers_and_names_come_exactly() -> None:
    receipt: Item = {
        "id": 5,
        "total": Decimal("12345678901.123456"),
        "subtotal": Decimal("999999999999.999999"),
        "i_tax": Decimal("1E-7"),
        "discount_value": "12.50",
        "customer_id": 2**70,
        "description": "Апельсинли реване, ünvan: Bakı 🍕",
    }
    found, _ = run_with(Brand([receipt]), get_fifth)
    assert found == receipt
    assert found is not None
    assert {key: str(value) for key, value in found.items()} == {key: str(value) for key, value in receipt.items()}


def test_venues() -> None:
    venues, server = run_with(Brand(), lambda clopos: clopos.list_venues())
    assert venues == [{"id": 1, "name": "Mərkəz"}]
    assert server.asked[1].target == "/open-api/v2/venues"


def test_venues_in_pages() -> None:
    every = [{"id": number} for number in range(1, 121)]

    def intervene(asked: Asked) -> Reply | None:
        if not asked.path.endswith("/venues"):
            return None
        start = (int(asked.query.get("page", "1")) - 1) * 50
        return reply_json({"success": True, "data": every[start : start + 50], "total": 120}, headers=RATE)

    venues, _ = run_with(Brand(intervene=intervene), lambda clopos: clopos.list_venues())
    assert venues == every


# Lists


def test_pages_cut_down_silently_are_read_whole() -> None:
    listing, server = run_with(Brand(make_receipts(120), largest_page=50), list_ids)
    assert sorted(numbers_of(listing)) == list(range(1, 121))
    assert (listing.restarts, server.count("/receipts")) == (0, 3)


@pytest.mark.parametrize(
    "words",
    [
        "limit must not exceed 100",
        "Maximum page limit is 100",
        "The per-page limit may not be greater than 100",
        "Too many receipts per page",
    ],
)
def test_a_refused_page_size_falls_back_to_the_default_for_good(words: str) -> None:
    def intervene(asked: Asked) -> Reply | None:
        if asked.query.get("limit") == "200":
            return refuse("invalid_parameter", 400, words)
        return None

    async def twice(clopos: Clopos) -> tuple[int, int]:
        await list_ids(clopos)
        first = clopos.requests
        await list_ids(clopos)
        return first, clopos.requests - first

    requests, server = run_with(Brand(make_receipts(60), intervene=intervene), twice)
    assert requests == (3, 2)
    assert [asked.query["limit"] for asked in server.asked[1:]] == ["200", "50", "50", "50", "50"]


def test_a_refused_order_falls_back_to_the_documented_one_for_good() -> None:
    def intervene(asked: Asked) -> Reply | None:
        if asked.query.get("sort[0]") == "id":
            return refuse("invalid_parameter", 400, "sort[0] must be one of: created_at, updated_at, closed_at, total")
        return refuse("invalid_parameter", 400, "limit is too large") if asked.query.get("limit") == "200" else None

    async def twice(clopos: Clopos) -> tuple[int, int]:
        await list_ids(clopos)
        first = clopos.requests
        await list_ids(clopos)
        return first, clopos.requests - first

    requests, server = run_with(Brand(make_receipts(60), intervene=intervene), twice)
    assert requests == (4, 2)
    assert [asked.query["sort[0]"] for asked in server.asked[1:]] == ["id", *["created_at"] * 5]


def test_an_order_that_has_no_other_is_final_at_once() -> None:
    brand = Brand(intervene=always(refuse("invalid_parameter", 400, "sort[0] is wrong")))

    async def ask(clopos: Clopos) -> None:
        with pytest.raises(CloposRefusedError, match="query parameter sort is not taken"):
            await clopos.list_last_changed(1, None)

    _, server = run_with(brand, ask)
    assert server.count("/receipts") == 1


def test_an_order_refused_throughout_is_final() -> None:
    brand = Brand(intervene=always(refuse("invalid_parameter", 400, "sort[0] is wrong")))
    with pytest.raises(CloposRefusedError, match="query parameter sort is not taken"):
        run_with(brand, list_ids)


def test_a_refused_page_behind_the_last_does_not_make_pages_smaller() -> None:
    def refuse_behind(asked: Asked) -> Reply | None:
        is_behind = asked.query.get("page", "1") != "1"
        return refuse("invalid_parameter", 400, "page is out of range") if is_behind else None

    async def list_twice(clopos: Clopos) -> list[int]:
        return [(await list_ids(clopos)).total, (await list_ids(clopos)).total]

    totals, server = run_with(Brand(make_receipts(200), intervene=refuse_behind), list_twice)
    assert totals == [200, 200]
    asked = [(each.query["page"], each.query["limit"]) for each in server.asked if each.path.endswith("/receipts")]
    assert asked == [("1", "200"), ("2", "200")] * 2


@pytest.mark.parametrize("told", ["4611686018427387995", Decimal("4611686018427387995.0")])
def test_a_receipt_is_that_receipt_however_its_id_is_written(told: object) -> None:
    """As the list takes it: numeric strings are numbers."""
    receipt_id = 4611686018427387995

    async def get(clopos: Clopos) -> Item | None:
        return await clopos.get_receipt(receipt_id, None)

    body = reply_json({"success": True, "data": {"id": told}})
    item, _ = run_with(Brand(intervene=lambda asked: None if asked.path.endswith("/auth") else body), get)
    assert item == {"id": told}


@pytest.mark.parametrize("words", ["limit is wrong", "page is wrong"])
def test_a_page_size_refused_throughout_is_final(words: str) -> None:
    brand = Brand(intervene=always(refuse("invalid_parameter", 400, words)))
    with Server(brand.answer) as server:

        async def run() -> None:
            async with connect(server) as clopos:
                await list_ids(clopos)

        with pytest.raises(CloposRefusedError, match=words):
            asyncio.run(run())
        assert [asked.query["limit"] for asked in server.asked[1:]] == ["200", "50"]


def test_a_deletion_while_paging_starts_the_list_again() -> None:
    brand = Brand(make_receipts(450))

    def intervene(asked: Asked) -> Reply | None:
        if asked.query.get("page") == "2" and len(brand.receipts) == 450:
            brand.receipts = brand.receipts[1:]
        return None

    brand.intervene = intervene
    listing, _ = run_with(brand, list_ids)
    assert listing.restarts == 1
    assert {number for part in listing.parts for number in part} == set(range(2, 451))


def test_a_list_that_never_stands_still_is_given_up() -> None:
    brand = Brand(make_receipts(300))

    def intervene(asked: Asked) -> Reply | None:
        if asked.path.endswith("/receipts"):
            brand.receipts = [*brand.receipts, {"id": len(brand.receipts) + 1}]
        return None

    brand.intervene = intervene
    with pytest.raises(
        CloposUnavailableError, match=r"GET /v2/receipts \(2026-01-17 to 2026-01-20\): the list was read 6"
    ):
        run_with(brand, list_ids)


def test_a_conflict_is_reported() -> None:
    rows: list[Item] = [{"id": 1, "venue_id": 1}, {"id": 1, "venue_id": 2}, {"id": 2, "venue_id": 1}]
    listing, _ = run_with(Brand(rows), list_ids)
    assert listing.conflicts == {1: rows[:2]}
    assert [number for part in listing.parts for number in part] == [2]


@pytest.mark.parametrize("envelope", [{"data": []}, {"data": [1], "total": 1}, {"data": {"id": 1}, "total": 1}])
def test_lists_not_as_documented(envelope: Item) -> None:
    brand = Brand(intervene=always(reply_json({"success": True, **envelope})))
    with pytest.raises(CloposAnswerError, match=r"^GET /v2/receipts \(2026-01-17 to 2026-01-20\): .* has to mend this"):
        run_with(brand, list_ids)


def test_an_unknown_venue_is_named() -> None:
    brand = Brand(intervene=always(refuse("forbidden", 403)))
    with pytest.raises(CloposRefusedError, match=r"venue 7\): HTTP 403 \"forbidden\".*venue 7 in CLOPOS_VENUE_IDS"):
        run_with(brand, lambda clopos: list_ids(clopos, 7))


def test_days_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="after"):
        run_with(
            Brand(),
            lambda clopos: clopos.list_receipts(created_from=LAST, created_to=FIRST, venue_id=None, convert=list),
        )


# Single receipts


def test_absent_is_an_answer() -> None:
    async def both(clopos: Clopos) -> tuple[Item | None, StockAnswer | None]:
        return await get_fifth(clopos), await get_fifth_operations(clopos)

    assert run_with(Brand(), both)[0] == (None, None)


def test_a_page_of_html_is_not_absence() -> None:
    brand = Brand(intervene=always(Reply(404, b"<html>nginx</html>", "text/html")))
    with pytest.raises(CloposRefusedError, match="CLOPOS_BASE_URL"):
        run_with(brand, get_fifth)


@pytest.mark.parametrize("data", [{"id": 6}, [], None, "x"])
def test_another_receipt_is_not_the_receipt(data: object) -> None:
    brand = Brand(intervene=always(reply_json({"success": True, "data": data})))
    with pytest.raises(CloposAnswerError, match="GET /v2/receipts/5: data is not that receipt"):
        run_with(brand, get_fifth)


@pytest.mark.parametrize("data", [{"id": 1}, [1], None])
def test_stock_operations_not_as_documented(data: object) -> None:
    brand = Brand(operations={5: reply_json({"data": data})})
    with pytest.raises(CloposAnswerError, match=r"receipts/5/stock-operations \(venue 7\): data is not a list"):
        run_with(brand, get_fifth_operations)


@pytest.mark.parametrize("total", [120, "120"])
def test_stock_operations_cut_short_are_no_answer(total: object) -> None:
    items = [{"id": number} for number in range(1, 51)]
    brand = Brand(operations={5: reply_json({"success": True, "data": items, "total": total})})
    with pytest.raises(CloposAnswerError) as caught:
        run_with(brand, get_fifth_operations)
    assert str(caught.value) == (
        "GET /v2/receipts/5/stock-operations (venue 7): 50 of 120 operations came; Clopos has to mend this"
    )


def test_stock_operations_cut_by_a_page_are_no_answer() -> None:
    page = {"data": [{"id": 1}], "meta": {"total": 3, "last_page": 3}}
    with pytest.raises(CloposAnswerError, match="1 of 3 operations came"):
        run_with(Brand(operations={5: reply_json(page)}), get_fifth_operations)


@pytest.mark.parametrize("total", [2, 1, 0, -1, "2", "many", 120.5, True, None, [120]])
def test_another_total_of_stock_operations_says_nothing(total: object) -> None:
    brand = Brand(operations={5: reply_json({"success": True, "data": [{"id": 1}, {"id": 2}], "total": total})})
    answer, _ = run_with(brand, get_fifth_operations)
    assert answer is not None
    assert answer.items == read_stock_operations(answer.body) == [{"id": 1}, {"id": 2}]


def test_a_kept_answer_that_was_cut_short_is_none() -> None:
    with pytest.raises(CloposAnswerError, match="kept answer of stock-operations: 1 of 2 operations came"):
        read_stock_operations(b'{"success": true, "data": [{"id": 1}], "total": 2}')


@pytest.mark.parametrize("body", [b"", b'{"data": [', b"[]", json.dumps(NOT_FOUND).encode(), b'{"data": {}}'])
def test_kept_answers_are_checked(body: bytes) -> None:
    with pytest.raises(CloposAnswerError, match="kept answer"):
        read_stock_operations(body)
