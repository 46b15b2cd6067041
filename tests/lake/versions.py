"""Versions of one partition, told apart by every part of them, and a process that puts one in place of another.

Two have the same layout, byte for byte, so that a reader that mixed them would not notice; others differ in length.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from threading import Event, Thread

import pyarrow as pa
import pyarrow.compute as pc

from clopos_assets.lake import Lake
from clopos_assets.tables import STOCK_OPERATIONS
from tests.lake.sample import DAY, operations

PROJECT = Path(__file__).parents[2]
ROWS = (400, 400, 20, 900)
"""Of each version."""

_MOST = 100_000
_PAUSES = 7
_GROWTH = 50
_MARKED = ("product_id", "stock_id", "storage_id")


def version(number: int) -> pa.Table:
    """Rows that each say in several columns which version they are of."""
    rows = operations(ROWS[number])
    for name in _MARKED:
        column = rows.schema.get_field_index(name)
        field = rows.schema.field(column)
        rows = rows.set_column(column, field, pa.array([number] * rows.num_rows, field.type))
    return rows


def version_of(rows: pa.Table) -> int:
    """Which version rows are, to the last of them. Raises AssertionError for a mixture."""
    said = {number for name in _MARKED for number in pc.unique(rows.column(name)).to_pylist()}
    assert len(said) == 1, f"rows of the versions {sorted(said)} together"
    (number,) = said
    assert rows.num_rows == ROWS[number], f"{rows.num_rows} rows of version {number}"
    assert pc.count_distinct(rows.column("id")).as_py() == rows.num_rows
    return int(number)


def replace_again_and_again(root: str, longest_pause: float) -> None:
    """One version after the other, at once or after a pause, until standard input ends; the last version last.

    Pauses are as long as said, and become longer, so that readers come to the end of a version on a busy machine, too.
    """
    lake = Lake(root)
    versions = [version(number) for number in range(len(ROWS))]
    is_over = Event()

    def listen() -> None:
        sys.stdin.read()
        is_over.set()

    Thread(target=listen).start()
    print("ready", flush=True)
    for number in range(_MOST):
        lake.replace(STOCK_OPERATIONS, DAY, versions[number % len(ROWS)], {})
        if is_over.wait(longest_pause * (number % _PAUSES) / _PAUSES * (1 + number / _GROWTH)):
            break
    lake.replace(STOCK_OPERATIONS, DAY, versions[-1], {})


@contextmanager
def replaced(root: str, longest_pause: float) -> Iterator[None]:
    """A process that does so while the block lasts."""
    code = f"from tests.lake.versions import replace_again_and_again as go; go({root!r}, {longest_pause})"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=PROJECT, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.stdin.close()
        assert process.wait(60) == 0
