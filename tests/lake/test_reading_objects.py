"""Who reads a lake on an object store, and its copies by month, as the README says."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import fsspec
import msgspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dagster._core.definitions.schedule_definition import ScheduleExecutionData

from clopos_assets.access import Access
from clopos_assets.assembly import build_definitions
from clopos_assets.assets.monthly import JOB
from clopos_assets.lake import BusyError, Lake, LakeError
from clopos_assets.monthly import LOCK, Copied, copy_months
from clopos_assets.origin import sign
from clopos_assets.settings import CREDENTIALS, Settings
from clopos_assets.tables import RECEIPTS, STOCK_OPERATIONS, TABLES, Column, Kind
from tests.lake.places import Place
from tests.lake.sample import operations

FIRST = date(2026, 1, 28)
DAYS = [(FIRST + timedelta(days=number)).isoformat() for number in range(36)]
"""The last days of January, all of February, and some of March."""
MARCH = date(2026, 3, 5)
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
LATER = STOCK_OPERATIONS.names[-2]
"""A column that some files of these tests lack, as if a newer version had added it."""


def fill(lake: Lake) -> None:
    for number, day in enumerate(DAYS):
        rows = operations(number % 4, first_id=1 + 10 * number)
        lake.replace(STOCK_OPERATIONS, day, rows, {})
    lake.replace(RECEIPTS, DAYS[0], RECEIPTS.schema.empty_table(), {})


def by_duckdb(query: str, *, remote: bool) -> pa.Table:
    with duckdb.connect() as connection:
        if remote:
            connection.register_filesystem(fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True))
        return connection.sql(query).to_arrow_table()


def daily(place: Place, where: str = "true") -> pa.Table:
    """The table as the contract says, in an order that is told."""
    query = (
        f"from read_parquet('{place.root}/stock_operations/**/*.parquet', hive_partitioning = true, "
        f"union_by_name = true) where {where} order by id"
    )
    return by_duckdb(query, remote=place.root.startswith("s3"))


def monthly(place: Place, where: str = "true") -> pa.Table:
    """The copies, likewise."""
    query = (
        f"from read_parquet('{place.root}/_monthly/stock_operations/*/*.parquet', hive_partitioning = false) "
        f"where {where} order by id"
    )
    return by_duckdb(query, remote=place.root.startswith("s3"))


def without_later(place: Place, *names: str) -> None:
    """Rewrite files as if a column were not known yet."""
    for name in names:
        rows = pq.ParquetFile(pa.BufferReader(place.get(name))).read()
        sink = pa.BufferOutputStream()
        pq.write_table(rows.drop_columns([LATER]), sink)
        place.put(name, sink.getvalue().to_pybytes())


def of_day(day: str) -> str:
    """Name of a partition."""
    return f"stock_operations/shift_date={day}/part-0.parquet"


def readme(pattern: str, root: str) -> str:
    """The one example of the README that the pattern finds, for a lake that is elsewhere and has one table."""
    (found,) = re.findall(pattern, README, re.DOTALL)
    return re.sub("(s3://bucket/)?lake/", f"{root}/", found).replace("daily_cogs", "stock_operations")


def test_duckdb_polars_and_pandas_read_an_object_store(bucket: str, endpoint: str, tmp_path: Path) -> None:
    place = Place(f"s3://{bucket}/lake", str(tmp_path), endpoint)
    fill(place.open())
    rows = daily(place)
    assert rows.column("id").to_pylist() == [
        1 + 10 * number + offset for number in range(len(DAYS)) for offset in range(number % 4)
    ]
    assert rows.schema.field("quantity").type == pa.decimal128(18, 6)
    assert rows.schema.field("shift_date").type == pa.date32()
    polars = pl.read_parquet(
        f"{place.root}/stock_operations/**/*.parquet",
        hive_partitioning=True,
        missing_columns="insert",
        storage_options={"aws_allow_http": "true"},
    )
    assert (polars.height, polars["total_cost"].sum()) == (rows.num_rows, sum(rows.column("total_cost").to_pylist()))
    assert polars.schema["total_cost"] == pl.Decimal(18, 6)
    frame = pd.read_parquet(f"{place.root}/stock_operations", dtype_backend="pyarrow")
    assert len(frame) == rows.num_rows


def test_a_month_is_one_object_with_the_rows_of_its_shift_dates(place: Place, lake: Lake) -> None:
    fill(lake)
    tables_before = {name for name in place.names() if not name.startswith("_")}
    told: list[Copied] = []
    copied = copy_months(lake, MARCH, told.append)
    assert copied == told
    assert set(copied) == {
        Copied("receipts", "2026-01", 1, 0),
        Copied("stock_operations", "2026-01", 4, 6),
        Copied("stock_operations", "2026-02", 28, 42),
    }
    before_march = daily(place, "shift_date < '2026-03-01'")
    assert before_march.num_rows == 48
    assert monthly(place).equals(before_march), "the same names, types and rows"
    assert monthly(place, "shift_date = '2026-02-03'").equals(daily(place, "shift_date = '2026-02-03'"))
    found = {name for name in place.names() if not name.startswith("_")}
    assert found == tables_before, "the tables themselves stay as they are, and no pattern finds a row twice"
    assert {name for name in place.names() if name.startswith("_monthly") and name.endswith(".parquet")} == {
        "_monthly/receipts/month=2026-01/part-0.parquet",
        "_monthly/stock_operations/month=2026-01/part-0.parquet",
        "_monthly/stock_operations/month=2026-02/part-0.parquet",
    }


def test_only_a_month_that_changed_is_copied_again(place: Place, lake: Lake) -> None:
    fill(lake)
    assert len(copy_months(lake, MARCH)) == 3
    assert copy_months(lake, MARCH) == []
    lake.replace(STOCK_OPERATIONS, "2026-02-10", operations(7, first_id=5_000), {})
    assert copy_months(lake, MARCH) == [Copied("stock_operations", "2026-02", 28, monthly_rows(place) - 6)]
    assert monthly(place).equals(daily(place, "shift_date < '2026-03-01'"))
    assert copy_months(lake, date(2026, 4, 1)) == [Copied("stock_operations", "2026-03", 4, 6)]
    assert monthly(place).equals(daily(place))


def without_columns(columns: Sequence[Column]) -> Sequence[Column]:
    return [column for column in columns if column.name != LATER]


def in_another_order(columns: Sequence[Column]) -> Sequence[Column]:
    return columns[::-1]


def of_another_type(columns: Sequence[Column]) -> Sequence[Column]:
    return [replace(column, kind=Kind.RATIO) if column.name == "cost" else column for column in columns]


def never_null(columns: Sequence[Column]) -> Sequence[Column]:
    return [replace(column, required=True) if column.name == "storage_name" else column for column in columns]


@pytest.mark.parametrize("otherwise", [without_columns, in_another_order, of_another_type, never_null])
def test_what_an_older_version_copied_is_copied_again(
    folder_lake: Lake, monkeypatch: pytest.MonkeyPatch, otherwise: Callable[[Sequence[Column]], Sequence[Column]]
) -> None:
    """Once, and the other tables' copies stay."""
    fill(folder_lake)
    older = replace(STOCK_OPERATIONS, columns=tuple(otherwise(STOCK_OPERATIONS.columns)))
    with monkeypatch.context() as patch:
        patch.setattr("clopos_assets.monthly.TABLES", {**TABLES, older.name: older})
        assert len(copy_months(folder_lake, MARCH)) == 3
    copies = sorted((folder_lake.root / "_monthly/stock_operations").glob("*/*.parquet"))
    declared = STOCK_OPERATIONS.schema.append(pa.field("shift_date", pa.date32()))
    assert not [path for path in copies if pq.read_schema(path).equals(declared)]
    again = [("stock_operations", "2026-01"), ("stock_operations", "2026-02")]
    assert [(one.table, one.month) for one in copy_months(folder_lake, MARCH)] == again
    assert [path for path in copies if pq.read_schema(path).equals(declared)] == copies
    assert copy_months(folder_lake, MARCH) == []


