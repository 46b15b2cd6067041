"""A derived table of one shift date from its SQL: DuckDB over the lake's Parquet, in bounded memory.

The SQL is in `sql/{group}/{table}.sql`, one select per file, over views named after the tables it reads.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from clopos_assets.database import connect, set_threads
from clopos_assets.lake import Lake, LakeError
from clopos_assets.tables import RECEIPTS, STOCK_OPERATIONS, TABLES, ContractError, Kind, Table
from clopos_assets.tables.columns import PRECISION, SCALE

_BATCH_ROWS = 64 * 1024
"""Rows that DuckDB hands over at once: larger buffers are allocated anew each time, and take longer to fill."""
MANY_OPERATIONS = 100_000
"""Operations of a shift date from which on handing over rows takes longer than planning."""
_VERY_MANY_OPERATIONS = 2_000_000
"""Operations of a shift date from which on memory counts for more than time."""
_SMALL_BYTES = 4 * 1024 * 1024
"""Of files, about 200,000 operations: up to there one thread is as fast as two, and spends a fifth less."""
_MOST_SOUND = 100_000
_SOUND: dict[str, str] = {}
"""Files whose checksums have been looked at, and what their stamps were; so many at most."""
_ROWS_MADE = "rows_made"
_GLOB_MARKS = frozenset("*?[]{}")


class ComputeError(Exception):
    """A derived table can't be computed. The message says what to do; running again helps after that."""


def query_of(table: Table) -> str:
    """The SQL that makes a table."""
    return _file_of(table).read_text(encoding="utf-8")


def has_query(table: Table) -> bool:
    """Whether a table is made by SQL."""
    return _file_of(table).is_file()


def _file_of(table: Table) -> Traversable:
    return files("clopos_assets") / "sql" / table.group / f"{table.name}.sql"


def select(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    inputs: Mapping[str, object],
    values: Mapping[str, object] | None = None,
) -> pa.Table:
    """Run a table's SQL over its inputs, as `registered` takes them; rows come by key.

    `values` are bound to the parameters that the SQL names. Raises ContractError where the result does not have
    the declared columns, or a sum does not fit.
    """
    query = query_of(table)
    bound = {name: value for name, value in (values or {}).items() if f"${name}" in query}
    with registered(connection, inputs):
        try:
            with _made(connection, table, query, bound) as relation:
                return _rows_of(table, relation)
        except (duckdb.OutOfRangeException, duckdb.ConversionException) as error:
            message = str(error).splitlines()[0]
        with suppress(duckdb.OutOfRangeException, duckdb.ConversionException):
            _rows_of(table, _query(connection, query, bound))  # wider columns may tell which row it is of
        raise _too_large(table, message)


@contextmanager
def _made(
    connection: duckdb.DuckDBPyConnection, table: Table, query: str, bound: Mapping[str, object]
) -> Iterator[duckdb.DuckDBPyRelation]:
    """What the SQL makes, while the block lasts.

    DuckDB reads and plans a query once where it keeps the rows in a table, and twice where it hands them over as they
    come. The latter is quicker all the same where there is a row for each of many operations. Of very many, DuckDB
    narrows and sorts the rows too, which takes less memory: their inputs are gone before the first is handed over.
    """
    is_by_id = len(table.key) == 1 and table.schema.field(table.key[0]).type == pa.int64()
    operations = _count_operations(connection) if is_by_id else 0
    if operations > MANY_OPERATIONS:
        relation = _query(connection, query, bound)
        yield _in_less_memory(table, relation) if operations > _VERY_MANY_OPERATIONS else relation
        return
    connection.execute(_parsed(f"create or replace temp table {_ROWS_MADE} as {query}"), bound or None)
    try:
        yield connection.table(_ROWS_MADE)
    finally:
        connection.execute(f"drop table {_ROWS_MADE}")


@cache
def _parsed(query: str) -> duckdb.Statement:
    # Parsing the SQL each time would take a fifth of the time of a small shift date.
    (statement,) = connect().extract_statements(query)
    return statement


def _count_operations(connection: duckdb.DuckDBPyConnection) -> int:
    ((operations,),) = connection.execute("select count(*) from stock_operations").fetchall()
    return int(operations)


def _query(connection: duckdb.DuckDBPyConnection, query: str, bound: Mapping[str, object]) -> duckdb.DuckDBPyRelation:
    relation = connection.sql(query, params=bound) if bound else connection.sql(query)
    assert relation is not None  # a select always gives one
    return relation


