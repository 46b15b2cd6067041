"""The checks behind the findings, how findings are shown, and what becomes of them over time.

What is found is in `sql/variance/`.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from clopos_assets.tables import FINDING_HISTORY

Severity = Literal["ERROR", "WARN", "INFO"]
_INFO_PASSES = " For information: the check tells what it finds, and passes."
_WORST = 10
_OF_STOCK = "stock_is_continuous"
# Names come from outside: shown as they are, they may hide a part of themselves or make a browser load an image.
_MARKDOWN = re.compile(r"([\\`*_~\[\]<>!&$#|])")
_ESCAPED = r"\\\1"


@dataclass(frozen=True)
class Check:
    """One of the checks: its name in `variance_findings`, the table it is about, and what it holds."""

    name: str
    table: str
    severity: Severity
    description: str


CHECKS = (
    Check("payments_match_total", "receipts", "WARN", "What was paid equals the total less what remains to pay."),
    Check(
        "receipt_adds_up",
        "receipts",
        "INFO",
        "Subtotal, discounts, service charge, delivery fee and added tax make the total (our reading of Clopos' "
        "documents, which nobody has confirmed)." + _INFO_PASSES,
    ),
    Check(
        "lines_add_up",
        "receipts",
        "INFO",
        "The lines make the subtotal less discounts (our reading of Clopos' documents, which nobody has confirmed)."
        + _INFO_PASSES,
    ),
    Check("closed_within_shift", "receipts", "INFO", "A receipt is closed before its shift ends." + _INFO_PASSES),
    Check("receipt_is_closed", "receipts", "WARN", "A receipt is closed or deleted by the end of its shift."),
    Check("reported_cost_matches", "receipts", "WARN", "The cost that Clopos reports is the cost of the deductions."),
    Check("quantity_adds_up", "stock_operations", "ERROR", "Stock before less the quantity is the stock after."),
    Check("cost_adds_up", "stock_operations", "ERROR", "Quantity times unit cost is the cost of a deduction."),
    Check("operation_has_line", "stock_operations", "ERROR", "A deduction belongs to a line of its receipt."),
    Check("deduction_has_cost", "stock_operations", "WARN", "What is taken from stock costs something."),
    Check("stock_is_not_negative", "stock_operations", "WARN", "Stock does not fall below zero."),
    Check("cost_is_steady", "stock_operations", "WARN", "A unit cost is within 25 % of the trailing standard."),
    Check("line_has_deduction", "line_cogs", "WARN", "A product that usually deducts stock does so on every line."),
    Check("sold_above_cost", "line_cogs", "WARN", "A line, unless given away or returned, sells above its cost."),
    Check(
        _OF_STOCK,
        "stock_ledger",
        "INFO",
        "Before each deduction, the stock is what the deduction before it left." + _INFO_PASSES,
    ),
)

_ABOUT_ALL_OPERATIONS = ("line_has_deduction", "reported_cost_matches")


def worst_of(findings: pa.Table) -> list[dict[str, Any]]:
    """The ten findings with most at risk, the first of them first.

    Where stock went out unexplained comes before where it came in: that is most often a delivery, and of more value.
    """
    of_stock = pc.equal(findings.column("check_name"), _OF_STOCK)
    came_in = pc.and_(of_stock, pc.greater(findings.column("difference"), Decimal(0)))
    amounts = pc.fill_null(findings.column("amount_at_risk"), Decimal(0))
    by = pa.table({"came_in": pc.fill_null(came_in, fill_value=False), "amount": amounts})
    order = pc.sort_indices(by, sort_keys=[("came_in", "ascending"), ("amount", "descending")])
    rows: list[dict[str, Any]] = findings.take(order[:_WORST]).to_pylist()
    return rows


def show_findings(rows: Sequence[Mapping[str, Any]], *, with_dates: bool = False) -> str:
    """Findings as a Markdown table for the UI; those of a range have a column that says which shift date is meant."""
    dates, line = ("shift date | ", "--- | ") if with_dates else ("", "")
    lines = [f"| {dates}venue | at risk | what |", f"| {line}--: | --: | --- |"]
    for row in rows:
        of = f"{row['shift_date']} | " if with_dates else ""
        lines.append(
            f"| {of}{row['venue_id']} | {show_amount(row['amount_at_risk'])} | {show_message(row['message'])} |"
        )
    return "\n".join(lines)


def show_message(message: str) -> str:
    """A sentence as Markdown, in which Dagster shows tables and descriptions alike."""
    return _MARKDOWN.sub(_ESCAPED, " ".join(message.split()))


def show_amount(amount: Decimal | None) -> str:
    """Money with two places, as people read it; the exact amount is in the table."""
    return "" if amount is None else f"{amount:,.2f}"


def leave_out_unknown(findings: pa.Table, untold: Collection[int]) -> pa.Table:
    """Findings without those that take operations which Clopos did not tell, of receipts by id, for none at all."""
    of_all = pc.is_in(findings.column("check_name"), pa.array(_ABOUT_ALL_OPERATIONS))
    of_untold = pc.is_in(findings.column("receipt_id"), pa.array(untold, type=pa.int64()))
    return findings.filter(pc.invert(pc.and_(of_all, of_untold)))


def follow_findings(before: pa.Table | None, findings: pa.Table, now: datetime) -> pa.Table:
    """`finding_history` of a shift date: `before` brought forward by the findings that stand at an instant.

    A finding that comes back keeps the instant at which it was first seen.
    """
    history = {row["finding_id"]: row for row in ([] if before is None else before.to_pylist())}
    standing = dict(
        zip(findings.column("finding_id").to_pylist(), findings.column("check_name").to_pylist(), strict=True)
    )
    for finding_id, row in history.items():
        if finding_id not in standing and row["resolved_at"] is None:
            row["resolved_at"] = now
    for finding_id, check_name in standing.items():
        known = history.setdefault(
            finding_id, {"finding_id": finding_id, "check_name": check_name, "first_seen_at": now}
        )
        known.update(last_seen_at=now, resolved_at=None)
    return pa.Table.from_pylist(list(history.values()), schema=FINDING_HISTORY.schema)
