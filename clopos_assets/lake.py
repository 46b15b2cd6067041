"""The lake: Parquet under one root, `{table}/shift_date=YYYY-MM-DD/part-0.parquet`.

Knows Arrow and declared tables; not Clopos, not what the rows mean. A partition is replaced whole: the new
file is complete before it takes the old one's name, so a reader sees the old or the new, and a crash leaves
the old. Beside the tables stand folders whose names begin with `_`: `_staging` (answers of an unfinished run),
`_waiting` (receipts whose shift date is not made yet), `_changed` (shift dates that were changed and not followed by
every table yet), `_ledger` (an index that can be made again from the tables), `_lake` (whose it is) and `_locks`.
"""

import errno
import os
import re
import resource
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import filelock
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clopos_assets.tables import ContractError, Kind, Table
from clopos_assets.tables.shape import has_shape, in_shape, lacking

_PART = "part-0.parquet"
_FOLDER = "shift_date="
_NOTES = b"clopos_assets."
_WAITING = re.compile(r"(\d+)\.(\d+)")
_MARK = re.compile(r"(\d{4}-\d{2}-\d{2})\.(.+)")
_ENCODED_DELTA = {Kind.ID, Kind.WHOLE, Kind.TIME, Kind.DATE, Kind.INSTANT}
_ENCODED_SPLIT = {Kind.DECIMAL, Kind.RATIO}


class LakeError(Exception):
    """The lake can't be read or written. A retry helps once what the message names is mended."""


class BusyError(LakeError):
    """Another run holds a shift date. A retry helps when it has finished."""


