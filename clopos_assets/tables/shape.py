"""Rows that were written when their table was declared otherwise, brought into the shape it is declared in now.

What a newer version may do to a declaration: add a column that may be NULL, reorder columns, drop one, widen a type.
Older files are then read as if they had been written so, and get the new shape when their shift date is made again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from clopos_assets.tables.columns import ContractError, Table


@dataclass(frozen=True)
class Partition:
    """What one version of a partition holds: rows as declared, the notes beside them, and whether its file has exactly
    the declared columns, as this version writes it.
    """

    rows: pa.Table
    notes: Mapping[str, str]
    has_shape: bool


def has_shape(table: Table, schema: pa.Schema) -> bool:
    """Whether a file has exactly the declared columns, in names, order, types and NULLs allowed."""
    return bool(schema.equals(table.schema, check_metadata=False))


def lacking(table: Table, schema: pa.Schema) -> tuple[str, ...]:
    """Declared columns that a file of this schema does not have, in the declared order."""
    there = set(schema.names)
    return tuple(name for name in table.names if name not in there)


def in_shape(table: Table, rows: pa.Table, names: Sequence[str]) -> pa.Table:
    """The named columns as declared: NULL where the rows lack one, in another type where that loses nothing.

    Raises ContractError where a column that is never NULL is lacking, or values do not fit the declared type.
    """
    declared = pa.schema([table.schema.field(name) for name in names])
    if rows.schema.equals(declared):
        return rows
    columns = []
    for field in declared:
        if field.name not in rows.column_names:
            if not field.nullable:
                raise ContractError(f"it lacks the column {field.name}, which is never NULL")
            columns.append(pa.nulls(rows.num_rows, field.type))
            continue
        column = rows.column(field.name)
        if column.null_count and not field.nullable:
            raise ContractError(f"its column {field.name} has NULLs, which it may not have")
        try:  # Arrow knows by trying only
            columns.append(column.cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # a value does not fit; there is no such cast
            raise ContractError(f"its column {field.name} is {column.type}, declared is {field.type}") from None
    return pa.Table.from_arrays(columns, schema=declared)
