"""Reading and replacing partitions: whole, sorted, typed, with notes; and finding what is where."""

from pathlib import Path

import pyarrow as pa
import pytest

from clopos_assets.lake import Lake, LakeError
from clopos_assets.tables import RECEIPTS, STOCK_OPERATIONS, TABLES, ContractError, Table
from tests.lake.sample import DAY, OTHER_DAY, files_under, operations, stored_ids
from tests.tables.decoding import FETCHED_AT, RECEIPT
from tests.tables.test_reading import MINIMAL


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_a_partition_is_one_file_at_its_place(lake: Lake) -> None:
    lake.replace(STOCK_OPERATIONS, DAY, operations(3), {})
    assert files_under(lake.root) == {f"stock_operations/shift_date={DAY}/part-0.parquet"}
    assert lake.path(STOCK_OPERATIONS, DAY) == lake.root / "stock_operations" / f"shift_date={DAY}" / "part-0.parquet"


def test_what_is_read_is_what_was_written(lake: Lake) -> None:
    rows = operations(50)
    lake.replace(STOCK_OPERATIONS, DAY, rows, {"a": "note"})
    stored = lake.read(STOCK_OPERATIONS, DAY)
    assert stored is not None
    assert stored.equals(rows, check_metadata=True)
    assert stored.schema.equals(STOCK_OPERATIONS.schema)


def test_payments_and_other_receipt_columns_are_read_as_written(lake: Lake) -> None:
    payments = [[], None, [{"id": 1, "name": None, "amount": "12345678901.123456"}, {"name": "Nağd"}]]
    answers = [{**MINIMAL, "id": id_, "payment_methods": paid} for id_, paid in enumerate(payments, start=1)]
    rows = RECEIPT.to_arrow([RECEIPT.read(answer) for answer in answers], FETCHED_AT)
    lake.replace(RECEIPTS, DAY, rows, {})
    stored = lake.read(RECEIPTS, DAY)
    assert stored is not None
    assert stored.equals(rows)


def test_rows_are_sorted_by_the_key(lake: Lake) -> None:
    rows = operations(5).take(pa.array([3, 0, 4, 1, 2]))
    lake.replace(STOCK_OPERATIONS, DAY, rows, {})
    assert stored_ids(lake) == [1, 2, 3, 4, 5]


def test_some_columns_can_be_read_alone(lake: Lake) -> None:
    lake.replace(STOCK_OPERATIONS, DAY, operations(2), {})
    rows = lake.read(STOCK_OPERATIONS, DAY, ["id", "storage_name"])
    assert rows is not None
    assert rows.to_pylist() == [{"id": 1, "storage_name": "Anbar 1"}, {"id": 2, "storage_name": "Anbar 1"}]


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_an_empty_partition_keeps_its_types(lake: Lake, table: Table) -> None:
    assert not lake.has(table, DAY)
    assert lake.read(table, DAY) is None
    lake.replace(table, DAY, table.schema.empty_table(), {})
    assert lake.has(table, DAY)
    stored = lake.read(table, DAY)
    assert stored is not None
    assert stored.num_rows == 0
    assert stored.schema.equals(table.schema)


def test_a_partition_is_replaced_whole(lake: Lake) -> None:
    lake.replace(STOCK_OPERATIONS, DAY, operations(5), {"run": "first", "left": "over"})
    lake.replace(STOCK_OPERATIONS, DAY, operations(2, first_id=100), {"run": "second"})
    assert stored_ids(lake) == [100, 101]
    assert lake.notes(STOCK_OPERATIONS, DAY) == {"run": "second"}
    assert len(files_under(lake.root)) == 1


def test_partitions_and_tables_stand_apart(lake: Lake) -> None:
    lake.replace(STOCK_OPERATIONS, DAY, operations(2), {})
    lake.replace(STOCK_OPERATIONS, OTHER_DAY, operations(1, first_id=50), {})
    assert stored_ids(lake, DAY) == [1, 2]
    assert stored_ids(lake, OTHER_DAY) == [50]
    assert lake.read(RECEIPTS, DAY) is None


