"""A bit that flips in a file is no other amount in what a run makes of it: it names the file, and mends what it can."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from clopos_assets.access import Access
from clopos_assets.line import Line, line_of
from clopos_assets.settings import Settings
from clopos_assets.tables import DAILY_COGS, RAW, TABLES, USAGE_VARIANCE, Table
from tests.ingest.shop import Shop, open_shop
from tests.line.runner import run_through

DAY = "2026-01-19"


@pytest.fixture(name="shop")
def _shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as shop:
        for receipt_id in range(1, 9):
            shop.sell(receipt_id, DAY)
        assert run_through(_line(shop), "first", [DAY]) == {}
        yield shop


def _line(shop: Shop) -> Line:
    given = {name.removeprefix("CLOPOS_").lower(): value for name, value in shop.sandbox.settings().items()}
    return line_of(Access(Settings.read(**given, lake=shop.lake.root)))


def flip(path: Path, column: str) -> None:
    """The last bit of a column's pages."""
    group = pq.ParquetFile(path).metadata.row_group(0)
    (found,) = (one for one in map(group.column, range(group.num_columns)) if one.path_in_schema == column)
    body = bytearray(path.read_bytes())
    body[(found.dictionary_page_offset or found.data_page_offset) + found.total_compressed_size - 1] ^= 1
    path.write_bytes(body)


@pytest.mark.parametrize("table", RAW, ids=lambda table: table.name)
def test_of_a_raw_table_each_column_is_looked_at(shop: Shop, table: Table) -> None:
    path = shop.lake.path(table, DAY)
    whole = path.read_bytes()
    before = shop.lake.read(DAILY_COGS, DAY)
    group = pq.ParquetFile(path).metadata.row_group(0)
    for column in {group.column(number).path_in_schema for number in range(group.num_columns)}:
        flip(path, column)
        bad = run_through(_line(shop), column, [DAY])
        assert list(bad) == [DAY], column
        assert f"{table.name}/shift_date={DAY}/part-0.parquet can't be read" in bad[DAY]
        path.write_bytes(whole)
    assert run_through(_line(shop), "last", [DAY]) == {}
    assert shop.lake.read(DAILY_COGS, DAY) == before


@pytest.mark.parametrize("table", [t for t in TABLES.values() if t not in RAW], ids=lambda table: table.name)
def test_a_computed_table_is_made_anew(shop: Shop, table: Table) -> None:
    path = shop.lake.path(table, DAY)
    whole = shop.lake.read(table, DAY)
    assert whole is not None
    flip(path, table.names[0])
    bad = run_through(_line(shop), "again", [DAY])
    if table.name == "finding_history":  # nothing else knows when something was first seen
        assert "can't be read" in bad[DAY]
    else:
        assert bad == {}
        assert shop.lake.read(table, DAY) == whole


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("ingredient_usage", "quantity"),
        ("ingredient_usage", "total_cost"),
        ("product_cogs", "units_sold"),
        ("recipe_observed", "quantity"),
    ],
)
def test_of_a_date_before_it_makes_no_other_standard(shop: Shop, table: str, column: str) -> None:
    later = "2026-01-20"
    shop.sell(9, later)
    assert run_through(_line(shop), "later", [later]) == {}
    before = shop.lake.read(USAGE_VARIANCE, later)
    flip(shop.lake.path(TABLES[table], DAY), column)
    bad = run_through(_line(shop), "again", [later])
    assert list(bad) == [later]
    assert f"{table}/shift_date={DAY}/part-0.parquet can't be read" in bad[later]
    assert run_through(_line(shop), "of the damaged date", [DAY]) == {}
    assert run_through(_line(shop), "once more", [later]) == {}
    assert shop.lake.read(USAGE_VARIANCE, later) == before
