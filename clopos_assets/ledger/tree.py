"""Each stock's first and last operation by stretches of days, so that its neighbours across any gap are found soon.

A tree over calendar days with a fixed number of levels. A node of level 1 covers 16 days and holds a row per day
and stock; a node of level 2 covers 16 nodes of level 1 and holds a row per node and stock; and so on up to the root,
which covers every day there is. So to change a day or to look beyond it takes at most one file of each level, on
any length of history.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from clopos_assets.lake import Lake
from clopos_assets.ledger.packing import DamagedIndexError, first_and_last, keep_rows, kept_rows
from clopos_assets.tables import STOCK_OPERATIONS

FANOUT = 16
LEVELS = 4
_NODES_IN_MEMORY = 32

_LAST = [STOCK_OPERATIONS.schema.field(name) for name in ("operated_at", "id", "after_quantity", "cost")]
_STOCK = STOCK_OPERATIONS.schema.field("stock_id")
SUMMARY = pa.schema([_STOCK, pa.field("first_shift_date", pa.date32()), *_LAST])
"""A stretch of days in one row per stock: where its first operation is filed, and its last operation."""
_NODE = pa.schema([pa.field("child", pa.int64()), *SUMMARY])


def summarize(operations: pa.Table) -> pa.Table:
    """The summary of one day from all its operations, sorted by stock, time and id."""
    return _summed_up(operations, "shift_date")


def _summed_up(rows: pa.Table, filed: str) -> pa.Table:
    """Of rows sorted by stock first: each stock's last row, and where by the column `filed` its first one is filed."""
    first, last = first_and_last(rows)
    columns = [first.column(filed) if name == "first_shift_date" else last.column(name) for name in SUMMARY.names]
    return pa.table(columns, schema=SUMMARY)


class Tree:
    """The nodes below `_ledger/nodes`. `known_days` are days that it must know, if it is whole."""

    def __init__(self, lake: Lake, known_days: frozenset[date]) -> None:
        self._lake = lake
        self._known_days = known_days
        self._recent: OrderedDict[tuple[int, int], pa.Table] = OrderedDict()

    def update(self, days: Iterable[date], summary_of: Callable[[date], pa.Table]) -> None:
        """Take in the days' new summaries, and write the nodes that differ.

        Done again after a crash in between it mends every node above the days.
        """

        def of_day(ordinal: int) -> pa.Table:
            return summary_of(date.fromordinal(ordinal))

        children = sorted(day.toordinal() for day in set(days))
        summary_of_child: Callable[[int], pa.Table] = of_day
        for level in range(1, LEVELS + 1):
            blocks: dict[int, list[int]] = defaultdict(list)
            for child in children:
                blocks[_above(level, child)].append(child)
            summaries = {block: self._replace(level, block, of, summary_of_child) for block, of in blocks.items()}
            children, summary_of_child = sorted(blocks), summaries.__getitem__

    def before(self, day: date, stocks: pa.Array) -> pa.Table:
        """The last operation of each stock before a day: `stock_id` and the operation's columns."""
        return self._nearest(day, stocks, pc.less, 1).select([_STOCK.name, *(field.name for field in _LAST)])

    def after(self, day: date, stocks: pa.Array) -> set[str]:
        """The shift dates under which the stocks' first operations after a day are filed."""
        found = self._nearest(day, stocks, pc.greater, 0).column("first_shift_date")
        return {shift_date.isoformat() for shift_date in found.unique().to_pylist()}

    def last_of(self, day: date) -> pa.Table:
        """The day's summary."""
        ordinal = day.toordinal()
        node = self._read(1, _above(1, ordinal))
        return node.filter(pc.equal(node.column("child"), ordinal)).select(SUMMARY.names)

    def _nearest(
        self, day: date, stocks: pa.Array, beyond: Callable[[pa.ChunkedArray, int], pa.ChunkedArray], end: int
    ) -> pa.Table:
        found = [SUMMARY.empty_table()]
        child = day.toordinal()
        for level in range(1, LEVELS + 1):
            if not len(stocks):
                break
            block = _above(level, child)
            node = self._read(level, block)
            there = pc.and_(beyond(node.column("child"), child), pc.is_in(node.column("stock_id"), value_set=stocks))
            nearest = first_and_last(node.filter(there))[end].select(SUMMARY.names)
            found.append(nearest)
            stocks = stocks.filter(pc.invert(pc.is_in(stocks, value_set=nearest.column("stock_id"))))
            child = block
        return pa.concat_tables(found)

    def _replace(self, level: int, block: int, children: list[int], summary_of: Callable[[int], pa.Table]) -> pa.Table:
        node = self._read(level, block)
        others = pc.invert(pc.is_in(node.column("child"), value_set=pa.array(children, type=pa.int64())))
        parts = [node.filter(others)]
        for child in children:
            summary = summary_of(child)
            numbers = pa.repeat(pa.scalar(child, type=pa.int64()), summary.num_rows)
            parts.append(pa.table([numbers, *summary.columns], schema=_NODE))
        fresh = pa.concat_tables(parts).sort_by([("stock_id", "ascending"), ("child", "ascending")]).combine_chunks()
        if not fresh.equals(node):
            keep_rows(self._lake, _name(level, block), fresh)
            self._remember(level, block, fresh)
        return _summed_up(fresh, "first_shift_date")

    def _read(self, level: int, block: int) -> pa.Table:
        node = self._recent.get((level, block))
        if node is None:
            node = kept_rows(self._lake, _name(level, block), _NODE)
            if node is None:
                if any(_covers(level, block, day) for day in self._known_days):
                    raise DamagedIndexError(f"{_name(level, block)} is missing")
                node = _NODE.empty_table()
        self._remember(level, block, node)
        return node

    def _remember(self, level: int, block: int, node: pa.Table) -> None:
        self._recent[level, block] = node
        self._recent.move_to_end((level, block))
        while len(self._recent) > _NODES_IN_MEMORY:
            self._recent.popitem(last=False)


def _above(level: int, child: int) -> int:
    """The block of a level that a child, a day or a block of the level below, belongs to."""
    return 0 if level == LEVELS else child // FANOUT


def _covers(level: int, block: int, day: date) -> bool:
    return level == LEVELS or day.toordinal() // FANOUT**level == block


def _name(level: int, block: int) -> str:
    return f"nodes/{level}/{block}.arrow"