def test_a_catalogue_that_does_not_tell_the_declaration_is_of_another(place: Place, lake: Lake) -> None:
    """As the version wrote it that did not note it yet."""
    fill(lake)
    copied = copy_months(lake, MARCH)
    catalog = msgspec.json.decode(place.get("_monthly/made_from.json"), type=dict[str, dict[str, dict[str, str]]])
    for months in catalog.values():
        for noted in months.values():
            del noted["declared"]
    place.put("_monthly/made_from.json", msgspec.json.encode(catalog))
    assert copy_months(lake, MARCH) == copied
    assert copy_months(lake, MARCH) == []


@pytest.mark.parametrize(
    "older",
    [
        (),
        ("_monthly/stock_operations/month=2026-01/part-0.parquet", of_day("2026-03-04")),
        ("_monthly/stock_operations/month=2026-02/part-0.parquet", of_day("2026-03-01")),
    ],
)
def test_copies_and_the_days_since_are_the_table(place: Place, lake: Lake, older: tuple[str, ...]) -> None:
    """As the README puts it; of the table, only the days since are opened. Some files may be of an older version."""
    fill(lake)
    copy_months(lake, MARCH)
    place.put(of_day("2026-02-11"), b"not opened")
    without_later(place, *older)
    query = readme(r"```sql\n(set variable.*?)```", place.root).replace("product_cogs", "stock_operations")
    with duckdb.connect() as connection:
        if place.root.startswith("s3"):
            connection.register_filesystem(fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True))
        first, _, then = query.rpartition(";")
        connection.execute(first)
        rows = connection.sql(f"from ({then}) order by id").to_arrow_table()
    ids = rows.column("id").to_pylist()
    assert ids == [1 + 10 * number + offset for number in range(len(DAYS)) for offset in range(number % 4)]
    assert set(rows.column_names) == {*STOCK_OPERATIONS.names, "shift_date"}


