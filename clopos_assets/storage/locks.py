"""Holding names, mostly shift dates, against other runs; and the files that do it for the runs of one machine."""

import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import filelock

from clopos_assets.storage.errors import LakeError, busy


class Locks(Protocol):
    """Names that are held by one at a time; the holder's death frees them."""

    def held(self, names: Sequence[str], *, seconds: float) -> AbstractContextManager[None]:
        """Hold names, taken in the order given, waiting up to `seconds` in all.

        Raises BusyError where another holds one for longer, be it of this process, and LakeError where nothing can
        be held.
        """
        ...

    def confirm(self) -> None:
        """Raise LakeError where what this process held has been lost meanwhile; a retry helps."""
        ...

    def forget(self, name: str) -> None:
        """Remove what a name leaves behind that will not be held again."""
        ...


class FileLocks:
    """A locked file per name in `folder`. `unwritable` makes the error of a folder that takes no files."""

    def __init__(self, folder: Path, unwritable: Callable[[OSError], LakeError]) -> None:
        self.folder = folder
        self._unwritable = unwritable

    @contextmanager
    def held(self, names: Sequence[str], *, seconds: float) -> Iterator[None]:
        """See `Locks`."""
        _allow_open_files(len(names))
        give_up = time.monotonic() + seconds
        with ExitStack() as held:
            for name in names:
                try:
                    self.folder.mkdir(parents=True, exist_ok=True)
                    lock = filelock.FileLock(self._file(name))
                    held.enter_context(lock.acquire(timeout=max(0.0, give_up - time.monotonic())))
                except filelock.Timeout:
                    raise busy(name) from None
                except OSError as error:
                    raise self._unwritable(error) from error
            yield

    def confirm(self) -> None:
        """See `Locks`. A file stays locked as long as its process lives."""

    def forget(self, name: str) -> None:
        """See `Locks`."""
        try:
            self._file(name).unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.lock"


def _allow_open_files(count: int) -> None:
    """A lock is an open file: a range of some years needs more of them than a shell usually allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + 256
    if soft != resource.RLIM_INFINITY and soft < needed:
        allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
