"""A computed file that an older version wrote gets the columns it lacks, though nothing is to stand in them."""

import pyarrow.parquet as pq

from clopos_assets.tables import USAGE_VARIANCE
from tests.line.conftest import Runs
from tests.line.test_following import DAYS


def test_a_file_of_an_older_shape_is_written_again_where_its_rows_stay(runs: Runs) -> None:
    runs.make(DAYS[0])
    path = runs.shop.lake.path(USAGE_VARIANCE, DAYS[0])
    rows = pq.read_table(path, partitioning=None)
    assert rows.num_rows == rows.column("standard_quantity").null_count > 0
    pq.write_table(rows.drop_columns(["standard_quantity"]), path, write_page_checksum=True)
    assert runs.bad[runs.make(DAYS[0])] == {}
    assert tuple(pq.read_schema(path).names) == USAGE_VARIANCE.names
