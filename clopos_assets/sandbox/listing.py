"""Which receipts a request sees, in which order, and in which shape: the reading side of the world.

A receipt is shown without lines unless they are asked for with `with[]`, a line without its modifiers and
product likewise (page "Get Receipt by ID", v2). Receipts that are equal in the sorted field follow each other
by ascending id, and one without a value there (not closed yet) comes first in ascending order, as in MySQL;
the documents say neither.
"""

from collections import OrderedDict
from decimal import Decimal

from clopos_assets.sandbox.query import (
    LINES,
    MODIFIER_GROUP,
    MODIFIERS,
    STATION,
    UNIT,
    ListQuery,
)
from clopos_assets.sandbox.world import Json, World

_KEPT = 64


class Listing:
    """Lists receipts of one world; remembers orders already worked out until the world changes."""

    def __init__(self, world: World, *, with_deleted: bool = False) -> None:
        self._world = world
        self._with_deleted = with_deleted
        self._version = -1
        self._orders: OrderedDict[tuple[object, ...], list[Json]] = OrderedDict()

    def page(self, venue_id: int, query: ListQuery) -> tuple[list[Json], int]:
        """The receipts of a page, shaped, and how many there are on all pages."""
        rows, total = self.rows(venue_id, query)
        return [self.shape(row, query.relations) for row in rows], total

    def rows(self, venue_id: int, query: ListQuery) -> tuple[list[Json], int]:
        """The receipts of a page as the world has them, and how many there are on all pages."""
        with self._world.lock:
            matching = self._order(venue_id, query)
        start = (query.page - 1) * query.limit
        return matching[start : start + query.limit], len(matching)

    def shape(self, receipt: Json, relations: frozenset[str]) -> Json:
        """The receipt with the relations asked for; the world's own object is left alone."""
        if not relations:
            return {key: value for key, value in receipt.items() if key != LINES}
        lines = [self._shape_line(line, relations) for line in receipt.get(LINES, ())]
        return {**receipt, LINES: lines}

    def _order(self, venue_id: int, query: ListQuery) -> list[Json]:
        if self._version != self._world.version:
            self._orders.clear()
            self._version = self._world.version
        key = (venue_id, query.first, query.last, query.sort, query.ascending, query.filters)
        if key in self._orders:
            self._orders.move_to_end(key)
            return self._orders[key]
        rows = self._world.created_between(venue_id, query.first, query.last, with_deleted=self._with_deleted)
        rows = [row for row in rows if all(self._passes(row, *pair) for pair in query.filters)]
        rows.sort(key=lambda row: _sort_key(row.get(query.sort)), reverse=not query.ascending)
        self._orders[key] = rows
        if len(self._orders) > _KEPT:
            self._orders.popitem(last=False)
        return rows

    def _passes(self, receipt: Json, field: str, value: str) -> bool:
        found = self._world.terminal_of(receipt) if field == "terminal_id" else receipt.get(field)
        return found is not None and str(found) == value

    def _shape_line(self, line: Json, relations: frozenset[str]) -> Json:
        shaped = {key: value for key, value in line.items() if key != "product"}
        if not relations & {MODIFIERS, MODIFIER_GROUP}:
            shaped.pop("modificators", None)
        elif MODIFIER_GROUP not in relations:
            modifiers = line.get("modificators", ())
            shaped["modificators"] = (
                modifiers
                if modifiers is None
                else [{key: value for key, value in each.items() if key != "modificator_group"} for each in modifiers]
            )
        else:
            shaped.setdefault("modificators", [])
        if relations & {UNIT, STATION}:
            product = self._product(line)
            hidden = {name for name, relation in (("unit", UNIT), ("station", STATION)) if relation not in relations}
            shaped["product"] = {key: value for key, value in product.items() if key not in hidden}
        return shaped

    def _product(self, line: Json) -> Json:
        """The line's product from the catalogue, or what the line itself says of it."""
        known: Json | None = line.get("product") or self._world.products.get(line["product_id"])
        if known is not None:
            return known
        said: Json = (line.get("meta") or {}).get("product") or {}
        return {
            "id": line["product_id"],
            "name": said.get("name"),
            "type": said.get("type"),
            "unit": None,
            "station": said.get("station"),
        }


def _sort_key(value: object) -> tuple[int, Decimal, str]:
    if value is None:
        return 0, Decimal(0), ""
    if isinstance(value, int | Decimal):
        return 1, Decimal(value), ""
    text = str(value)
    return (1, Decimal(0), text) if "-" in text[1:] else (1, Decimal(text), "")
