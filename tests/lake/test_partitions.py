"""Reading and replacing partitions: whole, sorted, typed, with notes; and finding what is where."""

import math
import time
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pytest

from clopos_assets.lake import Lake, LakeError
from clopos_assets.tables import RECEIPTS, STOCK_OPERATIONS, TABLES, ContractError, Table
from tests.lake.places import Place
from tests.lake.sample import DAY, OTHER_DAY, operations, stored_ids
from tests.tables.decoding import FETCHED_AT, RECEIPT
from tests.tables.test_reading import MINIMAL

FILE = f"stock_operations/shift_date={DAY}/part-0.parquet"


def test_a_partition_is_one_file_at_its_place(place: Place, lake: Lake) -> None:
    lake.replace(STOCK_OPERATIONS, DAY, operations(3), {})
    assert place.names() == {FILE}
    assert lake.uri(STOCK_OPERATIONS, DAY) == f"{place.root}/{FILE}"
    assert lake.uri(STOCK_OPERATIONS) == f"{place.root}/stock_operations"


def test_a_folder_has_paths(folder_lake: Lake) -> None:
    assert folder_lake.path(STOCK_OPERATIONS, DAY) == folder_lake.root / FILE


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


def test_a_partition_is_replaced_whole(place: Place, lake: Lake) -> None:
    lake.replace(STOCK_OPERATIONS, DAY, operations(5), {"run": "first", "left": "over"})
    lake.replace(STOCK_OPERATIONS, DAY, operations(2, first_id=100), {"run": "second"})
    assert stored_ids(lake) == [100, 101]
    assert lake.notes(STOCK_OPERATIONS, DAY) == {"run": "second"}
    assert place.names() == {FILE}


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


def test_dates_are_those_materialized_ascending(place: Place, lake: Lake) -> None:
    assert lake.dates(STOCK_OPERATIONS) == []
    for shift_date in ("2026-01-20", "2025-12-31", "2026-01-19"):
        lake.replace(STOCK_OPERATIONS, shift_date, operations(1), {})
    place.put("stock_operations/shift_date=2026-01-21/part-0.parquet.old", b"x")
    place.put("stock_operations/notes/part-0.parquet", b"x")
    place.put("stock_operations_of_old/shift_date=2026-01-22/part-0.parquet", b"x")
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


