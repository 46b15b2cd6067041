"""A small brand served over HTTP, and the lake that is made from it: what the ingest tests act on."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from clopos_assets.clopos.client import Clopos
from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.dialect import V2, Dialect
from clopos_assets.clopos.quota import Quota
from clopos_assets.clopos.token import TokenCache
from clopos_assets.ingest import Made, Refresh, Scope, make_receipts, make_stock_operations
from clopos_assets.ingest.made import NOBODY
from clopos_assets.lake import Lake
from clopos_assets.sandbox import LimitOptions, Sandbox, World
from clopos_assets.tables import RECEIPT_PRODUCTS, RECEIPTS, STOCK_OPERATIONS, Table
from clopos_assets.tables.privacy import Privacy

ZONE = ZoneInfo("Asia/Baku")
NOW = datetime(2026, 1, 25, 12, 0)
"""Local time of the shop: some days after what it sold, so that empty answers are final."""


class Shop:
    """A world that is served, a lake, and the way from one to the other."""

    def __init__(self, root: Path, sandbox: Sandbox, dialect: Dialect = V2) -> None:
        self.world = sandbox.world
        self.sandbox = sandbox
        self.lake = Lake(root / "lake")
        self.dialect = dialect
        self.venue_ids: str | tuple[int, ...] | None = "all" if dialect is V2 else tuple(self.world.venue_ids())
        self.allow_mass_removal = False
        self.privacy = Privacy()
        self.run_id = NOBODY

    def sell(self, receipt_id: int, shift_date: str, **fields: Any) -> None:
        """Enter a closed receipt with one line and one operation; `fields` change the receipt."""
        day = date.fromisoformat(shift_date)
        opened = f"{day} 12:00:00"
        receipt = {
            "id": receipt_id,
            "venue_id": 1,
            "cid": f"receipt-{receipt_id}",
            "status": 2,
            "total": Decimal("12.50"),
            "payment_methods": [{"id": 1, "name": "Nağd", "amount": Decimal("12.50")}],
            "created_at": opened,
            "updated_at": f"{day} 12:30:00",
            "closed_at": f"{day} 12:30:00",
            "shift_date": shift_date,
            "receipt_products": [
                {"id": receipt_id * 10, "cid": "line", "product_id": 7, "count": 1, "portion_size": 1, "total": 12.5}
                | {"total": Decimal("12.50"), "meta": {"product": {"name": "Plov", "type": "DISH"}}}
            ],
        } | fields
        self.world.put_receipt(receipt)
        if receipt["status"] == 2:
            self.deduct(receipt_id)

    def deduct(self, receipt_id: int, /, **fields: Any) -> None:
        """Enter the operation of a receipt's line."""
        receipt = self.world.receipt(receipt_id)
        self.world.put_operations(receipt_id, [operation(receipt_id, receipt["closed_at"], **fields)])

    def make(self, *shift_dates: str, refresh: Refresh = "changed") -> tuple[Made, Made]:
        """Make receipts and then operations, as a run does."""
        self.sandbox.requests.reset()
        return self.make_receipts(*shift_dates), self.make_operations(*shift_dates, refresh=refresh)

    def make_receipts(self, *shift_dates: str) -> Made:
        """The first step alone."""
        return asyncio.run(self._receipts(shift_dates))

    def make_operations(
        self, *shift_dates: str, refresh: Refresh = "changed", asked_for: Sequence[str] | None = None
    ) -> Made:
        """The second step alone."""
        return asyncio.run(self._operations(shift_dates, refresh, asked_for))

    async def _receipts(self, shift_dates: Sequence[str]) -> Made:
        async with self.clopos() as clopos:
            return await make_receipts(self.lake, clopos, self.scope, shift_dates)

    async def _operations(self, shift_dates: Sequence[str], refresh: Refresh, asked_for: Sequence[str] | None) -> Made:
        async with self.clopos() as clopos:
            return await make_stock_operations(self.lake, clopos, self.scope, shift_dates, refresh, asked_for=asked_for)

    @property
    def scope(self) -> Scope:
        """All venues, the usual listing window, and the world's clock."""
        return Scope(
            venue_ids=self.venue_ids,
            days_before=2,
            days_after=1,
            zone=ZONE,
            allow_mass_removal=self.allow_mass_removal,
            privacy=self.privacy,
            run_id=self.run_id,
            clock=lambda: self.world.now.replace(tzinfo=ZONE).astimezone(UTC),
        )

    def clopos(self) -> Clopos:
        """A client that gives up soon."""
        credentials = self.sandbox.credentials
        connection = Connection(
            base_url=self.sandbox.url,
            client_id=credentials.client_id,
            client_secret=credentials.client_secret,
            brand=credentials.brand,
            integrator_id=credentials.integrator_id,
            dialect=self.dialect,
            attempts=2,
            backoff_seconds=0.01,
        )
        return Clopos(connection, quota=Quota(10**6, 60), tokens=TokenCache())

    def ids(self, table: Table, shift_date: str, column: str | None = None) -> list[int] | None:
        """Ids in a partition; None while it is not made."""
        rows = self.lake.read(table, shift_date, [column or table.key[0]])
        return None if rows is None else sorted(rows.column(0).to_pylist())

    def stands(self, receipt_id: int) -> dict[str, list[str]]:
        """In which shift dates a receipt, its lines and its operations stand."""
        places = ((RECEIPTS, "id"), (RECEIPT_PRODUCTS, "receipt_id"), (STOCK_OPERATIONS, "receipt_id"))
        return {table.name: sorted(self.lake.find(table, column, [receipt_id])) for table, column in places}

    def asked(self) -> dict[str, int]:
        """Requests since the last `make` began, by kind; only those there were."""
        kinds = {
            "/v2/receipts": "list",
            "/v2/receipts/{id}": "by id",
            "/v2/receipts/{id}/stock-operations": "operations",
            "/receipts": "v1 list",
            "/receipts/{id}": "v1 by id",
        }
        counts = {kind: self.sandbox.requests.count("GET", route) for route, kind in kinds.items()}
        return {kind: number for kind, number in counts.items() if number}

    def answer(self, path_end: str, body: bytes | str, status: int = 200, times: int = 10**6) -> None:
        """Answer requests whose path ends so with something else, so many times."""
        left = iter(range(times))

        async def instead(request: Request) -> Response | None:
            if request.url.path.endswith(path_end) and next(left, None) is not None:
                return Response(body, status, media_type="application/json")
            return None

        self.sandbox.hooks.answer_instead = instead

    def answer_truly(self) -> None:
        """End what `answer` began."""
        self.sandbox.hooks.answer_instead = None


