"""A shift date while its stock operations are made: its closed receipts, what the lake has of them, what came."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from clopos_assets.ingest.made import ASK_CLOPOS, IngestError
from clopos_assets.ingest.stored import Handled
from clopos_assets.ingest.versions import Version, Versions, read_untold, read_versions, staged_as
from clopos_assets.lake import Lake
from clopos_assets.tables import RECEIPT_PRODUCTS, RECEIPTS, STOCK_OPERATIONS
from clopos_assets.tables.privacy import names_personal
from clopos_assets.tables.raw import is_closed
from clopos_assets.tables.rows import Row, RowReader
from clopos_assets.tables.values import RowError, name_of

POSTING_TIME = timedelta(hours=24)
"""How long after closing an empty answer may still be filled: until then it is asked for again."""

_READER = RowReader(STOCK_OPERATIONS, given=("venue_id",))


@dataclass(frozen=True, slots=True)
class ClosedReceipt:
    """A receipt that has stock operations, as far as asking for them goes."""

    receipt_id: int
    venue_id: int
    closed_at: datetime | None
    has_lines: bool
    version: Version

    @property
    def staged_as(self) -> str:
        """The name under which its answer waits, should the run not finish."""
        return staged_as(self.receipt_id, self.version)

    def may_still_post(self, since: datetime) -> bool:
        """Whether an answer without operations may not be the last word: of a receipt closed after a local time."""
        return self.has_lines and self.closed_at is not None and self.closed_at > since


@dataclass
class Day:
    """One shift date: `ids` are all its receipts, `stored` and `versions` the operations of the last making.

    `rows` came in this making for the receipts in `asked`; `answered` counts those that came from the API and
    not from an unfinished run; `absent` are receipts whose operations answered 404; `untold` those whose answer does
    not speak of operations, so that they stand without, and `untold_before` such ones of the last making. `personal`
    are receipts whose stored operations hold personal data, and `handled` says how; `listed_as` how those of the
    receipts are. `is_older`: the file does not have the declared shape.
    """

    shift_date: str
    closed: dict[int, ClosedReceipt]
    ids: set[int]
    stored: pa.Table | None
    versions: Versions
    untold_before: set[int] = field(default_factory=set)
    personal: set[int] = field(default_factory=set)
    handled: Handled = field(default_factory=Handled)
    listed_as: str = ""
    is_older: bool = False
    rows: list[Row] = field(default_factory=list)
    asked: set[int] = field(default_factory=set)
    untold: set[int] = field(default_factory=set)
    failed: dict[int, str] = field(default_factory=dict)
    requests: int = 0
    answered: int = 0
    waited_seconds: float = 0.0
    absent: list[ClosedReceipt] = field(default_factory=list)

    @classmethod
    def load(cls, lake: Lake, shift_date: str, columns: Sequence[str] | None = None) -> "Day":
        """What the lake has, of stored operations perhaps some columns. Raises IngestError while the receipts are not
        materialized.
        """
        receipts = lake.partition(RECEIPTS, shift_date, ["id", "venue_id", "status", "deleted_at", "closed_at"])
        lines = lake.read(RECEIPT_PRODUCTS, shift_date, ["receipt_id"])
        if receipts is None or lines is None:
            raise IngestError(
                f"the receipts of shift date {shift_date} are not materialized: materialize receipts first"
            )
        versions = read_versions(receipts.notes)
        with_lines = set(lines.column("receipt_id").to_pylist())
        closed = {
            row["id"]: ClosedReceipt(
                row["id"], row["venue_id"], row["closed_at"], row["id"] in with_lines, versions.get(row["id"], b"")
            )
            for row in receipts.rows.filter(is_closed(receipts.rows)).to_pylist()
        }
        ids = set(receipts.rows.column("id").to_pylist())
        stored = lake.partition(STOCK_OPERATIONS, shift_date, columns)
        listed_as = Handled.read(receipts.notes).mark
        if stored is None:
            return cls(shift_date, closed, ids, None, {}, listed_as=listed_as)
        return cls(
            shift_date,
            closed,
            ids,
            stored.rows,
            read_versions(stored.notes),
            read_untold(stored.notes),
            personal_in(stored.rows),
            Handled.read(stored.notes),
            listed_as,
            is_older=not stored.has_shape,
        )

    @property
    def orphans(self) -> set[int]:
        """Receipts whose operations stand here though they themselves do not, any more."""
        return self.versions.keys() - self.ids

    def needed(self, since: datetime, mark: str) -> list[ClosedReceipt]:
        """Receipts whose operations the lake does not have: new, changed, or, closed after `since`, perhaps not posted.

        And those that hold personal data stored in another way than the mark's: what it was is to be asked for.
        """
        if self.stored is None:
            return list(self.closed.values())
        otherwise = self.personal if self.handled.mark != mark else set()
        deducted = set(self.stored.column("receipt_id").to_pylist())
        return [
            receipt
            for receipt in self.closed.values()
            if not receipt.version
            or receipt.receipt_id in otherwise
            or self.versions.get(receipt.receipt_id) != receipt.version
            or (receipt.receipt_id not in deducted and receipt.may_still_post(since))
        ]

    def take(self, receipt: ClosedReceipt, rows: list[Row] | None) -> None:
        """Keep the operations that came for a receipt; None where the API does not tell of them."""
        self.rows += rows or []
        self.asked.add(receipt.receipt_id)
        if rows is None:
            self.untold.add(receipt.receipt_id)

    @property
    def still_untold(self) -> set[int]:
        """Closed receipts of whose operations the API has said nothing so far."""
        return (self.untold | (self.untold_before - self.asked)) & self.closed.keys()

    def assemble(self, fetched_at: datetime, *, keep_orphans: bool) -> tuple[pa.Table, Versions]:
        """The partition's rows, and the versions of the receipts that they belong to."""
        orphans = self.orphans if keep_orphans else set()
        # Of those not asked for, the stored rows belong to the versions noted with them, whatever was filed since.
        versions = {i: version for i, version in self.versions.items() if i in self.closed or i in orphans}
        versions |= {i: self.closed[i].version for i in self.asked & self.closed.keys()}
        fresh = _READER.to_arrow(self.rows, fetched_at)
        if self.stored is None:
            return fresh, versions
        kept = _rows_of(self.stored, (self.closed.keys() - self.asked) | orphans)
        return pa.concat_tables([kept, _keep_times(_rows_of(self.stored, self.asked), fresh)]), versions

    def describe_failure(self) -> str:
        """Which receipts could not be read, and why the first of them."""
        named = sorted(self.failed)
        shown = ", ".join(str(receipt_id) for receipt_id in named[:10]) + (" …" if len(named) > 10 else "")
        return (
            f"stock operations of {len(named)} of {len(self.closed)} closed receipts could not be read "
            f"(receipt {shown}): {self.failed[named[0]]}; what was read is kept for the next run"
        )


