"""The lake: Parquet under one root, `{table}/shift_date=YYYY-MM-DD/part-0.parquet`, in a folder or an object store.

Knows Arrow and declared tables; not Clopos, not what the rows mean. A partition is replaced whole: a reader sees the
old or the new, and a crash leaves the old. Beside the tables stand folders whose names begin with `_`: `_staging`
(answers of an unfinished run), `_waiting` (receipts whose shift date is not made yet), `_changed` (shift dates that
were changed and not followed by every table yet), `_ledger` (an index that can be made again from the tables),
`_monthly` (copies of the tables by month), `_lake` (whose it is); in a folder `_locks`, and without a home `_shared`.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clopos_assets.storage import BusyError, LakeError, Place
from clopos_assets.storage.errors import DamagedError, unreadable
from clopos_assets.storage.names import PART, PARTITION, partition_of
from clopos_assets.tables import ContractError, Table
from clopos_assets.tables.encoding import UNREADABLE, notes_of, open_file, packed, read_columns
from clopos_assets.tables.shape import Older, Partition, has_shape, in_shape, lacking

__all__ = ["SHIFT_DATE", "BusyError", "DamagedError", "Lake", "LakeError"]

R = TypeVar("R")
SHIFT_DATE = pa.field("shift_date", pa.date32())
"""The column in which rows of several partitions say which one they are of."""
_Range = tuple[int, int] | None
"""The least and the greatest id of a partition's column; None where it has no rows."""


