"""The root of a lake as a place: who holds what below it, and what is kept and noted there beside the tables.

Knows names and bytes, not tables. Which folders there are beside the tables, `lake` says.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from clopos_assets.storage.errors import LakeError, unwritable
from clopos_assets.storage.folder import FolderStore
from clopos_assets.storage.locks import FileLocks, Locks
from clopos_assets.storage.names import MARK, WAITING, mark_of
from clopos_assets.storage.objects import ObjectStore
from clopos_assets.storage.store import Store

T = TypeVar("T")
R = TypeVar("R")


class Place:
    """A folder, created when first written to, or `s3://bucket/prefix`.

    What keeps runs apart are files in the folder, so that whoever sees the folder sees them. An object store can't
    hold any: there `use_locks` says what does, before anything is held.
    """

    def __init__(self, root: Path | str) -> None:
        self.store: Store = _store_at(root)
        self._locks: Locks | None = None
        self._owners: dict[str, str] = {}
        if (folder := self.folder) is not None:
            self._locks = FileLocks(folder / "_locks", lambda error: unwritable(str(folder), error))

    @property
    def folder(self) -> Path | None:
        """The folder, which holds its own locks; None where the lake is in an object store."""
        return self.store.local("")

    def use_locks(self, locks: Locks) -> None:
        """Keep the runs on an object store apart by these from now on."""
        assert self.folder is None, "a folder's locks are in it"
        self._locks = locks

    @contextmanager
    def locked(self, shift_dates: Iterable[str], *, seconds: float) -> Iterator[None]:
        """Hold shift dates against other runs, waiting up to `seconds` in all; the holder's death frees them.

        Other names than dates can be held too, such as a table's that is more than its partitions. Taken in order
        of name, dates first, so that two runs never wait for each other. Raises BusyError.
        """
        with self._keep_apart().held(sorted(set(shift_dates)), seconds=seconds):
            yield

    def forget_lock(self, name: str) -> None:
        """Remove what a name leaves behind that will not be held again."""
        self._keep_apart().forget(name)

    def stage(self, kind: str, shift_date: str, name: str, body: bytes) -> None:
        """Keep an answer for the next run, should this one not finish."""
        self._write(f"_staging/{kind}/{shift_date}/{name}", body, durable=False)

    def staged(self, kind: str, shift_date: str, *, newer_than: float) -> dict[str, bytes]:
        """Answers kept by a run that did not finish, by name; those from before a unix time are dropped."""
        folder = f"_staging/{kind}/{shift_date}"
        stamps = self.store.list(folder, unfinished=True)
        old = {name for name, stamp in stamps.items() if name.startswith(".") or stamp.changed_at < newer_than}
        if old:
            self._remove(f"{folder}/{name}" for name in old)
        kept = self._each(lambda name: (name, self.store.read(f"{folder}/{name}")), sorted(stamps.keys() - old))
        return {name: body for name, body in kept if body is not None}

    def unstage(self, kind: str, shift_date: str) -> None:
        """Forget the kept answers of a shift date: they are in the lake now."""
        self.discard_folder(f"_staging/{kind}/{shift_date}")

    def wait_for(self, shift_date: str, receipt_id: int, venue_id: int) -> None:
        """Note that a receipt belongs to a shift date that is not made yet, in place of a note of another venue."""
        folder, note = f"_waiting/{shift_date}", f"{receipt_id}.{venue_id}"
        others = {name for name in self.store.list(folder) if name.startswith(f"{receipt_id}.")} - {note}
        self._write(f"{folder}/{note}", b"")
        self._remove(f"{folder}/{other}" for other in others)  # last: it waits meanwhile

    def waiting(self, shift_date: str) -> dict[int, int]:
        """Receipts noted for a shift date, with their venue: receipt id → venue id."""
        notes = (match for match in map(WAITING.fullmatch, self.store.list(f"_waiting/{shift_date}")) if match)
        return {int(note[1]): int(note[2]) for note in notes}

    def stop_waiting(self, shift_date: str, receipts: Iterable[tuple[int, int]]) -> None:
        """Drop notes whose receipts, named by id and venue, were filed, or are no more."""
        settled = {f"{receipt_id}.{venue_id}" for receipt_id, venue_id in receipts}
        if settled:
            folder = f"_waiting/{shift_date}"
            self._remove(f"{folder}/{note}" for note in settled & self.store.list(folder).keys())

    def mark(self, shift_date: str, owner: str) -> None:
        """Note that `owner` is about to change a shift date, before it does."""
        self._owners[shift_date] = owner
        self._write(mark_of(shift_date, owner), b"")

    def marks(self) -> dict[str, set[str]]:
        """Shift dates that were changed and not followed yet: date → owners of the marks."""
        marks: dict[str, set[str]] = {}
        for note in map(MARK.fullmatch, sorted(self.store.list("_changed"))):
            if note:
                marks.setdefault(note[1], set()).add(note[2])
        return marks

    def unmark(self, shift_date: str, owner: str) -> None:
        """Drop the mark: whatever had to follow the change has done so."""
        self._remove([mark_of(shift_date, owner)])

    def keep(self, name: str, body: bytes | pa.Buffer) -> None:
        """Keep bytes under a path below the root whose first folder begins with `_`, whole or not at all."""
        self._write(name, body)

    def kept(self, name: str) -> bytes | None:
        """What was kept under the path, or None."""
        return self.store.read(name)

    def kept_in(self, folder: str, ending: str = "") -> list[str]:
        """Names of what is kept in a folder, ascending: each X of an X`ending`."""
        return sorted(self.store.list(folder, ending))

    def discard(self, name: str) -> None:
        """Forget what was kept under a path; nothing where there is nothing."""
        self._remove([name])

    def discard_folder(self, name: str) -> None:
        """Forget all that was kept in a folder and below."""
        self._confirm()
        self.store.remove_folder(name)

    def _write(self, name: str, body: bytes | pa.Buffer, *, durable: bool = True) -> None:
        self._confirm()
        self.store.write(name, body, durable=durable)

    def _remove(self, names: Iterable[str]) -> None:
        self._confirm()
        self.store.remove(names)

    def _confirm(self) -> None:
        """Raises LakeError where what was held is lost: another may be at work there."""
        if self._locks is not None:
            self._locks.confirm()

    def _confirm_put(self, shift_date: str) -> None:
        """A put may take minutes: what was held may have been lost meanwhile, and the rows be older than another's."""
        try:
            self._confirm()
        except LakeError:
            if owner := self._owners.get(shift_date):
                # The other may have ended by now, and its mark be gone: this one has the date made again.
                self.store.write(mark_of(shift_date, owner), b"")
            raise

    def _each(self, act: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        if self.store.at_once == 1 or len(items) < 2:
            yield from map(act, items)
            return
        with ThreadPoolExecutor(self.store.at_once) as threads:
            # A few at a time: results that nobody has taken yet are held in memory.
            for first in range(0, len(items), 2 * self.store.at_once):
                yield from threads.map(act, items[first : first + 2 * self.store.at_once])

    def _keep_apart(self) -> Locks:
        if self._locks is None:
            raise LakeError(f"the lake {self.store.uri()} was opened without locks, and so for reading only")
        return self._locks


def _store_at(root: Path | str) -> Store:
    """The store of a folder, or of an address that begins with `s3://`. Nothing is touched before it is used."""
    if isinstance(root, str) and root.startswith("s3://"):
        return ObjectStore(root)
    return FolderStore(Path(root))
