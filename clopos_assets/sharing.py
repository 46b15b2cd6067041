"""What a run or a sensor shares with others, as Dagster's instance tells: where the state lies, and who goes first.

The instance is that of the run or the tick, not that of the environment: a container of code may have none.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import dagster as dg

from clopos_assets.clopos.postgres import PostgresStore
from clopos_assets.clopos.quota import Priority
from clopos_assets.clopos.store import FileStore, Store

BACKFILL_DATES = 7
"""A run of more shift dates than these is a backfill, whoever started it."""

_FOLDER = "clopos_shared"
_FOLDER_IN_LAKE = "_shared"
_BACKFILL_TAG = "dagster/backfill"


def store_of(instance: dg.DagsterInstance, lake: Path) -> Store:
    """Dagster's own PostgreSQL database where it has one, else a folder in its home.

    An instance without a home, as of a test, ends with its process: then it is a folder in the lake.
    """
    url = getattr(instance.run_storage, "postgres_url", None)
    if isinstance(url, str):
        return _postgres(url)
    if instance.is_ephemeral:
        return FileStore(lake / _FOLDER_IN_LAKE)
    return FileStore(Path(instance.root_directory) / _FOLDER)


def priority_of(tags: Mapping[str, str], dates: int) -> Priority:
    """Backfills give way to what is waited for: the night's shift date, and what a sensor asks for."""
    is_backfill = _BACKFILL_TAG in tags or dates > BACKFILL_DATES
    return Priority.ORDINARY if is_backfill else Priority.URGENT


@lru_cache(maxsize=10)
def _postgres(url: str) -> PostgresStore:
    """One connection for all that ask in this process."""
    return PostgresStore(url)
