"""`GET /v2/receipts` and by id: paging, dates, sorting, relations, filters, venues, errors."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest

from clopos_assets.sandbox import History, Quirks, Sandbox, World
from clopos_assets.sandbox.query import InvalidParameterError, read_list_query

from .asking import Asker


def ids(body: Any) -> list[int]:
    return [each["id"] for each in body["data"]]


def test_default_page_is_fifty_newest_first(month_asker: Asker, month: History) -> None:
    body = month_asker.get("/v2/receipts").json
    created = [each["created_at"] for each in body["data"]]
    assert len(created) == 50
    assert created == sorted(created, reverse=True)
    own = [each for each in month.world.receipt_ids() if month.world.get_receipt(each)["venue_id"] == 1]
    assert body["total"] == len(own)


def test_pages_together_are_everything_once(month_asker: Asker) -> None:
    query = "/v2/receipts?date[0]=2026-01-10&date[1]=2026-01-16&limit=33&sort[0]=id&sort[1]=1&page="
    pages = [month_asker.get(f"{query}{page}").json for page in range(1, 12)]
    found = [each for page in pages for each in ids(page)]
    assert len({page["total"] for page in pages}) == 1
    assert len(found) == pages[0]["total"] > 100
    assert found == sorted(set(found))
    assert ids(pages[-1]) == []


@pytest.mark.parametrize(("asked", "given"), [("1", 1), ("200", 200), ("201", 200), ("100000", 200)])
def test_limit_is_cut_silently_at_200(month_asker: Asker, asked: str, given: int) -> None:
    answer = month_asker.get(f"/v2/receipts?limit={asked}")
    assert (answer.status, len(answer.json["data"])) == (200, given)


def test_a_larger_limit_can_be_refused_instead(vendor_world: World) -> None:
    with Sandbox(vendor_world, quirks=Quirks(refuse_large_limit=True)) as sandbox, Asker(sandbox) as asker:
        assert asker.get("/v2/receipts?limit=200").status == 200
        answer = asker.get("/v2/receipts?limit=201")
        assert (answer.status, answer.json["error"]) == (400, "invalid_parameter")


def test_dates_are_days_of_creation_both_inclusive(month_asker: Asker, month: History) -> None:
    body = month_asker.get("/v2/receipts?date[0]=2026-01-10&date[1]=2026-01-11&limit=200", venue=2).json
    expected = {
        receipt["id"]
        for receipt in map(month.world.get_receipt, month.world.receipt_ids())
        if receipt["venue_id"] == 2 and receipt["created_at"][:10] in {"2026-01-10", "2026-01-11"}
    }
    assert set(ids(body)) == expected
    assert {each["created_at"][:10] for each in body["data"]} == {"2026-01-10", "2026-01-11"}
    assert {each["shift_date"] for each in body["data"]} > {"2026-01-10", "2026-01-11"}


def test_one_date_alone_leaves_the_other_end_open(month_asker: Asker) -> None:
    total = month_asker.get("/v2/receipts").json["total"]
    early = month_asker.get("/v2/receipts?date[1]=2026-01-15").json["total"]
    late = month_asker.get("/v2/receipts?date[0]=2026-01-16").json["total"]
    assert early > 0
    assert late > 0
    assert early + late == total


def test_dates_the_wrong_way_round_match_nothing(month_asker: Asker) -> None:
    body = month_asker.get("/v2/receipts?date[0]=2026-01-16&date[1]=2026-01-15").json
    assert (body["data"], body["total"]) == ([], 0)


@pytest.mark.parametrize("field", ["id", "created_at", "updated_at", "closed_at", "total"])
@pytest.mark.parametrize("direction", [1, -1])
def test_every_sort_that_the_answer_lists(month_asker: Asker, field: str, direction: int) -> None:
    query = f"/v2/receipts?sort[0]={field}&sort[1]={direction}&limit=200&filters[0][0]=status&filters[0][1]=2"
    body = month_asker.get(query).json
    values = [each[field] for each in body["data"]]
    assert values == sorted(values, reverse=direction == -1)
    assert field in body["sorts"]


def test_sorts_are_complete_and_ties_keep_ascending_ids() -> None:
    world = World(
        [{"id": 1, "name": "x", "is_main": 1, "media": []}], now=datetime.fromisoformat("2026-01-19 15:00:00")
    )
    for receipt_id in (5, 3, 9, 4):
        world.put_receipt(_receipt(receipt_id, closed_at=None if receipt_id == 9 else "2026-01-19 13:00:00"))
    with Sandbox(world) as sandbox, Asker(sandbox) as asker:
        assert ids(asker.get("/v2/receipts?sort[0]=closed_at&sort[1]=1").json) == [9, 3, 4, 5]
        assert ids(asker.get("/v2/receipts?sort[0]=closed_at&sort[1]=-1").json) == [3, 4, 5, 9]


@pytest.mark.parametrize(
    "query",
    [
        "page=0", "page=-1", "page=x", "page=", "limit=0", "limit=-5", "limit=ten", "limit=1.5",
        "date[0]=19.01.2026", "date[0]=2026-02-30", "date[1]=2026-1-9", "date[0]=", "date[1]=2026-01-19T00:00:00",
        "sort[1]=0", "sort[1]=asc", "sort[1]=", "sort[0]=shift_date", "sort[0]=",
        "with[0]=customer", "with[]=receipt_products.product",
        "filters[0][0]=status", "filters[3][1]=2",
    ],
)  # fmt: skip
def test_bad_parameters_are_refused_in_the_envelope(month_asker: Asker, query: str) -> None:
    answer = month_asker.get(f"/v2/receipts?{query}")
    assert answer.status == 400
    assert answer.json["success"] is False
    assert answer.json["error"] == "invalid_parameter"
    assert answer.json["message"]


def test_an_unknown_sort_names_the_known_ones(month_asker: Asker) -> None:
    message = month_asker.get("/v2/receipts?sort[0]=name").json["message"]
    assert all(name in message for name in month_asker.get("/v2/receipts").json["sorts"])


@pytest.mark.parametrize("number", ["abc", "-1", "1.0", "%D9%A1", "1" * 30])
@pytest.mark.parametrize("ending", ["", "/stock-operations"])
def test_an_invalid_id_is_not_found(month_asker: Asker, number: str, ending: str) -> None:
    answer = month_asker.get(f"/v2/receipts/{number}{ending}")
    assert (answer.status, answer.json["error"]) == (404, "not_found")


def test_lines_come_only_when_asked_for(month_asker: Asker) -> None:
    assert all("receipt_products" not in each for each in month_asker.get("/v2/receipts").json["data"])
    lines = _lines(month_asker, "with[0]=receipt_products")
    assert lines
    for line in lines:
        assert not {"modificators", "product", "receipt_id"} & set(line)


def test_modifiers_with_and_without_their_group(month_asker: Asker) -> None:
    plain = _lines(month_asker, "with[0]=receipt_products.modificators")
    grouped = _lines(month_asker, "with[]=receipt_products.modificators.modificator_group")
    assert [line["id"] for line in plain] == [line["id"] for line in grouped]
    assert any(line["modificators"] for line in plain)
    assert any(line["modificators"] == [] for line in plain)
    for line in plain:
        assert all("modificator_group" not in each for each in line["modificators"])
    for line in grouped:
        assert all(set(each["modificator_group"]) == {"id", "name"} for each in line["modificators"])


@pytest.mark.parametrize(("relation", "other"), [("unit", "station"), ("station", "unit")])
def test_product_relations(month_asker: Asker, relation: str, other: str) -> None:
    lines = _lines(month_asker, f"with[0]=receipt_products.product.{relation}")
    for line in lines:
        product = line["product"]
        assert product["id"] == line["product_id"]
        assert product["name"] == line["meta"]["product"]["name"]
        assert set(product[relation]) == {"id", "name"}
        assert other not in product


def test_by_id_equals_the_list_under_every_relation(month_asker: Asker) -> None:
    relations = "&".join(
        f"with[{position}]=receipt_products{name}"
        for position, name in enumerate(
            ["", ".modificators", ".modificators.modificator_group", ".product.unit", ".product.station"]
        )
    )
    for receipt in month_asker.get(f"/v2/receipts?limit=20&{relations}").json["data"]:
        assert month_asker.get(f"/v2/receipts/{receipt['id']}?{relations}").json["data"] == receipt


def test_percent_encoded_brackets_are_the_same(month_asker: Asker) -> None:
    query = (
        "date[0]=2026-01-10&date[1]=2026-01-12&sort[0]=total&sort[1]=1"
        "&with[]=receipt_products&filters[0][0]=status&filters[0][1]=2"
    )
    bare = month_asker.get(f"/v2/receipts?{query}")
    encoded = month_asker.get(f"/v2/receipts?{quote(query, safe='=&')}")
    assert "[" in query
    assert bare.body == encoded.body
    assert bare.json["total"] > 0


def test_filters_stack_and_unknown_ones_are_ignored(month_asker: Asker, month: History) -> None:
    mine = [each for each in map(month.world.get_receipt, month.world.receipt_ids()) if each["venue_id"] == 1]
    open_ones = month_asker.get("/v2/receipts?filters[0][0]=status&filters[0][1]=1").json
    assert set(ids(open_ones)) == {each["id"] for each in mine if each["status"] == 1}
    both = "filters[0][0]=status&filters[0][1]=2&filters[1][0]=sale_type_id&filters[1][1]=3"
    stacked = month_asker.get(f"/v2/receipts?{both}").json["total"]
    assert stacked == sum(each["status"] == 2 and each["sale_type_id"] == 3 for each in mine) > 0
    unknown = month_asker.get("/v2/receipts?filters[0][0]=shift_date&filters[0][1]=2026-01-10").json["total"]
    assert unknown == len(mine)


def test_receipts_are_filtered_by_a_terminal_that_is_not_shown(month_asker: Asker) -> None:
    totals = [
        month_asker.get(f"/v2/receipts?filters[0][0]=terminal_id&filters[0][1]={each}").json["total"]
        for each in (11, 12, 13, 99)
    ]
    assert all(totals[:3])
    assert totals[3] == 0
    everything = month_asker.get("/v2/receipts").json
    assert sum(totals) == everything["total"]
    assert "terminal_id" not in everything["data"][0]


def test_x_venue_overrides_the_tokens_venue(month_asker: Asker) -> None:
    venues = [each["id"] for each in month_asker.get("/v2/venues").json["data"]]
    assert venues == [1, 2, 3, 4]
    seen: set[int] = set()
    for venue in venues:
        body = month_asker.get("/v2/receipts?limit=200", venue=venue).json
        assert {each["venue_id"] for each in body["data"]} == {venue}
        assert not seen & set(ids(body))
        seen |= set(ids(body))
    assert month_asker.get("/v2/receipts").json == month_asker.get("/v2/receipts", venue=1).json


def test_a_receipt_of_another_venue_is_not_found(month_asker: Asker) -> None:
    other = ids(month_asker.get("/v2/receipts?limit=1", venue=3).json)[0]
    assert month_asker.get(f"/v2/receipts/{other}", venue=3).status == 200
    assert month_asker.get(f"/v2/receipts/{other}").status == 404
    assert month_asker.get(f"/v2/receipts/{other}/stock-operations").status == 404


@pytest.mark.parametrize("venue", ["99", "x", "01"])
def test_an_unknown_venue_is_an_error_in_the_envelope(month_asker: Asker, venue: str) -> None:
    answer = month_asker.get("/v2/receipts", venue=venue)
    assert (answer.status, answer.json["success"], answer.json["error"]) == (404, False, "not_found")


def test_an_unknown_venue_can_answer_otherwise(vendor_world: World) -> None:
    with Sandbox(vendor_world, quirks=Quirks(unknown_venue_status=403)) as sandbox, Asker(sandbox) as asker:
        assert asker.get("/v2/receipts", venue=99).status == 403


@pytest.mark.parametrize("path", ["/v2/nothing", "/v2/receipts/", "/v3/receipts", "/v2/receipts/1/lines", ""])
def test_unknown_routes_are_not_found_in_the_envelope(month_asker: Asker, path: str) -> None:
    answer = month_asker.get(path)
    assert (answer.status, answer.json["success"], answer.json["error"]) == (404, False, "not_found")


def test_another_method_is_refused_in_the_envelope(month_asker: Asker) -> None:
    answer = month_asker.send("DELETE", "/open-api/v2/receipts", {"x-token": month_asker.token})
    assert (answer.status, answer.json["success"]) == (405, False)


def test_an_insert_between_two_pages_repeats_a_row(vendor_world: World, asker: Asker) -> None:
    for receipt_id in (2, 3, 4):
        vendor_world.put_receipt(_receipt(receipt_id, created_at=f"2026-01-20 12:0{receipt_id}:00"))
    first = asker.get("/v2/receipts?limit=2&page=1").json
    assert (ids(first), first["total"]) == ([4, 3], 4)
    vendor_world.put_receipt(_receipt(5, created_at="2026-01-20 13:00:00"))
    second = asker.get("/v2/receipts?limit=2&page=2").json
    assert (ids(second), second["total"]) == ([3, 2], 5)
    vendor_world.delete_receipt(5)
    vendor_world.delete_receipt(4)
    third = asker.get("/v2/receipts?limit=2&page=2").json
    assert (ids(third), third["total"]) == ([1], 3)


def test_an_open_receipt_has_an_empty_list_of_operations(month_asker: Asker) -> None:
    query = "/v2/receipts?limit=1&filters[0][0]=status&filters[0][1]=1"
    (receipt,) = month_asker.get(query).json["data"]
    answer = month_asker.get(f"/v2/receipts/{receipt['id']}/stock-operations")
    assert (answer.status, answer.json) == (200, {"data": []})


def test_by_id_takes_both_forms_of_with(month_asker: Asker) -> None:
    (receipt,) = month_asker.get("/v2/receipts?limit=1&with[]=receipt_products").json["data"]
    path = f"/v2/receipts/{receipt['id']}"
    assert "receipt_products" not in month_asker.get(path).json["data"]
    for form in ("with[]", "with[0]", "with[7]", "with%5B%5D"):
        assert month_asker.get(f"{path}?{form}=receipt_products").json["data"] == receipt
    refused = month_asker.get(f"{path}?with[]=stock_operations")
    assert (refused.status, refused.json["error"]) == (400, "invalid_parameter")


def test_a_deleted_receipt_leaves_everywhere(vendor_world: World, asker: Asker) -> None:
    vendor_world.delete_receipt(1)
    assert asker.get("/v2/receipts").json["total"] == 0
    assert asker.get("/v2/receipts/1").status == 404
    assert asker.get("/v2/receipts/1/stock-operations").status == 404


def test_letters_are_sent_unescaped(month_asker: Asker) -> None:
    body = month_asker.get("/v2/venues").body.decode("utf-8")
    assert "Dənizkənarı bulvar" in body
    assert "Кафе «Старый город»" in body
    assert "\\u" not in body


def test_php_indexes() -> None:
    query = read_list_query("date[]=2026-01-01&date[]=2026-01-02&page=2&page=3&filters[][0]=status&x=1&[]=2")
    assert (str(query.first), str(query.last), query.page) == ("2026-01-01", "2026-01-02", 3)
    with pytest.raises(InvalidParameterError, match="page must be a positive integer"):
        read_list_query("page=٣")


def _lines(asker: Asker, relation: str) -> list[dict[str, Any]]:
    body = asker.get(f"/v2/receipts?limit=50&date[1]=2026-01-20&{relation}").json
    return [line for receipt in body["data"] for line in receipt["receipt_products"]]


def _receipt(receipt_id: int, **fields: object) -> dict[str, object]:
    return {
        "id": receipt_id,
        "venue_id": 1,
        "status": 2,
        "total": Decimal("1.5"),
        "created_at": "2026-01-19 12:00:00",
        "updated_at": "2026-01-19 13:00:00",
        "closed_at": "2026-01-19 13:00:00",
        "shift_date": "2026-01-19",
        **fields,
    }
