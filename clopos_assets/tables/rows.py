"""Reading an API object into a row of a declared table: every field into its column, and nothing lost.

Knows declarations and plain Python values (numbers as int or Decimal), not HTTP and not the lake.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import msgspec
import pyarrow as pa

from clopos_assets.tables.columns import Column, Kind, Table
from clopos_assets.tables.values import PAYMENT, READERS, RowError, is_same_id, write_json

Row = tuple[object, ...]
_Object = Mapping[str, object]

# The type of which a value is what the column holds, without being read.
_AS_IT_IS: Mapping[Kind, type] = {Kind.TEXT: str, Kind.FLAG: bool}
# The objects of a list have few different sets of fields.
_PLANS = 256


_Step = tuple[int, type | None, Callable[[object], object]]
"""Where a field goes: the slot of its column, the type that is taken as it is, and the reader of other values."""


class _Plan(NamedTuple):
    """What becomes of the fields of an object that has these: read by steps, looked into, or left over."""

    steps: tuple[tuple[str, int, type | None, Callable[[object], object]], ...]
    branches: tuple[tuple[str, "_Node"], ...]
    unknown: tuple[str, ...]


@dataclass(eq=False)
class _Node:
    """An object of an answer, or one inside it, of whose fields some are columns.

    `elsewhere` are fields that other tables have. One that `is_kept` is a column itself, so that nothing of it is
    left over.
    """

    steps: dict[str, _Step] = field(default_factory=dict)
    branches: dict[str, "_Node"] = field(default_factory=dict)
    elsewhere: frozenset[str] = frozenset()
    is_kept: bool = False

    def __post_init__(self) -> None:
        # What to do depends on the names alone, and is the same for thousands of objects.
        self._plan_of = lru_cache(_PLANS)(self._plan)

    def _plan(self, names: tuple[str, ...]) -> _Plan:
        known = self.steps.keys() | self.branches.keys() | self.elsewhere
        return _Plan(
            tuple((name, *self.steps[name]) for name in names if name in self.steps),
            tuple((name, self.branches[name]) for name in names if name in self.branches),
            tuple(name for name in names if name not in known),
        )

    def read(self, item: _Object, row: list[object], root: _Object, own: str = "") -> dict[str, object] | None:
        """Fill the row, and give what is left over; the object is called `own` in `root`, that of the whole row.

        Raises RowError that names the field.
        """
        steps, branches, unknown = self._plan_of(tuple(item))
        for name, slot, plain, read in steps:
            value = item[name]
            if type(value) is plain:
                row[slot] = value
            elif value is not None:
                try:
                    row[slot] = read(value)
                except RowError as error:
                    raise RowError(f"{name}: {error}") from None
        left: dict[str, object] | None = None
        for name in unknown:
            value = item[name]
            # The id of an object is mostly repeated beside it.
            if name != "id" or not (value is None or is_same_id(value, root.get(f"{own}_id"))):
                left = left or {}
                left[name] = value
        for name, branch in branches:
            value = item[name]
            # Where it is not the documented object, what was said is kept, if anything.
            rest = value
            if type(value) is dict:
                try:
                    rest = branch.read(value, row, root, name)
                except RowError as error:
                    raise RowError(f"{name}.{error}") from None
            if rest and not branch.is_kept:
                left = left or {}
                left[name] = rest
        return left


class RowReader:
    """Reads API objects into rows of one table, `fetched_at` left out (it says when, not what).

    `given` names the columns whose value comes from the row's surroundings, in the order `read` takes them.
    """

    def __init__(self, table: Table, given: Sequence[str] = ()) -> None:
        self.table = table
        columns = [column for column in table.columns if column.name != "fetched_at"]
        read = [column for column in columns if column.source]
        self.names = tuple(column.name for column in columns)
        self._extra = self.names.index("extra")
        self._given = [self.names.index(name) for name in given]
        self._required = [(self.names.index(column.name), column.source) for column in read if column.required]
        self._other_names = [
            (column.source[0], column.v1_source, self._step(column)) for column in read if column.v1_source
        ]
        self._payments = [column.name for column in columns if column.kind is Kind.PAYMENTS]
        self._root = _Node(elsewhere=table.also_known | {other for _, other, _ in self._other_names})
        for column in read:
            node = self._root
            for key in column.source[:-1]:
                node = node.branches.setdefault(key, _Node())
            node.steps[column.source[-1]] = self._step(column)
        for key in self._root.branches.keys() & self._root.steps.keys():
            self._root.branches[key].is_kept = True

    def _step(self, column: Column) -> _Step:
        return self.names.index(column.name), _AS_IT_IS.get(column.kind), READERS[column.kind]

    def read(self, item: _Object, *given: object) -> Row:
        """The row of one API object. Raises RowError that names the field."""
        row: list[object] = [None] * len(self.names)
        extra = self._root.read(item, row, item) or {}
        for name, other, (slot, _, read) in self._other_names:
            if (value := item.get(other)) is None:
                continue
            if not (own := item.get(name)):
                try:
                    row[slot] = read(value)
                except RowError as error:
                    raise RowError(f"{name}: {error}") from None
            elif value and value != own:
                extra[other] = value
        for slot, source in self._required:
            if row[slot] is None:
                raise RowError(f"{'.'.join(source)} is missing")
        for slot, value in zip(self._given, given, strict=True):
            row[slot] = value
        for name in self._payments:
            payments = item.get(name)
            if isinstance(payments, list):
                rest = [{k: v for k, v in payment.items() if k not in PAYMENT} for payment in payments]
                if any(rest):
                    extra[name] = rest
        row[self._extra] = write_json(extra) if extra else None
        return tuple(row)

    def named(self, row: Row) -> list[tuple[str, object]]:
        """What a row says, by column and without NULLs: the same whichever other columns the table has."""
        return [pair for pair in zip(self.names, row, strict=True) if pair[1] is not None]

    def to_arrow(self, rows: Iterable[Row], fetched_at: datetime) -> pa.Table:
        """Rows as the table's Arrow, with the instant at which they were read."""
        listed = list(rows)
        columns: Iterable[Sequence[object]] = zip(*listed, strict=True) if listed else ((),) * len(self.names)
        arrays = [
            pa.array(values, type=self.table.schema.field(name).type)
            for name, values in zip(self.names, columns, strict=True)
        ]
        instant = self.table.schema.field("fetched_at").type
        arrays.append(pa.array([fetched_at] * len(listed), type=instant))
        return pa.Table.from_arrays(arrays, schema=self.table.schema)


