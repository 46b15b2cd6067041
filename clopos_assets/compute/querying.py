"""A table's SQL: where it is, and what it makes of its inputs, in the declared columns and order."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from clopos_assets.compute.inputs import registered
from clopos_assets.database import connect
from clopos_assets.tables import STOCK_OPERATIONS, ContractError, Kind, Table
from clopos_assets.tables.columns import PRECISION, SCALE

_BATCH_ROWS = 64 * 1024
"""Rows that DuckDB hands over at once: larger buffers are allocated anew each time, and take longer to fill."""
MANY_OPERATIONS = 100_000
"""Operations of a shift date from which on handing over rows takes longer than planning."""
_VERY_MANY_OPERATIONS = 2_000_000
"""Operations of a shift date from which on memory counts for more than time."""
_ROWS_MADE = "rows_made"


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
    operations = _count_operations(connection) if is_by_id and STOCK_OPERATIONS.name in table.inputs else 0
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
