"""Reading an API object into a row of a declared table: exact, strict about types, nothing lost.

Knows declarations and plain Python values (numbers as int or Decimal), not HTTP and not the lake.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Final

import msgspec
import pyarrow as pa

from clopos_assets.tables.columns import PRECISION, SCALE, STEP, Column, Kind, Table

Row = tuple[object, ...]
_Tree = dict[str, "_Tree"]

_EXACT: Final = Context(prec=400, rounding=ROUND_HALF_EVEN, Emin=-999_999, Emax=999_999)
_TOO_LARGE: Final = Decimal(10) ** (PRECISION - SCALE)
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?")
_SHOWN: Final = 40
_CANONICAL: Final = msgspec.json.Encoder(decimal_format="number", order="sorted")


class RowError(ValueError):
    """An API object does not fit its table. Final for that object; the message names field and value."""


def write_json(value: object) -> str:
    """Canonical JSON text: keys sorted, decimals as exact numbers, letters unescaped."""
    return _CANONICAL.encode(value).decode()


def shown(value: object) -> str:
    """A value of an answer in a message: on one line, and not at length."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a whole number of {value.bit_length()} bits"  # Python refuses to write the longest ones out
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def name_of(identity: object) -> str:
    """An object's id in a message, which may be anything in a bad answer; plain where it is."""
    is_plain = isinstance(identity, str) and identity.isascii() and identity.isalnum() and len(identity) <= _SHOWN
    return str(identity) if is_plain else shown(identity)


def _read_number(value: object) -> int | Decimal:
    if type(value) is int or type(value) is Decimal:
        return value
    if type(value) is str and _NUMBER.fullmatch(value):
        return Decimal(value)
    raise RowError(f"{shown(value)} is not a number")


def read_decimal(value: object) -> Decimal:
    """DECIMAL(18,6) from a JSON number or numeric string, rounded half-even to six decimals."""
    if type(value) is int or type(value) is Decimal:
        return _round(value)
    return _round(_read_number(value))


@lru_cache(maxsize=16_384)
def _round(number: int | Decimal) -> Decimal:
    # The same prices, quantities and zeros come again and again.
    # Compared before it is converted: Decimal of a huge int is slow to make, and fits nowhere.
    if not -_TOO_LARGE < number < _TOO_LARGE:
        raise RowError(f"{shown(number)} does not fit DECIMAL({PRECISION},{SCALE})")
    try:
        rounded = Decimal(number).quantize(STEP, context=_EXACT)
    except InvalidOperation:
        raise RowError(f"{shown(number)} is not a number that can be kept") from None
    if not -_TOO_LARGE < rounded < _TOO_LARGE:
        raise RowError(f"{shown(number)} does not fit DECIMAL({PRECISION},{SCALE})")
    return rounded if rounded else Decimal("0.000000")  # no negative zero


def read_whole(value: object) -> int:
    """BIGINT from a whole JSON number or numeric string."""
    if type(value) is int and -(2**63) <= value < 2**63:
        return value
    number = _read_number(value)
    # Compared before it is converted: the int of a large exponent would have as many digits.
    if not -(2**63) <= number < 2**63:
        raise RowError(f"{shown(number)} does not fit BIGINT")
    whole = int(number)
    if whole != number:
        raise RowError(f"{shown(number)} is not a whole number")
    return whole


def read_flag(value: object) -> bool:
    """BOOLEAN from true, false, 0 or 1."""
    if type(value) is bool:
        return value
    if value in (0, 1, "0", "1"):
        return value in (1, "1")
    raise RowError(f"{shown(value)} is neither true, false, 0 nor 1")


def read_text(value: object) -> str:
    """VARCHAR; a number or structure where text is documented is kept as its JSON text."""
    return value if type(value) is str else write_json(value)


def read_time(value: object) -> datetime:
    """TIMESTAMP without zone from `YYYY-MM-DD HH:mm:ss`, in the zone the API reports it in."""
    if type(value) is str:
        return _parse_time(value)
    raise RowError(f"{shown(value)} is not a time as YYYY-MM-DD HH:mm:ss")


