"""A brand's receipts and operations that change at random, and the way from them into a lake without HTTP."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import duckdb

from clopos_assets.lake import Lake
from clopos_assets.ledger import make_stock_ledger
from clopos_assets.tables import RECEIPTS, STOCK_LEDGER, STOCK_OPERATIONS
from tests.ingest.shop import days_from
from tests.oracle import differences
from tests.tables.decoding import raw_arrow
from tests.variance.ledger_oracle import ledger_tables

Json = dict[str, Any]

QUANTITIES = ("0", "1", "-1", "2.5", "0.000001", "10", "-0.3", "7.123457")
COSTS = ("0", "3.2", "3.676190", "0.333333", "0.5", "14.900001")


class World:
    """Receipts by id, each with its shift date, and their operations; `touched` are shift dates not filed since."""

    def __init__(self, days: Sequence[str], seed: int, stocks: int = 3) -> None:
        self.days = list(days)
        self.receipts: dict[int, Json] = {}
        self.operations: dict[int, list[Json]] = {}
        self.touched: set[str] = set(days)
        self.random = Random(seed)
        self._stocks = stocks
        self._next = 1

    @classmethod
    def of(
        cls, receipts: Iterable[Mapping[str, Any]], operations: Mapping[int, Sequence[Mapping[str, Any]]]
    ) -> "World":
        """A world that is there already."""
        listed = [dict(receipt) for receipt in receipts]
        world = cls(sorted({receipt["shift_date"] for receipt in listed}), 0)
        world.receipts = {receipt["id"]: receipt for receipt in listed}
        world.operations = {number: [dict(item) for item in items] for number, items in operations.items()}
        return world

    def sell(self, shift_date: str, *moments: str, **fields: Any) -> int:
        """Enter a closed receipt with an operation at each moment, on stock 5501 or as `fields` say."""
        receipt_id = self._next
        self._next += 1
        at = f"{shift_date} 12:00:00"
        self.receipts[receipt_id] = {"id": receipt_id, "venue_id": 1 + receipt_id % 2, "status": 2, "total": 1} | {
            "created_at": at,
            "updated_at": at,
            "shift_date": shift_date,
            "receipt_products": [],
        }
        self.operations[receipt_id] = [self._operation(receipt_id, moment, **fields) for moment in moments]
        self.touched.add(shift_date)
        return receipt_id

    def drop(self, receipt_id: int) -> None:
        """The receipt is deleted."""
        self.touched.add(self.receipts.pop(receipt_id)["shift_date"])
        del self.operations[receipt_id]

    def move(self, receipt_id: int, shift_date: str) -> None:
        """The receipt is filed under another shift date."""
        self.touched |= {self.receipts[receipt_id]["shift_date"], shift_date}
        self.receipts[receipt_id] = self.receipts[receipt_id] | {"shift_date": shift_date}

    def edit(self, receipt_id: int, **fields: Any) -> None:
        """Fields of the receipt change; its operations stay where they are."""
        self.receipts[receipt_id] = self.receipts[receipt_id] | fields
        self.touched.add(self.receipts[receipt_id]["shift_date"])

    def correct(self, receipt_id: int, **fields: Any) -> None:
        """Fields of the receipt's operations change."""
        self.operations[receipt_id] = [item | fields for item in self.operations[receipt_id]]
        self.touched.add(self.receipts[receipt_id]["shift_date"])

    def change(self) -> None:
        """Something happens, at random."""
        random = self.random
        some = random.choice(sorted(self.receipts)) if self.receipts else None
        kind = random.choice(
            ("sell", "sell", "sell", "drop", "move", "open", "delete", "correct", "reapply", "restock")
        )
        if some is None or kind == "sell":
            day = random.choice(self.days)
            moments = [self._moment(day) for _ in range(random.randrange(4))]
            self.sell(day, *moments, stock_id=None)
        elif kind == "drop":
            self.drop(some)
        elif kind == "move":
            self.move(some, random.choice(self.days))
        elif kind == "open":
            self.edit(some, status=random.choice((1, 2)))
        elif kind == "delete":
            self.edit(some, deleted_at=random.choice((None, "2026-03-09 12:00:00")))
        elif kind == "correct":
            self.correct(some, after_quantity=self._amount(QUANTITIES), cost=self._amount(COSTS))
        elif kind == "reapply":
            self.correct(some, operated_at=self._moment(self.receipts[some]["shift_date"]))
        else:
            self.correct(some, stock_id=5501 + random.randrange(self._stocks))

    def file(self, lake: Lake, days: Iterable[str] | None = None) -> list[str]:
        """Write the raw tables of what was touched, or of some of it; the shift dates written."""
        written = sorted(self.touched if days is None else self.touched & set(days))
        for day in written:
            receipts = [receipt for receipt in self.receipts.values() if receipt["shift_date"] == day]
            raw = raw_arrow(receipts, self.operations)
            for table in (RECEIPTS, STOCK_OPERATIONS):
                lake.replace(table, day, raw[table.name], {})
        self.touched -= set(written)
        return written

    def expected(self, filed: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
        """The ledger over the filed shift dates, by the oracle."""
        known = {day: [r for r in self.receipts.values() if r["shift_date"] == day] for day in filed}
        rows = ledger_tables([receipt for day in known.values() for receipt in day], self.operations)
        return {day: rows.get(day, []) for day in known}

    def _operation(self, receipt_id: int, moment: str, **fields: Any) -> Json:
        item = {
            "id": self._next,
            "receipt_id": receipt_id,
            "receipt_product_id": None,
            "product_id": 501,
            "stock_id": 5501,
            "storage_id": 3,
            "quantity": Decimal(1),
            "before_quantity": self._amount(QUANTITIES),
            "after_quantity": self._amount(QUANTITIES),
            "cost": self._amount(COSTS),
            "before_cost": self.random.choice((None, *map(Decimal, COSTS))),
            "total_cost": Decimal(0),
            "operated_at": moment,
            "product": {"id": 501, "name": "Düyü"},
        } | fields
        if item["stock_id"] is None:
            item["stock_id"] = 5501 + self.random.randrange(self._stocks)
        self._next += 1
        return item

    def _moment(self, shift_date: str) -> str:
        """Mostly in the shift, which ends after midnight; at times days late; few moments, so that some are equal."""
        days = self.random.choice((0, 0, 0, 1, 1, 2, 5, -1))
        at = datetime.fromisoformat(shift_date) + timedelta(days=days, hours=self.random.choice((0, 3, 11, 18)))
        return at.isoformat(sep=" ")

    def _amount(self, amounts: Sequence[str]) -> Decimal:
        return Decimal(self.random.choice(amounts))


def small_world(seed: int, *, days: int = 6, events: int = 25) -> World:
    """Some days in which a little of everything has happened."""
    world = World(days_from("2026-03-01", days), seed)
    for _ in range(events):
        world.change()
    return world


def assert_ledger(lake: Lake, world: World, days: Iterable[str] | None = None) -> None:
    """The ledger of every made day, and of `days` at least, is the oracle's."""
    expected = world.expected(lake.dates(STOCK_OPERATIONS))
    made = lake.dates(STOCK_LEDGER)
    assert set(days or ()) <= set(made)
    for day in made:
        rows = lake.read(STOCK_LEDGER, day)
        assert rows is not None
        assert differences("stock_ledger", rows.to_pylist(), expected[day]) == [], day


def make(lake: Lake, connection: duckdb.DuckDBPyConnection, *days: str) -> set[str]:
    """Make the ledger; the shift dates that were made or rewritten."""
    made = make_stock_ledger(lake, connection, days)
    assert made.bad == {}
    assert made.facts.keys() <= {"stock_ledger"}
    return set(made.facts.get("stock_ledger", {}))


def one_a_day(lake: Lake, connection: duckdb.DuckDBPyConnection, days: list[str], **fields: object) -> World:
    """A world with one operation on each day, made."""
    world = World(days, 1)
    for day in days:
        world.sell(day, f"{day} 12:00:00", **fields)
    world.file(lake)
    make(lake, connection, *days)
    return world


def day_after(day: str, count: int = 1) -> str:
    return (date.fromisoformat(day) + timedelta(days=count)).isoformat()


def index_files(lake: Lake) -> dict[str, bytes]:
    """What the lake keeps of the index, by path."""
    root = lake.root / "_ledger"
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