def _in_less_memory(table: Table, relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """The relation by key, with sums and products in columns as wide as declared.

    Other differences stay, to be refused. DuckDB reads and plans the SQL once more for it.
    """
    widths = {f"DECIMAL({digits},{SCALE})" for digits in range(PRECISION, 39)} | {"HUGEINT"}
    columns = (
        f'cast("{column.name}" as {column.sql_type}) as "{column.name}"'
        if str(kind) in widths and column.kind in (Kind.DECIMAL, Kind.ID, Kind.WHOLE)
        else f'"{column.name}"'
        for column, kind in zip(table.columns, relation.types, strict=True)
    )
    return relation.project(", ".join(columns)).order(f'"{table.key[0]}"')


def _rows_of(table: Table, relation: duckdb.DuckDBPyRelation) -> pa.Table:
    """The rows in order of the key, in the declared types."""
    if tuple(relation.columns) != table.names:
        raise ContractError(f"{table.name}: its SQL gives {relation.columns}, declared are {table.names}")
    result = relation.to_arrow_table(_BATCH_ROWS)
    columns = [_cast(table, result, field) for field in table.schema]
    return _in_order(pa.Table.from_arrays(columns, schema=table.schema), table.key)


def _in_order(rows: pa.Table, key: Sequence[str]) -> pa.Table:
    # Files are sorted by key, and a select that streams one keeps the order: to check it costs less than to sort again.
    if len(key) == 1:
        values = rows.column(key[0])
        if pc.all(pc.less(values[:-1], values[1:])).as_py():
            return rows
    return rows.sort_by([(name, "ascending") for name in key])


def _cast(table: Table, result: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    column = result.column(field.name)
    try:
        return column.cast(field.type)
    except pa.ArrowInvalid as error:
        beyond = pc.greater_equal(pc.abs(column), Decimal(10) ** (PRECISION - SCALE))
        rows = _in_order(result.filter(beyond), table.key).slice(0, 1).to_pylist()
        if not rows:
            raise _too_large(table, f"{field.name}: {str(error).splitlines()[0]}") from error
        row = rows[0]
        # A key that is a hash tells nobody which row it is: the ids beside it do.
        ids = [key.name for key in table.columns if key.kind is Kind.ID and row[key.name] is not None]
        named = [name for name in ids if name in (*table.key, "receipt_id")] if set(table.key) & set(ids) else ids
        of = ", ".join(f"{name} {row[name]}" for name in named)
        raise _too_large(table, f"{field.name} {row[field.name]} of {of}") from error


def _too_large(table: Table, reason: str) -> ContractError:
    return ContractError(
        f"{table.name}: a figure is too large for its column ({reason}): correct what can't be right in Clopos, then "
        "make the shift date again"
    )


@dataclass(frozen=True)
class Rules:
    """What the settings say of standards and tolerances; the SQL knows them as parameters of these names."""

    standard_days: int = 28
    money_tolerance: Decimal = Decimal("0.01")
    quantity_tolerance: Decimal = Decimal("0.000001")
    cost_unit: Decimal = Decimal("0.01")
    shift_end: time = time(6)

    def values(self, shift_date: str) -> dict[str, object]:
        """The parameters of one shift date; `shift_ended_at` is local time, the first moment after the shift."""
        day = date.fromisoformat(shift_date)
        return {
            "shift_date": day,
            "shift_ended_at": datetime.combine(day + timedelta(days=1), self.shift_end),
            "money_tolerance": self.money_tolerance,
            "quantity_tolerance": self.quantity_tolerance,
            "cost_unit": self.cost_unit,
        }

    def window(self, shift_date: str) -> list[str]:
        """The calendar days before the shift date that set its standards, ascending."""
        day = date.fromisoformat(shift_date)
        return [(day - timedelta(days=back)).isoformat() for back in range(self.standard_days, 0, -1)]


def compute(lake: Lake, connection: duckdb.DuckDBPyConnection, table: Table, shift_date: str, rules: Rules) -> pa.Table:
    """A table's rows for one shift date, over its inputs and, as `trailing_{name}` with a column `shift_date`,
    its trailing inputs as far as they are materialized.

    Raises ComputeError where an input is not materialized, or where another run has changed what an input was computed
    from and the two do not go together any more; LakeError where one can't be read; ContractError where the rows are
    not what the table declares; duckdb.Error, for which `database.explain` has words, where DuckDB can't.
    """
    try:
        return _compute(lake, connection, table, shift_date, rules)
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error:
        # DuckDB names no file. The lake does, if one is damaged; else it was replaced while DuckDB read it.
        for name in table.inputs:
            lake.read(TABLES[name], shift_date)
    # The lake reads the window itself now: it names what is damaged there, and gives what an older version wrote the
    # declared columns.
    return _compute(lake, connection, table, shift_date, rules, is_packed=False)


def _compute(
    lake: Lake,
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    shift_date: str,
    rules: Rules,
    *,
    is_packed: bool = True,
) -> pa.Table:
    inputs: dict[str, object] = {}
    for name in table.inputs:
        inputs[name] = open_partition(lake, TABLES[name], shift_date)
    # A date that has only some of its trailing tables is left out: they would not go together in a standard.
    window = (
        lake.has_each([TABLES[name] for name in table.trailing], rules.window(shift_date)) if table.trailing else []
    )
    for name in table.trailing:
        inputs[f"trailing_{name}"] = _open_window(lake, TABLES[name], window, is_packed=is_packed)
    set_threads(connection, for_few_rows=_is_small(lake, table, shift_date, window))
    made = select(connection, table, inputs, rules.values(shift_date))
    if table.name in _RECONCILED:
        try:
            _reconcile(connection, table, made, inputs)
        except ContractError:
            _look_for_changes(lake, connection, table, shift_date, rules)
            raise
    return made


def _is_small(lake: Lake, table: Table, shift_date: str, window: Sequence[str]) -> bool:
    """Whether all that a table is made from are small files; what an object store holds is not weighed."""
    if lake.folder is None:
        return False
    read = [(name, shift_date) for name in table.inputs] + [(name, day) for name in table.trailing for day in window]
    try:
        return sum(lake.path(TABLES[name], day).stat().st_size for name, day in read) < _SMALL_BYTES
    except FileNotFoundError:  # which is told when it is read
        return False


_DEDUCTED = """
    select stock_operations.venue_id, sum(total_cost)
    from stock_operations
    semi join receipts
        on receipts.id = stock_operations.receipt_id and receipts.status = 2 and receipts.deleted_at is null
    group by stock_operations.venue_id
"""
_OF_OPERATIONS = (_DEDUCTED, (RECEIPTS.name, STOCK_OPERATIONS.name), "stock operations")
_OF_LINES = ("select venue_id, sum(cogs) from line_cogs group by venue_id", ("line_cogs",), "lines")
_RECONCILED = {
    "daily_cogs": ("cogs", *_OF_OPERATIONS),
    "ingredient_usage": ("total_cost", *_OF_OPERATIONS),
    "product_cogs": ("cogs", *_OF_LINES),
}
"""The column whose sum is known: from which query, over which inputs, and what these are called."""


def _reconcile(
    connection: duckdb.DuckDBPyConnection, table: Table, made: pa.Table, inputs: Mapping[str, object]
) -> None:
    """Refuse a table whose cost is not that of what it was made from, venue by venue."""
    column, query, of, words = _RECONCILED[table.name]
    with registered(connection, {name: inputs[name] for name in of}):
        wanted: dict[int, Decimal] = dict(connection.execute(query).fetchall())
    summed = made.group_by("venue_id").aggregate([(column, "sum")])
    got: dict[int, Decimal] = dict(zip(*(column.to_pylist() for column in summed.columns), strict=True))
    for venue_id in sorted(wanted.keys() | got.keys()):
        if wanted.get(venue_id, 0) != got.get(venue_id, 0):
            raise ContractError(
                f"{table.name}: cost of goods of venue {venue_id} is {got.get(venue_id, 0)}, and its {words} cost "
                f"{wanted.get(venue_id, 0)}"
            )


def _look_for_changes(
    lake: Lake, connection: duckdb.DuckDBPyConnection, table: Table, shift_date: str, rules: Rules
) -> None:
    """Raise ComputeError where a computed input is not what its own inputs give now.

    A run holds a shift date while it makes one table of it. Another run may change it before the next, and then goes on
    to bring all its tables up to date; its mark says so until it has. Times of files would not tell: they are coarse in
    an object store, and what comes out the same is not written again.
    """
    for computed in (TABLES[name] for name in table.inputs if TABLES[name].group != "raw"):
        if compute(lake, connection, computed, shift_date, rules) != lake.read(computed, shift_date):
            raise ComputeError(
                f"{table.name}: another run has changed the shift date since {computed.name} was made: that run brings "
                "its tables up to date, or make it again when that has ended"
            )


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


def _open_window(lake: Lake, table: Table, window: Sequence[str], *, is_packed: bool) -> object:
    """Partitions as one relation, each row with its shift date; left in their files where that is possible."""
    paths = [lake.path(table, shift_date) for shift_date in window] if is_packed and lake.folder is not None else []
    can_be_left = paths and _GLOB_MARKS.isdisjoint(str(paths[0]))
    if can_be_left and all(_can_be_left(lake, table, *one) for one in zip(window, paths, strict=True)):
        # Hive partitioning would take any other folder above with an `=` in its name for a column too.
        return f"""
            from read_parquet([{", ".join(map(_quoted, paths))}], hive_partitioning = false, filename = true)
            select * exclude (filename), cast(split_part(filename, 'shift_date=', -1)[:10] as date) as shift_date
        """
    dated = [table.schema.empty_table().append_column("shift_date", pa.array([], type=pa.date32()))]
    for shift_date, rows in lake.read_each(table, window):
        if isinstance(rows, LakeError):
            raise rows
        if rows is not None:
            day = pa.repeat(pa.scalar(date.fromisoformat(shift_date), type=pa.date32()), rows.num_rows)
            dated.append(rows.append_column("shift_date", day))
    return pa.concat_tables(dated)
