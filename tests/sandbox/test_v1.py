"""v1 of the sandbox: the vendor's page of it, its authentication and limits, and the questions it leaves open."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from clopos_assets.sandbox import History, LimitOptions, Quirks, Sandbox, World
from clopos_assets.sandbox.limits import Limits

from .asking import Answer, Asker

HERE = Path(__file__).parent
EXAMPLE: Any = json.loads((HERE / "vendor_example_v1.json").read_text("utf-8"), parse_float=Decimal)
SCHEMA: Any = json.loads((HERE / "vendor_schema_v1.json").read_text("utf-8"))["data"]
DAY = "date[0]=2026-01-19&date[1]=2026-01-19"


class AskerV1(Asker):
    """Asks for one venue of v1."""

    venue_id = 1

    def authenticate(self, **changes: object) -> Answer:
        body = self.credentials() | {"integrator_id": None, "venue_id": self.venue_id} | changes
        sent = json.dumps({name: value for name, value in body.items() if value is not None})
        return self.send("POST", "/open-api/auth", {"content-type": "application/json"}, sent)

    def get(self, path: str, *, venue: object = None, **headers: str) -> Answer:
        own = {"x-brand": self.sandbox.credentials.brand}
        return super().get(path, venue=self.venue_id if venue is None else venue, **(own | headers))


@contextmanager
def served(world: World, limits: LimitOptions | None = None, **more: Any) -> Iterator[AskerV1]:
    with Sandbox(world, limits=limits or LimitOptions.unlimited(), **more) as sandbox, AskerV1(sandbox) as asker:
        yield asker


@pytest.fixture
def vendor() -> Iterator[AskerV1]:
    """The receipt of the vendor's v1 page, served."""
    with served(World.from_answers({"receipts": [EXAMPLE["data"]]})) as asker:
        yield asker


def test_receipt_by_id_answers_as_printed(vendor: AskerV1) -> None:
    answer = vendor.get("/receipts/1")
    assert answer.status == 200
    assert answer.json["data"] == EXAMPLE["data"]
    assert list(answer.json["data"]) == list(EXAMPLE["data"])
    assert set(answer.json) == set(EXAMPLE)


def test_the_list_holds_the_same_object(vendor: AskerV1) -> None:
    body = vendor.get("/receipts?date[0]=2025-08-18&date[1]=2025-08-18").json
    assert (body["data"], body["total"]) == ([EXAMPLE["data"]], 1)


def test_an_unknown_receipt_is_not_found(vendor: AskerV1) -> None:
    answer = vendor.get("/receipts/2")
    assert answer.status == 404
    assert answer.json == {"success": False, "error": "not_found", "message": "Receipt not found"}


@pytest.mark.parametrize("missing", ["x-token", "x-brand", "x-venue"])
def test_every_header_is_needed(vendor: AskerV1, missing: str) -> None:
    headers = {"x-token": vendor.token, "x-brand": "sandbox", "x-venue": "1"}
    del headers[missing]
    answer = vendor.send("GET", "/open-api/receipts/1", headers)
    assert (answer.status, answer.json["message"]) == (401, "Missing authentication headers")


def test_a_made_up_receipt_has_the_fields_of_the_page(month: History) -> None:
    with served(month.world) as asker:
        receipts = asker.get(f"/receipts?limit=100&{DAY}").json["data"]
    for receipt in receipts:
        assert list(receipt) == list(SCHEMA)
        assert all(list(line) == list(SCHEMA["receipt_products"][0]) for line in receipt["receipt_products"])
        assert set(receipt["meta"]) == set(SCHEMA["meta"])
        assert set(receipt["properties"]) == set(SCHEMA["properties"])
    product = next(line for receipt in receipts for line in receipt["receipt_products"])["meta"]["product"]
    assert set(product) >= set(EXAMPLE["data"]["receipt_products"][0]["meta"]["product"])
    assert set(product["station"]) == {"id", "name"}


def test_v1_and_v2_tell_of_the_same_receipt(month: History, month_asker: Asker) -> None:
    world = month.world
    ids = [each for each in world.receipt_ids() if world.receipt(each)["venue_id"] == 1 and world.operations(each)]
    with served(world) as asker:
        first = asker.get(f"/receipts/{ids[0]}").json["data"]
    second = month_asker.get(f"/v2/receipts/{ids[0]}").json["data"]
    assert {name: first[name] for name in second} == second
    operations = month_asker.get(f"/v2/receipts/{ids[0]}/stock-operations").json["data"]
    assert first["stock_operations"] == operations
    assert first["totalCost"] == sum(each["total_cost"] for each in operations)
    assert first["by_cash"] + first["by_card"] == first["total"]


@pytest.mark.parametrize("field", ["client_id", "client_secret", "brand", "venue_id"])
def test_a_missing_field_is_a_bad_request(vendor: AskerV1, field: str) -> None:
    answer = vendor.authenticate(**{field: None})
    assert (answer.status, answer.json["error"]) == (400, "Missing client_id, client_secret, brand, or venue_id")


@pytest.mark.parametrize(("field", "status"), [("client_secret", 401), ("brand", 401), ("venue_id", 400)])
def test_wrong_credentials(vendor: AskerV1, field: str, status: int) -> None:
    assert vendor.authenticate(**{field: "9"}).status == status


def test_a_token_is_for_one_venue_of_one_version(month: History) -> None:
    with served(month.world) as asker:
        assert asker.get("/receipts", venue=2).json["message"] == "The token belongs to another venue"
        assert asker.get("/receipts", **{"x-brand": "other"}).json["message"] == "The token belongs to another brand"
        assert asker.get("/v2/receipts", venue=1).status == 401
        with Asker(asker.sandbox) as other:
            asker.token = other.token
        assert asker.get("/receipts").json["error"] == "Invalid token"


