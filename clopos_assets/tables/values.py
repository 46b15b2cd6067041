"""One value of an API object: read as what its column holds, exactly and strictly, or shown in a message.

Knows plain Python values (numbers as int or Decimal), not objects, not HTTP and not the lake.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Final

import msgspec

from clopos_assets.tables.columns import PRECISION, SCALE, STEP, Kind

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
    """A value of an answer in a message: on one line, and not at length; of a structure, which may hold personal data
    in any place, only that it is one."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
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


def is_same_id(value: object, other: object) -> bool:
    """Whether two values of an answer are one id, be it as a number or as a numeric string."""
    try:
        return value == other or read_whole(value) == read_whole(other)
    except RowError:
        return False


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


PAYMENT: Final[Mapping[str, Callable[[object], object]]] = {
    "id": read_whole,
    "name": read_text,
    "amount": read_decimal,
}


def _read_payments(value: object) -> list[dict[str, object]]:
    if not isinstance(value, list):
        raise RowError(f"{shown(value)} is not a list of payments")
    if not all(isinstance(payment, dict) for payment in value):
        raise RowError("not all in the list are payments")
    payments = []
    for payment in value:
        read: dict[str, object] = {}
        for name, reader in PAYMENT.items():
            given = payment.get(name)
            try:
                read[name] = None if given is None else reader(given)
            except RowError as error:
                raise RowError(f"{name} {error}") from None
        payments.append(read)
    return payments


READERS: Final[Mapping[Kind, Callable[[object], object]]] = {
    Kind.ID: read_whole,
    Kind.WHOLE: read_whole,
    Kind.FLAG: read_flag,
    Kind.TEXT: read_text,
    Kind.JSON: write_json,
    Kind.DECIMAL: read_decimal,
    Kind.TIME: read_time,
    Kind.PAYMENTS: _read_payments,
}
