"""Shared states in a PostgreSQL database: the form of a `Store` that all machines reach.

One table, made at first use, with a row for each state; who may read the database may read the token in it.
"""

import asyncio
import time
from collections.abc import Callable
from threading import Lock
from typing import TypeVar

import msgspec
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from clopos_assets.clopos.errors import CloposUnavailableError
from clopos_assets.clopos.store import decode_state, machine_seconds

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")

TABLE = "clopos_shared_state"
_CONNECT_SECONDS = 10
# A server whose machine is gone is not waited for: libpq finds that out within some 20 seconds.
_ALIVE = {"keepalives_idle": 5, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000}
_TRIES = 3
_PAUSE_SECONDS = 0.2
# Any number that is the same for all that make the table; two that make it at once would fail.
_MAKING_LOCK = 7_203_114_501

_MAKE = (
    text("select pg_advisory_xact_lock(:lock)").bindparams(lock=_MAKING_LOCK),
    text(
        f"create table if not exists {TABLE} (name text primary key, stamp timestamptz not null,"
        " now double precision not null, body bytea not null)"
    ),
)
# A holder that stops, or whose machine is gone, is put out by the server; and a state is not worth a wait for the disk.
_BOUND = text(
    "select set_config('lock_timeout', '10s', true), set_config('idle_in_transaction_session_timeout', '10s', true),"
    " set_config('synchronous_commit', 'off', true)"
)
_ENTER = text("insert into clopos_shared_state values (:name, clock_timestamp(), 0, '') on conflict (name) do nothing")
# The time is read outside of the locking select, and so after the lock was waited for.
_TAKE = text(
    """
    with taken as materialized (select stamp, now, body from clopos_shared_state where name = :name for update)
    select
        now, body, clock_timestamp() as stamp,
        extract(epoch from clock_timestamp() - stamp)::double precision as passed
    from taken
    """
)
_WRITE = text("update clopos_shared_state set stamp = :stamp, now = :now, body = :body where name = :name")


class PostgresStore:
    """For all machines that reach one database. `url` is SQLAlchemy's, as Dagster's storage has it.

    The clock adds up what the database's own says has passed between two changes, never less than nothing. Where the
    database's clock is set, processes that are running know better: time goes on as on their machines. Only a process
    that begins before any of them has looked again takes the step, and all go on from there.
    """

    def __init__(self, url: str) -> None:
        address = make_url(url)
        # A bare postgresql:// means another driver than the one that Dagster brings.
        self._url = address.set(drivername="postgresql+psycopg2")
        self._engine: Engine | None = None
        self._lock = Lock()
        self._seen: dict[str, tuple[float, float, float]] = {}

    async def change(self, name: str, kind: type[S], turn: Callable[[S, float], T]) -> T:
        """See `Store`."""
        return await asyncio.to_thread(self._change, name, kind, turn)

    def _change(self, name: str, kind: type[S], turn: Callable[[S, float], T]) -> T:
        with self._lock:  # one connection is enough for a process
            for left in range(_TRIES - 1, -1, -1):
                try:
                    return self._change_once(self._open(), name, kind, turn)
                except SQLAlchemyError as error:
                    self._close()
                    if not left:
                        # Its text may name the address, and that is nobody's business.
                        cause = type(getattr(error, "orig", None) or error).__name__
                time.sleep(_PAUSE_SECONDS)
        raise CloposUnavailableError(
            f"Dagster's PostgreSQL database, where processes share the request quota, can't be used ({cause}): "
            f"see that it runs and that its user may create and write the table {TABLE}, and run again"
        )

    def _change_once(self, engine: Engine, name: str, kind: type[S], turn: Callable[[S, float], T]) -> T:
        asked_at = machine_seconds()
        with engine.begin() as connection:
            connection.execute(_BOUND)
            row = connection.execute(_TAKE, {"name": name}).one_or_none()
            if row is None:
                connection.execute(_ENTER, {"name": name})
                row = connection.execute(_TAKE, {"name": name}).one()
            now = self._correct(name, row.now, max(0.0, row.passed), asked_at)
            stored = bytes(row.body)
            state = decode_state(kind, stored)
            if state is None:
                state = kind()
            given = turn(state, now)
            body = msgspec.msgpack.encode(state)
            if body != stored:
                connection.execute(_WRITE, {"name": name, "stamp": row.stamp, "now": now, "body": body})
        return given

    def _correct(self, name: str, before: float, passed: float, asked_at: float) -> float:
        """The time, where what has passed on this machine since it last knew the time says something else."""
        answered_at = machine_seconds()
        now = before + passed
        seen = self._seen.get(name)
        if seen is not None:
            then, asked_then, answered_then = seen
            now = min(max(now, then + asked_at - answered_then), then + answered_at - asked_then)
            # What a process wrote that did not know better is the time from then on, for all.
            now = max(now, before)
        self._seen[name] = now, asked_at, answered_at
        return now

    def _open(self) -> Engine:
        if self._engine is None:
            self._engine = create_engine(
                self._url, pool_size=1, max_overflow=0, connect_args={"connect_timeout": _CONNECT_SECONDS, **_ALIVE}
            )
            with self._engine.begin() as connection:
                for statement in _MAKE:
                    connection.execute(statement)
        return self._engine

    def _close(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()