def test_rows_that_break_the_declaration_are_not_written(lake: Lake) -> None:
    lake.replace(STOCK_OPERATIONS, DAY, operations(2), {"run": "first"})
    for wrong in (pa.concat_tables([operations(1), operations(1)]), operations(1).drop_columns(["extra"])):
        with pytest.raises(ContractError):
            lake.replace(STOCK_OPERATIONS, DAY, wrong, {"run": "second"})
    assert stored_ids(lake) == [1, 2]
    assert lake.notes(STOCK_OPERATIONS, DAY) == {"run": "first"}


@pytest.mark.parametrize(
    "notes",
    [
        {},
        {"versions": ""},
        {"versions": "1=abc;2=def", "other note": "ağ \n\u2028 \U0001f600"},
        {"long": "x" * 100_000},
    ],
)
def test_notes_come_back_as_written(lake: Lake, notes: dict[str, str]) -> None:
    assert lake.notes(STOCK_OPERATIONS, DAY) == {}
    lake.replace(STOCK_OPERATIONS, DAY, operations(1), notes)
    assert lake.notes(STOCK_OPERATIONS, DAY) == notes
    lake.replace(STOCK_OPERATIONS, DAY, STOCK_OPERATIONS.schema.empty_table(), notes)
    assert lake.notes(STOCK_OPERATIONS, DAY) == notes


def test_dates_are_those_materialized_ascending(lake: Lake) -> None:
    assert lake.dates(STOCK_OPERATIONS) == []
    for shift_date in ("2026-01-20", "2025-12-31", "2026-01-19"):
        lake.replace(STOCK_OPERATIONS, shift_date, operations(1), {})
    (lake.root / "stock_operations" / "shift_date=2026-01-21").mkdir()
    assert lake.dates(STOCK_OPERATIONS) == ["2025-12-31", "2026-01-19", "2026-01-20"]
    assert lake.dates(RECEIPTS) == []


def test_find_tells_the_partitions_of_ids(lake: Lake) -> None:
    lake.replace(STOCK_OPERATIONS, "2026-01-18", STOCK_OPERATIONS.schema.empty_table(), {})
    lake.replace(STOCK_OPERATIONS, DAY, operations(10), {})
    lake.replace(STOCK_OPERATIONS, OTHER_DAY, operations(10, first_id=100), {})
    assert lake.find(STOCK_OPERATIONS, "id", [2, 3, 105, 999]) == {DAY: {2, 3}, OTHER_DAY: {105}}
    assert lake.find(STOCK_OPERATIONS, "receipt_id", [100, 100]) == {DAY: {100}, OTHER_DAY: {100}}
    assert lake.find(STOCK_OPERATIONS, "id", [999]) == {}
    assert lake.find(STOCK_OPERATIONS, "id", []) == {}
    assert lake.find(RECEIPTS, "id", [1]) == {}


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 torn off in the middle", b"not Parquet" * 100])
def test_a_file_that_is_no_parquet_is_named_in_one_line(lake: Lake, content: bytes) -> None:
    file = lake.path(STOCK_OPERATIONS, DAY)
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    for read in (lake.read, lake.notes):
        with pytest.raises(LakeError) as caught:
            read(STOCK_OPERATIONS, DAY)
        message = str(caught.value)
        assert message.startswith(f"{file} can't be read (")
        assert message.endswith("): remove it and make the shift date again")
        assert "\n" not in message
    lake.replace(STOCK_OPERATIONS, DAY, operations(1), {})
    assert stored_ids(lake) == [1]


def test_a_file_with_a_broken_middle_is_named(lake: Lake) -> None:
    lake.replace(STOCK_OPERATIONS, DAY, operations(2000), {})
    file = lake.path(STOCK_OPERATIONS, DAY)
    content = bytearray(file.read_bytes())
    content[4:2000] = bytes(1996)
    file.write_bytes(bytes(content))
    with pytest.raises(LakeError, match=r"can't be read \("):
        lake.read(STOCK_OPERATIONS, DAY)