class Lake(Place):
    """The tables under one root: a folder, created when first written to, or `s3://bucket/prefix`.

    What is held, kept and noted there besides is the `Place`'s.
    """

    def __init__(self, root: Path | str) -> None:
        super().__init__(root)
        self._older = Older()
        self._ranges: dict[tuple[str, str], dict[str, tuple[str, _Range]]] = {}

    @property
    def root(self) -> Path:
        """The folder. Raises LakeError where there is none."""
        return self._file("")

    def path(self, table: Table, shift_date: str) -> Path:
        """Where a partition's file is, or would be. Raises LakeError where the lake is in an object store."""
        return self._file(partition_of(table.name, shift_date))

    def uri(self, table: Table | None = None, shift_date: str | None = None) -> str:
        """Where a partition is, or the table with all of them, or the lake with all of these, as text."""
        if table is None:
            return self.store.uri()
        return self.store.uri(table.name if shift_date is None else partition_of(table.name, shift_date))

    def has(self, table: Table, shift_date: str) -> bool:
        """Whether the partition was materialized, be it with no rows."""
        return self.store.stamp(partition_of(table.name, shift_date)) is not None

    def has_each(self, tables: Sequence[Table], shift_dates: Sequence[str]) -> list[str]:
        """Those of the shift dates of which all the tables are materialized, in their order."""
        if not shift_dates:
            return []
        if self.folder is None:  # a list of an object store costs less than a question for each date
            made = [self.stamps(table).keys() for table in tables]
            return [shift_date for shift_date in shift_dates if all(shift_date in of for of in made)]
        return [shift_date for shift_date in shift_dates if all(self.has(table, shift_date) for table in tables)]

    def dates(self, table: Table) -> list[str]:
        """Materialized shift dates, ascending."""
        return list(self.stamps(table))

    def stamps(self, table: Table) -> dict[str, str]:
        """Of every materialized shift date, a text that changes when the partition does; ascending. Reads no file."""
        listed = self.store.list(table.name, f"/{PART}")
        # A folder of another name may be a copy that somebody has put aside.
        return {name[1]: listed[name[0]].text for name in map(PARTITION.fullmatch, sorted(listed)) if name}

    def stamp(self, table: Table, shift_date: str) -> str | None:
        """A text that changes when the partition does; None while it is not materialized."""
        stamp = self.store.stamp(partition_of(table.name, shift_date))
        return None if stamp is None else stamp.text

    def written_at(self, table: Table, shift_date: str) -> float | None:
        """When the partition was last replaced, in unix seconds; None while it is not materialized."""
        stamp = self.store.stamp(partition_of(table.name, shift_date))
        return None if stamp is None else stamp.changed_at

    def read(self, table: Table, shift_date: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        """The partition's rows as declared, in all columns or in those named; None while it is not materialized.

        Columns that the file lacks, because an older version wrote it, are NULL; `take_older` tells of them.
        """
        partition = self.partition(table, shift_date, columns)
        return None if partition is None else partition.rows

    def partition(self, table: Table, shift_date: str, columns: Sequence[str] | None = None) -> Partition | None:
        """The rows as `read` gives them with the notes beside them, from one reading; None as there."""
        try:
            file = self._open(table, shift_date)
        except UNREADABLE as error:
            raise self._unreadable(table, shift_date, error) from error
        return None if file is None else self._take(table, shift_date, file, columns)

    def take_older(self) -> list[str]:
        """Sentences on what was read as NULL since the last call, because an older version wrote the files."""
        return self._older.take()

    def read_each(
        self, table: Table, shift_dates: Sequence[str], columns: Sequence[str] | None = None
    ) -> Iterator[tuple[str, pa.Table | LakeError | None]]:
        """`read` of many, in their order, some at a time from an object store; an error stands for its partition."""
        return self.each_date(lambda shift_date: self.read(table, shift_date, columns), shift_dates)

    def read_dated(self, table: Table, shift_dates: Sequence[str]) -> Iterator[pa.Table]:
        """`read_each` of those that are materialized, with `shift_date` as the last column; an error is raised."""
        for shift_date, rows in self.read_each(table, shift_dates):
            if isinstance(rows, LakeError):
                raise rows
            if rows is not None:
                yield rows.append_column(SHIFT_DATE, pa.repeat(pa.scalar(date.fromisoformat(shift_date)), len(rows)))

    def notes(self, table: Table, shift_date: str) -> dict[str, str]:
        """What `replace` wrote beside the rows; empty while the partition is not materialized."""
        try:
            file = self._open(table, shift_date)
            if file is None:
                return {}
            with file:
                return notes_of(file)
        except UNREADABLE as error:
            raise self._unreadable(table, shift_date, error) from error

    def notes_each(self, table: Table, shift_dates: Sequence[str]) -> Iterator[tuple[str, dict[str, str] | LakeError]]:
        """`notes` of many, as `read_each`."""
        return self.each_date(lambda shift_date: self.notes(table, shift_date), shift_dates)

    def each_date(self, act: Callable[[str], R], shift_dates: Sequence[str]) -> Iterator[tuple[str, R | LakeError]]:
        """What `act` gives for each of the shift dates, in their order, as `read_each`; it may run in any thread."""

        def attempt(shift_date: str) -> tuple[str, R | LakeError]:
            try:
                return shift_date, act(shift_date)
            except LakeError as error:
                return shift_date, error

        return self._each(attempt, shift_dates)

    def replace(self, table: Table, shift_date: str, rows: pa.Table, notes: Mapping[str, str]) -> None:
        """Make `rows` the whole partition, sorted by the key, with notes in the file's metadata.

        Raises ContractError where the rows break the table's declaration, LakeError where the lake won't
        take them; either leaves the partition as it was.
        """
        table.check(rows)
        self._write(partition_of(table.name, shift_date), packed(table, rows, notes))
        self._confirm_put(shift_date)
        self._older.forget(table, shift_date)

    def find(self, table: Table, column: str, ids: Iterable[int]) -> dict[str, set[int]]:
        """In which partitions the ids stand: shift date → ids found.

        Reads one column of every partition the first time; after that of those that have changed, or whose range of
        ids, from the least to the greatest, holds one of these.
        """
        wanted = sorted(set(ids))
        if not wanted:
            return {}
        found: dict[str, set[int]] = {}
        sought = pa.array(wanted, type=pa.int64())
        ranges = self._ranges.setdefault((table.name, column), {})
        stamps = self.stamps(table)
        to_read = [day for day, stamp in stamps.items() if _may_hold(wanted, stamp, ranges.get(day))]
        for shift_date, rows in self.read_each(table, to_read, [column]):
            if isinstance(rows, LakeError) and not isinstance(rows, DamagedError):
                raise rows
            if isinstance(rows, pa.Table):  # a damaged one fails when it is made itself
                stored = rows.column(0)
                least, greatest = pc.min_max(stored).as_py().values()  # of that file, or of one that replaced it since
                ranges[shift_date] = stamps[shift_date], None if least is None else (least, greatest)
                if here := set(stored.filter(pc.is_in(stored, value_set=sought)).to_pylist()):
                    found[shift_date] = here
        return found

    def source(self, table: Table, shift_date: str) -> object:
        """The partition for a query engine: its file, or from an object store a dataset over its bytes, still packed.

        There its rows, where an older version wrote it in another shape; None while it is not materialized.
        """
        name = partition_of(table.name, shift_date)
        path = self.store.local(name)
        try:
            if path is not None:
                return path if path.exists() else None
            body = self.store.read(name)
            if body is None:
                return None
            # Here and not above: it loads pandas where that is installed, a sixth of what a process takes to start.
            import pyarrow.dataset as ds

            packed = ds.ParquetFileFormat(page_checksum_verification=True)
            fragment = packed.make_fragment(pa.BufferReader(body))
            if has_shape(table, fragment.physical_schema):
                return ds.FileSystemDataset([fragment], table.schema, packed)
            return self._take(table, shift_date, open_file(pa.BufferReader(body)), None).rows
        except UNREADABLE as error:
            raise self._unreadable(table, shift_date, error) from error

    def _take(self, table: Table, shift_date: str, file: pq.ParquetFile, columns: Sequence[str] | None) -> Partition:
        """What an open file holds; it is closed then."""
        with file:
            try:
                names = table.names if columns is None else tuple(columns)
                lacks = [name for name in lacking(table, file.schema_arrow) if name in names]
                # Without any column, Arrow would not know how many rows there are.
                rows = read_columns(file, [name for name in names if name not in lacks] or table.key[:1])
                shaped = in_shape(table, rows.replace_schema_metadata(None), names)
                partition = Partition(shaped, notes_of(file), has_shape(table, file.schema_arrow))
            except (*UNREADABLE, ContractError) as error:
                raise self._unreadable(table, shift_date, error) from error
        if lacks:
            self._older.note(table, shift_date, lacks)
        return partition

    def _open(self, table: Table, shift_date: str) -> pq.ParquetFile | None:
        name = partition_of(table.name, shift_date)
        file = self.store.local(name)
        if file is not None:
            try:
                return open_file(file)
            except FileNotFoundError:
                return None
        # An object is read by one call: parts of it could be of two versions.
        body = self.store.read(name)
        return None if body is None else open_file(pa.BufferReader(body))

    def _file(self, name: str) -> Path:
        file = self.store.local(name)
        if file is None:
            raise LakeError(f"the lake {self.store.uri()} is in an object store: it has no files of this machine")
        return file

    def _unreadable(self, table: Table, shift_date: str, error: Exception) -> LakeError:
        if isinstance(error, OSError) and error.errno is not None:  # not what is in the file
            return unreadable(self.uri(table, shift_date), error)
        told = f"({str(error).splitlines()[0]}): {table.how_to_mend(shift_date)}"
        return DamagedError(f"{self.uri(table, shift_date)} can't be read {told}")


def _may_hold(wanted: Sequence[int], stamp: str, known: tuple[str, _Range] | None) -> bool:
    """Whether a partition may hold any of the ids, which ascend; `known` is its range, and the stamp it had then."""
    if known is None or known[0] != stamp:
        return True
    if known[1] is None:
        return False
    first = bisect_left(wanted, known[1][0])
    return first < len(wanted) and wanted[first] <= known[1][1]
