"""Which operations each ledger day (date of `operated_at`) holds, as the shift dates were last seen.

Derived from `receipts` and `stock_operations` alone, and made again from them where it is missing or damaged. Below
`_ledger`: `days/{ledger day}/{shift date}` are the operations of one on the other, `nodes` the tree over the days,
`catalog` which of the files count and which state of the tables they were made from. `changes/{shift date}` says
what is being changed: it is written before the change and removed when the ledger has followed, so that a run that
ended in between is made up for by the next.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from clopos_assets.lake import Lake
from clopos_assets.ledger.packing import (
    FOLDER,
    DamagedIndexError,
    first_and_last,
    keep_body,
    keep_rows,
    kept_body,
    kept_rows,
)
from clopos_assets.ledger.tree import Tree, summarize
from clopos_assets.tables import STOCK_OPERATIONS

OTHER_OPERATIONS = pa.schema(
    [STOCK_OPERATIONS.schema.field(name) for name in ("stock_id", "operated_at", "id", "after_quantity", "cost")]
)
"""What the ledger needs of an operation that another one follows."""
DAY_OPERATIONS = OTHER_OPERATIONS.append(pa.field("shift_date", pa.date32()))
CHANGES = pa.schema(
    [
        ("ledger_day", pa.date32()),
        ("stock_id", pa.int64()),
        ("first_at", pa.timestamp("us")),
        ("first_id", pa.int64()),
        ("last_at", pa.timestamp("us")),
        ("last_id", pa.int64()),
    ]
)
"""Per ledger day and stock the first and the last operation that came, went or changed."""
_CATALOG = "catalog.json"
_IN_ORDER = [(name, "ascending") for name in ("stock_id", "operated_at", "id")]


class Entry(msgspec.Struct):
    """A shift date in the catalog: the stamp of the tables it was read from, and its ledger days."""

    stamp: str
    days: list[date]


class Index:
    """The index of one lake, for a run that holds it against others.

    `put` and `remove` take in shift dates, `settle` brings tree and catalog up to them; only then is it asked.
    Any method may raise DamagedIndexError.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        body = kept_body(lake, _CATALOG)
        try:
            self.entries = {} if body is None else msgspec.json.decode(body, type=dict[str, Entry])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DamagedIndexError(str(error)) from error
        if not self.entries:
            lake.discard_folder(FOLDER)  # what an unfinished first making left
            body = None
        self.unfinished = {name.removesuffix(".arrow") for name in lake.kept_in(f"{FOLDER}/changes")}
        self.tree = Tree(lake, frozenset(day for entry in self.entries.values() for day in entry.days))
        self._touched: set[date] = set()
        self._read_changes: list[str] = []
        self._catalog = body
        self._filed: dict[date, list[str]] = {}

    def put(self, shift_date: str, stamp: str, operations: pa.Table) -> None:
        """Take in the operations of a shift date, read when its tables had the stamp."""
        rows = operations.select(OTHER_OPERATIONS.names).sort_by(_IN_ORDER).combine_chunks()
        days = _ledger_days(rows)
        self._change(shift_date, {day: rows.filter(pc.equal(days, day)) for day in days.unique().to_pylist()})
        self.entries[shift_date] = Entry(stamp, sorted(days.unique().to_pylist()))

    def remove(self, shift_date: str) -> None:
        """Forget a shift date that is not materialized any more."""
        self._change(shift_date, {})
        self.entries.pop(shift_date, None)

    def settle(self) -> None:
        """Bring the tree and the catalog up to what was put and removed."""
        self._filed = defaultdict(list)
        for shift_date, entry in sorted(self.entries.items()):
            for day in entry.days:
                self._filed[day].append(shift_date)
        self.tree.update(self._touched, lambda day: summarize(self.operations(day)))
        self._touched.clear()
        body = msgspec.json.encode(self.entries)
        if body != self._catalog:
            keep_body(self._lake, _CATALOG, body)
            self._catalog = body

    def filed_under(self, day: date) -> list[str]:
        """The shift dates with operations on a ledger day."""
        return self._filed.get(day, [])

    def operations(self, day: date, *, besides: str = "", stocks: pa.Array | None = None) -> pa.Table:
        """The operations of a ledger day in order of stock, time and id; of some stocks, and without a shift date."""
        parts = [DAY_OPERATIONS.empty_table()]
        for shift_date in self.filed_under(day):
            if shift_date != besides:
                part = self._read(day, shift_date)
                if part is None:
                    raise DamagedIndexError(f"{_name(day, shift_date)} is missing")
                if stocks is not None:
                    part = part.filter(pc.is_in(part.column("stock_id"), value_set=stocks))
                filed = pa.repeat(pa.scalar(date.fromisoformat(shift_date)), part.num_rows)
                parts.append(part.append_column("shift_date", filed))
        return pa.concat_tables(parts).sort_by([*_IN_ORDER, ("shift_date", "ascending")]).combine_chunks()

    def neighbours(self, shift_date: str, operations: pa.Table) -> pa.Table:
        """What the operations of a shift date may follow: on their ledger days those of others, and the last before."""
        days = _ledger_days(operations)
        parts = [OTHER_OPERATIONS.empty_table()]
        for day in days.unique().to_pylist():
            stocks = operations.column("stock_id").filter(pc.equal(days, day)).unique()
            parts.append(self.operations(day, besides=shift_date, stocks=stocks).select(OTHER_OPERATIONS.names))
            parts.append(self.tree.before(day, stocks))
        return pa.concat_tables(parts)

    def changes(self) -> pa.Table:
        """What has changed that the ledger has not followed yet."""
        self._read_changes = self._lake.kept_in(f"{FOLDER}/changes")
        kept = (kept_rows(self._lake, f"changes/{name}", CHANGES) for name in self._read_changes)
        return pa.concat_tables([CHANGES.empty_table(), *(rows for rows in kept if rows is not None)])

    def followed(self) -> None:
        """The ledger has followed every change that `changes` gave."""
        for name in self._read_changes:
            self._lake.discard(f"{FOLDER}/changes/{name}")

    def _change(self, shift_date: str, fresh: dict[date, pa.Table]) -> None:
        entry = self.entries.get(shift_date)
        known = set(entry.days) if entry is not None else set()
        changes = [CHANGES.empty_table()]
        begun: set[date] = set()
        if shift_date in self.unfinished:
            earlier = kept_rows(self._lake, _changes_name(shift_date), CHANGES)
            if earlier is not None:
                changes.append(earlier)
                begun = set(earlier.column("ledger_day").unique().to_pylist())
        differing = {}
        for day in sorted({*fresh, *known, *begun}):
            before = self._read(day, shift_date)
            if before is None and day in known - begun:
                raise DamagedIndexError(f"{_name(day, shift_date)} is missing")
            before = OTHER_OPERATIONS.empty_table() if before is None else before
            after = fresh.get(day, OTHER_OPERATIONS.empty_table())
            if not before.equals(after):
                differing[day] = after
                changes.append(_changes_of(day, before, after))
        if differing:
            keep_rows(self._lake, _changes_name(shift_date), pa.concat_tables(changes))
        for day, rows in differing.items():
            if rows.num_rows:
                keep_rows(self._lake, _name(day, shift_date), rows)
            else:
                self._lake.discard(f"{FOLDER}/{_name(day, shift_date)}")
        self._touched |= differing.keys() | begun

    def _read(self, day: date, shift_date: str) -> pa.Table | None:
        return kept_rows(self._lake, _name(day, shift_date), OTHER_OPERATIONS)