@pytest.mark.parametrize("day", [DAYS[0], DAYS[-1]])
def test_readers_of_files_of_two_shapes(folder_lake: Lake, day: str) -> None:
    """As the README says of each: DuckDB gives all columns, the others those of the first file."""
    fill(folder_lake)
    root = str(folder_lake.root)
    without_later(Place(root), of_day(day))
    expected = {*STOCK_OPERATIONS.names, "shift_date"}
    query = readme(r"-- DuckDB\n(.*?)```", root)
    with duckdb.connect() as connection:
        rows = connection.sql(query)
        assert set(rows.columns) == expected
        assert rows.pl().schema["total_cost"] == pl.Decimal(18, 6)
        frame = rows.to_arrow_table().to_pandas(types_mapper=pd.ArrowDtype)
    assert frame["total_cost"].dtype == pd.ArrowDtype(pa.decimal128(18, 6))
    by_polars = readme(r"import polars as pl\n\n(pl\.read_parquet\(.*?\))\n", root)
    by_pandas = readme(r"import pandas as pd\n\n(pd\.read_parquet\(.*?\))  #", root)
    if day == DAYS[0]:
        with pytest.raises(pl.exceptions.SchemaError, match="extra column"):
            eval(by_polars)
        assert set(eval(by_pandas).columns) == expected - {LATER}
    else:
        assert set(eval(by_polars).columns) == set(eval(by_pandas).columns) == expected


def test_examples_take_the_columns_of_all_files() -> None:
    calls = re.findall(r"from (read_parquet\((?:[^()]|\([^()]*\))*\))(?! select max\(shift_date\))", README)
    assert len(calls) >= 6
    assert not [call for call in calls if "union_by_name = true" not in call]


def monthly_rows(place: Place) -> int:
    """Of what has been copied."""
    return int(monthly(place).num_rows)


def test_a_month_that_is_gone_leaves_no_copy(folder_lake: Lake) -> None:
    lake = folder_lake
    fill(lake)
    copy_months(lake, MARCH)
    lake.path(RECEIPTS, DAYS[0]).unlink()
    assert copy_months(lake, MARCH) == [Copied("receipts", "2026-01", 0, 0)]
    assert not list((lake.root / "_monthly" / "receipts").rglob("*.parquet"))
    assert copy_months(lake, MARCH) == []


@pytest.mark.parametrize("damage", [b"", b"{", b'{"receipts": 1}'])
def test_what_is_not_known_to_stand_is_copied_again(place: Place, lake: Lake, damage: bytes) -> None:
    fill(lake)
    copied = copy_months(lake, MARCH)
    place.put("_monthly/made_from.json", damage)
    assert copy_months(lake, MARCH) == copied


def test_a_damaged_partition_stops_it_and_keeps_what_is_done(place: Place, lake: Lake) -> None:
    fill(lake)
    name = "stock_operations/shift_date=2026-02-10/part-0.parquet"
    place.put(name, b"torn")
    told: list[Copied] = []
    with pytest.raises(LakeError, match="shift_date=2026-02-10"):
        copy_months(lake, MARCH, told.append)
    assert [one.month for one in told] == ["2026-01", "2026-01"]
    lake.replace(STOCK_OPERATIONS, "2026-02-10", operations(1, first_id=900), {})
    assert [one.month for one in copy_months(lake, MARCH)] == ["2026-02"]


