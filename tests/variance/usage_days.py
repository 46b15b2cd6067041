"""Shift dates made of sales, through the lake: recipe_observed and usage_variance come out, date by date."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import duckdb
import pyarrow as pa

from clopos_assets.compute import Rules, compute
from clopos_assets.lake import Lake
from clopos_assets.tables import COST, LINE_COGS, RAW, RECIPE_OBSERVED, USAGE_VARIANCE, Table
from tests.oracle import Json, Row
from tests.tables.decoding import raw_arrow
from tests.variance.usage_oracle import Answers

FIRST = date(2026, 3, 1)
TO_RECIPES = (LINE_COGS, RECIPE_OBSERVED)
TO_VARIANCES = (*COST, RECIPE_OBSERVED, USAGE_VARIANCE)
Takes = Mapping[int, tuple[str | int, str | int]]
RICE: Takes = {501: ("0.2", "0.6")}


def day_of(number: int) -> date:
    """The number-th date, from 0."""
    return FIRST + timedelta(days=number)


@dataclass
class Till:
    """Rings up sales: each is a closed receipt of one line unless it is said otherwise."""

    days: dict[date, tuple[list[Json], dict[int, list[Json]]]] = field(default_factory=dict)
    last_id: int = 0

    def next_id(self) -> int:
        """Ids ascend over receipts, lines and operations alike."""
        self.last_id += 1
        return self.last_id

    def open(self, number: int) -> None:
        """A date that is made, be it without a sale."""
        self.days.setdefault(day_of(number), ([], {}))

    def sell(
        self,
        number: int,
        takes: Takes | Sequence[tuple[int, str | int, str | int]] = (),
        *,
        units: str | int = 1,
        product: int = 10,
        venue: int = 1,
        storage: int = 3,
        line: Mapping[str, Any] | None = None,
        receipt: Mapping[str, Any] | None = None,
        operation: Mapping[str, Any] | None = None,
    ) -> Json:
        """A sale on the number-th date that takes ingredient → (quantity, total cost); gives the receipt."""
        self.open(number)
        receipts, operations = self.days[day_of(number)]
        receipt_id, line_id = self.next_id(), self.next_id()
        moment = f"{day_of(number)} 12:00:00"
        sold = {"id": line_id, "product_id": product, "count": units, "total": 5, "meta": {"product": {"name": "Plov"}}}
        made = {
            "id": receipt_id,
            "venue_id": venue,
            "status": 2,
            "total": 5,
            "created_at": moment,
            "updated_at": moment,
            "shift_date": day_of(number).isoformat(),
            "receipt_products": [sold | dict(line or {})],
        }
        triples = [(each, *figures) for each, figures in takes.items()] if isinstance(takes, Mapping) else takes
        operations[receipt_id] = [
            {
                "id": self.next_id(),
                "receipt_id": receipt_id,
                "receipt_product_id": line_id,
                "product_id": ingredient,
                "stock_id": ingredient * 10 + storage,
                "storage_id": storage,
                "quantity": quantity,
                "before_quantity": 10,
                "after_quantity": 9,
                "cost": 1,
                "total_cost": cost,
                "operated_at": moment,
                "product": {"id": ingredient, "name": f"Ingredient {ingredient}"},
                "stock": {"id": 1, "storage": {"id": storage, "name": "Main"}},
            }
            | dict(operation or {})
            for ingredient, quantity, cost in triples
        ]
        receipts.append(made | dict(receipt or {}))
        return receipts[-1]

    def answers(self) -> dict[date, Answers]:
        """The same for the oracle."""
        return {day: Answers(receipts, operations) for day, (receipts, operations) in self.days.items()}


@dataclass
class Kitchen:
    """Makes the tables of answers in a lake of its own."""

    connection: duckdb.DuckDBPyConnection
    folder: Path

    def make(
        self,
        answers: Mapping[date, Answers],
        rules: Rules | None = None,
        *,
        tables: Sequence[Table] = TO_VARIANCES,
        shuffle: Random | None = None,
    ) -> dict[str, dict[date, list[Row]]]:
        """The rows of tables by name and date, dates ascending; every table is written, which checks it."""
        lake = Lake(self.folder / uuid4().hex)
        made: dict[str, dict[date, list[Row]]] = {table.name: {} for table in tables}
        for day in sorted(answers):
            shift_date = day.isoformat()
            raw = raw_arrow(answers[day].receipts, answers[day].operations)
            if shuffle is not None:
                raw = {name: shuffled(rows, shuffle) for name, rows in raw.items()}
            for table in RAW:
                lake.replace(table, shift_date, raw[table.name], {})
            for table in tables:
                rows = compute(lake, self.connection, table, shift_date, rules or Rules())
                lake.replace(table, shift_date, rows, {})
                made[table.name][day] = rows.to_pylist()
        return made

    def recipes(self, till: Till, number: int, rules: Rules | None = None) -> list[Row]:
        """recipe_observed of the number-th date."""
        return self.make(till.answers(), rules, tables=TO_RECIPES)[RECIPE_OBSERVED.name][day_of(number)]

    def variances(self, till: Till, number: int, rules: Rules | None = None) -> list[Row]:
        """usage_variance of the number-th date."""
        return self.make(till.answers(), rules)[USAGE_VARIANCE.name][day_of(number)]


def shuffled(rows: pa.Table, random: Random) -> pa.Table:
    """The same rows in another order."""
    order = list(range(rows.num_rows))
    random.shuffle(order)
    return rows.take(pa.array(order, type=pa.int64()))
