"""What a run or a sensor shares with others, as Dagster's instance tells: where the state lies, who goes first, and
who has to wait.

The instance is that of the run or the tick, not that of the environment: a container of code may have none.
"""

import tempfile
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import dagster as dg

from clopos_assets.clopos.postgres import PostgresStore
from clopos_assets.clopos.quota import Priority
from clopos_assets.clopos.store import FileStore, Store
from clopos_assets.lake import Lake, LakeError
from clopos_assets.storage import FileLocks, Locks, PostgresLocks
from clopos_assets.tags import BACKFILL

BACKFILL_DATES = 7
"""A run of more shift dates than these is a backfill, whoever started it."""

_FOLDER = "clopos_shared"
_FOLDER_IN_LAKE = "_shared"
_LOCKS = "clopos_locks"


def store_of(instance: dg.DagsterInstance, lake: Lake) -> Store:
    """Dagster's own PostgreSQL database where it has one, else a folder in its home.

    An instance without a home, as of a test, ends with its process: then it is a folder in the lake, or where the lake
    is no folder, among the machine's temporary files.
    """
    if instance.is_ephemeral and lake.folder is not None and _postgres_url(instance) is None:
        return FileStore(lake.folder / _FOLDER_IN_LAKE)
    return own_store_of(instance)


def own_store_of(instance: dg.DagsterInstance) -> Store:
    """`store_of` where no lake is at hand: without a home, a folder among the machine's temporary files."""
    url = _postgres_url(instance)
    return FileStore(_home(instance) / _FOLDER) if url is None else _postgres(url)


def keep_apart(instance: dg.DagsterInstance, lake: Lake) -> None:
    """Let a lake on an object store, which can't do so itself, hold shift dates where all runs of the instance see it.

    That is Dagster's own PostgreSQL database where it has one, for any number of machines; else a folder in its home,
    for one machine, or among the machine's temporary files where it has no home.
    """
    if lake.folder is None:
        lake.use_locks(_locks(_postgres_url(instance), _home(instance) / _LOCKS, lake.uri()))


def priority_of(tags: Mapping[str, str], dates: int) -> Priority:
    """Backfills give way to what is waited for: the night's shift date, and what a sensor asks for."""
    is_backfill = BACKFILL in tags or dates > BACKFILL_DATES
    return Priority.ORDINARY if is_backfill else Priority.URGENT


@lru_cache(maxsize=10)
def _postgres(url: str) -> PostgresStore:
    """One connection for all that ask in this process."""
    return PostgresStore(url)


@lru_cache(maxsize=10)
def _locks(url: str | None, folder: Path, lake: str) -> Locks:
    """The same for all steps of a process, for what one of them holds is still held by the next."""
    if url is not None:
        return PostgresLocks(url, lake)
    # A folder for each lake: different ones do not know each other.
    folder = folder / sha256(lake.encode()).hexdigest()[:16]
    return FileLocks(folder, lambda error: _unwritable(folder, error))


def _postgres_url(instance: dg.DagsterInstance) -> str | None:
    url = getattr(instance.run_storage, "postgres_url", None)
    return url if isinstance(url, str) else None


def _home(instance: dg.DagsterInstance) -> Path:
    return Path(tempfile.gettempdir() if instance.is_ephemeral else instance.root_directory)


def _unwritable(folder: Path, error: OSError) -> LakeError:
    return LakeError(
        f"{folder}, which keeps runs on one shift date apart, can't be written ({error.strerror}): "
        "allow this user to write there, or set DAGSTER_HOME, and run again"
    )
