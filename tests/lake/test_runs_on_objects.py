"""Whole runs in Dagster into an object store: the same tables as into a folder, and nothing of theirs elsewhere."""

import re
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from clopos_assets.assembly import build_definitions
from clopos_assets.doctor.finding import Finding
from clopos_assets.doctor.places import look_at_lake
from clopos_assets.lake import BusyError, Lake
from clopos_assets.settings import Settings
from clopos_assets.sharing import keep_apart
from clopos_assets.storage import PostgresLocks
from clopos_assets.storage.objects import ObjectStore
from clopos_assets.storage.store import Stamp
from clopos_assets.tables import RAW, RECEIPTS, STOCK_OPERATIONS, TABLES, Table
from tests.assets.conftest import Project, failure_of
from tests.ingest.shop import Shop, days_from, open_shop
from tests.lake.places import Place

RAW_KEYS = [dg.AssetKey(table.name) for table in RAW]
DAYS = days_from("2026-01-17", 4)
WHEN_READ = {"fetched_at", "first_seen_at", "last_seen_at", "resolved_at"}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop of two venues, some dozen receipts on three of four days."""
    with open_shop(tmp_path, venues=2) as shop:
        for number in range(1, 25):
            day = DAYS[number % 3]
            shop.sell(number, day, venue_id=1 + number % 2)
        yield shop


@pytest.fixture
def place(bucket: str, endpoint: str) -> Place:
    """A prefix of a bucket; of the locks Dagster's instance takes care."""
    return Place(f"s3://{bucket}/lake", "", endpoint)


def project(shop: Shop, lake: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    for name, value in shop.sandbox.settings().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CLOPOS_LAKE", lake)
    monkeypatch.setenv("CLOPOS_VENUE_IDS", "all")
    monkeypatch.setenv("CLOPOS_START_DATE", "2026-01-10")
    settings = Settings.read()
    home.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(home))  # there are the locks of an instance without a home
    with dg.DagsterInstance.ephemeral(str(home)) as instance:
        yield Project(shop, settings, build_definitions(settings), instance)


