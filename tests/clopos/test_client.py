"""The client against a brand on loopback: lists, single receipts, faults, tokens, bounds."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import date
from decimal import Decimal
from typing import TypeVar

import pytest

from clopos_assets.clopos.client import Clopos, StockAnswer, read_stock_operations
from clopos_assets.clopos.errors import CloposAnswerError, CloposError, CloposRefused, CloposUnavailable
from clopos_assets.clopos.listing import Item, Listing
from clopos_assets.clopos.quota import Quota
from clopos_assets.clopos.token import TokenCache

from .brand import NOT_FOUND, RATE, TOKEN, Brand, connect, make_receipts
from .server import Asked, Reply, Server, reply_json

T = TypeVar("T")
FIRST, LAST = date(2026, 1, 17), date(2026, 1, 20)


def _run(brand: Brand, work: Callable[[Clopos], Awaitable[T]], **more: object) -> tuple[T, Server]:
    with Server(brand.answer) as server:

        async def run() -> T:
            async with connect(server, **more) as clopos:  # type: ignore[arg-type]  # keyword arguments of connect
                return await work(clopos)

        return asyncio.run(run()), server


async def _list(clopos: Clopos, venue_id: int | None = None) -> Listing[list[object]]:
    return await clopos.list_receipts(
        created_from=FIRST, created_to=LAST, venue_id=venue_id, convert=lambda items: [item["id"] for item in items]
    )


async def _receipt(clopos: Clopos) -> Item | None:
    return await clopos.get_receipt(5, None)


async def _operations(clopos: Clopos) -> StockAnswer | None:
    return await clopos.get_stock_operations(5, 7)


def _failing_first(reply: Reply, times: int = 1) -> Callable[[Asked], Reply | None]:
    """The first requests about receipts get `reply`."""
    left = times

    def intervene(asked: Asked) -> Reply | None:
        nonlocal left
        if asked.path.endswith("/auth") or left == 0:
            return None
        left -= 1
        return reply

    return intervene


def _always(reply: Reply) -> Callable[[Asked], Reply | None]:
    return _failing_first(reply, times=-1)


def _no(error: str, status: int, message: str = "") -> Reply:
    return reply_json({"success": False, "error": error, "message": message}, status, RATE)


# Requests as documented


def test_the_list_is_asked_for_as_documented() -> None:
    listing, server = _run(Brand(make_receipts(450)), lambda clopos: _list(clopos, 7))
    assert [number for part in listing.parts for number in part] == list(range(1, 451))
    assert (listing.total, listing.requests, listing.restarts) == (450, 3, 0)
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
    receipt, server = _run(Brand(make_receipts(5)), _receipt)
    assert receipt == {"id": 5, "total": 50, "shift_date": "2026-01-19"}
    assert server.asked[1].target == (
        "/open-api/v2/receipts/5?with[0]=receipt_products&with[1]=receipt_products.modificators"
    )
    assert "x-venue" not in server.asked[1].headers


def test_stock_operations_are_asked_for_as_documented() -> None:
    answer, server = _run(Brand(operations={5: reply_json({"data": [{"id": 1}]})}), _operations)
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
    found, _ = _run(Brand([receipt]), _receipt)
    assert found == receipt
    assert found is not None
    assert {key: str(value) for key, value in found.items()} == {key: str(value) for key, value in receipt.items()}


def test_venues() -> None:
    venues, server = _run(Brand(), lambda clopos: clopos.list_venues())
    assert venues == [{"id": 1, "name": "Mərkəz"}]
    assert server.asked[1].target == "/open-api/v2/venues"


def test_venues_in_pages() -> None:
    every = [{"id": number} for number in range(1, 121)]

    def intervene(asked: Asked) -> Reply | None:
        if not asked.path.endswith("/venues"):
            return None
        start = (int(asked.query.get("page", "1")) - 1) * 50
        return reply_json({"success": True, "data": every[start : start + 50], "total": 120}, headers=RATE)

    venues, _ = _run(Brand(intervene=intervene), lambda clopos: clopos.list_venues())
    assert venues == every


# Lists


def test_pages_cut_down_silently_are_read_whole() -> None:
    listing, server = _run(Brand(make_receipts(120), largest_page=50), _list)
    assert sorted(number for part in listing.parts for number in part) == list(range(1, 121))  # type: ignore[type-var]  # ids are ints
    assert (listing.requests, listing.restarts, server.count("/receipts")) == (3, 0, 3)


def test_a_refused_page_size_falls_back_to_the_default_for_good() -> None:
    def intervene(asked: Asked) -> Reply | None:
        if asked.query.get("limit") == "200":
            return _no("invalid_parameter", 400, "limit must not exceed 100")
        return None

    async def twice(clopos: Clopos) -> tuple[int, int]:
        return (await _list(clopos)).requests, (await _list(clopos)).requests

    requests, server = _run(Brand(make_receipts(60), intervene=intervene), twice)
    assert requests == (3, 2)
    assert [asked.query["limit"] for asked in server.asked[1:]] == ["200", "50", "50", "50", "50"]


def test_a_page_size_refused_throughout_is_final() -> None:
    brand = Brand(intervene=_always(_no("invalid_parameter", 400, "limit is wrong")))
    with pytest.raises(CloposRefused, match="limit is wrong"):
        _run(brand, _list)


def test_a_deletion_while_paging_starts_the_list_again() -> None:
    brand = Brand(make_receipts(450))

    def intervene(asked: Asked) -> Reply | None:
        if asked.query.get("page") == "2" and len(brand.receipts) == 450:
            brand.receipts = brand.receipts[1:]
        return None

    brand.intervene = intervene
    listing, _ = _run(brand, _list)
    assert listing.restarts == 1
    assert {number for part in listing.parts for number in part} == set(range(2, 451))


def test_a_list_that_never_stands_still_is_given_up() -> None:
    brand = Brand(make_receipts(300))

    def intervene(asked: Asked) -> Reply | None:
        if asked.path.endswith("/receipts"):
            brand.receipts = [*brand.receipts, {"id": len(brand.receipts) + 1}]
        return None

    brand.intervene = intervene
    with pytest.raises(CloposUnavailable, match=r"GET /v2/receipts \(2026-01-17 to 2026-01-20\): the list was read 6"):
        _run(brand, _list)


def test_a_conflict_is_reported() -> None:
    rows: list[Item] = [{"id": 1, "venue_id": 1}, {"id": 1, "venue_id": 2}, {"id": 2, "venue_id": 1}]
    listing, _ = _run(Brand(rows), _list)
    assert listing.conflicts == {1: rows[:2]}
    assert [number for part in listing.parts for number in part] == [2]


@pytest.mark.parametrize("envelope", [{"data": []}, {"data": [1], "total": 1}, {"data": [{"id": "1"}], "total": 1}])
def test_lists_not_as_documented(envelope: Item) -> None:
    brand = Brand(intervene=_always(reply_json({"success": True, **envelope})))
    with pytest.raises(CloposAnswerError, match=r"^GET /v2/receipts \(2026-01-17 to 2026-01-20\): .* has to mend this"):
        _run(brand, _list)


def test_an_unknown_venue_is_named() -> None:
    brand = Brand(intervene=_always(_no("forbidden", 403)))
    with pytest.raises(CloposRefused, match=r"venue 7\): HTTP 403 \"forbidden\".*venue 7 in CLOPOS_VENUE_IDS"):
        _run(brand, lambda clopos: _list(clopos, 7))


def test_days_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="after"):
        _run(
            Brand(),
            lambda clopos: clopos.list_receipts(created_from=LAST, created_to=FIRST, venue_id=None, convert=list),
        )


# Single receipts


def test_absent_is_an_answer() -> None:
    async def both(clopos: Clopos) -> tuple[Item | None, StockAnswer | None]:
        return await _receipt(clopos), await _operations(clopos)

    assert _run(Brand(), both)[0] == (None, None)


def test_a_page_of_html_is_not_absence() -> None:
    brand = Brand(intervene=_always(Reply(404, b"<html>nginx</html>", "text/html")))
    with pytest.raises(CloposRefused, match="CLOPOS_BASE_URL"):
        _run(brand, _receipt)


@pytest.mark.parametrize("data", [{"id": 6}, [], None, "x"])
def test_another_receipt_is_not_the_receipt(data: object) -> None:
    brand = Brand(intervene=_always(reply_json({"success": True, "data": data})))
    with pytest.raises(CloposAnswerError, match="GET /v2/receipts/5: data is not that receipt"):
        _run(brand, _receipt)


@pytest.mark.parametrize("data", [{"id": 1}, [1], None])
def test_stock_operations_not_as_documented(data: object) -> None:
    brand = Brand(operations={5: reply_json({"data": data})})
    with pytest.raises(CloposAnswerError, match=r"receipts/5/stock-operations \(venue 7\): data is not a list"):
        _run(brand, _operations)


@pytest.mark.parametrize("body", [b"", b'{"data": [', b"[]", json.dumps(NOT_FOUND).encode(), b'{"data": {}}'])
def test_kept_answers_are_checked(body: bytes) -> None:
    with pytest.raises(CloposAnswerError, match="kept answer"):
        read_stock_operations(body)


# Faults


@pytest.mark.parametrize(
    "reply",
    [
        _no("Server error", 500),
        Reply(502, b"<html><h1>502 Bad Gateway</h1></html>", "text/html"),
        Reply(503),
        _no("timeout", 504),
        Reply(200, b"<html>maintenance</html>", "text/html"),
        Reply(200, b'{"success": true, "data": {"id": 5', "application/json"),
        Reply(200, b'{"success": true}' * 100, fault="cut"),
        Reply(fault="reset"),
        Reply(fault="silent"),
        _no("limit", 429),
    ],
    ids=["500", "502", "503", "504", "html", "half", "cut", "reset", "silent", "429"],
)
def test_a_fault_is_tried_again(reply: Reply, caplog: pytest.LogCaptureFixture) -> None:
    if reply.status == 429:
        reply = reply_json({"success": False, "error": "limit"}, 429, {"RateLimit-Reset": "0.05"})
    waits: list[float] = []

    async def work(clopos: Clopos) -> tuple[Item | None, int]:
        return await _receipt(clopos), clopos.requests

    brand = Brand(make_receipts(5), intervene=_failing_first(reply, times=2))
    with caplog.at_level(logging.DEBUG, "clopos_assets"):
        (receipt, requests), server = _run(brand, work, on_wait=lambda seconds, reason: waits.append(seconds))
    assert receipt is not None
    assert requests == server.count("/receipts/5") == 3
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [line.partition("; try ")[2].partition(" in ")[0] for line in warnings] == [
        "2 of 4 follows",
        "3 of 4 follows",
    ]
    assert len(waits) >= 2


def test_slow_drips_are_given_up() -> None:
    brand = Brand(intervene=_always(Reply(body=b"x" * 1000, fault="drip")))
    with pytest.raises(CloposUnavailable, match=r"given up after 2 tries, the last: no whole answer within 0.3 s"):
        _run(brand, _receipt, attempts=2, timeout_seconds=0.3)


def test_faults_end() -> None:
    brand = Brand(intervene=_always(Reply(502, b"<html>", "text/html")))
    with Server(brand.answer) as server:

        async def run() -> None:
            async with connect(server) as clopos:
                await clopos.get_receipt(5, 7)

        with pytest.raises(CloposUnavailable, match=r"GET /v2/receipts/5 \(venue 7\): given up after 4 tries.*502"):
            asyncio.run(run())
        assert server.count("/receipts/5") == 4


def test_an_endless_retry_after_is_not_waited_for() -> None:
    brand = Brand(intervene=_always(Reply(503, headers={"Retry-After": "86400"})))
    with pytest.raises(CloposUnavailable, match="given up after 1 try"):
        _run(brand, _receipt)


def test_answers_beyond_measure_are_refused() -> None:
    brand = Brand(intervene=_failing_first(Reply(body=b" " * 3000)))
    with pytest.raises(CloposAnswerError, match=r"GET /v2/receipts/5: the answer is larger than 2,000 bytes"):
        _run(brand, _receipt, max_body_bytes=2000)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    with Server(lambda asked: reply_json({"success": True, "data": {"id": 5}})) as elsewhere:
        location = f"http://localhost:{elsewhere.port}/open-api/v2/receipts/5?token=hidden"
        brand = Brand(intervene=_always(Reply(status, headers={"Location": location})))
        with pytest.raises(
            CloposRefused, match=f"HTTP {status} redirects to localhost, which is not followed"
        ) as caught:
            _run(brand, _receipt)
        assert elsewhere.asked == []
    assert "hidden" not in str(caught.value)


def test_requests_under_way_are_bounded() -> None:
    """Each takes a connection for itself while it waits for its answer."""
    brand = Brand(intervene=_always(reply_json({"data": []}, delay=0.02, headers=RATE)))

    async def work(clopos: Clopos) -> None:
        await asyncio.gather(*(clopos.get_stock_operations(number, None) for number in range(60)))

    _, server = _run(brand, work)
    assert server.count("/stock-operations") == 60
    assert 1 < len({asked.connection for asked in server.asked}) <= 16


# Tokens


def test_a_token_that_expires_under_way_is_renewed_once_for_all() -> None:
    brand = Brand(make_receipts(40))

    async def work(clopos: Clopos) -> int:
        assert await _receipt(clopos) is not None
        brand.accepted.clear()
        found = await asyncio.gather(*(clopos.get_receipt(number, None) for number in range(1, 41)))
        assert [receipt and receipt["id"] for receipt in found] == list(range(1, 41))
        return clopos.requests

    requests, server = _run(brand, work)
    assert server.count("/auth") == 2
    assert 42 <= requests <= 41 + 16


def test_tokens_and_quota_outlive_a_loop() -> None:
    tokens, quota = TokenCache(), Quota(300, 60)
    with Server(Brand(make_receipts(5)).answer) as server:

        async def run() -> None:
            async with connect(server, tokens=tokens, quota=quota) as clopos:
                assert await _receipt(clopos) is not None

        asyncio.run(run())
        asyncio.run(run())
        assert server.count("/auth") == 1


@pytest.mark.parametrize("words", ["Token expired", "Invalid token"])
def test_a_token_refused_when_new_is_final(words: str) -> None:
    brand = Brand(intervene=_always(_no(words, 401)))
    with Server(brand.answer) as server:

        async def run() -> None:
            async with connect(server) as clopos:
                await _receipt(clopos)

        with pytest.raises(CloposRefused, match=f"{words}.*just issued"):
            asyncio.run(run())
        assert (server.count("/auth"), server.count("/receipts/5")) == (2, 2)


def test_wrong_credentials_are_sent_once() -> None:
    brand = Brand()
    with Server(brand.answer) as server:

        async def run() -> list[object]:
            async with connect(server, secret="wrong") as clopos:
                outcomes = await asyncio.gather(
                    *(clopos.get_receipt(number, None) for number in range(20)), return_exceptions=True
                )
                assert clopos.requests == 0
                return list(outcomes)

        outcomes = asyncio.run(run())
        assert all(isinstance(outcome, CloposRefused) for outcome in outcomes)
        assert "CLOPOS_CLIENT_SECRET" in str(outcomes[0])
        assert [asked.path for asked in server.asked] == ["/open-api/v2/auth"]


@pytest.mark.parametrize(
    ("kind", "retry_helps"),
    [(CloposError, False), (CloposRefused, False), (CloposAnswerError, False), (CloposUnavailable, True)],
)
def test_errors_say_whether_a_retry_helps(kind: type[CloposError], retry_helps: bool) -> None:
    assert kind("x").retry_helps is retry_helps
