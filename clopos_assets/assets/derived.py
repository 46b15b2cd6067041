"""The assets computed from the raw ones: one factory over the SQL files, one asset per table."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial

import dagster as dg
import duckdb
import pyarrow as pa

from clopos_assets.access import Access
from clopos_assets.assets.checks import judge
from clopos_assets.assets.figures import figures_of
from clopos_assets.assets.making import Maker, run_step
from clopos_assets.assets.specs import spec_of
from clopos_assets.compute import ComputeError, compute, connect
from clopos_assets.findings import follow_findings
from clopos_assets.ingest.made import LOCK_SECONDS, Made
from clopos_assets.lake import LakeError
from clopos_assets.ledger import make_stock_ledger
from clopos_assets.tables import (
    COST,
    FINDING_HISTORY,
    STOCK_LEDGER,
    VARIANCE,
    VARIANCE_FINDINGS,
    ContractError,
    Table,
)

_FAILURES = (ComputeError, ContractError, LakeError, duckdb.Error)
_Rows = Callable[[duckdb.DuckDBPyConnection, str], pa.Table]


def derived_makers(access: Access) -> tuple[Maker, ...]:
    """A maker per derived table, inputs before what is made from them."""

    def from_sql(table: Table) -> _Rows:
        return lambda connection, shift_date: compute(access.lake, connection, table, shift_date, access.rules)

    def history(_: duckdb.DuckDBPyConnection, shift_date: str) -> pa.Table:
        findings = access.lake.read(VARIANCE_FINDINGS, shift_date)
        if findings is None:
            raise ComputeError(
                f"variance_findings of shift date {shift_date} is not materialized: materialize it first"
            )
        return follow_findings(access.lake.read(FINDING_HISTORY, shift_date), findings, datetime.now(UTC))

    special = {
        VARIANCE_FINDINGS.name: Maker(
            (VARIANCE_FINDINGS,),
            partial(_make, access, VARIANCE_FINDINGS, from_sql(VARIANCE_FINDINGS)),
            judge=partial(judge, access),
        ),
        STOCK_LEDGER.name: Maker((STOCK_LEDGER,), partial(_make_ledger, access)),
        FINDING_HISTORY.name: Maker((FINDING_HISTORY,), partial(_make, access, FINDING_HISTORY, history)),
    }
    return tuple(
        special.get(table.name) or Maker((table,), partial(_make, access, table, from_sql(table)))
        for table in (*COST, *VARIANCE)
    )


def derived_assets(
    access: Access, partitions_def: dg.PartitionsDefinition[str], line: Sequence[Maker]
) -> list[dg.AssetsDefinition]:
    """The assets of the makers of derived tables."""
    return [_asset(access, partitions_def, line, maker) for maker in line if maker.tables[0].group != "raw"]


def _asset(
    access: Access, partitions_def: dg.PartitionsDefinition[str], line: Sequence[Maker], maker: Maker
) -> dg.AssetsDefinition:
    table = maker.tables[0]

    @dg.multi_asset(
        name=table.name,
        specs=[spec_of(table, access.lake, partitions_def)],
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def derived(context: dg.AssetExecutionContext) -> Iterator[object]:
        yield from run_step(context, access.lake, line, maker)

    return derived


def _make(
    access: Access, table: Table, rows_of: _Rows, _context: dg.AssetExecutionContext, shift_dates: Sequence[str]
) -> Made:
    made = Made()
    with connect() as connection:
        for shift_date in sorted(shift_dates):
            try:
                # Held while inputs are read, so that an older reading never overwrites a newer.
                with access.lake.locked([shift_date], seconds=LOCK_SECONDS):
                    rows = rows_of(connection, shift_date)
                    if not _stands(access, table, shift_date, rows):
                        access.lake.replace(table, shift_date, rows, {})
                made.add(table, shift_date, figures_of(connection, access.lake, table, shift_date, rows, access.rules))
            except _FAILURES as error:
                made.fail(shift_date, str(error).splitlines()[0])
    return made


def _stands(access: Access, table: Table, shift_date: str, rows: pa.Table) -> bool:
    """Whether the partition holds just these rows; one that is damaged does not, and is written anew."""
    try:
        return bool(access.lake.read(table, shift_date) == rows)
    except LakeError:
        return False


def _make_ledger(access: Access, _context: dg.AssetExecutionContext, shift_dates: Sequence[str]) -> Made:
    try:
        with connect() as connection:
            return make_stock_ledger(access.lake, connection, shift_dates)
    except _FAILURES as error:
        made = Made()
        for shift_date in shift_dates:
            made.fail(shift_date, str(error).splitlines()[0])
        return made