# What the fields hold is left as text: it may be a number that no type of Python's keeps.
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])

_Objects = dict[str, "_Objects"]
"""Fields that are documented as objects, or as lists of them, and those inside each."""


def unknown_fields(table: Table, extra: pa.ChunkedArray) -> str:
    """The names of undocumented fields in a table's column `extra`, comma-separated; empty where there is none.

    One that stands within a documented object is named as `product.code`.
    """
    known: _Objects = {column.name: {} for column in table.columns if column.kind is Kind.PAYMENTS}
    for column in table.columns:
        inside = known
        for key in column.source[:-1]:
            inside = inside.setdefault(key, {})
    names = {name for text in extra.drop_null().to_pylist() for name in _names(_FIELDS.decode(text), known)}
    return ", ".join(sorted(names))


def _names(fields: Mapping[str, msgspec.Raw], known: _Objects, within: str = "") -> Iterator[str]:
    for name, value in fields.items():
        objects = _objects_in(value) if name in known else []
        for each in objects:
            yield from _names(each, known[name], f"{within}{name}.")
        if not objects:
            yield f"{within}{name}"


def _objects_in(value: msgspec.Raw) -> list[dict[str, msgspec.Raw]]:
    text = bytes(value)
    values = _LIST.decode(text) if text.startswith(b"[") else [value]
    return [_FIELDS.decode(each) for each in values if bytes(each).startswith(b"{")]
