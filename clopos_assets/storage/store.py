"""What the lake needs of a place for bytes: names with slashes below one root, each written whole or not at all."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which version of a file one is: `text` changes with it; `changed_at` is when it was written, in unix seconds."""

    text: str
    changed_at: float


class Store(Protocol):
    """A folder or an object store. Whatever can't be read or written raises LakeError; a retry helps once mended.

    A reader sees what another process has written as soon as its `write` has returned, and never half of it.
    """

    at_once: int
    """So many calls from as many threads are worth making at the same time."""

    def uri(self, name: str = "") -> str:
        """Where a name is, as text for people and for other tools."""
        ...

    def local(self, name: str) -> Path | None:
        """The file of this machine behind a name, be it there or not; None where there are no files."""
        ...

    def read(self, name: str) -> bytes | None:
        """All of it, of one version; None where there is nothing."""
        ...

    def write(self, name: str, body: bytes | pa.Buffer, *, durable: bool = True) -> None:
        """Put bytes under a name, in place of what was there.

        The machine's death may undo the last of these, never the order in which they were put. What is not `durable`
        it may leave half.
        """
        ...

    def stamp(self, name: str) -> Stamp | None:
        """The version that is there now, without reading it; None where there is nothing."""
        ...

    def list(self, folder: str, ending: str = "", *, unfinished: bool = False) -> dict[str, Stamp]:
        """What is in a folder: each X for which there is `{folder}/{X}{ending}`, with that one's stamp.

        `unfinished` ones, of writers that died, are named too; their names begin with a dot.
        """
        ...

    def remove(self, names: Iterable[str]) -> None:
        """Take names away; those that are not there are none to complain of."""
        ...

    def remove_folder(self, folder: str) -> None:
        """Take away a folder and all below it."""
        ...
