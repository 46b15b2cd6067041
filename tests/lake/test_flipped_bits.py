"""A file in which a bit has flipped is told, and what can be made again is: never another amount or a stack trace."""

import os
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from clopos_assets.compute import open_partition
from clopos_assets.lake import Lake, LakeError
from clopos_assets.ledger.index import Index
from clopos_assets.ledger.packing import DamagedIndexError, keep_body
from clopos_assets.monthly import copy_months
from clopos_assets.tables import RECEIPTS, STOCK_OPERATIONS
from tests.lake.sample import DAY, operations, stored_ids

TOLD = rf"stock_operations/shift_date={DAY}/part-0\.parquet can't be read \(.*\): .*make {DAY} again"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with one partition."""
    lake = Lake(tmp_path / "lake")
    lake.replace(STOCK_OPERATIONS, DAY, operations(300), {"versions": "of this and that", "untold": "7"})
    return lake


def flip(path: Path, position: int, bit: int = 7) -> None:
    body = bytearray(path.read_bytes())
    body[position] ^= 1 << bit
    path.write_bytes(body)


def test_a_flipped_bit_is_seen_in_every_column(lake: Lake) -> None:
    path = lake.path(STOCK_OPERATIONS, DAY)
    whole = path.read_bytes()
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    for column in columns:
        last = (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 1
        flip(path, last, bit=0)
        with pytest.raises(LakeError, match=TOLD):
            lake.read(STOCK_OPERATIONS, DAY)
        path.write_bytes(whole)
    assert len(stored_ids(lake, DAY) or ()) == 300


def test_a_flipped_bit_is_seen_in_a_file_that_was_sound_before(lake: Lake) -> None:
    open_partition(lake, STOCK_OPERATIONS, DAY)
    path = lake.path(STOCK_OPERATIONS, DAY)
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    flip(path, column.data_page_offset + column.total_compressed_size - 1, bit=0)
    os.utime(path, (0, 0))
    with pytest.raises(LakeError, match=TOLD):
        open_partition(lake, STOCK_OPERATIONS, DAY)


@pytest.mark.parametrize("word", [b"of this and that", b"total_cost"])
def test_words_that_are_none_any_more(lake: Lake, word: bytes) -> None:
    path = lake.path(STOCK_OPERATIONS, DAY)
    flip(path, path.read_bytes().index(word) + 2)
    for act in (lake.read, lake.partition):
        with pytest.raises(LakeError, match=TOLD):
            act(STOCK_OPERATIONS, DAY)


def test_a_note_that_is_no_text_is_told(lake: Lake) -> None:
    path = lake.path(STOCK_OPERATIONS, DAY)
    flip(path, path.read_bytes().rindex(b"this and that"))
    with pytest.raises(LakeError, match=TOLD):
        lake.notes(STOCK_OPERATIONS, DAY)
    ((_, told),) = lake.notes_each(STOCK_OPERATIONS, [DAY])
    assert isinstance(told, LakeError)


def test_damaged_catalogues_are_known_as_such(lake: Lake) -> None:
    lake.replace(RECEIPTS, DAY, RECEIPTS.schema.empty_table(), {})
    keep_body(lake, "catalog.json", b'{"2026-01-19": {"stamp": "\xff", "days": []}}')
    with pytest.raises(DamagedIndexError):
        Index(lake)
    copy_months(lake, date(2026, 3, 1), lambda _: None)
    lake.keep("_monthly/made_from.json", b'{"receipts": {"\xff": {}}}')
    assert {one.table for one in copy_months(lake, date(2026, 3, 1), lambda _: None)} == {
        "receipts",
        "stock_operations",
    }
