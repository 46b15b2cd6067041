"""One receipt id in two venues: an error wherever the first stands, and none of the two is lost."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from clopos_assets.ingest.made import ASK_CLOPOS
from clopos_assets.tables import RECEIPTS
from tests.ingest.shop import Shop, open_shop

DAYS = ("2026-01-19", "2026-01-20")
Receipts = Mapping[int, Sequence[dict[str, Any]]]
"""What a venue has, by its id."""


@pytest.mark.parametrize(
    ("now_on", "made_again"),
    [
        ("2026-01-19", ["2026-01-19"]),
        ("2026-01-20", ["2026-01-19", "2026-01-20"]),
        ("2026-01-20", ["2026-01-20"]),
        ("2026-01-23", ["2026-01-23"]),
    ],
)
def test_a_receipt_does_not_take_the_place_of_another_venue_s(shop: Shop, now_on: str, made_again: list[str]) -> None:
    shop.world.venues.append({"id": 2, "name": "Filial 2", "is_main": 0, "media": []})
    shop.make_receipts(*DAYS)
    shop.sell(1, now_on, venue_id=2)
    made = shop.make_receipts(*made_again)
    words = "receipt 1 stands under 2026-01-19 as one of venue 1, and Clopos lists it for venue 2: ask Clopos"
    assert made.bad.keys() == set(made_again)
    assert all(words in reason for reason in made.bad.values()), made.bad
    assert [shop.ids(RECEIPTS, shift_date) for shift_date in DAYS] == [[1, 2], [3]]


def test_two_venues_that_list_one_receipt_fail_its_dates(tmp_path: Path) -> None:
    with open_shop(tmp_path, 2) as shop:
        shop.sell(5, "2026-01-19")
        ours = shop.world.receipt(5)
        answer_by_venue(shop, {1: [ours], 2: [ours | {"venue_id": 2, "shift_date": "2026-01-20"}]})
        made = shop.make_receipts(*DAYS)
        assert made.bad == dict.fromkeys(DAYS, f"receipt 5: venues 1 and 2 both list it{ASK_CLOPOS}")


def test_a_receipt_that_waits_does_not_take_the_place_of_another_venue_s(tmp_path: Path) -> None:
    with open_shop(tmp_path, 2) as shop:
        shop.sell(5, "2026-01-19")
        ours = shop.world.receipt(5)
        answer_by_venue(shop, {1: [ours]})
        shop.make_receipts("2026-01-19")
        theirs = ours | {"venue_id": 2, "shift_date": "2026-01-20"}
        shop.lake.wait_for("2026-01-20", 5, 2)
        answer_by_venue(shop, {}, {1: [ours], 2: [theirs]})
        made = shop.make_receipts(*DAYS)
        assert sorted(made.bad) == [*DAYS]
        assert all("receipt 5 stands under 2026-01-19 as one of venue 1" in reason for reason in made.bad.values())
        assert shop.ids(RECEIPTS, "2026-01-19") == [5]


def test_a_receipt_that_waits_is_not_taken_for_another_venue_s(tmp_path: Path) -> None:
    with open_shop(tmp_path, 2) as shop:
        shop.sell(5, "2026-01-20")
        ours = shop.world.receipt(5)
        theirs = ours | {"venue_id": 2}
        shop.lake.wait_for("2026-01-20", 5, 1)
        answer_by_venue(shop, {2: [theirs]}, {1: [ours], 2: [theirs]})
        made = shop.make_receipts("2026-01-20")
        assert "receipt 5 stands under 2026-01-20 as one of venue 1" in made.bad["2026-01-20"]
        assert shop.lake.waiting("2026-01-20") == {5: 1}
        answer_by_venue(shop, {2: [theirs]}, {2: [theirs]})  # the one that waited is no more
        assert not shop.make_receipts("2026-01-20").bad
        assert shop.ids(RECEIPTS, "2026-01-20") == [5]


def answer_by_venue(shop: Shop, listed: Receipts, by_id: Receipts | None = None) -> None:
    """Lists and receipts by id of each venue; what is not listed was created long before."""
    known = listed if by_id is None else by_id

    async def answer(request: Request) -> Response | None:
        venue, last = int(request.headers.get("x-venue", 0)), request.url.path.rpartition("/")[2]
        if last == "receipts":
            rows = listed.get(venue, [])
            return respond({"success": True, "data": rows, "total": len(rows)})
        if "/receipts/" not in request.url.path or not last.isdigit():
            return None
        found = [receipt for receipt in known.get(venue, []) if str(receipt["id"]) == last]
        if not found:
            return respond({"success": False, "error": "not_found", "message": "Receipt not found"}, 404)
        return respond({"success": True, "data": found[0]})

    shop.sandbox.hooks.answer_instead = answer


def respond(envelope: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(envelope, default=float), status, media_type="application/json")
