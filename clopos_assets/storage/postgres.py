"""Holding names in PostgreSQL, for runs on several machines: session advisory locks, one session per process.

https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from threading import RLock
from typing import TYPE_CHECKING

from clopos_assets.storage.errors import LakeError, busy

if TYPE_CHECKING:
    from sqlalchemy import Connection

# Of a name that another holds, from one look to the next; who holds nothing itself opens a session for each.
_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 2.0
_CONNECT_SECONDS = 10
# A machine that vanishes is found out within a minute or so, by either side, and what it held is free. (Of what was
# sent and not acknowledged, keepalives say nothing.)
_ALIVE: dict[str, object] = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
_SERVER_ALIVE = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"


class PostgresLocks:
    """Locks named within `space`, which tells lakes apart, in the database at `url` (SQLAlchemy's, for psycopg2).

    The session is opened when the first name is taken and closed when the last is given back; its end, be it the
    process's death, frees all. It has to be the database's own: a pooler that shares sessions would lose the locks.
    """

    def __init__(self, url: str, space: str) -> None:
        self._url = url
        self._space = space
        self._session: Connection | None = None
        self._held: set[int] = set()
        self._lock = RLock()

    @contextmanager
    def held(self, names: Sequence[str], *, seconds: float) -> Iterator[None]:
        """See `Locks`."""
        give_up = time.monotonic() + seconds
        taken: list[int] = []
        try:
            for name in names:
                key = self._key(name)
                pause = _SHORTEST_PAUSE_SECONDS
                while not self._take(key):
                    left = give_up - time.monotonic()
                    if left <= 0:
                        raise busy(name)
                    time.sleep(min(pause, left))
                    pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                taken.append(key)
            yield
        finally:
            self._give_back(taken)

    def confirm(self) -> None:
        """See `Locks`. The session may have ended, with the server or the network."""
        with self._lock:
            if self._held:
                self._ask("select true")

    def forget(self, name: str) -> None:
        """See `Locks`. Nothing is left behind here."""

    def _key(self, name: str) -> int:
        digest = sha256(f"clopos_assets\0{self._space}\0{name}".encode()).digest()
        return int.from_bytes(digest[:8], signed=True)

    def _take(self, key: int) -> bool:
        with self._lock:
            # PostgreSQL would let a session take its own lock again.
            if key in self._held:
                return False
            if self._ask("select pg_try_advisory_lock(:key)", key=key):
                self._held.add(key)
                return True
            if not self._held:
                self._close()  # a long wait takes up no session
            return False

    def _give_back(self, keys: Sequence[int]) -> None:
        with self._lock:
            self._held.difference_update(keys)
            if not self._held:
                self._close()  # which frees all at once
                return
            with suppress(LakeError):  # a session that is lost holds nothing, and whoever still relies on it will know
                for key in keys:
                    self._ask("select pg_advisory_unlock(:key)", key=key)

    def _ask(self, query: str, **values: int) -> bool:
        from sqlalchemy import text
        from sqlalchemy.exc import SQLAlchemyError

        try:
            if self._session is None:
                if self._held:
                    raise LakeError(
                        "the connection to PostgreSQL that held the shift dates of this run was lost: run it again"
                    )
                self._session = self._connect()
            return bool(self._session.execute(text(query), values).scalar())
        except SQLAlchemyError as error:
            self._close()
            # The driver's words may hold the address, password included: its class says enough.
            reason = type(getattr(error, "orig", None) or error).__name__
            raise LakeError(
                f"Dagster's PostgreSQL, which keeps runs from each other, can't be used ({reason}): "
                "see whether it is up and lets this user connect, and run again"
            ) from None

    def _connect(self) -> "Connection":
        from sqlalchemy import NullPool, create_engine, make_url

        url = make_url(self._url).set(drivername="postgresql+psycopg2")
        try:
            engine = create_engine(
                url,
                poolclass=NullPool,
                # No transaction stays open for as long as a lock is held.
                isolation_level="AUTOCOMMIT",
                connect_args={
                    "connect_timeout": _CONNECT_SECONDS,
                    "application_name": "clopos-assets locks",
                    "options": _SERVER_ALIVE,
                    **_ALIVE,
                },
            )
        except ModuleNotFoundError:
            raise LakeError(
                "runs that several machines make need the package psycopg2: install clopos-assets[postgres]"
            ) from None
        return engine.connect()

    def _close(self) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        session, self._session = self._session, None
        if session is not None:
            with suppress(SQLAlchemyError):  # it may be gone already
                session.close()
