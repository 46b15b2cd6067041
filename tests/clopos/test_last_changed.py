"""The list by last change: one page at a time, asked for as documented."""

import asyncio

import pytest

from clopos_assets.clopos.client import Clopos
from clopos_assets.clopos.errors import CloposAnswerError, CloposRefusedError
from clopos_assets.clopos.listing import Page

from .asking import always, refuse, run_with
from .brand import RATE, Brand, make_receipts
from .server import Asked, Reply, reply_json


async def second_page(clopos: Clopos) -> Page:
    return await clopos.list_last_changed(2, 7)


def test_a_page_is_asked_for_as_documented() -> None:
    page, server = run_with(Brand(make_receipts(450)), second_page)
    assert [item["id"] for item in page.items] == list(range(201, 401))
    assert page.total == 450
    asked = server.asked[1]
    assert asked.target == (
        "/open-api/v2/receipts?page=2&sort[0]=updated_at&sort[1]=-1&limit=200"
        "&with[0]=receipt_products&with[1]=receipt_products.modificators"
    )
    assert asked.headers["x-venue"] == "7"
    assert len(server.asked) == 2


def at_most_100(asked: Asked) -> Reply | None:
    if asked.query.get("limit") == "200":
        return refuse("invalid_parameter", 400, "limit must not exceed 100")
    return None


def test_pages_are_smaller_where_large_ones_are_refused() -> None:
    async def two(clopos: Clopos) -> list[Page]:
        return [await clopos.list_last_changed(number, None) for number in (1, 2)]

    pages, server = run_with(Brand(make_receipts(80), intervene=at_most_100), two)
    assert [len(page.items) for page in pages] == [50, 30]
    assert [asked.query["limit"] for asked in server.asked[1:]] == ["200", "50", "50"]
    assert "x-venue" not in server.asked[1].headers


def test_large_pages_asked_for_at_the_same_time_all_become_smaller() -> None:
    async def both(clopos: Clopos) -> list[Page]:
        return await asyncio.gather(*(clopos.list_last_changed(1, venue_id) for venue_id in (7, 8)))

    pages, server = run_with(Brand(make_receipts(80), intervene=at_most_100), both)
    assert [len(page.items) for page in pages] == [50, 50]
    assert sorted(asked.query["limit"] for asked in server.asked[1:]) == ["200", "200", "50", "50"]


def test_a_refusal_of_something_else_is_final() -> None:
    brand = Brand(intervene=always(refuse("invalid_parameter", 400, "sort[0] is unknown")))
    with pytest.raises(CloposRefusedError, match=r"GET /v2/receipts \(last changed, page 2, venue 7\).*sort\[0\]"):
        run_with(brand, second_page)


def test_an_answer_without_a_total_is_none() -> None:
    brand = Brand(intervene=always(reply_json({"success": True, "data": []}, headers=RATE)))
    with pytest.raises(CloposAnswerError, match="total"):
        run_with(brand, second_page)
