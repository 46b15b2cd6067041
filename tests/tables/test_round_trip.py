"""Answer → row → Parquet → three readers: the value that went in is the value that comes out."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from clopos_assets.lake import Lake
from clopos_assets.tables import RECEIPTS
from tests.tables.decoding import FETCHED_AT, RECEIPT
from tests.tables.test_reading import MINIMAL

exactly = settings(derandomize=True, deadline=None, database=None, max_examples=60)

DECIMALS = st.one_of(
    st.decimals(min_value="-999999999999.999999", max_value="999999999999.999999", places=6),
    st.integers(-(10**12) + 1, 10**12 - 1).map(Decimal),
    st.sampled_from(["12345678901.123456", "999999999999.999999", "-999999999999.999999", "0.000001", "0"]).map(
        Decimal
    ),
)
IDS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
# Pages say whole seconds; fractions are taken too.
TIMES = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999))
INSTANTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)).map(lambda time: time.replace(tzinfo=UTC))

COLUMNS = ["id", "total", "i_tax", "customer_id", "order_number", "created_at", "closed_at", "fetched_at"]
Values = tuple[object, ...]


@st.composite
def answers(draw: st.DrawFn) -> tuple[dict[str, Any], Values]:
    """A receipt as its JSON says it, and the values of COLUMNS that must come out, `fetched_at` left out."""
    total, tax = draw(DECIMALS), draw(st.none() | DECIMALS)
    receipt_id, customer = draw(IDS), draw(st.none() | IDS)
    number, opened, closed = draw(st.none() | TEXTS), draw(TIMES), draw(st.none() | TIMES)
    as_text = draw(st.booleans())
    wire = {
        "id": receipt_id,
        "total": str(total) if as_text else total,
        "i_tax": tax,
        "customer_id": str(customer) if as_text and customer is not None else customer,
        "order_number": number,
        "created_at": opened.isoformat(" "),
        "closed_at": None if closed is None else closed.isoformat(),
    }
    return {**MINIMAL, **wire}, (receipt_id, total, tax, customer, number, opened, closed)


def duckdb_rows(file: Path) -> list[Values]:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        columns = ", ".join(COLUMNS[:-1])
        # An instant as microseconds: DuckDB needs pytz to give it as a Python object.
        query = f"select {columns}, epoch_us(fetched_at) from read_parquet(?) order by id"
        rows = connection.execute(query, [str(file)]).fetchall()
    return [(*row[:-1], datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=row[-1])) for row in rows]


def polars_rows(file: Path) -> list[Values]:
    return pl.read_parquet(file, columns=COLUMNS).select(COLUMNS).sort("id").rows()


def arrow_rows(file: Path) -> list[Values]:
    rows = pq.read_table(file, partitioning=None, columns=COLUMNS).sort_by("id").to_pylist()
    return [tuple(row[name] for name in COLUMNS) for row in rows]


@exactly
@given(st.lists(answers(), max_size=4, unique_by=lambda answer: answer[1][0]), INSTANTS)
def test_every_reader_gets_the_value_that_was_answered(
    given_rows: list[tuple[dict[str, Any], Values]], fetched_at: datetime
) -> None:
    expected = sorted((*values, fetched_at) for _, values in given_rows)
    rows = RECEIPT.to_arrow([RECEIPT.read(answer) for answer, _ in given_rows], fetched_at)
    with TemporaryDirectory() as folder:
        lake = Lake(Path(folder))
        lake.replace(RECEIPTS, "2026-01-19", rows, {})
        file = lake.path(RECEIPTS, "2026-01-19")
        for read in (arrow_rows, duckdb_rows, polars_rows):
            got = read(file)
            assert got == expected, read.__name__
            assert all(type(row[1]) is Decimal for row in got), read.__name__
        stored = lake.read(RECEIPTS, "2026-01-19")
    assert stored is not None
    assert stored.equals(rows.sort_by("id"))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | DECIMALS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@exactly
@given(st.dictionaries(TEXTS.map("x_".__add__), JSON_VALUES, max_size=3), JSON_VALUES)
def test_json_text_says_what_was_answered(unknown: dict[str, Any], meta: object) -> None:
    answer = {**MINIMAL, **unknown, "meta": meta}
    (row,) = RECEIPT.to_arrow([RECEIPT.read(answer)], FETCHED_AT).to_pylist()
    assert (json.loads(row["meta"], parse_float=Decimal) if row["meta"] else None) == meta
    assert (json.loads(row["extra"], parse_float=Decimal) if row["extra"] else {}) == unknown


def test_no_rows_keep_the_types() -> None:
    rows = RECEIPT.to_arrow([], FETCHED_AT)
    assert rows.schema.equals(RECEIPTS.schema)
    assert rows.num_rows == 0
    assert isinstance(rows, pa.Table)
