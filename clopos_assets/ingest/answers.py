"""Receipts as the API answers them, read into rows: one batch per answer, one entry per receipt in it.

A receipt that can't be read becomes a BadReceipt with the shift dates it could belong to, so that it costs
those dates and no others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pyarrow as pa

from clopos_assets.ingest.brought import pack_operations
from clopos_assets.ingest.made import Scope
from clopos_assets.ingest.versions import Version, version_of
from clopos_assets.tables import RECEIPT_PRODUCTS, RECEIPTS
from clopos_assets.tables.rows import Row, RowReader
from clopos_assets.tables.values import RowError, is_same_id, name_of, read_shift_date, read_time, read_whole, shown

_RECEIPTS = RowReader(RECEIPTS)
_LINES = RowReader(RECEIPT_PRODUCTS, given=("receipt_id", "venue_id"))


@dataclass(frozen=True, slots=True)
class Entry:
    """One receipt of a batch: where it belongs, its version, and where its rows are.

    `operations` are those that the receipt brought along, as `pack_operations` packs them.
    """

    receipt_id: int
    venue_id: int
    shift_date: str
    version: Version
    batch: "Batch"
    row: int
    first_line: int
    end_line: int
    operations: bytes | None = None

    @property
    def times(self) -> tuple[datetime | None, datetime]:
        """When the receipt changed, as the API says it, and the instant at which it was read."""
        row = self.batch.receipts.slice(self.row, 1)
        return row.column("updated_at")[0].as_py(), row.column("fetched_at")[0].as_py()

    def as_bad(self, reason: str) -> "BadReceipt":
        """The same receipt, where it turns out that it can't be filed."""
        return BadReceipt(self.receipt_id, self.shift_date, self.shift_date, reason)


@dataclass(frozen=True, slots=True)
class BadReceipt:
    """A receipt that can't be filed, and why. `first` and `last` bound its shift date, inclusive; None: unknown."""

    receipt_id: object
    first: str | None
    last: str | None
    reason: str

    def concerns(self, shift_date: str) -> bool:
        """Whether the receipt could belong to the shift date."""
        return (self.first is None or self.first <= shift_date) and (self.last is None or shift_date <= self.last)

    def __str__(self) -> str:
        return f"receipt {name_of(self.receipt_id)}: {self.reason}"


@dataclass(slots=True, eq=False)
class Batch:
    """The receipts of one answer as Arrow, with an entry for each."""

    entries: list[Entry] = field(default_factory=list)
    bad: list[BadReceipt] = field(default_factory=list)
    receipts: pa.Table = field(default_factory=RECEIPTS.schema.empty_table)
    lines: pa.Table = field(default_factory=RECEIPT_PRODUCTS.schema.empty_table)


def read_batch(
    items: Sequence[Mapping[str, object]],
    scope: Scope,
    *,
    asked_venue: int | None,
    fetched_at: datetime,
    brings_operations: bool = False,
) -> Batch:
    """Read the receipts of one answer, in which lines were asked for.

    Where a receipt's own shift date can't be read, the days around one that the scope lists tell which dates it may
    belong to. `brings_operations` says that stock operations are a field of the receipt, and so part of its version.
    """
    batch = Batch()
    rows: list[Row] = []
    lines: list[Row] = []
    for item in items:
        try:
            shift_date = read_shift_date(item.get("shift_date"))
        except RowError as error:
            first, last = _possible_dates(item, scope)
            batch.bad.append(BadReceipt(item.get("id"), first, last, f"shift_date: {error}"))
            continue
        try:
            stored, compared = scope.privacy.forms(item)
            row = _RECEIPTS.read(stored)
            receipt_id, venue_id = read_whole(item["id"]), read_whole(item["venue_id"])
            if asked_venue is not None and venue_id != asked_venue:
                raise RowError(f"venue {asked_venue} was asked for, and venue {venue_id} answered")
            own = _read_lines(stored, receipt_id, venue_id)
            brought = pack_operations(stored) if brings_operations else None
            listed = () if brought is None else (brought,)
            if compared is stored:
                said = row, own
            else:
                said = _RECEIPTS.read(compared), _read_lines(compared, receipt_id, venue_id)
            version = version_of((shift_date, _RECEIPTS.named(said[0]), [*map(_LINES.named, said[1])], *listed))
        except RowError as error:
            batch.bad.append(BadReceipt(item.get("id"), shift_date, shift_date, str(error)))
            continue
        end = len(lines) + len(own)
        batch.entries.append(
            Entry(receipt_id, venue_id, shift_date, version, batch, len(rows), len(lines), end, brought)
        )
        rows.append(row)
        lines.extend(own)
    batch.receipts = _RECEIPTS.to_arrow(rows, fetched_at)
    batch.lines = _LINES.to_arrow(lines, fetched_at)
    return batch


def _read_lines(item: Mapping[str, object], receipt_id: int, venue_id: int) -> list[Row]:
    lines = item.get("receipt_products")
    if lines is None:
        raise RowError("receipt_products is missing: an answer without lines can't be filed")
    if not isinstance(lines, list):
        raise RowError(f"receipt_products: {shown(lines)} is not a list of lines")
    own: dict[object, Row] = {}
    for line in lines:
        if not isinstance(line, dict):
            raise RowError("receipt_products holds something that is not a line")
        try:
            row = _LINES.read(line, receipt_id, venue_id)
            belongs_to = line.get("receipt_id")
            if belongs_to is not None and not is_same_id(belongs_to, receipt_id):
                raise RowError(f"it belongs to receipt {name_of(belongs_to)}")
        except RowError as error:
            raise RowError(f"line {name_of(line.get('id'))}: {error}") from None
        if own.setdefault(row[0], row) != row:
            raise RowError(f"line {row[0]} stands twice with different content")
    return [own[line_id] for line_id in sorted(own, key=str)]  # their order in the answer says nothing


def _possible_dates(item: Mapping[str, object], scope: Scope) -> tuple[str | None, str | None]:
    try:
        created = read_time(item.get("created_at")).date()
    except RowError:
        return None, None
    try:
        first, last = created - timedelta(days=scope.days_after), created + timedelta(days=scope.days_before)
        return first.isoformat(), last.isoformat()
    except OverflowError:  # a year that no calendar has
        return None, None


def gather_rows(entries: Sequence[Entry]) -> tuple[pa.Table, pa.Table]:
    """The receipts and lines of the entries, from whichever batches hold them."""
    by_batch: dict[Batch, list[Entry]] = {}
    for entry in entries:
        by_batch.setdefault(entry.batch, []).append(entry)
    receipts = [RECEIPTS.schema.empty_table()]
    lines = [RECEIPT_PRODUCTS.schema.empty_table()]
    for batch, held in by_batch.items():
        lines_held = [i for entry in held for i in range(entry.first_line, entry.end_line)]
        receipts.append(batch.receipts.take(pa.array([entry.row for entry in held], type=pa.int64())))
        lines.append(batch.lines.take(pa.array(lines_held, type=pa.int64())))
    return pa.concat_tables(receipts), pa.concat_tables(lines)
