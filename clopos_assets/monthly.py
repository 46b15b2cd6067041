"""Copies of the tables by month, for those who read much of a lake on an object store: a month is one object.

The tables stay as they are, a file for each shift date; the copies stand beside them, where no pattern over a table
finds them: `_monthly/{table}/month=YYYY-MM/part-0.parquet`, with the table's columns and `shift_date` (DATE) as the
last. They are made from the tables alone and can be thrown away.

All of a table's copies have the columns that it is declared with: those of an older version are made anew.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from hashlib import sha256

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from clopos_assets.lake import SHIFT_DATE, Lake
from clopos_assets.tables import TABLES, Table
from clopos_assets.tables.encoding import encoding_of

FOLDER = "_monthly"
LOCK = "the monthly copy"
"""What is held while copies are made: two at once could leave the older."""
_LOCK_SECONDS = 60.0
_CATALOG = f"{FOLDER}/made_from.json"
# Small shift dates share a row group, for each costs its reader something.
_ROWS_IN_GROUP = 100_000

_MONTH, _PART = "month=", "part-0.parquet"
_DECLARED = "declared"
Noted = dict[str, str]
"""What a copy was made from: shift date → stamp of its partition, and under `declared` the table's columns, hashed."""


@dataclass(frozen=True, slots=True)
class Copied:
    """A month of a table that was copied: how many shift dates and rows; none of either where its copy was dropped."""

    table: str
    month: str
    shift_dates: int
    rows: int


def copy_months(lake: Lake, before: date, told: Callable[[Copied], None] = lambda _: None) -> list[Copied]:
    """Copy every month of every table that ended before a day, as far as it changed since it was last copied.

    One that was copied when its table was declared otherwise counts as changed. A month is copied with the shift dates
    that are materialized. `told` hears of each copy when it stands. Raises BusyError while another does the same,
    LakeError where a partition can't be read or a copy not written; what was copied until then stays and is not copied
    again.
    """
    this_month = f"{before:%Y-%m}"
    copied = []
    with lake.locked([LOCK], seconds=_LOCK_SECONDS):
        catalog = _read_catalog(lake)
        if not has_copies(lake):
            lake.keep(_CATALOG, msgspec.json.encode(catalog))
        for table in TABLES.values():
            declared = {_DECLARED: declaration(table)}
            wanted: dict[str, dict[str, str]] = {}
            for shift_date, stamp in lake.stamps(table).items():
                if shift_date[:7] < this_month:
                    wanted.setdefault(shift_date[:7], {})[shift_date] = stamp
            made = catalog.setdefault(table.name, {})
            # Also those of which nothing is known any more: who wrote one may have died before it was noted.
            there = {name.removeprefix(_MONTH) for name in lake.kept_in(f"{FOLDER}/{table.name}", f"/{_PART}")}
            for month in sorted({*wanted, *made, *there}):
                stamps = wanted.get(month, {})
                if stamps and month in there and made.get(month) == declared | stamps:
                    continue
                # Before the copy changes: an object that gets its old bytes back has its old stamp back, and what was
                # noted would be true of it, and of another copy.
                made[month] = {}
                lake.keep(_CATALOG, msgspec.json.encode(catalog))
                rows = _copy(lake, table, month, sorted(stamps))
                if stamps:
                    made[month] = declared | _still(lake, table, stamps)
                else:
                    del made[month]
                lake.keep(_CATALOG, msgspec.json.encode(catalog))
                copied.append(Copied(table.name, month, len(stamps), rows))
                told(copied[-1])
    return copied


def has_copies(lake: Lake) -> bool:
    """Whether copies were ever asked for. Raises LakeError where that can't be seen."""
    return lake.kept(_CATALOG) is not None


def declaration(table: Table) -> str:
    """A text that changes with the table's columns: their names, types, whether they may be NULL, and their order."""
    columns = [(column.name, column.sql_type, column.required) for column in table.columns]
    return sha256(msgspec.json.encode(columns)).hexdigest()[:16]


def _still(lake: Lake, table: Table, stamps: Noted) -> Noted:
    """The stamps that are as they were: another partition may have been read in another version than was listed."""
    now = lake.stamps(table)
    return {shift_date: stamp for shift_date, stamp in stamps.items() if now.get(shift_date) == stamp}


def _copy(lake: Lake, table: Table, month: str, shift_dates: list[str]) -> int:
    name = f"{FOLDER}/{table.name}/{_MONTH}{month}/{_PART}"
    if not shift_dates:
        lake.discard(name)
        return 0
    schema = table.schema.append(SHIFT_DATE)
    options = encoding_of(table)
    sink = pa.BufferOutputStream()
    rows = 0
    with pq.ParquetWriter(sink, schema, **options) as file:
        # One that has vanished meanwhile differs the next time.
        for group in _groups(lake.read_dated(table, shift_dates), schema):
            file.write_table(group)
            rows += group.num_rows
    lake.keep(name, sink.getvalue())
    return rows


def _groups(parts: Iterable[pa.Table], schema: pa.Schema) -> Iterable[pa.Table]:
    """The parts in order, put together to tables worth a row group each."""
    gathered: list[pa.Table] = [schema.empty_table()]
    for part in parts:
        gathered.append(part)
        if sum(rows.num_rows for rows in gathered) >= _ROWS_IN_GROUP:
            yield pa.concat_tables(gathered)
            gathered = [schema.empty_table()]
    yield pa.concat_tables(gathered)


def _read_catalog(lake: Lake) -> dict[str, dict[str, Noted]]:
    body = lake.kept(_CATALOG)
    try:
        return {} if body is None else msgspec.json.decode(body, type=dict[str, dict[str, Noted]])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}  # all of it is copied again
