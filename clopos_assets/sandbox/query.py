"""The query of a receipts request, read as PHP reads it and refused where the documents say so.

Pages "List Receipts" and "Get Receipt by ID" (v2): `page`, `limit`, `date[0]`/`date[1]`, `sort[0]`/`sort[1]`,
`with[N]` or `with[]`, `filters[N][0]`/`filters[N][1]`. Brackets may be percent-encoded. Where the documents
are silent: one `date` alone leaves the other end open; a relation that is not documented is refused; unknown
parameters are ignored.
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Final
from urllib.parse import parse_qsl

SORTS: Final = ("id", "created_at", "updated_at", "closed_at", "total")
FILTERS: Final = ("status", "sale_type_id", "terminal_id")
LINES: Final = "receipt_products"
MODIFIERS: Final = "receipt_products.modificators"
MODIFIER_GROUP: Final = "receipt_products.modificators.modificator_group"
UNIT: Final = "receipt_products.product.unit"
STATION: Final = "receipt_products.product.station"
RELATIONS: Final = frozenset({LINES, MODIFIERS, MODIFIER_GROUP, UNIT, STATION})
DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_KEY = re.compile(r"(\w+)((?:\[\d*\])*)", re.ASCII)


class InvalidParameterError(Exception):
    """A parameter that the API refuses with 400; the text is the answer's `message`, `details` those of v1."""

    def __init__(self, message: str, details: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.details = details or {}


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A list request. `first` and `last` are days of `created_at`, both inclusive; None is an open end.

    `filters` are pairs of a documented field and the text it must equal.
    """

    page: int
    limit: int
    first: date | None
    last: date | None
    sort: str
    ascending: bool
    relations: frozenset[str]
    filters: tuple[tuple[str, str], ...]


def read_list_query(text: str, *, refused_above: int | None = None) -> ListQuery:
    """Reads the query of `GET /v2/receipts`; a `limit` above 200 is cut to 200, unless it is above what is refused."""
    values = _read(text)
    limit = _positive(values, "limit", DEFAULT_LIMIT)
    if refused_above is not None and limit > refused_above:
        raise InvalidParameterError(
            f"The 'limit' parameter must be between 1 and {refused_above}",
            {"parameter": "limit", "provided_value": limit, "valid_range": f"1-{refused_above}"},
        )
    sort = values.get(("sort", "0"), "created_at")
    if sort not in SORTS:
        raise InvalidParameterError(f"sort[0] must be one of: {', '.join(SORTS)}")
    direction = values.get(("sort", "1"), "-1")
    if direction not in {"1", "-1"}:
        raise InvalidParameterError("sort[1] must be 1 or -1")
    return ListQuery(
        page=_positive(values, "page", 1),
        limit=min(limit, MAX_LIMIT),
        first=_day(values, "0"),
        last=_day(values, "1"),
        sort=sort,
        ascending=direction == "1",
        relations=_relations(values),
        filters=_filters(values),
    )


def read_relations(text: str) -> frozenset[str]:
    """Reads the query of `GET /v2/receipts/{id}`: the relations asked for."""
    return _relations(_read(text))


def read_id(text: str) -> int:
    """Reads a receipt id from the path. Raises LookupError for what is none: the pages have an invalid id not found."""
    if not _NUMBER.fullmatch(text):
        raise LookupError(text)
    return int(text)


def _read(text: str) -> dict[tuple[str, ...], str]:
    """Parameters by name and indexes; `[]` takes the next free number, a repeated key its last value."""
    values: dict[tuple[str, ...], str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        match = _KEY.fullmatch(name)
        if match is None:
            continue
        indexes = [part.rstrip("]") for part in match[2].split("[")[1:]]
        key = (match[1], *indexes)
        if "" in key[:-1]:
            continue
        if key[-1] == "":
            key = (*key[:-1], _next_index(values, key[:-1]))
        values[key] = value
    return values


def _next_index(values: dict[tuple[str, ...], str], prefix: tuple[str, ...]) -> str:
    taken = [int(key[len(prefix)]) for key in values if key[: len(prefix)] == prefix and len(key) > len(prefix)]
    return str(max(taken, default=-1) + 1)


def _positive(values: dict[tuple[str, ...], str], name: str, default: int) -> int:
    text = values.get((name,))
    if text is None:
        return default
    if not _NUMBER.fullmatch(text) or int(text) < 1:
        raise InvalidParameterError(f"{name} must be a positive integer")
    return int(text)


def _day(values: dict[tuple[str, ...], str], index: str) -> date | None:
    text = values.get(("date", index))
    if text is None:
        return None
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise InvalidParameterError(f"date[{index}] must be a date in the format YYYY-MM-DD")


def _relations(values: dict[tuple[str, ...], str]) -> frozenset[str]:
    asked = [value for key, value in values.items() if key[0] == "with" and len(key) == 2]
    for name in asked:
        if name not in RELATIONS:
            raise InvalidParameterError(f"with may ask for: {', '.join(sorted(RELATIONS))}")
    return frozenset(asked)


def _filters(values: dict[tuple[str, ...], str]) -> tuple[tuple[str, str], ...]:
    numbers = sorted({key[1] for key in values if key[0] == "filters" and len(key) == 3}, key=int)
    pairs = []
    for number in numbers:
        field, value = values.get(("filters", number, "0")), values.get(("filters", number, "1"))
        if field is None or value is None:
            raise InvalidParameterError(f"filters[{number}] must have a field [0] and a value [1]")
        if field in FILTERS:
            pairs.append((field, value))
    return tuple(pairs)
