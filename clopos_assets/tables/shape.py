"""Rows that were written when their table was declared otherwise, brought into the shape it is declared in now.

What a newer version may do to a declaration: add a column that may be NULL, reorder columns, drop one, widen a type.
Older files are then read as if they had been written so, and get the new shape when their shift date is made again.
"""

from collections.abc import Collection, Mapping, Sequence
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


_AGAIN = {"stock_operations": "again with `refresh: all`"}
"""Without, a run asks only for what has changed, and writes the others' rows as it has read them."""


class Older:
    """What was read as NULL because an older version wrote the files, until it is told or written anew."""

    def __init__(self) -> None:
        self._dates: dict[tuple[str, tuple[str, ...]], set[str]] = {}

    def note(self, table: Table, shift_date: str, lacks: Sequence[str]) -> None:
        """These columns of a partition were read as NULL."""
        self._dates.setdefault((table.name, tuple(lacks)), set()).add(shift_date)

    def forget(self, table: Table, shift_date: str) -> None:
        """The partition has been written as it is declared now, from new answers if its rows come from any."""
        if table.name in _AGAIN:
            return
        for name, columns in list(self._dates):
            if name == table.name:
                self._dates[name, columns].discard(shift_date)

    def take(self) -> list[str]:
        """A sentence for each table and its columns; those told are told no more."""
        told = [(key, self._dates.pop(key)) for key in sorted(self._dates)]
        return [
            f"{table}: {', '.join(columns)} read as NULL for {span_of(dates)}, which an older version wrote: make "
            f"{'it' if len(dates) == 1 else 'them'} {_AGAIN.get(table, 'again')} to fill them"
            for (table, columns), dates in told
            if dates
        ]


def span_of(shift_dates: Collection[str]) -> str:
    """How many shift dates, from which to which."""
    if len(shift_dates) == 1:
        return f"shift date {min(shift_dates)}"
    return f"{len(shift_dates)} shift dates, {min(shift_dates)} to {max(shift_dates)}"


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
