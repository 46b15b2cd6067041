"""The assets computed from the raw ones: one factory over the SQL files, one asset per table."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import partial

import dagster as dg
import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from clopos_assets.access import Access
from clopos_assets.assets.making import Maker, run_step
from clopos_assets.assets.specs import spec_of
from clopos_assets.compute import ComputeError, compute, connect
from clopos_assets.ingest.made import LOCK_SECONDS, Facts, Made
from clopos_assets.lake import LakeError
from clopos_assets.tables import COST, DAILY_COGS, ContractError, Kind, Table

_SHOWN_VENUES = 50


def derived_makers(access: Access) -> tuple[Maker, ...]:
    """A maker per derived table, inputs before what is made from them."""
    return tuple(Maker((table,), partial(_make, access, table)) for table in COST)


def derived_assets(
    access: Access, partitions_def: dg.PartitionsDefinition[str], line: Sequence[Maker]
) -> list[dg.AssetsDefinition]:
    """The assets of the makers of derived tables."""
    return [
        _asset(access, partitions_def, line, maker) for maker in line if all(table in COST for table in maker.tables)
    ]


def _asset(
    access: Access, partitions_def: dg.PartitionsDefinition[str], line: Sequence[Maker], maker: Maker
) -> dg.AssetsDefinition:
    table = maker.tables[0]

    @dg.multi_asset(
        name=table.name,
        specs=[spec_of(table, access.lake, partitions_def)],
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def made_from_sql(context: dg.AssetExecutionContext) -> Iterator[object]:
        yield from run_step(context, access.lake, line, maker)

    return made_from_sql


def _make(access: Access, table: Table, _context: dg.AssetExecutionContext, shift_dates: Sequence[str]) -> Made:
    made = Made()
    with connect() as connection:
        for shift_date in shift_dates:
            try:
                # Held while inputs are read, so that an older reading never overwrites a newer.
                with access.lake.locked([shift_date], seconds=LOCK_SECONDS):
                    rows = compute(access.lake, connection, table, shift_date)
                    if access.lake.read(table, shift_date) != rows:  # what stands there already is left alone
                        access.lake.replace(table, shift_date, rows, {})
                made.add(table, shift_date, _facts(table, rows))
            except (ComputeError, ContractError, LakeError, duckdb.OutOfMemoryException) as error:
                made.fail(shift_date, str(error).splitlines()[0])
    return made


def _facts(table: Table, rows: pa.Table) -> Facts:
    """Row count, and the sum of every amount, to plot over shift dates."""
    facts: Facts = {"rows": rows.num_rows}
    for column in table.columns:
        if column.kind is Kind.DECIMAL:
            facts[column.name] = pc.sum(rows.column(column.name)).as_py() or Decimal(0)
    if table is DAILY_COGS:
        net_sales, cogs = Decimal(facts["net_sales"]), Decimal(facts["cogs"])
        if net_sales:
            facts["food_cost_pct"] = float(100 * cogs / net_sales)
        facts["venues"] = _venues(rows)
    return facts


def _venues(rows: pa.Table) -> str:
    lines = ["| venue | net sales | cost of goods | gross profit | food cost % |", "|--:|--:|--:|--:|--:|"]
    for row in rows.slice(0, _SHOWN_VENUES).to_pylist():
        percent = "" if row["food_cost_pct"] is None else f"{row['food_cost_pct']:.2f}"
        amounts = " | ".join(f"{row[name]:,.2f}" for name in ("net_sales", "cogs", "gross_profit"))
        lines.append(f"| {row['venue_id']} | {amounts} | {percent} |")
    return "\n".join(lines)
