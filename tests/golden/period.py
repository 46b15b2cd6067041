"""The golden period: its answers, and the tables they must give."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.oracle import Row, differences, shift_dates
from tests.tables.decoding import Json, load_json

_FOLDER = Path(__file__).parent
_ANSWERS = load_json(_FOLDER / "answers.json")
_TABLES = load_json(_FOLDER / "tables.json")
_TEXT = {"product_name", "product_type", "storage_name"}

RECEIPTS: list[Json] = _ANSWERS["receipts"]
OPERATIONS: dict[int, list[Json]] = {int(key): items for key, items in _ANSWERS["stock_operations"].items()}
DAYS = shift_dates(RECEIPTS)


def _typed(column: str, value: Any) -> Any:
    if isinstance(value, str) and column not in _TEXT:
        return Decimal(value)
    return float(value) if isinstance(value, Decimal) else value


def expected_rows(table: str, shift_date: str) -> list[Row]:
    """A table's rows for one shift date, worked by hand: decimals exact, ratios as floats."""
    rows = [row for row in _TABLES[table] if row["shift_date"] == shift_date]
    return [{name: _typed(name, value) for name, value in row.items() if name != "shift_date"} for row in rows]


def assert_golden(table: str, shift_date: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """The rows are the worked ones, in the columns that were worked."""
    wanted = expected_rows(table, shift_date)
    worked = set(wanted[0]) if wanted else set()
    assert differences(table, [{name: row[name] for name in worked} for row in rows], wanted) == []
