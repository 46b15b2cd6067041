"""What a column and a table are: the declaration that schemas, metadata, checks and the dictionary derive from.

The tables themselves are in `raw.py`, `cost.py` and `variance.py`; reading an API object into a row is in `rows.py` and
`values.py`.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import cached_property
from itertools import zip_longest
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

SCALE: Final = 6
PRECISION: Final = 18
STEP: Final = Decimal(1).scaleb(-SCALE)


class Kind(Enum):
    """What a column holds; each kind has one type in DuckDB's and one in Arrow's words."""

    ID = "id"
    WHOLE = "whole number"
    FLAG = "flag"
    TEXT = "text"
    JSON = "JSON text"
    DECIMAL = "decimal"
    RATIO = "ratio"
    TIME = "local time"
    DATE = "date"
    INSTANT = "instant"
    PAYMENTS = "payments"


_SQL: Final[dict[Kind, str]] = {
    Kind.ID: "BIGINT",
    Kind.WHOLE: "BIGINT",
    Kind.FLAG: "BOOLEAN",
    Kind.TEXT: "VARCHAR",
    Kind.JSON: "VARCHAR",
    Kind.DECIMAL: f"DECIMAL({PRECISION},{SCALE})",
    Kind.RATIO: "DOUBLE",
    Kind.TIME: "TIMESTAMP",
    Kind.DATE: "DATE",
    Kind.INSTANT: "TIMESTAMP WITH TIME ZONE",
    Kind.PAYMENTS: f"STRUCT(id BIGINT, name VARCHAR, amount DECIMAL({PRECISION},{SCALE}))[]",
}
_DECIMAL = pa.decimal128(PRECISION, SCALE)
_ARROW: Final[dict[Kind, pa.DataType]] = {
    Kind.ID: pa.int64(),
    Kind.WHOLE: pa.int64(),
    Kind.FLAG: pa.bool_(),
    Kind.TEXT: pa.string(),
    Kind.JSON: pa.string(),
    Kind.DECIMAL: _DECIMAL,
    Kind.RATIO: pa.float64(),
    Kind.TIME: pa.timestamp("us"),
    Kind.DATE: pa.date32(),
    Kind.INSTANT: pa.timestamp("us", tz="UTC"),
    Kind.PAYMENTS: pa.list_(
        pa.struct([("id", pa.int64()), ("name", pa.string()), ("amount", _DECIMAL)]),
    ),
}


_TWICE: Final = (
    ": ids are the brand's; if the lake was filled from another Clopos account too, set CLOPOS_LAKE to another lake, "
    "else ask Clopos about that id"
)


@dataclass(frozen=True)
class Column:
    """One column: its name, type and meaning, and where an API object holds it.

    `source` is the path in the API object, `()` where the value is given by the row's surroundings or
    computed; `v1_source` is the field's other name under v1. `required` columns are never NULL. `repeats`
    marks few distinct values, for the encoding. `v1_only` fields are NULL under v2.
    """

    name: str
    kind: Kind
    meaning: str
    unit: str | None = None
    source: tuple[str, ...] = ()
    required: bool = False
    repeats: bool = False
    v1_only: bool = False
    v1_source: str | None = None

    @property
    def arrow(self) -> pa.Field:
        """The Arrow field every write enforces."""
        return pa.field(self.name, _ARROW[self.kind], nullable=not self.required)

    @property
    def sql_type(self) -> str:
        """The type in DuckDB's words."""
        return _SQL[self.kind]

    @property
    def description(self) -> str:
        """Meaning, unit and version in one text, as analysts read it."""
        notes = [note for note in (self.unit, "v1 only" if self.v1_only else None) if note]
        return f"{self.meaning} ({', '.join(notes)})." if notes else f"{self.meaning}."


class ContractError(Exception):
    """Rows break what their table declares. Final for these rows: the message names the table and why."""


@dataclass(frozen=True)
class Table:
    """One table: its grain, key and columns.

    `inputs` are the tables of the same shift date that it is made from; `trailing` are those read over the
    standard window, the days before the shift date. `also_known` are documented fields of its API object that
    have no column because they live elsewhere (in the path, or in another table). `remembers` says what is lost with a
    partition that is computed from its own last version, too, and not from its inputs alone.
    """

    name: str
    group: str
    grain: str
    key: tuple[str, ...]
    description: str
    columns: tuple[Column, ...]
    inputs: tuple[str, ...] = ()
    trailing: tuple[str, ...] = ()
    also_known: frozenset[str] = frozenset()
    remembers: str = ""

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema, columns in the declared order."""
        return pa.schema([column.arrow for column in self.columns])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Column names in the declared order."""
        return tuple(column.name for column in self.columns)

    def check(self, rows: pa.Table) -> None:
        """Refuse rows whose types, keys or NULLs break the declaration. Raises ContractError."""
        if not rows.schema.equals(self.schema):
            raise ContractError(f"{self.name}: {_first_difference(rows.schema, self.schema)}")
        for column in self.columns:
            if column.required and rows.column(column.name).null_count:
                raise ContractError(f"{self.name}: {column.name} is NULL in some row")
        counted = rows.group_by(list(self.key)).aggregate([([], "count_all")])
        repeated = counted.filter(pc.greater(counted.column("count_all"), 1))
        if repeated.num_rows:
            first = repeated.slice(0, 1).to_pylist()[0]
            key = ", ".join(f"{name} {first[name]}" for name in self.key)
            raise ContractError(f"{self.name}: more than one row for {key}{_TWICE if self.group == 'raw' else ''}")

    def how_to_mend(self, shift_date: str) -> str:
        """What to do about a partition that can't be read, for a message.

        A computed one is replaced unread; others are first read by whoever makes them.
        """
        if self.group == "raw":
            return f"remove it and make {shift_date} again"
        if self.remembers:
            return f"remove it and make {shift_date} again; {self.remembers} is lost with it"
        return f"make {shift_date} again"


def _first_difference(got: pa.Schema, declared: pa.Schema) -> str:
    for place, (found, wanted) in enumerate(zip_longest(got, declared), start=1):
        if found is None or wanted is None or not found.equals(wanted):
            return f"column {place} is {_in_words(found)}, declared is {_in_words(wanted)}"
    return "columns are not as declared"


def _in_words(field: pa.Field | None) -> str:
    if field is None:
        return "none"
    return f"{field.name} {field.type}{'' if field.nullable else ' not null'}"
