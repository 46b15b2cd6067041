"""Readers of a partition that another process replaces again and again: one version or an error, never a mixture.

Most programs open what they read more than once, by its name. Between two openings another version may have come; then
they say that the file is damaged, and read it well the next time. Those that open it once never meet that.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from polars.exceptions import PanicException
from pyarrow import fs

from clopos_assets.lake import Lake
from clopos_assets.tables import STOCK_OPERATIONS
from tests.lake.places import Place
from tests.lake.s3 import SECRET
from tests.lake.sample import DAY, OTHER_DAY, operations
from tests.lake.versions import ROWS, replaced, version, version_of

Read = Callable[[], Any]

LONGEST_PAUSE = {"folder": 0.02, "objects": 0.4}
"""Seconds between two versions, so that slow readers come to the end of one, too."""
LOOKS = 15
"""Of each reader at least."""
TRIES = 1000

DAMAGED = (duckdb.Error, pl.exceptions.ComputeError, PanicException, OSError, pa.ArrowInvalid)
"""What says that a file was not what its first part had promised."""


class Looker:
    """Reads over and over, and counts which versions it saw."""

    def __init__(self, read: Read, may_fail: tuple[type[BaseException], ...] = ()) -> None:
        self._read = read
        self._may_fail = may_fail
        self.seen: Counter[int] = Counter()

    def look(self) -> None:
        """Until it has seen some."""
        for number in range(TRIES):
            try:
                self.look_once()
            except self._may_fail:
                continue
            if number >= LOOKS and len(self.seen) > 1:
                return
        raise AssertionError(f"after {TRIES} tries it had seen {self.seen}")

    def look_once(self) -> int:
        """The version that stands there."""
        number = version_of(_of_day(self._read()))
        self.seen[number] += 1
        return number


def _of_day(read: Any) -> pa.Table:
    """As Arrow, the day's rows where others were read, too."""
    if isinstance(read, pl.DataFrame):
        read = read.to_arrow()
    elif isinstance(read, pd.DataFrame):
        read = pa.Table.from_pandas(read)
    assert isinstance(read, pa.Table)
    if "shift_date" in read.column_names:
        days = read.column("shift_date").cast(pa.string()).to_pylist()
        read = read.filter(pa.array([day == DAY for day in days]))
    return read


@contextmanager
def by_duckdb(query: str, *, remote: bool) -> Iterator[Read]:
    """A query of a connection that stays open, as an analyst's does."""
    with duckdb.connect() as connection:
        if remote:
            connection.register_filesystem(fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True))
        yield lambda: connection.sql(query).to_arrow_table()


def look(place: Place, lookers: dict[str, Looker], longest_pause: float) -> None:
    """All at once, while the partition is replaced, and once when that is over."""
    with ThreadPoolExecutor(len(lookers)) as threads:
        with replaced(place.root, longest_pause):
            looks = {name: threads.submit(looker.look) for name, looker in lookers.items()}
            wait(looks.values())
        for name, look in looks.items():
            assert look.exception() is None, f"{name}: {look.exception()!r}"
    assert {name: looker.look_once() for name, looker in lookers.items()} == dict.fromkeys(lookers, len(ROWS) - 1)


@pytest.mark.parametrize("kind", ["folder", "objects"])
def test_readers_see_one_version(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    remote = kind == "objects"
    bucket = request.getfixturevalue("bucket") if remote else ""
    place = Place(f"s3://{bucket}/lake" if remote else str(tmp_path / "lake"))
    lake = place.open()
    lake.replace(STOCK_OPERATIONS, DAY, version(0), {})
    lake.replace(STOCK_OPERATIONS, OTHER_DAY, operations(50, first_id=5_000), {})
    table = f"{place.root}/stock_operations"
    one, all_days = f"{table}/shift_date={DAY}/part-0.parquet", f"{table}/**/*.parquet"
    if remote:
        endpoint = request.getfixturevalue("endpoint")
        files: fs.FileSystem = fs.S3FileSystem(
            access_key="somebody", secret_key=SECRET, region="us-east-1", endpoint_override=endpoint
        )
    else:
        files = fs.LocalFileSystem()
    options = {"aws_allow_http": "true"} if remote else None
    in_files = str.removeprefix(table, "s3://")
    with (
        by_duckdb(f"from read_parquet('{one}')", remote=remote) as duckdb_one,
        by_duckdb(
            f"from read_parquet('{all_days}', hive_partitioning = true, union_by_name = true)", remote=remote
        ) as duckdb_all,
    ):
        by_name: dict[str, Read] = {
            "DuckDB, one partition": duckdb_one,
            "DuckDB, the table": duckdb_all,
            "Polars, one partition": lambda: pl.read_parquet(one, storage_options=options),
            "Polars, the table": lambda: pl.read_parquet(all_days, hive_partitioning=True, storage_options=options),
            "pyarrow, the table": lambda: ds.dataset(in_files, filesystem=files, partitioning="hive").to_table(),
            "pandas, one partition": lambda: pd.read_parquet(one, dtype_backend="pyarrow"),
        }
        lookers = {name: Looker(read, DAMAGED) for name, read in by_name.items()}
        lookers |= {name: Looker(read) for name, read in opened_once(lake, one, remote=remote).items()}
        look(place, lookers, LONGEST_PAUSE[kind])


def opened_once(lake: Lake, one: str, *, remote: bool) -> dict[str, Read]:
    """Ways to read that never have to be repeated."""
    ways: dict[str, Read] = {"the lake": lambda: lake.read(STOCK_OPERATIONS, DAY)}
    if not remote:
        ways["pyarrow, an open file"] = lambda: pq.ParquetFile(one).read()
        ways["Polars, an open file"] = lambda: _by_polars(Path(one))
    return ways


def _by_polars(path: Path) -> pl.DataFrame:
    with path.open("rb") as file:
        return pl.read_parquet(file)
