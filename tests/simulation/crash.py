"""Processes that are killed while they write to a lake, before or after a change of the disk that is counted off."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import pyarrow as pa

from clopos_assets.storage.folder import FolderStore


class Killed(BaseException):
    """The process is no more. No error of the program, and nothing in it may catch this."""


class Reaper:
    """Kills at the `n`-th change from now on, the first being 1. A dead process changes nothing more."""

    def __init__(self) -> None:
        self.is_dead = False
        self._left: int | None = None
        self._is_before = True

    def arm(self, n: int, *, before: bool) -> None:
        self._left, self._is_before, self.is_dead = n, before, False

    def disarm(self) -> None:
        """The next process lives."""
        self._left, self.is_dead = None, False

    def is_due(self) -> bool:
        """Count a change. Raises Killed in a process that is dead already."""
        if self.is_dead:
            raise Killed
        if self._left is None:
            return False
        self._left -= 1
        return self._left == 0

    def kill(self) -> None:
        self.is_dead = True
        raise Killed

    def change(self, change: Callable[[], Any], half: Callable[[], None] = lambda: None) -> Any:
        """Make a change, unless killed before it, when `half` of it may be left."""
        is_due = self.is_due()
        if is_due and self._is_before:
            half()
            self.kill()
        result = change()
        if is_due:
            self.kill()
        return result


@contextmanager
def reaping(reaper: Reaper) -> Iterator[None]:
    """While this lasts, every change of a lake of this process is counted."""
    write, remove, remove_folder = FolderStore.write, FolderStore.remove, FolderStore.remove_folder

    def counted_write(store: FolderStore, name: str, body: bytes | pa.Buffer, *, durable: bool = True) -> None:
        def leave_half() -> None:
            path = store.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(f".{path.name}.half").write_bytes(bytes(body)[: len(body) // 2])

        reaper.change(lambda: write(store, name, body, durable=durable), leave_half)

    def counted_remove(store: FolderStore, names: Iterable[str]) -> None:
        for name in names:
            reaper.change(partial(remove, store, [name]))

    def counted_remove_folder(store: FolderStore, folder: str) -> None:
        reaper.change(lambda: remove_folder(store, folder))

    with (
        patch.object(FolderStore, "write", counted_write),
        patch.object(FolderStore, "remove", counted_remove),
        patch.object(FolderStore, "remove_folder", counted_remove_folder),
    ):
        yield


def was_killed(error: BaseException) -> bool:
    """Whether the error is a kill, or what several tasks make of one."""
    if isinstance(error, BaseExceptionGroup):
        return any(was_killed(each) for each in error.exceptions)
    return isinstance(error, Killed)