def operation(receipt_id: int, operated_at: str, /, **fields: Any) -> dict[str, Any]:
    """The stock operation of a receipt's only line."""
    return {
        "id": receipt_id * 100,
        "receipt_id": receipt_id,
        "receipt_product_id": receipt_id * 10,
        "product_id": 501,
        "stock_id": 5501,
        "storage_id": 3,
        "quantity": Decimal("0.2"),
        "before_quantity": 10,
        "after_quantity": Decimal("9.8"),
        "cost": Decimal("3.2"),
        "before_cost": Decimal("3.2"),
        "total_cost": Decimal("0.64"),
        "operated_at": operated_at,
        "product": {"id": 501, "name": "Düyü"},
        "stock": {"id": 5501, "storage": {"id": 3, "name": "Anbar"}},
    } | fields


def days_from(first: str, count: int) -> list[str]:
    """Consecutive shift dates."""
    begin = date.fromisoformat(first)
    return [(begin + timedelta(days=number)).isoformat() for number in range(count)]


@contextmanager
def open_shop(root: Path, venues: int = 1) -> Iterator[Shop]:
    """A shop with nothing sold yet, served while the block lasts."""
    named = [{"id": i, "name": f"Filial {i}", "is_main": int(i == 1), "media": []} for i in range(1, venues + 1)]
    with Sandbox(World(named, now=NOW), limits=LimitOptions.unlimited()) as sandbox:
        yield Shop(root, sandbox)
