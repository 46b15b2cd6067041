"""Where bytes live under names, and who may change what: below the lake, and knowing nothing of tables or Arrow.

`store` says what a place of bytes can do, `folder` and `objects` are the two there are; `locks` keeps the runs of one
machine apart, `postgres` those of several; `errors` is what can go wrong, in one line for the user.
"""

from pathlib import Path

from clopos_assets.storage.errors import BusyError, LakeError
from clopos_assets.storage.folder import FolderStore
from clopos_assets.storage.locks import FileLocks, Locks
from clopos_assets.storage.objects import ObjectStore
from clopos_assets.storage.postgres import PostgresLocks
from clopos_assets.storage.store import Stamp, Store

__all__ = [
    "BusyError",
    "FileLocks",
    "FolderStore",
    "LakeError",
    "Locks",
    "ObjectStore",
    "PostgresLocks",
    "Stamp",
    "Store",
    "store_at",
]


def store_at(root: Path | str) -> Store:
    """The store of a folder, or of an address that begins with `s3://`. Nothing is touched before it is used."""
    if isinstance(root, str) and root.startswith("s3://"):
        return ObjectStore(root)
    return FolderStore(Path(root))
