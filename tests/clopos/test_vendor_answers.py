"""The examples of the vendor's documentation, through the whole client.

https://developer.clopos.com/api-reference (v2 list, v2 stock operations, errors; v1 receipt by id).
"""

import asyncio
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from clopos_assets.clopos.decode import decode_json, encode_json
from clopos_assets.clopos.dialect import V1
from clopos_assets.clopos.errors import CloposRefusedError
from clopos_assets.clopos.stock import read_stock_operations
from clopos_assets.clopos.verdict import Kind, judge

from .brand import Brand, connect
from .server import Server, reply_json

ANSWERS: dict[str, Any] = json.loads((Path(__file__).parent / "vendor_answers.json").read_text(encoding="utf-8"))
DAY = date(2026, 1, 19)


def _brand(example: str, status: int = 200) -> Brand:
    return Brand(intervene=lambda asked: None if asked.path.endswith("/auth") else reply_json(ANSWERS[example], status))


def test_the_list() -> None:
    async def run() -> None:
        async with connect(server) as clopos:
            listing = await clopos.list_receipts(created_from=DAY, created_to=DAY, venue_id=None, convert=list)
            assert listing.parts == [ANSWERS["v2 list"]["data"]]
            assert listing.total == 1

    with Server(_brand("v2 list").answer) as server:
        asyncio.run(run())


def test_the_stock_operations() -> None:
    async def run() -> None:
        async with connect(server) as clopos:
            answer = await clopos.get_stock_operations(1, None)
            assert answer is not None
            assert answer.items is not None
            assert [item["id"] for item in answer.items] == [1001, 1002]
            assert answer.items == ANSWERS["v2 stock operations"]["data"] == read_stock_operations(answer.body)

    with Server(_brand("v2 stock operations").answer) as server:
        asyncio.run(run())


def test_no_receipt() -> None:
    async def run() -> None:
        async with connect(server) as clopos:
            assert await clopos.get_receipt(1, None) is None
            assert await clopos.get_stock_operations(1, 7) is None

    with Server(_brand("error not_found", 404).answer) as server:
        asyncio.run(run())


@pytest.mark.parametrize(
    ("example", "status", "message"),
    [
        ("error invalid_parameter", 400, r"GET /v2/receipts/1: HTTP 400 .*sort\[1\] must be 1 or -1"),
        ("error unauthorized", 401, "GET /v2/receipts/1: HTTP 401 .*Missing authentication headers"),
    ],
)
def test_errors(example: str, status: int, message: str) -> None:
    async def run() -> None:
        async with connect(server) as clopos:
            await clopos.get_receipt(1, None)

    with Server(_brand(example, status).answer) as server, pytest.raises(CloposRefusedError, match=message):
        asyncio.run(run())


def test_the_receipt_of_v1() -> None:
    async def run() -> None:
        async with connect(server, dialect=V1) as clopos:
            assert await clopos.get_receipt(1, 1) == ANSWERS["v1 receipt"]["data"]
            # The example holds no operations, which is not the same as an empty list of them.
            answer = await clopos.get_stock_operations(1, 1)
            assert answer is not None
            assert answer.items is None
            assert read_stock_operations(answer.body) is None

    with Server(_brand("v1 receipt").answer) as server:
        asyncio.run(run())
    assert [asked.target for asked in server.asked] == ["/open-api/auth", *["/open-api/receipts/1"] * 2]


def test_the_receipt_of_v1_is_kept_whole() -> None:
    body = json.dumps(ANSWERS["v1 receipt"], ensure_ascii=False).encode()
    envelope = decode_json(body)
    assert envelope == ANSWERS["v1 receipt"]
    assert judge(200, envelope).kind is Kind.OK
    assert json.loads(encode_json(envelope)) == ANSWERS["v1 receipt"]
    assert ANSWERS["v1 receipt"]["data"]["cid"] == "43025959-0e82-4fbd-bcc7-1bc0101183b7"
