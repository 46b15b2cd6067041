"""The ledger's index looks to the nearest operation, wherever its blocks end, and is made again where it is damaged."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from clopos_assets.lake import Lake
from clopos_assets.ledger.packing import keep_rows
from tests.ingest.shop import days_from
from tests.variance.ledger_world import assert_ledger, day_after, make, one_a_day

DAY = "2026-03-01"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.mark.parametrize("first", [DAY, day_after(DAY, 3), day_after(DAY, 4)])
def test_a_change_reaches_the_next_operation_and_no_later_one(
    lake: Lake, connection: duckdb.DuckDBPyConnection, first: str
) -> None:
    """Within a block of the index, into the next one, and with it."""
    days = days_from(first, 5)
    world = one_a_day(lake, connection, days)
    world.correct(1, after_quantity=world.operations[1][0]["after_quantity"] + 1)
    world.file(lake)
    assert make(lake, connection, days[0]) == set(days[:2])
    assert_ledger(lake, world)


@pytest.mark.parametrize("last_of_block", ["2026-03-20", "2027-04-24", "2030-10-25"])
def test_a_successor_is_found_beyond_any_blocks_end(
    lake: Lake, connection: duckdb.DuckDBPyConnection, last_of_block: str
) -> None:
    """Of 16, 256 and 4096 days; one of these ends once in eleven years."""
    days = days_from(last_of_block, 2)
    world = one_a_day(lake, connection, days)
    assert_ledger(lake, world, days)
    world.correct(1, after_quantity=world.operations[1][0]["after_quantity"] + 1)
    world.file(lake)
    assert make(lake, connection, days[0]) == set(days)
    assert_ledger(lake, world)


@pytest.mark.parametrize("body", [b"", b"torn", b"{}", None], ids=["empty", "torn", "JSON", "other columns"])
@pytest.mark.parametrize("pattern", ["catalog.json", "nodes/1/*", "nodes/4/*", "days/2026-03-08/2026-03-08.arrow"])
def test_an_index_that_is_damaged_is_made_again(
    lake: Lake, connection: duckdb.DuckDBPyConnection, pattern: str, body: bytes | None
) -> None:
    """Damaged, or as another version may have kept it: whole, and of no use."""
    days = days_from(DAY, 10)
    world = one_a_day(lake, connection, days)
    found = list((lake.root / "_ledger").glob(pattern))
    assert found
    for path in found:
        if body is None:
            keep_rows(lake, path.relative_to(lake.root / "_ledger").as_posix(), pa.table({"stock_id": [5501]}))
        else:
            path.write_bytes(body)
    world.sell(days[7], f"{days[7]} 11:00:00", f"{days[7]} 13:00:00")
    world.file(lake)
    assert make(lake, connection, days[7]) == set(days[7:9])
    assert_ledger(lake, world, days)
