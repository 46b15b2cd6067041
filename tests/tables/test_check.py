"""`Table.check` lets through what is declared, and refuses all else in words that name the table."""

from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from clopos_assets.tables import PRODUCT_COGS, RECEIPTS, TABLES, ContractError, Table
from tests.tables.decoding import FETCHED_AT, RECEIPT
from tests.tables.test_reading import MINIMAL


def receipts(*ids: int, **fields: Any) -> pa.Table:
    """Receipts with these ids."""
    return RECEIPT.to_arrow([RECEIPT.read({**MINIMAL, **fields, "id": receipt_id}) for receipt_id in ids], FETCHED_AT)


def with_column(rows: pa.Table, field: pa.Field, values: pa.Array) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(field.name), field, values)


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_no_rows_are_fine(table: Table) -> None:
    table.check(table.schema.empty_table())


def test_rows_as_declared_are_fine() -> None:
    RECEIPTS.check(receipts(1, 2, 3))


def test_a_repeated_key_is_refused() -> None:
    with pytest.raises(ContractError) as caught:
        RECEIPTS.check(receipts(1, 2, 3, 2))
    assert str(caught.value) == (
        "receipts: more than one row for id 2: ids are the brand's; if the lake was filled from another Clopos account "
        "too, set CLOPOS_LAKE to another lake, else ask Clopos about that id"
    )
    RECEIPTS.check(pa.concat_tables([receipts(1), receipts(2)]))
    with pytest.raises(ContractError, match=r"^receipts: more than one row for id 1: "):
        RECEIPTS.check(pa.concat_tables([receipts(1), receipts(1)]))


def test_a_key_of_several_columns_repeats_only_as_a_whole() -> None:
    defaults = dict.fromkeys(["lines", "units_sold", "net_sales", "cogs", "gross_profit"], 0)
    rows = [{**defaults, "venue_id": venue, "product_id": product} for venue, product in ((1, 7), (1, 8), (2, 7))]
    PRODUCT_COGS.check(pa.Table.from_pylist(rows, schema=PRODUCT_COGS.schema))
    with pytest.raises(ContractError, match=r"^product_cogs: more than one row for venue_id 1, product_id 8$"):
        PRODUCT_COGS.check(pa.Table.from_pylist([*rows, rows[1]], schema=PRODUCT_COGS.schema))


@pytest.mark.parametrize(
    ("table", "name"),
    [(table, column.name) for table in TABLES.values() for column in table.columns if column.required],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_null_where_a_value_is_required_is_refused(table: Table, name: str) -> None:
    # A row of NULLs but for the others that are required; arrays do not enforce what the schema says.
    columns = []
    for field in table.schema:
        value = None if field.name == name or field.nullable else SAMPLES[str(field.type)]
        columns.append(pa.array([value], type=field.type))
    rows = pa.Table.from_arrays(columns, schema=table.schema)
    with pytest.raises(ContractError, match=rf"^{table.name}: {name} is NULL in some row$"):
        table.check(rows)


SAMPLES: dict[str, object] = {
    "int64": 1,
    "bool": True,
    "string": "text",
    "date32[day]": date(2026, 1, 19),
    "decimal128(18, 6)": 1,
    "timestamp[us]": FETCHED_AT.replace(tzinfo=None),
    "timestamp[us, tz=UTC]": FETCHED_AT,
}


def test_a_wrong_type_is_refused() -> None:
    rows = receipts(1)
    floats = with_column(rows, pa.field("total", pa.float64(), nullable=False), pa.array([12.5]))
    wider = with_column(
        rows, pa.field("total", pa.decimal128(38, 6), nullable=False), pa.array([1], pa.decimal128(38, 6))
    )
    zoned = with_column(
        rows, pa.field("closed_at", pa.timestamp("us", tz="UTC")), pa.array([None], pa.timestamp("us", tz="UTC"))
    )
    optional = with_column(rows, pa.field("id", pa.int64(), nullable=True), pa.array([1]))
    refused = [
        (floats, "column 35 is total double not null, declared is total decimal128(18, 6) not null"),
        (wider, "column 35 is total decimal128(38, 6) not null, declared is total decimal128(18, 6) not null"),
        (zoned, "column 61 is closed_at timestamp[us, tz=UTC], declared is closed_at timestamp[us]"),
        (optional, "column 1 is id int64, declared is id int64 not null"),
    ]
    for wrong, message in refused:
        with pytest.raises(ContractError) as caught:
            RECEIPTS.check(wrong)
        assert str(caught.value) == f"receipts: {message}"


def test_wrong_columns_are_refused() -> None:
    rows = receipts(1)
    missing = rows.drop_columns(["extra"])
    added = rows.append_column("shift_date", pa.array(["2026-01-19"]))
    swapped = rows.select([*reversed(rows.column_names)])
    renamed = rows.rename_columns([*rows.column_names[:-1], "fetched"])
    instant = "timestamp[us, tz=UTC] not null"
    refused = [
        (missing, f"column 63 is fetched_at {instant}, declared is extra string"),
        (added, "column 65 is shift_date string, declared is none"),
        (swapped, f"column 1 is fetched_at {instant}, declared is id int64 not null"),
        (renamed, f"column 64 is fetched {instant}, declared is fetched_at {instant}"),
        (rows.drop_columns(["fetched_at"]), f"column 64 is none, declared is fetched_at {instant}"),
    ]
    for wrong, message in refused:
        with pytest.raises(ContractError) as caught:
            RECEIPTS.check(wrong)
        assert str(caught.value) == f"receipts: {message}"