@lru_cache(maxsize=4096)
def _parse_time(text: str) -> datetime:
    # A receipt, its lines and its operations share most of theirs.
    if _TIME.fullmatch(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    raise RowError(f"{shown(text)} is not a time as YYYY-MM-DD HH:mm:ss")


def read_shift_date(value: object) -> str:
    """A business day from `YYYY-MM-DD`, as the partition's key."""
    if type(value) is str and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        try:
            return datetime.fromisoformat(value).date().isoformat()
        except ValueError:
            pass
    raise RowError(f"{shown(value)} is not a date as YYYY-MM-DD")


_PAYMENT: Final[dict[str, Callable[[object], object]]] = {
    "id": read_whole,
    "name": read_text,
    "amount": read_decimal,
}


def _read_payments(value: object) -> list[dict[str, object]]:
    if not isinstance(value, list) or not all(isinstance(payment, dict) for payment in value):
        raise RowError(f"{shown(value)} is not a list of payments")
    payments = []
    for payment in value:
        read: dict[str, object] = {}
        for name, reader in _PAYMENT.items():
            given = payment.get(name)
            try:
                read[name] = None if given is None else reader(given)
            except RowError as error:
                raise RowError(f"{name} {error}") from None
        payments.append(read)
    return payments


_READERS: Final[dict[Kind, Callable[[object], object]]] = {
    Kind.ID: read_whole,
    Kind.WHOLE: read_whole,
    Kind.FLAG: read_flag,
    Kind.TEXT: read_text,
    Kind.JSON: write_json,
    Kind.DECIMAL: read_decimal,
    Kind.TIME: read_time,
    Kind.PAYMENTS: _read_payments,
}


class RowReader:
    """Reads API objects into rows of one table, `fetched_at` left out (it says when, not what).

    `given` names the columns whose value comes from the row's surroundings, in the order `read` takes them.
    """

    def __init__(self, table: Table, given: Sequence[str] = ()) -> None:
        self.table = table
        columns = [column for column in table.columns if column.name != "fetched_at"]
        self.names = tuple(column.name for column in columns)
        self._extra = self.names.index("extra")
        read = [column for column in columns if column.source]
        self._plain = [self._step(column) for column in read if len(column.source) == 1 and not column.v1_source]
        self._other = [
            (*self._step(column), column.source[1:], column.v1_source)
            for column in read
            if len(column.source) > 1 or column.v1_source
        ]
        self._given = [self.names.index(name) for name in given]
        nested: _Tree = {}
        known = set(table.also_known)
        for column in columns:
            if column.source:
                known.add(column.source[0])
                known.update([column.v1_source] if column.v1_source else [])
            if len(column.source) > 1:
                branch = nested
                for key in column.source[:-1]:
                    branch = branch.setdefault(key, {})
                branch[column.source[-1]] = {}
        whole = {column.source[0] for column in columns if len(column.source) == 1}
        self._known = frozenset(known)
        # Of an object that has a column of its own, as JSON text, nothing is left over.
        self._nested = {key: branch for key, branch in nested.items() if key not in whole}
        self._payments = [column.name for column in columns if column.kind is Kind.PAYMENTS]

    def _step(self, column: Column) -> tuple[int, str, Callable[[object], object], bool]:
        return self.names.index(column.name), column.source[0], _READERS[column.kind], column.required

    def read(self, item: Mapping[str, object], *given: object) -> Row:
        """The row of one API object. Raises RowError that names the field."""
        row: list[object] = [None] * len(self.names)
        for slot, key, reader, required in self._plain:
            value = item.get(key)
            if value is not None:
                try:
                    row[slot] = reader(value)
                except RowError as error:
                    raise RowError(f"{key}: {error}") from None
            elif required:
                raise RowError(f"{key} is missing")
        for slot, key, reader, required, path, other in self._other:
            value = item.get(key)
            for part in path:
                value = value.get(part) if isinstance(value, dict) else None
            if other is not None and not value and item.get(other) is not None:
                value = item.get(other)
            if value is not None:
                try:
                    row[slot] = reader(value)
                except RowError as error:
                    raise RowError(f"{'.'.join((key, *path))}: {error}") from None
            elif required:
                raise RowError(f"{'.'.join((key, *path))} is missing")
        for slot, value in zip(self._given, given, strict=True):
            row[slot] = value
        extra = self._left_over(item)
        row[self._extra] = write_json(extra) if extra else None
        return tuple(row)

    def _left_over(self, item: Mapping[str, object]) -> dict[str, object]:
        extra = {} if item.keys() <= self._known else {key: item[key] for key in item.keys() - self._known}
        for key, branch in self._nested.items():
            left = _beyond(item.get(key), branch, key, item)
            if left is not None:
                extra[key] = left
        for name in self._payments:
            payments = item.get(name)
            if isinstance(payments, list):
                rest = [{k: v for k, v in payment.items() if k not in _PAYMENT} for payment in payments]
                if any(rest):
                    extra[name] = rest
        return extra

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


def unknown_fields(extra: pa.ChunkedArray) -> str:
    """The names of undocumented fields in a column `extra`, comma-separated; empty where there is none."""
    names = {name for text in extra.drop_null().to_pylist() for name in _FIELDS.decode(text)}
    return ", ".join(sorted(names))


def _beyond(value: object, known: Mapping[str, object], name: str, item: Mapping[str, object]) -> object:
    """What a nested object holds besides the known paths, and an `id` that the item does not repeat as its own
    `{name}_id`; None where nothing.
    """
    if not isinstance(value, dict):
        return value or None  # not the documented object: keep what was said, if anything
    left = {}
    for key, inner in value.items():
        if key == "id" and inner in (None, item.get(f"{name}_id")):
            continue
        if key not in known:
            left[key] = inner
            continue
        branch = known[key]
        rest = _beyond(inner, branch, key, item) if isinstance(branch, dict) and branch else None
        if rest is not None:
            left[key] = rest
    return left or None
