"""What the line about a damaged file says to do, table by table: it mends the lake, and nothing less does."""

import pyarrow.parquet as pq
import pytest

from clopos_assets.lake import LakeError
from clopos_assets.tables import COST, FINDING_HISTORY, RAW, RECIPE_OBSERVED, USAGE_VARIANCE, VARIANCE, Table
from tests.ingest.shop import days_from
from tests.line.conftest import Runs

DAYS = days_from("2026-01-12", 6)
DAY = DAYS[2]
COMPUTED = [table for table in (*COST, *VARIANCE) if table is not FINDING_HISTORY]

every_damage = pytest.mark.parametrize("is_torn", [False, True], ids=["no Parquet", "torn off"])


def damage(runs: Runs, table: Table, *, is_torn: bool) -> str:
    """Break a partition; what reading it says then."""
    path = runs.shop.lake.path(table, DAY)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if is_torn else b"PAR1 no more")
    with pytest.raises(LakeError) as caught:
        runs.shop.lake.read(table, DAY)
    told = str(caught.value)
    assert told.startswith(f"{path} can't be read (")
    assert told.isprintable()
    return told.partition("): ")[2]


@every_damage
@pytest.mark.parametrize("table", COMPUTED, ids=lambda table: table.name)
def test_a_computed_table_is_mended_by_making_its_date(runs: Runs, table: Table, is_torn: bool) -> None:
    runs.make(*DAYS)
    before = runs.tables()
    assert damage(runs, table, is_torn=is_torn) == f"make {DAY} again"
    run_id = runs.make(DAY)
    assert runs.bad[run_id] == {}
    assert runs.tables() == before


@every_damage
@pytest.mark.parametrize("table", [*RAW, FINDING_HISTORY], ids=lambda table: table.name)
def test_others_have_to_be_removed_first(runs: Runs, table: Table, is_torn: bool) -> None:
    runs.make(*DAYS)
    before = runs.tables()
    lost = "" if table in RAW else "; when its findings were first seen is lost with it"
    remedy = damage(runs, table, is_torn=is_torn)
    assert remedy == f"remove it and make {DAY} again{lost}"
    run_id = runs.make(DAY)
    assert runs.bad[run_id].keys() == {DAY}
    assert remedy in runs.bad[run_id][DAY]
    runs.shop.lake.path(table, DAY).unlink()
    run_id = runs.make(DAY)
    assert runs.bad[run_id] == {}
    assert runs.tables() == before


def test_another_date_that_needs_the_file_names_the_date_of_the_file(runs: Runs) -> None:
    runs.make(*DAYS)
    damage(runs, RECIPE_OBSERVED, is_torn=True)
    run_id = runs.make(DAYS[4])
    assert runs.bad[run_id].keys() == {DAYS[4]}
    assert runs.bad[run_id][DAYS[4]].endswith(f"): make {DAY} again")


def test_a_file_of_an_older_shape_is_written_again_where_its_rows_stay(runs: Runs) -> None:
    runs.make(DAYS[0])
    path = runs.shop.lake.path(USAGE_VARIANCE, DAYS[0])
    rows = pq.read_table(path, partitioning=None)
    assert rows.num_rows == rows.column("standard_quantity").null_count > 0
    pq.write_table(rows.drop_columns(["standard_quantity"]), path, write_page_checksum=True)
    assert runs.bad[runs.make(DAYS[0])] == {}
    assert tuple(pq.read_schema(path).names) == USAGE_VARIANCE.names
