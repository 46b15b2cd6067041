"""All tables of a brand's history in plain Python: the oracles of the tables, put together."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from tests.oracle import KEYS, Json, Row, cost_tables, differences, raw_tables
from tests.variance.findings_oracle import Limits, history_findings
from tests.variance.ledger_oracle import gaps_of, ledger_tables
from tests.variance.usage_oracle import Answers, recipe_observed, usage_variance

_PAIR = ("venue_id", "product_id", "ingredient_id")
KEYS.update({"recipe_observed": _PAIR, "usage_variance": _PAIR, "variance_findings": ("finding_id",)})

_SAID_FREELY = "message"


def expected_tables(
    receipts: Iterable[Json], operations: Mapping[int, Sequence[Json]], made: Iterable[str], standard_days: int
) -> dict[str, dict[str, list[Row]]]:
    """Shift date → table → rows, of the made shift dates: what stands in others counts for nothing."""
    filed: dict[str, list[Json]] = {day: [] for day in sorted(made)}
    for receipt in receipts:
        if receipt["shift_date"] in filed:
            filed[receipt["shift_date"]].append(receipt)
    answers = {date.fromisoformat(day): Answers(rows, operations) for day, rows in filed.items()}
    ledger = ledger_tables([receipt for rows in filed.values() for receipt in rows], operations)
    tables = {}
    for day, rows in filed.items():
        when = date.fromisoformat(day)
        tables[day] = {
            **raw_tables(rows, operations),
            **cost_tables(rows, operations),
            "stock_ledger": ledger.get(day, []),
            "stock_gaps": gaps_of(ledger.get(day, [])),
            "recipe_observed": recipe_observed(when, answers, standard_days),
            "usage_variance": usage_variance(when, answers, standard_days),
        }
    findings = history_findings(tables, Limits(standard_days=standard_days))
    for day, found in findings.items():
        tables[day]["variance_findings"] = found
    return tables


def differences_of(table: str, got: Iterable[Mapping[str, Any]], expected: Iterable[Row]) -> list[str]:
    """What is not as the oracle has it, one line each."""
    comparable = [{name: value for name, value in row.items() if name != _SAID_FREELY} for row in got]
    return differences(table, comparable, expected)
