"""The client on a brand of v1: what it sends, whose tokens it uses, and what it makes of the open questions."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import TypeVar, get_args

import pytest
from multidict import CIMultiDict

from clopos_assets.clopos.client import Clopos
from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.dialect import V1, V2
from clopos_assets.clopos.errors import CloposAnswerError, CloposRefusedError, CloposUnavailableError
from clopos_assets.clopos.patience import TryAgainError, tries
from clopos_assets.clopos.quota import Quota
from clopos_assets.clopos.stock import StockAnswer, read_stock_operations
from clopos_assets.clopos.token import TokenCache
from clopos_assets.sandbox import LimitOptions, Quirks, Sandbox, World
from clopos_assets.sandbox.quirks import V1Parameters

from .asking import always, run_with
from .brand import Brand
from .server import reply_json

T = TypeVar("T")
DAY = date(2026, 1, 19)
WORLD = json.loads((Path(__file__).parents[1] / "sandbox" / "vendor_examples.json").read_text("utf-8"))


def world(receipts: int = 1, venues: int = 1) -> World:
    """The vendor's receipt, so many times in each venue, and a day later once more."""
    example = {**WORLD["receipts"][0], "receipt_products": []}
    later = {"created_at": "2026-01-25 12:00:00", "updated_at": "2026-01-25 12:00:00", "shift_date": "2026-01-25"}
    sold = [
        {**example, "id": 100 * venue_id + number, "venue_id": venue_id, **(later if number == receipts else {})}
        for venue_id in range(1, venues + 1)
        for number in range(receipts + 1)
    ]
    operations = {str(each["id"]): [{**WORLD["stock_operations"]["1"][0], "receipt_id": each["id"]}] for each in sold}
    return World.from_answers({"receipts": sold, "stock_operations": operations})


def run(
    sandbox: Sandbox, work: Callable[[Clopos], Awaitable[T]], tokens: TokenCache | None = None, secret: str = ""
) -> T:
    known = sandbox.credentials
    connection = Connection(
        base_url=sandbox.url,
        client_id=known.client_id,
        client_secret=secret or known.client_secret,
        brand=known.brand,
        dialect=V1,
        attempts=2,
        backoff_seconds=0.01,
    )

    async def within() -> T:
        async with Clopos(connection, quota=Quota(10**6, 60), tokens=tokens or TokenCache()) as clopos:
            return await work(clopos)

    return asyncio.run(within())


def served(brand: World, quirks: Quirks | None = None) -> Sandbox:
    return Sandbox(brand, limits=LimitOptions.unlimited(), quirks=quirks)


async def list_ids(clopos: Clopos, venue_id: int | None = 1) -> list[object]:
    listing = await clopos.list_receipts(
        created_from=DAY, created_to=DAY, venue_id=venue_id, convert=lambda items: [item["id"] for item in items]
    )
    return [each for part in listing.parts for each in part]


def test_what_is_sent() -> None:
    async def work(clopos: Clopos) -> None:
        await list_ids(clopos, 7)
        await clopos.get_receipt(5, 7)

    _, server = run_with(Brand(receipts=[{"id": 5}]), work, dialect=V1)
    authenticated, listed, got = server.asked
    assert (authenticated.method, authenticated.target) == ("POST", "/open-api/auth")
    assert json.loads(authenticated.body) == {
        "client_id": "client",
        "client_secret": "s3cret-of-the-brand",
        "brand": "openapitest",
        "venue_id": "7",
    }
    assert listed.target == (
        "/open-api/receipts?page=1&limit=100&sort_by=id&sort_order=1&sort[0]=id&sort[1]=1"
        "&date_from=2026-01-19&date_to=2026-01-20&date[0]=2026-01-19&date[1]=2026-01-19"
    )
    assert got.target == "/open-api/receipts/5"
    for asked in (listed, got):
        assert (asked.headers["x-brand"], asked.headers["x-venue"]) == ("openapitest", "7")
        assert asked.headers["x-token"] == "token-of-the-brand-1"


def test_every_venue_has_a_token_of_its_own() -> None:
    tokens = TokenCache()

    async def work(clopos: Clopos) -> list[list[object]]:
        return [await list_ids(clopos, venue_id) for venue_id in (1, 2, 1)]

    with served(world(venues=2)) as sandbox:
        assert run(sandbox, work, tokens) == [[100], [200], [100]]
        assert run(sandbox, work, tokens) == [[100], [200], [100]]
        assert sandbox.requests.count("POST", "/auth") == 2


def test_an_expired_token_is_renewed_for_its_venue() -> None:
    async def work(clopos: Clopos) -> list[list[object]]:
        before = await list_ids(clopos, 2)
        sandbox.tokens.expire_all()
        return [before, await list_ids(clopos, 2)]

    with served(world(venues=2)) as sandbox:
        assert run(sandbox, work) == [[200], [200]]
        assert sandbox.requests.count("POST", "/auth") == 2


@pytest.mark.parametrize("spelling", get_args(V1Parameters))
def test_no_receipt_is_lost_to_the_lists_spelling(spelling: V1Parameters) -> None:
    quirks = Quirks(v1_parameters=spelling)
    with served(world(receipts=60), quirks) as sandbox:
        ids = run(sandbox, list_ids)
    assert set(range(100, 160)) <= set(ids)
    assert (160 in ids) is (spelling == "none")
    assert len(ids) == len(set(ids))


