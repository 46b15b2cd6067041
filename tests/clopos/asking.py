"""Questions to a brand on loopback that several tests ask."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any, TypeVar

from clopos_assets.clopos.client import Clopos
from clopos_assets.clopos.listing import Item, Listing
from clopos_assets.clopos.stock import StockAnswer

from .brand import RATE, Brand, connect
from .server import Asked, Reply, Server, reply_json

T = TypeVar("T")
FIRST, LAST = date(2026, 1, 17), date(2026, 1, 20)


def run_with(brand: Brand, work: Callable[[Clopos], Awaitable[T]], **more: Any) -> tuple[T, Server]:
    with Server(brand.answer) as server:

        async def run() -> T:
            async with connect(server, **more) as clopos:
                return await work(clopos)

        return asyncio.run(run()), server


async def list_ids(clopos: Clopos, venue_id: int | None = None) -> Listing[list[object]]:
    return await clopos.list_receipts(
        created_from=FIRST, created_to=LAST, venue_id=venue_id, convert=lambda items: [item["id"] for item in items]
    )


def numbers_of(listing: Listing[list[object]]) -> list[int]:
    """The ids that came, in their order: all of them numbers."""
    numbers = []
    for number in (number for part in listing.parts for number in part):
        assert isinstance(number, int)
        numbers.append(number)
    return numbers


async def get_fifth(clopos: Clopos) -> Item | None:
    return await clopos.get_receipt(5, None)


async def get_fifth_operations(clopos: Clopos) -> StockAnswer | None:
    return await clopos.get_stock_operations(5, 7)


def failing_first(reply: Reply, times: int = 1) -> Callable[[Asked], Reply | None]:
    """The first requests about receipts get `reply`."""
    left = times

    def intervene(asked: Asked) -> Reply | None:
        nonlocal left
        if asked.path.endswith("/auth") or left == 0:
            return None
        left -= 1
        return reply

    return intervene


def always(reply: Reply) -> Callable[[Asked], Reply | None]:
    return failing_first(reply, times=-1)


def refuse(error: str, status: int, message: str = "") -> Reply:
    return reply_json({"success": False, "error": error, "message": message}, status, RATE)