@pytest.fixture
def on_objects(shop: Shop, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The project on an object store."""
    yield from project(shop, place.root, tmp_path / "home", monkeypatch)


@pytest.fixture
def in_folder(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The same in a folder."""
    yield from project(shop, str(tmp_path / "in_folder"), tmp_path / "home_of_folder", monkeypatch)


def content(lake: Lake, table: Table, shift_date: str) -> list[dict[str, object]] | None:
    rows = lake.read(table, shift_date)
    if rows is None:
        return None
    return [{name: value for name, value in row.items() if name not in WHEN_READ} for row in rows.to_pylist()]


def stamps(lake: Lake) -> dict[str, dict[str, str]]:
    """Of all that a run may leave as it is: of findings it notes when they were seen last."""
    return {name: lake.stamps(table) for name, table in TABLES.items() if name != "finding_history"}


def test_a_range_gives_the_same_tables_as_in_a_folder(on_objects: Project, in_folder: Project, place: Place) -> None:
    """Made at once, and made again after one receipt changed, others moved, one of them out of the range, one went.

    In between it is run where nothing has changed: it asks for the list alone, and writes nothing.
    """
    world = on_objects.shop.world
    remote, local = place.open(), Lake(Path(str(in_folder.settings.lake)))
    for is_changed in (False, True):
        if is_changed:
            world.update_receipt(1, total="13.50")
            world.update_receipt(4, shift_date=DAYS[2])
            world.update_receipt(5, shift_date="2026-01-25")
            world.delete_receipt(6)
        for made in (on_objects, in_folder):
            assert made.run(DAYS[0], DAYS[-1]).success
        for table in TABLES.values():
            assert remote.dates(table) == local.dates(table) == DAYS
            for day in DAYS:
                assert content(remote, table, day) == content(local, table, day), (table.name, day)
        assert remote.waiting("2026-01-25") == local.waiting("2026-01-25")
        if not is_changed:
            before = stamps(remote)
            assert on_objects.run(DAYS[0], DAYS[-1]).success
            assert set(on_objects.shop.asked()) == {"list"}
            assert stamps(remote) == before
    assert remote.waiting("2026-01-25") == {5: 2}
    kept = {re.sub(r"/.*", "", name) for name in place.names()}
    assert kept == {*TABLES, "_lake", "_ledger", "_waiting"}, "no locks, and nothing unfinished"


def test_dates_that_are_not_made_are_not_asked_for_one_by_one(
    on_objects: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change may reach the tables of 28 dates after it, of which most of the time there is none."""
    asked = []
    stamp = ObjectStore.stamp

    def noted(store: ObjectStore, name: str) -> Stamp | None:
        asked.append(name)
        return stamp(store, name)

    monkeypatch.setattr(ObjectStore, "stamp", noted)
    assert on_objects.run(DAYS[0]).success
    assert asked
    assert [name for name in asked if DAYS[0] not in name] == []


def test_an_unfinished_run_goes_on_where_it_stopped(on_objects: Project, place: Place) -> None:
    on_objects.shop.answer("/24/stock-operations", b"{}", status=400)  # refused at once, where 500 is tried again
    assert not on_objects.run(DAYS[0], DAYS[-1], asset_selection=RAW_KEYS).success
    assert [name for name in place.names() if name.startswith("_staging/")]
    on_objects.shop.answer_truly()
    assert on_objects.run(DAYS[0], DAYS[-1], asset_selection=RAW_KEYS).success
    assert on_objects.shop.asked()["operations"] == 1
    assert [name for name in place.names() if name.startswith("_staging/")] == []


@pytest.mark.parametrize("body", [b"", b"PAR1 no more", None])
def test_a_damaged_partition_is_named(on_objects: Project, place: Place, body: bytes | None) -> None:
    """Of raw tables, which have to be looked after; torn off, or in its middle."""
    assert on_objects.run(DAYS[0], DAYS[-1], asset_selection=RAW_KEYS).success
    name = f"receipt_products/shift_date={DAYS[1]}/part-0.parquet"
    if body is None:
        whole = bytearray(place.get(name))
        whole[4 : len(whole) // 3] = bytes(len(whole) // 3 - 4)
        body = bytes(whole)
    place.put(name, body)
    selection = dg.AssetSelection.assets("line_cogs")
    job = dg.define_asset_job("one", selection=selection)
    definitions = dg.Definitions.merge(on_objects.definitions, dg.Definitions(jobs=[job]))
    tags = {"dagster/asset_partition_range_start": DAYS[0], "dagster/asset_partition_range_end": DAYS[-1]}
    result = definitions.resolve_job_def("one").execute_in_process(
        instance=on_objects.instance, tags=tags, raise_on_error=False
    )
    reason = failure_of(result)
    assert reason.startswith(f"1 of 4 shift dates not made. {DAYS[1]}: ")
    assert "\n" not in reason


def test_a_store_that_is_down_fails_the_run_in_one_line(
    on_objects: Project, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    reason = failure_of(on_objects.run(DAYS[0]))
    assert f"the lake {place.root} can't be read (the object store does not answer)" in reason
    assert "\n" not in reason


def test_runs_of_one_instance_exclude_each_other(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        lakes = [Lake("s3://bucket/lake"), Lake("s3://bucket/lake"), Lake("s3://bucket/other")]
        for lake in lakes:
            keep_apart(instance, lake)
            keep_apart(instance, lake)
        with lakes[0].locked([DAYS[0]], seconds=0):
            with pytest.raises(BusyError), lakes[1].locked([DAYS[0]], seconds=0):
                pass
            with lakes[2].locked([DAYS[0]], seconds=0):
                pass
        assert list(tmp_path.rglob(f"{DAYS[0]}.lock")), "in the instance's home"


def test_where_dagster_is_on_postgresql_so_are_the_locks(postgres: str, tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(
        f"storage:\n  postgres:\n    postgres_url: {postgres.replace('postgresql:', 'postgresql+psycopg2:')}\n"
        "telemetry:\n  enabled: false\n",
        encoding="utf-8",
    )
    lake = Lake("s3://bucket/lake")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        keep_apart(instance, lake)
        other = PostgresLocks(postgres, "s3://bucket/lake").held([DAYS[0]], seconds=0)
        with lake.locked([DAYS[0]], seconds=0), pytest.raises(BusyError), other:
            pass


def test_a_folder_keeps_its_own_locks(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    with dg.DagsterInstance.ephemeral() as instance:
        keep_apart(instance, lake)
    with lake.locked([DAYS[0]], seconds=0):
        assert list((lake.root / "_locks").iterdir())


def test_the_interface_names_where_a_table_is(on_objects: Project, place: Place) -> None:
    specs = {spec.key.to_user_string(): spec for spec in on_objects.definitions.resolve_all_asset_specs()}
    assert specs[RECEIPTS.name].metadata["dagster/uri"] == f"{place.root}/receipts"
    assert specs[STOCK_OPERATIONS.name].metadata["dagster/uri"] == f"{place.root}/stock_operations"


def tick(project: Project) -> SensorExecutionData:
    """One of the sensor over late receipts."""
    context = dg.build_sensor_context(
        instance=project.instance,
        repository_def=project.definitions.get_repository_def(),
        sensor_name="late_closed_receipts",
    )
    with context:
        return project.definitions.resolve_sensor_def("late_closed_receipts").evaluate_tick(context)


def test_the_sensor_sees_what_changed_late(on_objects: Project) -> None:
    assert on_objects.run(DAYS[0], DAYS[-1], asset_selection=RAW_KEYS).success
    assert tick(on_objects).run_requests == []
    on_objects.shop.world.update_receipt(3, total="14.50", updated_at="2026-01-24 12:00:00")
    (request,) = tick(on_objects).run_requests or ()
    assert request.tags["clopos/late_receipts"] == "1 receipt: 3"


def test_the_sensor_skips_while_the_store_is_down(on_objects: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    said = tick(on_objects).skip_message or ""
    assert "the next tick tries again: the lake s3://" in said
    assert "does not answer" in said


def test_the_doctor_looks_at_an_object_store(on_objects: Project, place: Place) -> None:
    found: list[Finding] = []
    look_at_lake(on_objects.settings, found)
    assert [(one.what, one.is_ok) for one in found] == [("lake", True)], found
    assert f"{place.root} can be written: no shift dates yet" in found[0].text
    assert place.names() == set()