def test_two_do_not_copy_at_once(folder_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clopos_assets.monthly._LOCK_SECONDS", 0.0)
    with folder_lake.locked([LOCK], seconds=0), pytest.raises(BusyError, match="the monthly copy is being made"):
        copy_months(Lake(folder_lake.root), MARCH)


def test_large_months_are_read_and_written_in_parts(folder_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clopos_assets.monthly._ROWS_IN_GROUP", 10)
    fill(folder_lake)
    copy_months(folder_lake, MARCH)
    file = pq.ParquetFile(folder_lake.root / "_monthly/stock_operations/month=2026-02/part-0.parquet")
    sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert sum(sizes) == 42
    assert all(10 <= size < 13 for size in sizes[:-1])
    assert file.read().column("shift_date").to_pylist() == sorted(file.read().column("shift_date").to_pylist())


def settings_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CLOPOS_LAKE", place.root)
    return Settings.read()


def test_the_job_copies(place: Place, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(lake)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    job = build_definitions(settings_for(place, monkeypatch)).resolve_job_def(JOB)
    with dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(instance=instance).success
        assert monthly(place).equals(daily(place))  # all of it is past by now
        place.put("stock_operations/shift_date=2026-02-10/part-0.parquet", b"torn")
        result = job.execute_in_process(instance=instance, raise_on_error=False)
    (event,) = result.get_step_failure_events()
    assert event.step_failure_data.user_failure_data is not None
    reason = event.step_failure_data.user_failure_data.description or ""
    assert "shift_date=2026-02-10/part-0.parquet can't be read" in reason
    assert "\n" not in reason


def test_the_job_tells_of_columns_that_it_copies_as_null(folder_lake: Lake) -> None:
    fill(folder_lake)
    day = folder_lake.dates(STOCK_OPERATIONS)[0]
    path = folder_lake.path(STOCK_OPERATIONS, day)
    pq.write_table(pq.read_table(path, partitioning=None).drop_columns(["storage_name"]), path)
    job = build_definitions(Settings.read(lake=str(folder_lake.root))).resolve_job_def(JOB)
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance)
        said = [entry.user_message for entry in instance.all_logs(result.run_id)]
    (told,) = (text for text in said if "read as NULL" in text)
    assert told.startswith(f"stock_operations: storage_name read as NULL for shift date {day}, ")


def test_the_job_leaves_the_lake_of_another_brand_alone(folder_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(folder_lake)
    sign(folder_lake, "another")
    monkeypatch.setenv("CLOPOS_BRAND", "ours")
    settings = Settings.read(lake=str(folder_lake.root))
    job = build_definitions(settings).resolve_job_def(JOB)
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
    (event,) = result.get_step_failure_events()
    assert event.step_failure_data.user_failure_data is not None
    assert "holds the brand 'another'" in (event.step_failure_data.user_failure_data.description or "")
    assert not (folder_lake.root / "_monthly").exists()


def tick(settings: Settings) -> ScheduleExecutionData:
    """One of the schedule, and that it is on."""
    definitions = build_definitions(settings)
    schedule = definitions.resolve_schedule_def("monthly_compaction_schedule")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 8 * * *", "Asia/Baku")
    with dg.build_schedule_context(repository_def=definitions.get_repository_def()) as context:
        return schedule.evaluate_tick(context)


def test_copies_in_a_folder_are_kept_true_once_there_are_any(
    place: Place, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in CREDENTIALS:
        monkeypatch.setenv(f"CLOPOS_{name.upper()}", "given")
    copy_months(lake, date(2026, 1, 1))  # of which there is none yet
    assert tick(settings_for(place, monkeypatch)).run_requests


def test_a_folder_that_can_not_be_looked_at_is_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CREDENTIALS:
        monkeypatch.setenv(f"CLOPOS_{name.upper()}", "given")

    def refuse(_lake: Lake) -> bool:
        raise LakeError("the lake can't be reached")

    monkeypatch.setattr("clopos_assets.assets.monthly.has_copies", refuse)
    data = tick(settings_for(Place(str(tmp_path / "lake")), monkeypatch))
    assert data.skip_message == "whether there are copies can't be told: the lake can't be reached"


def test_the_schedule_is_for_object_stores(place: Place, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no credentials: CLOPOS_CLIENT_ID" in (tick(settings_for(place, monkeypatch)).skip_message or "")
    for name in CREDENTIALS:
        monkeypatch.setenv(f"CLOPOS_{name.upper()}", "given")
    settings = settings_for(place, monkeypatch)
    data = tick(settings)
    assert bool(data.run_requests) == (Access(settings).lake.folder is None) == (lake.folder is None)
    assert (data.skip_message is None) == (lake.folder is None)
