"""What keeps the runs of a Dagster instance apart where the lake itself can't: it is on an object store.

The instance is that of the run, not that of the environment: a container of code may have none.
"""

import tempfile
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import dagster as dg

from clopos_assets.lake import Lake, LakeError
from clopos_assets.storage import FileLocks, Locks, PostgresLocks

_FOLDER = "clopos_locks"


def keep_apart(instance: dg.DagsterInstance, lake: Lake) -> None:
    """Let the lake hold shift dates where all runs of the instance see it.

    That is Dagster's own PostgreSQL database where it has one, for any number of machines; else a folder in its home,
    for one machine, or in the machine's folder for temporary files where the instance has no home.
    """
    if not lake.is_folder:
        url = getattr(instance.run_storage, "postgres_url", None)
        folder = Path(tempfile.gettempdir() if instance.is_ephemeral else instance.root_directory) / _FOLDER
        lake.use_locks(_locks(url if isinstance(url, str) else None, folder, lake.store.uri()))


@lru_cache(maxsize=10)
def _locks(url: str | None, folder: Path, lake: str) -> Locks:
    """The same for all steps of a process, for what one of them holds is still held by the next."""
    if url is not None:
        return PostgresLocks(url, lake)
    # A folder for each lake: different ones do not know each other.
    folder = folder / sha256(lake.encode()).hexdigest()[:16]
    return FileLocks(folder, lambda error: _unwritable(folder, error))


def _unwritable(folder: Path, error: OSError) -> LakeError:
    return LakeError(
        f"{folder}, which keeps runs on one shift date apart, can't be written ({error.strerror}): "
        "allow this user to write there, or set DAGSTER_HOME, and run again"
    )
