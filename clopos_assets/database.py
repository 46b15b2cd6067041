"""DuckDB as a process uses it: one database in bounded memory, its connections, and its errors in words."""

import os
import tempfile
from functools import cache
from pathlib import Path

import duckdb

MEMORY_LIMIT = "576MB"
"""Of DuckDB alone: the rows that it hands over, and the process around it, take the rest of a gigabyte."""

_MACROS = (
    # DuckDB rounds decimals half away from zero; money is rounded half to even, so a tie on an odd digit steps back.
    """
    create macro round_half_even(exact) as (
        case
            when abs(exact - cast(exact as decimal(38, 6))) = 0.0000005
                and cast(exact as decimal(38, 6)) % 0.000002 <> 0
            then cast(exact as decimal(38, 6)) - 0.000001 * sign(exact)
            else cast(exact as decimal(38, 6))
        end
    )
    """,
    # A quotient of whole numbers and what is left, neither below 0: up where more than half is left, or exactly half of
    # the divisor beside an odd quotient.
    """
    create macro divided_half_even(quotient, rest, divisor) as (
        quotient + case
            when rest > divisor - rest then 1
            when rest = divisor - rest then quotient % 2
            else 0
        end
    )
    """,
    # In a sentence money keeps two decimals of its six, and a quantity none that is 0.
    "create macro money_in_words(amount) as (regexp_replace(cast(amount as varchar), '0{1,4}$', ''))",
    "create macro quantity_in_words(quantity) as (rtrim(rtrim(cast(quantity as varchar), '0'), '.'))",
)


def connect() -> duckdb.DuckDBPyConnection:
    """A connection of its own to the in-memory database of this process, with the macros that the SQL uses.

    Connections see nothing of each other's views, and share one bound on memory.
    """
    return _database(os.getpid()).cursor()


@cache
def _database(_process: int) -> duckdb.DuckDBPyConnection:
    # Opened once, for that takes as long as making a table of an ordinary shift date; a forked process opens its own.
    # What does not fit in memory goes where temporary files go, not into the current folder.
    database = duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "temp_directory": _spill_folder()})
    database.execute("set enable_progress_bar = false")
    # Joins are made as the SQL writes them: the rows of its left side stream through in their order, those of its
    # right side are held in memory. DuckDB knows of files how many rows they have, and guesses the rest.
    database.execute("set disabled_optimizers = 'join_order,build_side_probe_side'")
    for macro in _MACROS:
        database.execute(macro)
    return database


def set_threads(connection: duckdb.DuckDBPyConnection, *, for_few_rows: bool) -> None:
    """Run this process' queries from now on in one thread, or in all: sharing few rows takes longer than the work."""
    connection.execute("set threads = 1" if for_few_rows else "reset threads")


def explain(error: duckdb.Error) -> str:
    """What DuckDB says, in one line, and what to do where it is short of memory or of room."""
    said = str(error).splitlines()[0]
    room = _spill_folder()
    return f"{said}: if it is short of memory, or of room in {room}, free some or set TMPDIR, and run this again"


def _spill_folder() -> str:
    # Each user's own: DuckDB makes it so that nobody else can write to it.
    return str(Path(tempfile.gettempdir()) / f"clopos_assets-{os.getuid()}")