def test_deleted_receipts_stand_in_the_list(month: History) -> None:
    world = month.world
    with served(world) as asker:
        listed: list[Any] = []
        for page in range(1, 100):
            rows = asker.get(f"/receipts?limit=100&page={page}&sort[0]=id&sort[1]=1").json["data"]
            if not rows:
                break
            listed += rows
        gone = {receipt["id"] for receipt in listed if receipt["deleted_at"]}
        assert gone == {each for each in world.deleted if world.get_any_receipt(each)["venue_id"] == 1}
        assert [receipt["id"] for receipt in listed] == sorted(receipt["id"] for receipt in listed)
        one = asker.get(f"/receipts/{min(gone)}").json["data"]
    assert one["deleted_at"] == one["updated_at"]
    assert one["stock_operations"] == []


@pytest.mark.parametrize(
    ("spelling", "known"),
    [("both", {"flat", "brackets"}), ("flat", {"flat"}), ("brackets", {"brackets"}), ("none", set())],
)
def test_spellings_of_the_lists_parameters(month: History, spelling: Any, known: set[str]) -> None:
    queries = {"flat": "limit=3&date_from=2026-01-19&date_to=2026-01-19", "brackets": f"limit=3&{DAY}"}
    with served(month.world, quirks=Quirks(v1_parameters=spelling)) as asker:
        totals = {name: asker.get(f"/receipts?{query}").json["total"] for name, query in queries.items()}
        everything = asker.get("/receipts").json["total"]
    assert {name for name, total in totals.items() if total < everything} == known


@pytest.mark.parametrize(
    ("where", "listed", "by_id"), [("everywhere", True, True), ("by id", False, True), ("nowhere", False, False)]
)
def test_where_operations_are_told(month: History, where: Any, listed: bool, by_id: bool) -> None:
    with served(month.world, quirks=Quirks(v1_operations=where)) as asker:
        (first,) = asker.get("/receipts?limit=1").json["data"]
        second = asker.get(f"/receipts/{first['id']}").json["data"]
    assert ("stock_operations" in first, "stock_operations" in second) == (listed, by_id)


def rate(answer: Answer) -> list[int]:
    return [int(answer.headers[f"x-ratelimit-{name}"]) for name in ("limit", "remaining", "reset")]


def test_the_minute_and_the_hour_are_counted() -> None:
    now = 0.0
    world = World.from_answers({"receipts": [EXAMPLE["data"]]})
    limits = LimitOptions(requests_v1=2, requests_v1_per_hour=3)
    with served(world, limits, clock=lambda: now, quirks=Quirks(v1_reset="seconds")) as asker:
        assert rate(asker.get("/receipts/1")) == [2, 1, 60]
        assert rate(asker.get("/receipts/1")) == [2, 0, 60]
        refused = asker.get("/receipts/1")
        assert (refused.status, rate(refused), refused.headers["retry-after"]) == (429, [2, 0, 60], "60")
        now = 60.0
        assert rate(asker.get("/receipts/1")) == [3, 0, 3540]
        refused = asker.get("/receipts/1")
        assert (refused.status, rate(refused)) == (429, [3, 0, 3540])
        now = 3600.0
        assert asker.get("/receipts/1").status == 200


def test_a_reset_is_a_moment_in_every_answer() -> None:
    world = World.from_answers({"receipts": [EXAMPLE["data"]]})
    with served(world, LimitOptions()) as asker:
        answers = [asker.get("/receipts/1"), asker.get("/receipts/9"), asker.get("/receipts/1", venue="x")]
    assert [answer.status for answer in answers] == [200, 404, 401]
    assert [rate(answer)[:2] for answer in answers] == [[100, 99], [100, 98], [100, 98]]
    assert all(abs(rate(answer)[2] - time.time() - 60) < 30 for answer in answers)


def test_a_large_limit_is_refused_as_printed(vendor: AskerV1) -> None:
    answer = vendor.get("/receipts?limit=150")
    assert (answer.status, answer.json) == (
        400,
        {
            "success": False,
            "error": "invalid_parameter",
            "message": "The 'limit' parameter must be between 1 and 100",
            "details": {"parameter": "limit", "provided_value": 150, "valid_range": "1-100"},
        },
    )
    assert vendor.get("/receipts?limit=100").status == 200


def test_the_token_and_its_refusal_are_as_printed(vendor: AskerV1) -> None:
    granted = vendor.authenticate()
    assert (set(granted.json), granted.json["expires_in"]) == ({"success", "token", "token_type", "expires_in"}, 3600)
    refused = vendor.authenticate(client_secret="9")
    assert (refused.status, refused.json) == (
        401,
        {"success": False, "error": "authentication_failed", "message": "Invalid credentials"},
    )
    with served(vendor.sandbox.world, quirks=Quirks(v1_bare_token=True)) as asker:
        assert set(asker.authenticate().json) == {"token", "expires_in"}


def test_limits_are_the_documented_ones() -> None:
    limits = Limits()
    assert [limits.take_request_v1("b").remaining for _ in range(3)] == [99, 98, 97]
    assert LimitOptions().requests_v1_per_hour == 1000


def test_settings_for_v1() -> None:
    world = World.from_answers({"receipts": [EXAMPLE["data"]]})
    with Sandbox(world) as sandbox:
        settings, other = sandbox.settings("v1"), sandbox.settings()
    assert {name: value for name, value in settings.items() if other.get(name) != value} == {
        "CLOPOS_API_VERSION": "v1",
        "CLOPOS_VENUE_IDS": "1",
        "CLOPOS_REQUESTS_PER_WINDOW": "100",
    }
    assert other.keys() - settings.keys() == {"CLOPOS_INTEGRATOR_ID"}
