"""How a declared table is packed into Parquet: the writer's options, from what its columns hold, and the reader's."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from clopos_assets.tables.columns import Kind, Table

_ENCODED: Final = {
    **dict.fromkeys((Kind.ID, Kind.WHOLE, Kind.TIME, Kind.DATE, Kind.INSTANT), "DELTA_BINARY_PACKED"),
    **dict.fromkeys((Kind.DECIMAL, Kind.RATIO), "BYTE_STREAM_SPLIT"),
    **dict.fromkeys((Kind.TEXT, Kind.JSON), "DELTA_LENGTH_BYTE_ARRAY"),
}
"""How columns are encoded that hold too many different values for a dictionary."""
_SOUGHT: Final = {Kind.ID, Kind.TIME, Kind.DATE, Kind.INSTANT}

_FEW_ROWS: Final = 5_000
_NOTES: Final = b"clopos_assets."
open_file = partial(pq.ParquetFile, page_checksum_verification=True)
"""Opens a file to read it."""
UNREADABLE = (OSError, pa.ArrowException, UnicodeDecodeError)
"""What that and reading raise: where a page is not what was written, the first."""


def read_columns(file: pq.ParquetFile, columns: Sequence[str]) -> pa.Table:
    """The rows of an open file in some columns. Sharing few among threads takes up to a third more processor time."""
    return file.read(columns=columns, use_threads=file.metadata.num_rows > _FEW_ROWS)


def encoding_of(table: Table) -> dict[str, object]:
    """Writer options: what took half the default writer's bytes and half of pyarrow's reading time when measured."""
    dictionary: list[str] = []
    encodings: dict[str, str] = {}
    for column in table.columns:
        if column.kind is Kind.PAYMENTS:
            dictionary += [f"{column.name}.list.element.{field.name}" for field in column.arrow.type.value_type]
        elif column.repeats:
            dictionary.append(column.name)
        elif column.kind in _ENCODED:
            encodings[column.name] = _ENCODED[column.kind]
    return {
        "compression": "zstd",
        "compression_level": 3,  # a tenth smaller than the writer's own choice, 1, in the same time
        "store_decimal_as_integer": True,
        "use_dictionary": dictionary,
        "column_encoding": encodings,
        # Readers skip row groups by these columns alone; statistics of the others would be a tenth of a small file.
        "write_statistics": [column.name for column in table.columns if column.kind in _SOUGHT],
        # A column of a shift date in one page: small ones cost readers and writer time, and compress worse.
        "data_page_size": 8 * 1024 * 1024,
        "max_rows_per_page": 1024 * 1024,
        # It would only repeat Parquet's own types, and be a third of a small file.
        "store_schema": False,
        # Without, a bit that flips on a disk reads as another amount. A thirtieth of a small file, nothing of a large.
        "write_page_checksum": True,
    }


def packed(table: Table, rows: pa.Table, notes: Mapping[str, str]) -> pa.Buffer:
    """The bytes of a file that holds the rows, sorted by the key, with notes in its metadata."""
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, **encoding_of(table)) as file:
        file.write_table(rows.sort_by([(name, "ascending") for name in table.key]))
        file.add_key_value_metadata({_NOTES + key.encode(): value.encode() for key, value in notes.items()})
    return sink.getvalue()


def notes_of(file: pq.ParquetFile) -> dict[str, str]:
    """The notes in an open file's metadata."""
    noted = (file.metadata.metadata or {}).items()
    return {name.removeprefix(_NOTES).decode(): text.decode() for name, text in noted if name.startswith(_NOTES)}