def test_a_partition_that_is_replaced_while_it_is_searched_is_searched_again(
    place: Place, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.replace(STOCK_OPERATIONS, DAY, operations(3), {})
    read = lake.read_each

    def replacing(table: Table, days: Sequence[str], columns: Sequence[str]) -> Iterator[tuple[str, object]]:
        for each in read(table, days, columns):
            place.open().replace(table, DAY, operations(3, first_id=50), {})
            yield each

    with monkeypatch.context() as patch:
        patch.setattr(lake, "read_each", replacing)
        assert lake.find(STOCK_OPERATIONS, "id", [50]) == {}
    assert lake.find(STOCK_OPERATIONS, "id", [50]) == {DAY: {50}}


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 torn off in the middle", b"not Parquet" * 100])
def test_a_file_that_is_no_parquet_is_named_in_one_line(place: Place, lake: Lake, content: bytes) -> None:
    place.put(FILE, content)
    for read in (lake.read, lake.notes):
        with pytest.raises(LakeError) as caught:
            read(STOCK_OPERATIONS, DAY)
        message = str(caught.value)
        assert message.startswith(f"{place.root}/{FILE} can't be read (")
        assert message.endswith(f"): remove it and make {DAY} again")
        assert "\n" not in message
    lake.replace(STOCK_OPERATIONS, DAY, operations(1), {})
    assert stored_ids(lake) == [1]


def test_a_file_with_a_broken_middle_is_named(place: Place, lake: Lake) -> None:
    lake.replace(STOCK_OPERATIONS, DAY, operations(2000), {})
    content = bytearray(place.get(FILE))
    content[4:2000] = bytes(1996)
    place.put(FILE, bytes(content))
    with pytest.raises(LakeError, match=r"can't be read \("):
        lake.read(STOCK_OPERATIONS, DAY)


def test_a_stamp_changes_with_the_partition(lake: Lake) -> None:
    assert lake.stamp(STOCK_OPERATIONS, DAY) is None
    assert lake.stamps(STOCK_OPERATIONS) == {}
    seen = set()
    for count in (1, 2, 3):
        lake.replace(STOCK_OPERATIONS, DAY, operations(count), {})
        lake.replace(STOCK_OPERATIONS, OTHER_DAY, operations(1), {})
        stamps = lake.stamps(STOCK_OPERATIONS)
        assert stamps == {day: lake.stamp(STOCK_OPERATIONS, day) for day in (DAY, OTHER_DAY)}
        assert lake.stamps(STOCK_OPERATIONS) == stamps
        seen.add(stamps[DAY])
    assert len(seen) == 3


def test_it_says_when_a_partition_was_written(lake: Lake) -> None:
    before = time.time()
    assert lake.written_at(STOCK_OPERATIONS, DAY) is None
    lake.replace(STOCK_OPERATIONS, DAY, operations(1), {})
    written_at = lake.written_at(STOCK_OPERATIONS, DAY)
    assert written_at is not None
    assert math.floor(before) <= written_at <= time.time() + 1


def test_what_others_write_is_seen_at_once(place: Place, lake: Lake) -> None:
    """Whatever was looked at before: no listing and no content is remembered."""
    other = place.open()
    for count in (1, 2):
        assert (lake.dates(STOCK_OPERATIONS), lake.kept_in("_kept")) == ([DAY], ["x"]) if count > 1 else ([], [])
        other.replace(STOCK_OPERATIONS, DAY, operations(count), {})
        other.keep("_kept/x", bytes([count]))
        assert lake.has(STOCK_OPERATIONS, DAY)
        assert stored_ids(lake) == list(range(1, count + 1))
        assert lake.stamps(STOCK_OPERATIONS) == other.stamps(STOCK_OPERATIONS)
        assert lake.kept("_kept/x") == bytes([count])
    other.discard("_kept/x")
    assert (lake.kept("_kept/x"), lake.kept_in("_kept")) == (None, [])


def test_which_shift_dates_have_all_of_some_tables(lake: Lake) -> None:
    days = [f"2026-01-{day}" for day in range(10, 30)]
    for day in days[::2]:
        lake.replace(STOCK_OPERATIONS, day, operations(1), {})
    for day in days[::3]:
        lake.replace(RECEIPTS, day, RECEIPTS.schema.empty_table(), {})
    assert lake.has_each([STOCK_OPERATIONS, RECEIPTS], days) == days[::6]
    assert lake.has_each([STOCK_OPERATIONS], days) == days[::2]


def test_many_partitions_are_read_in_order(place: Place, lake: Lake) -> None:
    days = [f"2026-{month:02}-{day:02}" for month in (1, 2, 3) for day in range(1, 28)]
    for number, day in enumerate(days[:-2]):
        lake.replace(STOCK_OPERATIONS, day, operations(1, first_id=number), {})
    place.put(f"stock_operations/shift_date={days[-1]}/part-0.parquet", b"torn")
    read = list(lake.read_each(STOCK_OPERATIONS, days, ["id"]))
    assert [day for day, _ in read] == days
    assert [rows.column(0).to_pylist() for _, rows in read[:-2] if isinstance(rows, pa.Table)] == [
        [number] for number in range(len(days) - 2)
    ]
    assert read[-2][1] is None
    assert isinstance(read[-1][1], LakeError)
    assert lake.find(STOCK_OPERATIONS, "id", [3, 70]) == {days[3]: {3}, days[70]: {70}}


def test_what_is_kept_is_found_by_folder(place: Place, lake: Lake) -> None:
    lake.keep("_kept/a", b"1")
    lake.keep("_kept/b/c", b"2")
    lake.keep("_kept/bb", b"3")
    assert lake.kept("_kept/a") == b"1"
    assert {"a", "bb"} <= set(lake.kept_in("_kept"))
    lake.discard("_kept/nothing")
    lake.discard_folder("_kept/b")
    lake.discard_folder("_kept/nothing")
    assert place.names() == {"_kept/a", "_kept/bb"}
    lake.discard_folder("_kept")
    assert place.names() == set()


def test_marks_say_who_changes_what(lake: Lake) -> None:
    assert lake.marks() == {}
    lake.mark(DAY, "run-1")
    lake.mark(OTHER_DAY, "run-1")
    lake.mark(DAY, "run-2")
    lake.mark(DAY, "run-2")
    assert lake.marks() == {DAY: {"run-1", "run-2"}, OTHER_DAY: {"run-1"}}
    lake.unmark(DAY, "run-1")
    lake.unmark(DAY, "run-1")
    assert lake.marks() == {DAY: {"run-2"}, OTHER_DAY: {"run-1"}}
