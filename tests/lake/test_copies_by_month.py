"""Copies by month are those of the tables as they stand, whoever died making them and whatever has come back since."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from clopos_assets import monthly
from clopos_assets.lake import Lake
from clopos_assets.monthly import Copied, copy_months
from clopos_assets.tables import STOCK_OPERATIONS, Table
from tests.lake.places import Place
from tests.lake.sample import operations

DAY, OTHER_DAY = "2026-01-30", "2026-02-03"
MARCH = date(2026, 3, 5)
CATALOG = "_monthly/made_from.json"


class Death(BaseException):
    """The process is killed."""


def make(lake: Lake, rows: int) -> None:
    """The same rows are the same bytes, and of an object they have the same stamp."""
    lake.replace(STOCK_OPERATIONS, DAY, operations(rows), {})


def copied(place: Place) -> dict[str, pa.Table]:
    """What each copy of the table holds, by month."""
    found = {}
    for name in sorted(place.names()):
        if name.startswith("_monthly/stock_operations/"):
            packed = ds.ParquetFileFormat().make_fragment(pa.BufferReader(place.get(name)))
            found[name.split("/")[2].removeprefix("month=")] = packed.to_table().drop_columns(["shift_date"])
    return found


def stored(lake: Lake, day: str) -> pa.Table:
    rows = lake.read(STOCK_OPERATIONS, day)
    assert rows is not None
    return rows


def die_at_catalog(lake: Lake, monkeypatch: pytest.MonkeyPatch, write: int) -> None:
    """A copying that is killed before it has written the catalog so often."""
    left = iter(range(write - 1, -1, -1))
    keep = lake.keep

    def keep_or_die(name: str, body: bytes | pa.Buffer) -> None:
        if name == CATALOG and next(left) == 0:
            raise Death
        keep(name, body)

    with monkeypatch.context() as patched:
        patched.setattr(lake, "keep", keep_or_die)
        with pytest.raises(Death):
            copy_months(lake, MARCH)


@pytest.mark.parametrize("write", [1, 2])
def test_a_table_that_gets_its_old_rows_back_after_a_death_is_copied(
    place: Place, lake: Lake, monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    make(lake, 3)
    copy_months(lake, MARCH)
    make(lake, 5)
    die_at_catalog(lake, monkeypatch, write)
    make(lake, 3)
    copy_months(lake, MARCH)
    assert copied(place)["2026-01"].equals(stored(lake, DAY))
    assert copy_months(lake, MARCH) == []


def copy_another(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copying that reads the partition in another version than was listed."""
    read = lake.read_each

    def read_another(table: Table, shift_dates: Sequence[str]) -> object:
        make(lake, 5)
        return read(table, shift_dates)

    with monkeypatch.context() as patched:
        patched.setattr(lake, "read_each", read_another)
        copy_months(lake, MARCH)


def test_a_partition_that_was_another_while_it_was_copied_is_copied_again(
    place: Place, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(lake, 3)
    copy_another(lake, monkeypatch)
    make(lake, 3)
    copy_months(lake, MARCH)
    assert copied(place)["2026-01"].equals(stored(lake, DAY))


@pytest.mark.parametrize("how", ["death", "catalog", "another"])
def test_no_copy_of_removed_dates_lives_on(folder_lake: Lake, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    lake = folder_lake
    lake.replace(STOCK_OPERATIONS, OTHER_DAY, operations(2), {})
    copy_months(lake, MARCH)
    make(lake, 3)
    if how == "death":
        die_at_catalog(lake, monkeypatch, 2)
    if how == "another":
        copy_another(lake, monkeypatch)
    copy = lake.root / "_monthly/stock_operations/month=2026-01/part-0.parquet"
    if how == "catalog":
        copy_months(lake, MARCH)
        lake.keep(CATALOG, b"torn")
    assert copy.exists()
    lake.path(STOCK_OPERATIONS, DAY).unlink()
    assert Copied("stock_operations", "2026-01", 0, 0) in copy_months(lake, MARCH)
    assert not copy.exists()
    assert copy_months(lake, MARCH) == []


def test_that_copies_were_asked_for_is_known_before_a_month_has_ended(lake: Lake) -> None:
    assert not monthly.has_copies(lake)
    assert copy_months(lake, MARCH) == []
    assert monthly.has_copies(lake)


def test_a_copy_that_is_gone_is_made_again(folder_lake: Lake) -> None:
    make(folder_lake, 3)
    copy_months(folder_lake, MARCH)
    copy: Path = folder_lake.root / "_monthly/stock_operations/month=2026-01/part-0.parquet"
    copy.unlink()
    assert copy_months(folder_lake, MARCH) == [Copied("stock_operations", "2026-01", 1, 3)]
    assert copy.exists()
    assert monthly.has_copies(folder_lake)
