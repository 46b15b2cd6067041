"""A folder of this machine, or one mounted on it, as a store: a file is complete before it takes its name."""

import errno
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from clopos_assets.storage.errors import unreadable, unwritable
from clopos_assets.storage.store import Stamp

_ABSENT = (FileNotFoundError, NotADirectoryError)
_OF_ONE_WRITER = {".parquet", ".arrow"}
"""Tables and the ledger's index are written under a lock; a note may be written by several runs at once."""
_TRIES = 4
"""Times that a file is written which another run may clear away meanwhile."""


class FolderStore:
    """See `Store`. The folder is created when first written to."""

    at_once = 1

    def __init__(self, root: Path) -> None:
        self.root = root

    def uri(self, name: str = "") -> str:
        """See `Store`."""
        return str(self.root / name)

    def local(self, name: str) -> Path:
        """See `Store`."""
        return self.root / name

    def read(self, name: str) -> bytes | None:
        """See `Store`."""
        try:
            return (self.root / name).read_bytes()
        except _ABSENT:
            return None
        except OSError as error:
            raise unreadable(self.uri(name), error) from error

    def write(self, name: str, body: bytes | pa.Buffer, *, durable: bool = True) -> None:
        """See `Store`."""
        try:
            if durable:
                self._put(self.root / name, body)
            else:
                self._leave(f"{self.root}/{name}", body)
        except OSError as error:
            raise unwritable(str(self.root), error) from error

    def _put(self, path: Path, body: bytes | pa.Buffer) -> None:
        # The name begins with a dot and has no .parquet at its end: no glob of a reader finds it.
        unfinished = path.with_name(f".{path.name}.{uuid4().hex}")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in _OF_ONE_WRITER:
            for left in path.parent.glob(f".{path.name}.*"):
                left.unlink(missing_ok=True)  # of a writer that was killed
        try:
            with unfinished.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except OSError:
            with suppress(OSError):  # the folder itself may be what fails
                unfinished.unlink(missing_ok=True)
            raise

    def _leave(self, path: str, body: bytes | pa.Buffer) -> None:
        # There are thousands of these: no folder is looked through, and what a dead writer left goes with the folder.
        folder, _, name = path.rpartition("/")
        unfinished = f"{folder}/.{name}.{os.getpid()}"
        try:
            for _ in range(_TRIES - 1):
                with suppress(FileNotFoundError):
                    _fill(unfinished, body)
                    os.replace(unfinished, path)
                    return
                # The folder is not there yet, or another run has just cleared it, this file included.
                os.makedirs(folder, exist_ok=True)
            _fill(unfinished, body)
            os.replace(unfinished, path)
        except OSError:
            with suppress(OSError):
                os.unlink(unfinished)
            raise

    def stamp(self, name: str) -> Stamp | None:
        """See `Store`."""
        try:
            return _stamp_of(os.stat(f"{self.root}/{name}"))
        except _ABSENT:
            return None
        except OSError as error:
            raise unreadable(self.uri(name), error) from error

    def list(self, folder: str, ending: str = "", *, unfinished: bool = False) -> dict[str, Stamp]:
        """See `Store`."""
        try:
            with os.scandir(self.root / folder) as entries:
                names = [entry.name for entry in entries if unfinished or not entry.name.startswith(".")]
        except _ABSENT:
            return {}
        except OSError as error:
            raise unreadable(self.uri(folder), error) from error
        stamps = {name: self.stamp(f"{folder}/{name}{ending}") for name in names}
        return {name: stamp for name, stamp in stamps.items() if stamp is not None}

    def remove(self, names: Iterable[str]) -> None:
        """See `Store`."""
        for name in names:
            try:
                (self.root / name).unlink(missing_ok=True)
            except OSError as error:
                raise unwritable(str(self.root), error) from error

    def remove_folder(self, folder: str) -> None:
        """See `Store`."""
        try:
            shutil.rmtree(self.root / folder)
        except _ABSENT:
            pass
        except OSError as error:
            # What another run has written there meanwhile is newer than what is to go.
            if error.errno != errno.ENOTEMPTY:
                raise unwritable(str(self.root), error) from error


def _fill(path: str, body: bytes | pa.Buffer) -> None:
    with open(path, "wb") as file:
        file.write(body)


def _stamp_of(file: os.stat_result) -> Stamp:
    return Stamp(f"{file.st_mtime_ns}.{file.st_ino}.{file.st_size}", file.st_mtime)