class Lake:
    """The tables under one root folder, created when first written to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._older: dict[tuple[str, tuple[str, ...]], set[str]] = {}

    def path(self, table: Table, shift_date: str) -> Path:
        """Where a partition's file is, or would be."""
        return self.root / table.name / f"{_FOLDER}{shift_date}" / _PART

    def has(self, table: Table, shift_date: str) -> bool:
        """Whether the partition was materialized, be it with no rows."""
        return self.path(table, shift_date).exists()

    def dates(self, table: Table) -> list[str]:
        """Materialized shift dates, ascending."""
        return sorted(
            file.parent.name.removeprefix(_FOLDER) for file in (self.root / table.name).glob(f"{_FOLDER}*/{_PART}")
        )

    def stamps(self, table: Table) -> dict[str, str]:
        """Of every materialized shift date, a text that changes when the partition is replaced. Reads no file."""
        try:
            with os.scandir(self.root / table.name) as folders:
                dates = [folder.name.removeprefix(_FOLDER) for folder in folders if folder.name.startswith(_FOLDER)]
        except FileNotFoundError:
            return {}
        stamps = {shift_date: self.stamp(table, shift_date) for shift_date in sorted(dates)}
        return {shift_date: stamp for shift_date, stamp in stamps.items() if stamp is not None}

    def stamp(self, table: Table, shift_date: str) -> str | None:
        """A text that changes when the partition is replaced; None while it is not materialized."""
        try:
            file = os.stat(f"{self.root}/{table.name}/{_FOLDER}{shift_date}/{_PART}")
        except FileNotFoundError:
            return None
        return f"{file.st_mtime_ns}.{file.st_ino}.{file.st_size}"

    def written_at(self, table: Table, shift_date: str) -> float | None:
        """When the partition was last replaced, in unix seconds; None while it is not materialized."""
        try:
            return self.path(table, shift_date).stat().st_mtime
        except FileNotFoundError:
            return None

    def read(self, table: Table, shift_date: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        """The partition's rows as declared, in all columns or in those named; None while it is not materialized.

        Columns that the file lacks, because an older version wrote it, are NULL; `take_older` tells of them.
        """
        try:
            file = pq.ParquetFile(self.path(table, shift_date))
        except FileNotFoundError:
            return None
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(table, shift_date, error) from error
        with file:
            try:
                names = table.names if columns is None else tuple(columns)
                lacks = [name for name in lacking(table, file.schema_arrow) if name in names]
                # Without any column, Arrow would not know how many rows there are.
                rows = file.read(columns=[name for name in names if name not in lacks] or table.key[:1])
                shaped = in_shape(table, rows.replace_schema_metadata(None), names)
            except (OSError, pa.ArrowException, ContractError) as error:
                raise self._unreadable(table, shift_date, error) from error
        if lacks:
            self._older.setdefault((table.name, tuple(lacks)), set()).add(shift_date)
        return shaped

    def has_shape(self, table: Table, shift_date: str) -> bool:
        """Whether the partition is materialized with exactly the declared columns, as this version writes it."""
        try:
            return has_shape(table, pq.read_schema(self.path(table, shift_date)))
        except FileNotFoundError:
            return False
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(table, shift_date, error) from error

    def take_older(self) -> list[str]:
        """Sentences on what was read as NULL since the last call, because an older version wrote the files."""
        older, self._older = self._older, {}
        return [
            f"{table}: {', '.join(columns)} read as NULL for {len(dates)} shift dates, {min(dates)} to {max(dates)}, "
            "which an older version wrote: make them again to fill them"
            for (table, columns), dates in sorted(older.items())
        ]

    def notes(self, table: Table, shift_date: str) -> dict[str, str]:
        """What `replace` wrote beside the rows; empty while the partition is not materialized."""
        try:
            metadata = pq.read_metadata(self.path(table, shift_date)).metadata or {}
        except FileNotFoundError:
            return {}
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(table, shift_date, error) from error
        return {
            key.removeprefix(_NOTES).decode(): value.decode()
            for key, value in metadata.items()
            if key.startswith(_NOTES)
        }

    def replace(self, table: Table, shift_date: str, rows: pa.Table, notes: Mapping[str, str]) -> None:
        """Make `rows` the whole partition, sorted by the key, with notes in the file's metadata.

        Raises ContractError where the rows break the table's declaration, LakeError where the disk won't
        take them; either leaves the partition as it was.
        """
        table.check(rows)
        rows = rows.sort_by([(name, "ascending") for name in table.key])
        metadata = {_NOTES + key.encode(): value.encode() for key, value in notes.items()}
        sink = pa.BufferOutputStream()
        pq.write_table(rows.replace_schema_metadata(metadata), sink, **_encoding(table))
        self._write(self.path(table, shift_date), sink.getvalue())

    def find(self, table: Table, column: str, ids: Iterable[int]) -> dict[str, set[int]]:
        """In which partitions the ids stand: shift date → ids found. Reads one column of every partition."""
        wanted = set(ids)
        found: dict[str, set[int]] = {}
        if not wanted:
            return found
        sought = pa.array(wanted, type=pa.int64())
        for shift_date in self.dates(table):
            try:
                rows = self.read(table, shift_date, [column])
            except LakeError:
                continue  # a damaged partition fails when it is made itself, and costs no other
            if rows is not None:
                stored = rows.column(0)
                here = set(stored.filter(pc.is_in(stored, value_set=sought)).to_pylist())
                if here:
                    found[shift_date] = here
        return found

    @contextmanager
    def locked(self, shift_dates: Iterable[str], *, seconds: float) -> Iterator[None]:
        """Hold shift dates against other runs, waiting up to `seconds` in all; the holder's death frees them.

        Other names than dates can be held too, such as a table's that is more than its partitions. Taken in order
        of name, dates first, so that two runs never wait for each other. Raises BusyError.
        """
        dates = sorted(set(shift_dates))
        _allow_open_files(len(dates))
        give_up = time.monotonic() + seconds
        with ExitStack() as held:
            for shift_date in dates:
                lock = filelock.FileLock(self._folder("_locks") / f"{shift_date}.lock")
                try:
                    held.enter_context(lock.acquire(timeout=max(0.0, give_up - time.monotonic())))
                except filelock.Timeout:
                    what = f"shift date {shift_date}" if shift_date[:1].isdigit() else shift_date
                    raise BusyError(
                        f"{what} is being made by another run: run this one again when that has ended"
                    ) from None
                except OSError as error:
                    raise self._unwritable(error) from error
            yield

    def forget_lock(self, name: str) -> None:
        """Remove what a name leaves behind that will not be held again."""
        self._remove(self.root / "_locks" / f"{name}.lock")

    def stage(self, kind: str, shift_date: str, name: str, body: bytes) -> None:
        """Keep an answer for the next run, should this one not finish."""
        self._write(self.root / "_staging" / kind / shift_date / name, body, durable=False)

    def staged(self, kind: str, shift_date: str, *, newer_than: float) -> dict[str, bytes]:
        """Answers kept by a run that did not finish, by name; those from before a unix time are dropped."""
        kept = {}
        for file in (self.root / "_staging" / kind / shift_date).glob("*"):
            if file.name.startswith(".") or file.stat().st_mtime < newer_than:
                self._remove(file)
            else:
                kept[file.name] = file.read_bytes()
        return kept

    def unstage(self, kind: str, shift_date: str) -> None:
        """Forget the kept answers of a shift date: they are in the lake now."""
        folder = self.root / "_staging" / kind / shift_date
        for file in folder.glob("*"):
            self._remove(file)
        with suppress(OSError):  # it may never have been, and an empty folder does no harm
            folder.rmdir()

    def wait_for(self, shift_date: str, receipt_id: int, venue_id: int) -> None:
        """Note that a receipt belongs to a shift date that is not made yet."""
        self._write(self.root / "_waiting" / shift_date / f"{receipt_id}.{venue_id}", b"")

    def waiting(self, shift_date: str) -> dict[int, int]:
        """Receipts noted for a shift date, with their venue: receipt id → venue id."""
        names = (file.name for file in (self.root / "_waiting" / shift_date).glob("*"))
        notes = (match for match in map(_WAITING.fullmatch, names) if match)
        return {int(note[1]): int(note[2]) for note in notes}

    def stop_waiting(self, shift_date: str, receipt_ids: Iterable[int]) -> None:
        """Drop notes whose receipts were filed, or are no more."""
        settled = set(receipt_ids)
        for file in (self.root / "_waiting" / shift_date).glob("*"):
            note = _WAITING.fullmatch(file.name)
            if note and int(note[1]) in settled:
                self._remove(file)

    def mark(self, shift_date: str, owner: str) -> None:
        """Note that `owner` is about to change a shift date, before it does."""
        self._write(self.root / "_changed" / f"{shift_date}.{owner}", b"")

    def marks(self) -> dict[str, set[str]]:
        """Shift dates that were changed and not followed yet: date → owners of the marks."""
        marks: dict[str, set[str]] = {}
        for file in (self.root / "_changed").glob("[!.]*"):
            note = _MARK.fullmatch(file.name)
            if note:
                marks.setdefault(note[1], set()).add(note[2])
        return dict(sorted(marks.items()))

    def unmark(self, shift_date: str, owner: str) -> None:
        """Drop the mark: whatever had to follow the change has done so."""
        self._remove(self.root / "_changed" / f"{shift_date}.{owner}")

    def _remove(self, file: Path) -> None:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def keep(self, name: str, body: bytes | pa.Buffer) -> None:
        """Keep bytes under a path below the root whose first folder begins with `_`, whole or not at all."""
        self._write(self.root / name, body)

    def kept(self, name: str) -> bytes | None:
        """What was kept under the path, or None."""
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LakeError(
                f"{self.root / name} can't be read ({error.strerror}): allow this user to read it"
            ) from error

    def kept_in(self, folder: str) -> list[str]:
        """Names of what is kept in a folder, ascending."""
        return sorted(file.name for file in (self.root / folder).glob("[!.]*"))

    def discard(self, name: str) -> None:
        """Forget what was kept under a path, or in a folder and below; nothing where there is nothing."""
        path = self.root / name
        try:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def _folder(self, name: str) -> Path:
        folder = self.root / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error
        return folder

    def _write(self, path: Path, body: bytes | pa.Buffer, *, durable: bool = True) -> None:
        # The name begins with a dot and has no .parquet at its end: no glob of a reader finds it.
        unfinished = path.with_name(f".{path.name}.{uuid4().hex}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for left in path.parent.glob(f".{path.name}.*"):
                left.unlink(missing_ok=True)  # of a writer that was killed: a partition has one at a time
            with unfinished.open("wb") as file:
                file.write(body)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            unfinished.replace(path)
        except OSError as error:
            with suppress(OSError):  # the folder itself may be what fails
                unfinished.unlink(missing_ok=True)
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> LakeError:
        remedy = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "allow this user to write there"
        return LakeError(
            f"the lake {self.root} can't be written ({error.strerror}): {remedy}, or set CLOPOS_LAKE, and run again"
        )

    def _unreadable(self, table: Table, shift_date: str, error: Exception) -> LakeError:
        reason = str(error).splitlines()[0]
        return LakeError(
            f"{self.path(table, shift_date)} can't be read ({reason}): remove it and make the shift date again"
        )


def _encoding(table: Table) -> dict[str, object]:
    """Writer options: what took less than half the default writer's bytes and scan time when measured."""
    dictionary = [column.name for column in table.columns if column.repeats]
    split = {
        column.name: "DELTA_BINARY_PACKED" if column.kind in _ENCODED_DELTA else "BYTE_STREAM_SPLIT"
        for column in table.columns
        if not column.repeats and column.kind in _ENCODED_DELTA | _ENCODED_SPLIT
    }
    return {
        "compression": "zstd",
        "compression_level": 3,  # a tenth smaller than the writer's own choice, 1, in the same time
        "store_decimal_as_integer": True,
        "use_dictionary": dictionary,
        "column_encoding": split,
    }


def _allow_open_files(count: int) -> None:
    """A lock is an open file: a range of some years needs more of them than a shell usually allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + 256
    if soft != resource.RLIM_INFINITY and soft < needed:
        allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