def test_operations_are_the_receipts_own() -> None:
    async def work(clopos: Clopos) -> list[StockAnswer | None]:
        return [await clopos.get_stock_operations(receipt_id, 1) for receipt_id in (100, 999)]

    with served(world()) as sandbox:
        told, absent = run(sandbox, work)
        assert sandbox.requests.count("GET", "/receipts/{id}") == 2
    assert absent is None
    assert told is not None
    assert told.items is not None
    assert [item["id"] for item in told.items] == [1001]
    assert read_stock_operations(told.body) == told.items


@pytest.mark.parametrize("operations", ["none", {"id": 1}, [1], 0])
def test_operations_that_are_no_list_of_objects(operations: object) -> None:
    body = {"success": True, "data": {"id": 5, "stock_operations": operations}}

    async def work(clopos: Clopos) -> StockAnswer | None:
        return await clopos.get_stock_operations(5, 7)

    with pytest.raises(CloposAnswerError, match=r"^GET /receipts/5 \(venue 7\): data is not a list of objects"):
        run_with(Brand(intervene=always(reply_json(body))), work, dialect=V1)


@pytest.mark.parametrize("work", [lambda clopos: list_ids(clopos, None), Clopos.list_venues])
def test_a_venue_must_be_named(work: Callable[[Clopos], Awaitable[object]]) -> None:
    with served(world()) as sandbox:
        with pytest.raises(CloposRefusedError, match=r"name the venues by id in CLOPOS_VENUE_IDS, such as 1,2$"):
            run(sandbox, work)
        assert sandbox.requests.total() == 0


def test_a_venue_of_others_is_named() -> None:
    with (
        served(world()) as sandbox,
        pytest.raises(CloposRefusedError, match=r"^POST /auth: .*check that venue 9 in CLOPOS_VENUE_IDS"),
    ):
        run(sandbox, lambda clopos: list_ids(clopos, 9))


def test_no_integrator_is_advised() -> None:
    with served(world()) as sandbox:
        sandbox.world.access.client_enabled = False
        with pytest.raises(CloposRefusedError) as caught:
            run(sandbox, list_ids)
    assert "INTEGRATOR" not in str(caught.value)
    body = reply_json({"success": False, "message": "no"}, 401)
    with pytest.raises(CloposRefusedError, match=r"check CLOPOS_CLIENT_ID, .*, CLOPOS_BRAND and CLOPOS_VENUE_IDS"):
        run_with(Brand(intervene=lambda asked: body), list_ids, dialect=V1)


@pytest.mark.parametrize(
    ("said", "understood"),
    [
        ({}, {}),
        ({"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "7"}, {"Limit": "100", "Remaining": "7"}),
        ({"X-RateLimit-Reset": "42"}, {"Reset": "42"}),
        ({"X-RateLimit-Reset": "1768820900"}, {"Reset": "31.000"}),
        ({"X-RateLimit-Reset": "1768820000"}, {"Reset": "0.000"}),
        ({"X-RateLimit-Reset": "soon"}, {"Reset": "soon"}),
        ({"Retry-After": "9"}, {"Reset": "9"}),
        ({"Retry-After": "9", "X-RateLimit-Reset": "8"}, {"Reset": "8"}),
        ({"Retry-After": "Mon, 19 Jan 2026 11:07:49 GMT"}, {}),
    ],
)
def test_the_quotas_headers(said: dict[str, str], understood: dict[str, str]) -> None:
    # However this machine's clock goes: the moment is by the server's.
    headers = V1.read_headers(CIMultiDict(said | {"Date": "Mon, 19 Jan 2026 11:07:49 GMT"}))
    names = ("Limit", "Remaining", "Reset")
    assert {name: headers[f"RateLimit-{name}"] for name in names if f"RateLimit-{name}" in headers} == understood
    assert V2.read_headers(CIMultiDict(said)) == CIMultiDict(said)


@pytest.mark.parametrize("date", [{}, {"Date": "soon"}, {"Date": "Mon, 19 Jan 2026 11:07:49 +99999999999999999999"}])
def test_a_moment_of_a_server_without_a_clock_is_by_this_machines(
    monkeypatch: pytest.MonkeyPatch, date: dict[str, str]
) -> None:
    monkeypatch.setattr("clopos_assets.clopos.dialect.time.time", lambda: 1768820869.0)
    headers = V1.read_headers(CIMultiDict({"X-RateLimit-Reset": "1768820900"} | date))
    assert headers["RateLimit-Reset"] == "31.000"


@pytest.mark.parametrize(("seconds", "count"), [(3600.0, 2), (3601.0, 1)])
def test_an_hour_of_quota_is_waited_for_and_no_longer(
    monkeypatch: pytest.MonkeyPatch, seconds: float, count: int
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def ask() -> None:
        connection = Connection("http://127.0.0.1:1", "client", "s", "brand", dialect=V1, attempts=2)
        async for attempt in tries(connection, "GET /receipts"):
            with attempt:
                raise TryAgainError("HTTP 429", seconds, is_quota=True)

    monkeypatch.setattr("clopos_assets.clopos.patience.asyncio.sleep", sleep)
    with pytest.raises(CloposUnavailableError, match=f"given up after {count}"):
        asyncio.run(ask())
    # Servers of other tests in this process sleep for moments.
    assert [each for each in slept if each >= 1] == [3600.0] * (count - 1)