def read_operations(items: Sequence[Mapping[str, object]] | None, receipt: ClosedReceipt) -> list[Row] | None:
    """The operations of one answer, as they may be stored, as rows; None where it tells of none.

    Raises IngestError, which names receipt and field.
    """
    if items is None:
        return None
    rows: dict[object, Row] = {}
    for item in items:
        try:
            row = _READER.read(item, receipt.venue_id)
            if row[1] != receipt.receipt_id:
                raise RowError(f"it belongs to receipt {row[1]}")
            if rows.setdefault(row[0], row) != row:
                raise RowError("it stands twice in one answer, with different content")
        except RowError as error:
            raise IngestError(
                f"receipt {receipt.receipt_id}: stock operation {name_of(item.get('id'))}: {error}{ASK_CLOPOS}"
            ) from None
    return list(rows.values())


def personal_in(operations: pa.Table) -> set[int]:
    """Receipts whose operations hold personal data, in fields that the documents do not name."""
    told = operations.select(["receipt_id", "extra"]).filter(pc.is_valid(operations.column("extra"))).to_pylist()
    return {row["receipt_id"] for row in told if names_personal(row["extra"])}


def _rows_of(operations: pa.Table, receipt_ids: set[int]) -> pa.Table:
    return operations.filter(pc.is_in(operations.column("receipt_id"), value_set=pa.array(receipt_ids, pa.int64())))


def _keep_times(before: pa.Table, fresh: pa.Table) -> pa.Table:
    """Rows that were read again and found the same keep the instant at which they were first read."""
    known = {tuple(row.values())[:-1]: row["fetched_at"] for row in before.to_pylist()}
    if not known:
        return fresh
    times = [known.get(tuple(row.values())[:-1], row["fetched_at"]) for row in fresh.to_pylist()]
    at = fresh.schema.get_field_index("fetched_at")
    return fresh.set_column(at, fresh.schema.field(at), pa.array(times, type=fresh.schema.field(at).type))
