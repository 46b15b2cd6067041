"""Where bytes live under names, and who may change what: below the lake, and knowing nothing of tables.

`store` says what a place of bytes can do, `folder` and `objects` are the two there are; `locks` keeps the runs of one
machine apart, `postgres` those of several; `place` is both together, and what a lake has beside its tables; `errors` is
what can go wrong, in one line for the user.
"""

from clopos_assets.storage.errors import BusyError, LakeError
from clopos_assets.storage.locks import FileLocks, Locks
from clopos_assets.storage.place import Place
from clopos_assets.storage.postgres import PostgresLocks

__all__ = ["BusyError", "FileLocks", "LakeError", "Locks", "Place", "PostgresLocks"]