def discard_index(lake: Lake) -> None:
    """Throw the index away, such as a damaged one: the next is made from the tables."""
    lake.discard(f"{FOLDER}/{_CATALOG}")  # first: without it the rest counts for nothing
    lake.discard_folder(FOLDER)


def _ledger_days(operations: pa.Table) -> pa.ChunkedArray:
    return operations.column("operated_at").cast(pa.date32())


def _changes_of(day: date, before: pa.Table, after: pa.Table) -> pa.Table:
    """Between two states of the same slice."""
    counted = pa.concat_tables([before, after]).group_by(OTHER_OPERATIONS.names).aggregate([([], "count_all")])
    changed = counted.filter(pc.equal(counted.column("count_all"), 1)).sort_by(_IN_ORDER)
    first, last = first_and_last(changed)
    days = pa.repeat(pa.scalar(day), first.num_rows)
    ends = (end.column(name) for end in (first, last) for name in ("operated_at", "id"))
    return pa.table([days, first.column("stock_id"), *ends], schema=CHANGES)


def _name(day: date, shift_date: str) -> str:
    return f"days/{day}/{shift_date}.arrow"


def _changes_name(shift_date: str) -> str:
    return f"changes/{shift_date}.arrow"


def in_days(changes: pa.Table) -> Iterable[tuple[date, pa.Table]]:
    """Changes by ledger day."""
    days = changes.column("ledger_day")
    return ((day, changes.filter(pc.equal(days, day))) for day in sorted(days.unique().to_pylist()))
