"""Rows remembered: what SQL gives of equal inputs, and what a file holds, need not be worked out twice."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from unittest.mock import patch

import duckdb
import pyarrow as pa

import clopos_assets.line.derived
from clopos_assets.compute import Rules, compute
from clopos_assets.ingest.made import Facts
from clopos_assets.lake import Lake
from clopos_assets.tables import TABLES, Table
from clopos_assets.tables.shape import Partition

_TOLD_APART = "fetched_at"
_READ = Lake.partition


class Memory:
    """What was computed and read so far."""

    def __init__(self) -> None:
        self._rows: dict[object, pa.Table] = {}
        self._contents: dict[object, bytes] = {}
        self._partitions: dict[object, Partition | None] = {}

    def compute(
        self, lake: Lake, connection: duckdb.DuckDBPyConnection, table: Table, shift_date: str, rules: Rules
    ) -> pa.Table:
        """As `clopos_assets.compute.compute`."""
        inputs = [(name, shift_date) for name in table.inputs]
        inputs += [(name, day) for name in table.trailing for day in rules.window(shift_date)]
        key = (table.name, shift_date, rules, *(self._content(lake, TABLES[name], day) for name, day in inputs))
        if key not in self._rows:
            self._rows[key] = compute(lake, connection, table, shift_date, rules)
        return self._rows[key]

    def partition(
        self, lake: Lake, table: Table, shift_date: str, columns: Sequence[str] | None = None
    ) -> Partition | None:
        """As `clopos_assets.lake.Lake.partition`."""
        stamp = lake.stamp(table, shift_date)
        key = (lake.root, table.name, shift_date, stamp, None if columns is None else tuple(columns))
        if stamp is None or key not in self._partitions:
            self._partitions[key] = _READ(lake, table, shift_date, columns)
        return self._partitions[key]

    def _content(self, lake: Lake, table: Table, day: str) -> bytes:
        """A digest of the rows of a partition but for when they were fetched; empty where it is not made."""
        stamp = lake.stamp(table, day)
        if stamp is None:
            return b""
        of_file = (lake.root, table.name, day, stamp)
        if of_file not in self._contents:
            rows = lake.read(table, day)
            assert rows is not None
            rows = rows.drop_columns([name for name in rows.column_names if name == _TOLD_APART]).combine_chunks()
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, rows.schema) as stream:
                stream.write_table(rows)
            self._contents[of_file] = hashlib.blake2b(sink.getvalue(), digest_size=16).digest()
        return self._contents[of_file]


@contextmanager
def remembering(*, with_figures: bool = False) -> Iterator[None]:
    """While this lasts, lakes are read and tables computed through a memory, and nothing is forced to the disk.

    Figures, for the UI, are left out unless they are wanted.
    """

    def no_figures(*_: object, **__: object) -> Facts:
        return {}

    def partition(lake: Lake, table: Table, shift_date: str, columns: Sequence[str] | None = None) -> Partition | None:
        return memory.partition(lake, table, shift_date, columns)

    memory = Memory()
    with (
        patch.object(Lake, "partition", partition),
        patch.object(clopos_assets.line.derived, "compute", memory.compute),
        nullcontext() if with_figures else patch.object(clopos_assets.line.derived, "figures_of", no_figures),
        patch.object(os, "fsync", lambda _: None),
    ):
        yield
