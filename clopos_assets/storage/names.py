"""Where things lie below the root of a lake: the names of partitions, marks and notes, and how to read them."""

import re

PART = "part-0.parquet"
_FOLDER = "shift_date="
PARTITION = re.compile(rf"{_FOLDER}(\d{{4}}-\d{{2}}-\d{{2}})", re.ASCII)
"""The folder of a partition."""
WAITING = re.compile(r"(-?\d+)\.(-?\d+)")
"""A note of a receipt that waits: its id and its venue."""
MARK = re.compile(r"(\d{4}-\d{2}-\d{2})\.(.+)")
"""A mark on a shift date, and whose."""


def partition_of(table: str, shift_date: str) -> str:
    """The file of a shift date."""
    return f"{table}/{_FOLDER}{shift_date}/{PART}"


def mark_of(shift_date: str, owner: str) -> str:
    """The mark of somebody who changes a shift date."""
    return f"_changed/{shift_date}.{owner}"
