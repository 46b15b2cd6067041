"""The files themselves: how they are encoded, how small they are, and who can read them."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from clopos_assets.lake import Lake
from clopos_assets.tables import LINE_COGS, PRODUCT_COGS, RAW, STOCK_OPERATIONS, TABLES, Kind, Table
from tests.golden.period import DAYS, OPERATIONS
from tests.lake.sample import DAY, column_metadata, operations
from tests.tables.decoding import raw_arrow

DELTA = {Kind.ID, Kind.WHOLE, Kind.TIME, Kind.INSTANT}
SPLIT = {Kind.DECIMAL, Kind.RATIO}
MANY = 50_000


@pytest.fixture(scope="module")
def many() -> pa.Table:
    return operations(MANY)


@pytest.fixture(scope="module")
def many_file(many: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A partition of many operations."""
    lake = Lake(tmp_path_factory.mktemp("many"))
    lake.replace(STOCK_OPERATIONS, DAY, many, {})
    return lake.path(STOCK_OPERATIONS, DAY)


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The golden period, and a shift date without rows after it."""
    lake = Lake(tmp_path_factory.mktemp("golden") / "lake")
    for shift_date, receipts in DAYS.items():
        for name, rows in raw_arrow(receipts, OPERATIONS).items():
            lake.replace(TABLES[name], shift_date, rows, {"note": "kept"})
    for table in RAW:
        lake.replace(table, "2026-01-22", table.schema.empty_table(), {})
    lake.stage("operations", DAY, "101", b"x")
    lake.wait_for("2026-01-25", 999, 1)
    with lake.locked([DAY], seconds=0):
        pass
    return lake


def test_everything_is_compressed_with_zstd(many_file: Path) -> None:
    assert {chunk.compression for chunk in column_metadata(many_file).values()} == {"ZSTD"}


def test_decimals_are_stored_as_integers(many_file: Path) -> None:
    decimals = {column.name for column in STOCK_OPERATIONS.columns if column.kind is Kind.DECIMAL}
    stored = {name: chunk.physical_type for name, chunk in column_metadata(many_file).items() if name in decimals}
    assert stored == dict.fromkeys(decimals, "INT64")


def test_only_what_repeats_has_a_dictionary(many_file: Path) -> None:
    repeats = {column.name for column in STOCK_OPERATIONS.columns if column.repeats}
    with_dictionary = {name for name, chunk in column_metadata(many_file).items() if chunk.has_dictionary_page}
    assert with_dictionary == repeats
    assert {"id", "receipt_id", "receipt_product_id", "before_quantity", "operated_at"} & with_dictionary == set()


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_numbers_and_times_are_encoded_by_their_kind(tmp_path: Path, table: Table) -> None:
    lake = Lake(tmp_path)
    lake.replace(table, DAY, table.schema.empty_table(), {})
    if table is STOCK_OPERATIONS:
        lake.replace(table, DAY, operations(100), {})
        for column in table.columns:
            encodings = set(column_metadata(lake.path(table, DAY))[column.name].encodings)
            if column.repeats:
                continue
            assert ("DELTA_BINARY_PACKED" in encodings) == (column.kind in DELTA), column.name
            assert ("BYTE_STREAM_SPLIT" in encodings) == (column.kind in SPLIT), column.name
    assert pq.read_schema(lake.path(table, DAY)).remove_metadata().equals(table.schema)


def test_a_file_takes_at_most_half_of_the_default_writers(many: pa.Table, many_file: Path, tmp_path: Path) -> None:
    default = tmp_path / "default.parquet"
    pq.write_table(many, default)
    assert many.num_rows == MANY
    assert many_file.stat().st_size <= default.stat().st_size / 2


def test_the_shift_date_is_in_the_path_alone(golden: Lake) -> None:
    for table in RAW:
        assert "shift_date" not in pq.read_schema(golden.path(table, DAY)).names


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


@pytest.mark.parametrize("table", RAW, ids=lambda table: table.name)
def test_duckdb_reads_it_as_the_contract_says(
    golden: Lake, connection: duckdb.DuckDBPyConnection, table: Table
) -> None:
    query = (
        f"from read_parquet('{golden.root}/{table.name}/**/*.parquet', hive_partitioning = true, union_by_name = true)"
    )
    described = connection.execute(f"describe {query}").fetchall()
    types = [(name, kind.replace('"', "")) for name, kind, *_ in described]
    assert types == [*((column.name, column.sql_type) for column in table.columns), ("shift_date", "DATE")]
    counted = connection.execute(f"select shift_date::varchar, count(*) {query} group by 1 order by 1").fetchall()
    expected = {shift_date: raw_arrow(rows, OPERATIONS)[table.name].num_rows for shift_date, rows in DAYS.items()}
    assert dict(counted) == expected


def test_duckdb_sums_exactly(golden: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    query = f"select sum(total) from read_parquet('{golden.root}/receipts/**/*.parquet', hive_partitioning = true)"
    total = sum((receipt["total"] for rows in DAYS.values() for receipt in rows), Decimal(0))
    assert connection.execute(query).fetchall() == [(total,)]


@pytest.mark.parametrize("table", RAW, ids=lambda table: table.name)
def test_polars_reads_it(golden: Lake, table: Table) -> None:
    rows = pl.read_parquet(f"{golden.root}/{table.name}/**/*.parquet", hive_partitioning=True)
    assert rows.columns == [*table.names, "shift_date"]
    assert rows.height == sum(raw_arrow(day, OPERATIONS)[table.name].num_rows for day in DAYS.values())
    of_decimals = {column.name for column in table.columns if column.kind is Kind.DECIMAL}
    assert {name for name, kind in rows.schema.items() if kind == pl.Decimal(18, 6)} == of_decimals


@pytest.mark.parametrize("table", RAW, ids=lambda table: table.name)
def test_pandas_reads_it(golden: Lake, table: Table) -> None:
    rows = pd.read_parquet(golden.root / table.name)
    assert list(rows.columns) == [*table.names, "shift_date"]
    days = {day: raw_arrow(receipts, OPERATIONS)[table.name].num_rows for day, receipts in DAYS.items()}
    counts = rows["shift_date"].astype(str).value_counts()
    assert {day: int(counts.get(day, 0)) for day in days} == days


def test_arrow_reads_it_as_one_dataset(golden: Lake) -> None:
    dataset = ds.dataset(golden.root / "receipts", partitioning="hive")
    assert dataset.count_rows() == sum(map(len, DAYS.values()))
    amounts = dataset.to_table(columns=["total"]).column("total").to_pylist()
    assert Decimal("12345678901.123456") in amounts


def test_a_whole_table_of_empty_partitions_can_be_read(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    lake = Lake(tmp_path / "lake")
    for table in (LINE_COGS, PRODUCT_COGS):
        for shift_date in ("2026-01-19", "2026-01-20"):
            lake.replace(table, shift_date, table.schema.empty_table(), {})
        query = f"from read_parquet('{lake.root}/{table.name}/**/*.parquet', hive_partitioning = true)"
        assert connection.execute(f"select count(*) {query}").fetchall() == [(0,)]
        assert len(pd.read_parquet(lake.root / table.name)) == 0
        assert pl.read_parquet(f"{lake.root}/{table.name}/**/*.parquet", hive_partitioning=True).height == 0
