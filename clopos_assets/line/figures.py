"""Figures of a derived partition that the UI shows and plots over shift dates. Exact amounts are in the tables."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from clopos_assets.compute import Rules, open_partition, registered
from clopos_assets.findings import show_findings, worst_of
from clopos_assets.ingest.made import Facts
from clopos_assets.ingest.versions import read_untold
from clopos_assets.lake import Lake
from clopos_assets.tables import (
    DAILY_COGS,
    LINE_COGS,
    RECEIPTS,
    RECIPE_OBSERVED,
    STOCK_OPERATIONS,
    USAGE_VARIANCE,
    VARIANCE_FINDINGS,
    Table,
)

_SHOWN = 50
_SUMMED: Mapping[str, tuple[str, ...]] = {
    "line_cogs": ("units_sold", "net_sales", "cogs", "gross_profit"),
    "product_cogs": ("units_sold", "net_sales", "cogs", "gross_profit"),
    "daily_cogs": (
        "net_sales",
        "cogs",
        "gross_profit",
        "gift_cogs",
        "undeducted_sales",
        "unassigned_cogs",
        "estimated_cogs",
        "receipts_total",
        "inclusive_tax",
    ),
    "ingredient_usage": ("total_cost",),
    "stock_gaps": ("inflow_value", "outflow_value", "revaluation"),
    "recipe_observed": ("total_cost",),
    "usage_variance": ("cost", "price_variance", "usage_variance", "total_variance"),
}


def figures_of(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    table: Table,
    shift_date: str,
    rows: pa.Table,
    rules: Rules,
    *,
    may_be_untold: bool = False,
) -> Facts:
    """Row count, the sums worth plotting, and what the table alone can say of its day.

    `may_be_untold` says that Clopos may not have told the operations of some receipts.
    """
    facts: Facts = {"rows": rows.num_rows}
    # Without rows of which a part is not known, variances make their total.
    known = rows.filter(pc.is_valid(rows.column("total_variance"))) if table is USAGE_VARIANCE else rows
    for name in _SUMMED.get(table.name, ()):
        column = (rows if name == "cost" else known).column(name)
        if not column.null_count:  # a sum that leaves out what is unknown would look like the whole
            facts[name] = pc.sum(column).as_py() or Decimal(0)
    untold = may_be_untold and table.group == "cost" and len(read_untold(lake.notes(STOCK_OPERATIONS, shift_date)))
    if untold:  # their cost is unknown, and not the 0 that the sums hold for it
        facts["receipts_without_operations"] = untold
    if table is DAILY_COGS:
        facts |= _food_cost(rows, is_known=not untold)
    elif table is USAGE_VARIANCE:
        facts["pairs_without_standard"] = rows.num_rows - known.num_rows
    elif table is RECIPE_OBSERVED:
        changed = pc.not_equal(rows.column("quantity_per_unit"), rows.column("previous_quantity_per_unit"))
        facts["recipes_changed"] = pc.sum(changed).as_py() or 0
    elif table is VARIANCE_FINDINGS:
        facts |= _findings(rows)
        # How late receipts closed, and how long after closing their stock was deducted.
        facts |= _ask(connection, lake, (RECEIPTS, STOCK_OPERATIONS), shift_date, _TIMELINESS, rules)
        # How well the two unconfirmed formulas fit the receipts that they can be tried on.
        facts |= _ask(connection, lake, (RECEIPTS, LINE_COGS), shift_date, _FORMULA_FIT, rules)
    return facts


_TIMELINESS = """
    select
        count(*) filter (where status <> 2 and deleted_at is null) as open_receipts,
        count(*) filter (where is_closed and closed_at >= $shift_ended_at) as receipts_closed_late,
        max(date_diff('second', $shift_ended_at, closed_at)) filter (where is_closed) / 3600
            as last_closing_hours_after_shift,
        (
            select max(date_diff('second', closed_at, operated_at))
            from stock_operations
            inner join receipts on receipts.id = stock_operations.receipt_id
            where receipts.status = 2 and receipts.deleted_at is null
        ) as posting_lag_seconds,
    from (select *, status = 2 and deleted_at is null as is_closed from receipts)
"""


def _food_cost(rows: pa.Table, *, is_known: bool) -> Facts:
    net_sales, cogs, tax = (
        pc.sum(rows.column(name)).as_py() or Decimal(0) for name in ("net_sales", "cogs", "inclusive_tax")
    )
    sales = {"food_cost_pct": net_sales, "food_cost_pct_excl_tax": net_sales - tax}
    facts: Facts = {name: float(100 * cogs / of) for name, of in sales.items() if of and is_known}
    lines = [
        "| venue | net sales | cost of goods | gross profit | food cost % | of sales without tax % |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows.slice(0, _SHOWN).to_pylist():
        percents = " | ".join("" if row[name] is None else f"{row[name]:.2f}" for name in sales)
        amounts = " | ".join(f"{row[name]:,.2f}" for name in ("net_sales", "cogs", "gross_profit"))
        lines.append(f"| {row['venue_id']} | {amounts} | {percents} |")
    return facts | {"venues": "\n".join(lines)}


def _findings(rows: pa.Table) -> Facts:
    severities = rows.column("severity").to_pylist()
    # INFO is left out: most of it are deliveries, which the API does not show, and nothing that is lost.
    pressing = rows.filter(pc.not_equal(rows.column("severity"), "INFO"))
    at_risk = pc.sum(pressing.column("amount_at_risk")).as_py() or Decimal(0)
    worst: Facts = {"worst": show_findings(worst_of(pressing))} if pressing.num_rows else {}
    return (
        {"amount_at_risk": at_risk}
        | worst
        | {f"findings_{severity.lower()}": severities.count(severity) for severity in ("ERROR", "WARN", "INFO")}
    )


_FORMULA_FIT = """
    with of_lines as (
        select receipt_id, sum(net_sales) as net_sales
        from line_cogs
        group by receipt_id
    ),

    misfits as (
        select
            abs(total - (subtotal - total_discount + service_charge_value + delivery_fee + e_tax)) as of_receipt,
            abs(of_lines.net_sales - (subtotal - total_discount)) as of_lines,
        from receipts
        left join of_lines on of_lines.receipt_id = receipts.id
        where status = 2 and deleted_at is null
    )

    select
        100.0 * count(*) filter (where of_receipt <= $money_tolerance) / nullif(count(of_receipt), 0)
            as receipt_adds_up_fit_pct,
        100.0 * count(*) filter (where of_lines <= $money_tolerance) / nullif(count(of_lines), 0)
            as lines_add_up_fit_pct,
    from misfits
"""


def _ask(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    tables: Sequence[Table],
    shift_date: str,
    query: str,
    rules: Rules,
) -> Facts:
    """The one row of a query over partitions of a shift date, by column; what is NULL left out."""
    values = {name: value for name, value in rules.values(shift_date).items() if f"${name}" in query}
    inputs = {table.name: open_partition(lake, table, shift_date) for table in tables}
    with registered(connection, inputs):
        result = connection.execute(query, values)
        names = [column[0] for column in result.description or []]
        (row,) = result.fetchall()
    return {name: value for name, value in zip(names, row, strict=True) if value is not None}
