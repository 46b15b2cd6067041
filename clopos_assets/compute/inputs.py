"""Partitions as a query reads them: files that DuckDB may read itself, or their rows, and the views for either."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from clopos_assets.lake import SHIFT_DATE, Lake
from clopos_assets.tables import TABLES, Table

_SMALL_BYTES = 4 * 1024 * 1024
"""Of files, about 200,000 operations: up to there one thread is as fast as two, and spends a fifth less."""
_MOST_SOUND = 100_000
_SOUND: dict[str, str] = {}
"""Files whose checksums have been looked at, and what their stamps were; so many at most."""
_GLOB_MARKS = frozenset("*?[]{}")


class ComputeError(Exception):
    """A derived table can't be computed. The message says what to do; running again helps after that."""


def open_partition(lake: Lake, table: Table, shift_date: str) -> object:
    """A partition as `registered` takes it, left packed so that DuckDB reads what it needs within its bounds.

    Raises ComputeError while it is not materialized, LakeError where it is damaged.
    """
    source = lake.source(table, shift_date)
    if source is None:
        raise ComputeError(
            f"{table.name} of shift date {shift_date} is not materialized: materialize it first, or together"
        )
    if not isinstance(source, Path):
        return source
    if _GLOB_MARKS.isdisjoint(str(source)) and _can_be_left(lake, table, shift_date, source):
        return f"from read_parquet({_quoted(source)}, hive_partitioning = false)"
    return lake.read(table, shift_date)  # DuckDB would take such a name for a pattern


def _can_be_left(lake: Lake, table: Table, shift_date: str, path: Path) -> bool:
    """Whether DuckDB may read a file itself: not where an older version wrote it, as DuckDB would narrow other files of
    a window to its types.

    It is read here once in this process, as DuckDB looks at no checksums. Raises LakeError.
    """
    place, stamp = str(path), lake.stamp(table, shift_date)
    if stamp is None or _SOUND.get(place) == stamp:
        return True
    try:
        is_small = path.stat().st_size < _SMALL_BYTES
    except FileNotFoundError:  # removed meanwhile: DuckDB says so
        return True
    # Column by column a large file takes little memory.
    for columns in [None] if is_small else [[name] for name in table.names]:
        partition = lake.partition(table, shift_date, columns)
        if partition is not None and not partition.has_shape:
            return False
    while len(_SOUND) >= _MOST_SOUND:
        _SOUND.pop(next(iter(_SOUND)))
    _SOUND[place] = stamp
    return True


@contextmanager
def registered(connection: duckdb.DuckDBPyConnection, inputs: Mapping[str, object]) -> Iterator[None]:
    """The inputs as views of their names, while the block lasts.

    They are selects, which take DuckDB least time, Arrow tables, or anything else that it can register.
    """
    with ExitStack() as views:
        for name, rows in inputs.items():
            if isinstance(rows, str):
                connection.execute(f"create temp view {name} as {rows}")
                views.callback(connection.execute, f"drop view {name}")
            else:
                connection.register(name, rows)
                views.callback(connection.unregister, name)
        yield


def _quoted(path: Path) -> str:
    text = str(path).replace("'", "''")
    return f"'{text}'"


def open_window(lake: Lake, table: Table, window: Sequence[str], *, is_packed: bool) -> object:
    """Partitions as one relation, each row with its shift date; left in their files where that is possible."""
    paths = [lake.path(table, shift_date) for shift_date in window] if is_packed and lake.folder is not None else []
    can_be_left = paths and _GLOB_MARKS.isdisjoint(str(paths[0]))
    if can_be_left and all(_can_be_left(lake, table, *one) for one in zip(window, paths, strict=True)):
        # Hive partitioning would take any other folder above with an `=` in its name for a column too.
        return f"""
            from read_parquet([{", ".join(map(_quoted, paths))}], hive_partitioning = false, filename = true)
            select * exclude (filename), cast(split_part(filename, 'shift_date=', -1)[:10] as date) as shift_date
        """
    empty = pa.schema([*table.schema, SHIFT_DATE]).empty_table()
    return pa.concat_tables([empty, *lake.read_dated(table, window)])


def are_small(lake: Lake, table: Table, shift_date: str, window: Sequence[str]) -> bool:
    """Whether all that a table is made from are small files; what an object store holds is not weighed."""
    if lake.folder is None:
        return False
    read = [(name, shift_date) for name in table.inputs] + [(name, day) for name in table.trailing for day in window]
    try:
        return sum(lake.path(TABLES[name], day).stat().st_size for name, day in read) < _SMALL_BYTES
    except FileNotFoundError:  # which is told when it is read
        return False
