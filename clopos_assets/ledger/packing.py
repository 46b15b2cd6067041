"""Rows as the index keeps them: Arrow files with a name that no reader of Parquet tables finds.

Each stands behind a digest of itself. Arrow has none, and a bit that flips would be another predecessor.
"""

from hashlib import blake2b

import pyarrow as pa
import pyarrow.compute as pc

from clopos_assets.lake import Lake

FOLDER = "_ledger"
_COMPRESSED = pa.ipc.IpcWriteOptions(compression="zstd")
_DIGEST_BYTES = 16


class DamagedIndexError(Exception):
    """The index lacks a file, or holds one that can't be read. It has to be made again from the tables."""


def keep_rows(lake: Lake, name: str, rows: pa.Table) -> None:
    """Keep rows under a path in the index, whole or not at all."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, rows.schema, options=_COMPRESSED) as file:
        file.write_table(rows)
    keep_body(lake, name, sink.getvalue().to_pybytes())


def keep_body(lake: Lake, name: str, body: bytes) -> None:
    """Keep bytes under a path in the index, whole or not at all."""
    lake.keep(f"{FOLDER}/{name}", _digest(body) + body)


def kept_rows(lake: Lake, name: str, schema: pa.Schema) -> pa.Table | None:
    """The rows kept under a path, or None. Raises DamagedIndexError where they are not rows of the schema."""
    body = kept_body(lake, name)
    if body is None:
        return None
    try:
        with pa.ipc.open_file(pa.BufferReader(body)) as file:
            rows = file.read_all()
    except (pa.ArrowException, OSError) as error:
        raise DamagedIndexError(f"{name}: {error}") from error
    if not rows.schema.equals(schema):
        raise DamagedIndexError(f"{name}: other columns than expected")
    return rows


def kept_body(lake: Lake, name: str) -> bytes | None:
    """The bytes kept under a path, or None. Raises DamagedIndexError where they are not those that were kept."""
    kept = lake.kept(f"{FOLDER}/{name}")
    if kept is None:
        return None
    digest, body = kept[:_DIGEST_BYTES], kept[_DIGEST_BYTES:]
    if digest != _digest(body):
        raise DamagedIndexError(f"{name}: not what was written")
    return body


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=_DIGEST_BYTES).digest()


def first_and_last(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Of rows sorted by stock first: each stock's first row, and its last, both by stock."""
    rows = rows.combine_chunks()
    if not rows.num_rows:
        return rows, rows
    stocks = rows.column("stock_id").combine_chunks()
    differs = pc.not_equal(stocks.slice(1), stocks.slice(0, len(stocks) - 1))
    edge = pa.array([True])
    return rows.filter(pa.concat_arrays([edge, differs])), rows.filter(pa.concat_arrays([differs, edge]))
