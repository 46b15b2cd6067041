"""What PostgreSQL brings with it as a keeper of locks: sessions that break, addresses with passwords, drivers."""

import socket
import sys
import time
import traceback
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, create_engine, text

from clopos_assets.lake import BusyError, Lake, LakeError
from clopos_assets.storage import PostgresLocks
from clopos_assets.tables import STOCK_OPERATIONS
from tests.lake.sample import DAY, OTHER_DAY, operations

SECRET = "s3cr3t-value"  # made up
LAKE = "s3://bucket/lake"


@pytest.fixture
def administrator(postgres: str) -> Iterator[Connection]:
    """A session that looks at the others."""
    engine = create_engine(postgres.replace("postgresql:", "postgresql+psycopg2:"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        await_no_sessions(connection)  # of the test before
        yield connection
    engine.dispose()


def sessions(administrator: Connection) -> int:
    """How many sessions of ours there are."""
    query = "select count(*) from pg_stat_activity where application_name = 'clopos-assets locks'"
    return int(administrator.execute(text(query)).scalar_one())


def await_no_sessions(administrator: Connection) -> None:
    """The server notices the end of a connection a moment later."""
    until = time.monotonic() + 30
    while sessions(administrator) and time.monotonic() < until:
        time.sleep(0.05)
    assert sessions(administrator) == 0


def end_sessions(administrator: Connection) -> None:
    """As a server does that is restarted."""
    query = (
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity where application_name = 'clopos-assets locks'"
    )
    assert administrator.execute(text(query)).scalars().all() == [True]


def test_all_that_a_process_holds_takes_one_session(postgres: str, administrator: Connection) -> None:
    locks = PostgresLocks(postgres, LAKE)
    with locks.held([f"{day:04}" for day in range(1100)], seconds=0), locks.held(["another"], seconds=0):
        assert sessions(administrator) == 1
        query = "select count(*) from pg_locks where locktype = 'advisory' and granted"
        assert administrator.execute(text(query)).scalar_one() == 1101
    await_no_sessions(administrator)


def test_a_name_is_taken_once_in_a_session_too(postgres: str) -> None:
    locks = PostgresLocks(postgres, LAKE)
    with locks.held([DAY], seconds=0):
        with pytest.raises(BusyError), locks.held([OTHER_DAY, DAY], seconds=0):
            pass
        with locks.held([OTHER_DAY], seconds=0):
            pass


def test_no_transaction_stays_open(postgres: str, administrator: Connection) -> None:
    """One that lasts as long as a run would keep the server from tidying up."""
    with PostgresLocks(postgres, LAKE).held([DAY], seconds=0):
        query = "select state from pg_stat_activity where application_name = 'clopos-assets locks'"
        assert administrator.execute(text(query)).scalars().all() == ["idle"]


def test_a_run_that_has_lost_its_session_writes_no_more(postgres: str, administrator: Connection) -> None:
    lake = Lake(LAKE)
    lake.use_locks(PostgresLocks(postgres, LAKE))
    with lake.locked([DAY], seconds=0):
        end_sessions(administrator)
        with pytest.raises(LakeError, match="Dagster's PostgreSQL, which keeps runs from each other, can't be used"):
            lake.mark(DAY, "run")
        for _ in range(2):
            with pytest.raises(LakeError, match=r"that held the shift dates of this run was lost: run it again$"):
                lake.mark(DAY, "run")
        with pytest.raises(LakeError, match="was lost"), lake.locked([OTHER_DAY], seconds=0):
            pass
    with lake.locked([DAY], seconds=0):
        assert sessions(administrator) == 1


def open_lake(postgres: str, bucket: str) -> Lake:
    lake = Lake(f"s3://{bucket}/lake")
    lake.use_locks(PostgresLocks(postgres, LAKE))
    return lake


def test_a_run_that_has_lost_its_session_removes_no_more(postgres: str, administrator: Connection, bucket: str) -> None:
    """What it would remove may be another's by then."""
    lake = open_lake(postgres, bucket)
    lake.keep("_ledger/changes/a", b"x")
    lake.stage("operations", DAY, "1", b"x")
    lake.wait_for(DAY, 101, 1)
    lake.mark(DAY, "run")
    with lake.locked([DAY], seconds=0):
        end_sessions(administrator)
        for remove in (
            lambda: lake.discard("_ledger/changes/a"),
            lambda: lake.discard_folder("_ledger"),
            lambda: lake.unstage("operations", DAY),
            lambda: lake.staged("operations", DAY, newer_than=time.time() + 60),
            lambda: lake.stop_waiting(DAY, [(101, 1)]),
            lambda: lake.unmark(DAY, "run"),
        ):
            with pytest.raises(LakeError, match="PostgreSQL"):
                remove()
    assert lake.kept_in("_ledger/changes") == ["a"]
    assert lake.staged("operations", DAY, newer_than=0) == {"1": b"x"}
    assert (lake.waiting(DAY), lake.marks()) == ({101: 1}, {DAY: {"run"}})


def test_rows_that_come_after_the_session_was_lost_are_to_be_made_again(
    postgres: str, administrator: Connection, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A put that the network held up lands over those of another run, which has ended by then."""
    lake, other = open_lake(postgres, bucket), open_lake(postgres, bucket)
    write = lake.store.write

    def late(name: str, body: bytes, *, durable: bool = True) -> None:
        if name.startswith("stock_operations"):
            end_sessions(administrator)
            with other.locked([DAY], seconds=5):
                other.mark(DAY, "other")
                other.unmark(DAY, "run")
                other.replace(STOCK_OPERATIONS, DAY, operations(9), {})
                other.unmark(DAY, "other")
        write(name, body, durable=durable)

    monkeypatch.setattr(lake.store, "write", late)
    with lake.locked([DAY], seconds=0):
        lake.mark(DAY, "run")
        with pytest.raises(LakeError, match="PostgreSQL"):
            lake.replace(STOCK_OPERATIONS, DAY, operations(5), {})
    assert other.marks() == {DAY: {"run"}}


def test_what_is_lost_inside_is_known_outside(postgres: str, administrator: Connection) -> None:
    locks = PostgresLocks(postgres, LAKE)
    with locks.held([DAY], seconds=0):
        with locks.held([OTHER_DAY], seconds=0):
            end_sessions(administrator)
        with pytest.raises(LakeError):
            locks.confirm()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


@pytest.mark.parametrize("what", ["no server", "no such user", "no such option"])
def test_an_address_that_leads_nowhere_is_not_shown(what: str, postgres: str) -> None:
    url = {
        "no server": f"postgresql://user:{SECRET}@127.0.0.1:{closed_port()}/dagster",
        "no such user": postgres.replace("postgres:@", f"nobody:{SECRET}@"),
        "no such option": f"postgresql+psycopg2://user:{SECRET}@127.0.0.1/dagster?no_option={SECRET}",
    }[what]
    with pytest.raises(LakeError) as caught, PostgresLocks(url, LAKE).held([DAY], seconds=0):
        pass
    assert "can't be used" in str(caught.value)
    assert "see whether it is up and lets this user connect, and run again" in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_without_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    held = PostgresLocks("postgresql://127.0.0.1/dagster", LAKE).held([DAY], seconds=0)
    with pytest.raises(LakeError, match=r"need the package psycopg2: install clopos-assets\[postgres\]"), held:
        pass
