"""The makers of the computed tables: one per SQL file, and those of the ledger and of the findings over time."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from clopos_assets.access import Access
from clopos_assets.compute import ComputeError, compute
from clopos_assets.database import connect, explain
from clopos_assets.findings import follow_findings, leave_out_unknown
from clopos_assets.ingest.made import LOCK_SECONDS, Facts, Made
from clopos_assets.ingest.versions import read_untold
from clopos_assets.lake import LakeError
from clopos_assets.ledger import make_stock_ledger
from clopos_assets.line.figures import figures_of
from clopos_assets.line.maker import Maker, Run
from clopos_assets.tables import (
    COST,
    DAILY_COGS,
    FINDING_HISTORY,
    STOCK_LEDGER,
    STOCK_OPERATIONS,
    VARIANCE,
    VARIANCE_FINDINGS,
    ContractError,
    Table,
)
from clopos_assets.tables.shape import Partition

_Rows = Callable[[duckdb.DuckDBPyConnection, str], pa.Table]
_LAST_SEEN = "last_seen_at"
_SETTING_STANDARDS = {name for table in (*COST, *VARIANCE) for name in table.trailing}


def derived_makers(access: Access) -> tuple[Maker, ...]:
    """A maker per derived table, inputs before what is made from them."""

    def from_sql(table: Table) -> _Rows:
        return lambda connection, shift_date: compute(access.lake, connection, table, shift_date, access.rules)

    def findings(connection: duckdb.DuckDBPyConnection, shift_date: str) -> pa.Table:
        found = compute(access.lake, connection, VARIANCE_FINDINGS, shift_date, access.rules)
        if not access.receipts_hold_operations:
            return found
        return leave_out_unknown(found, read_untold(access.lake.notes(STOCK_OPERATIONS, shift_date)))

    def history(_: duckdb.DuckDBPyConnection, shift_date: str) -> pa.Table:
        findings = access.lake.read(VARIANCE_FINDINGS, shift_date)
        if findings is None:
            raise ComputeError(
                f"variance_findings of shift date {shift_date} is not materialized: materialize it first"
            )
        return follow_findings(access.lake.read(FINDING_HISTORY, shift_date), findings, datetime.now(UTC))

    special = {
        STOCK_LEDGER.name: Maker((STOCK_LEDGER,), partial(_make_ledger, access)),
        VARIANCE_FINDINGS.name: Maker((VARIANCE_FINDINGS,), partial(_make, access, VARIANCE_FINDINGS, findings)),
        FINDING_HISTORY.name: Maker(
            (FINDING_HISTORY,), partial(_make, access, FINDING_HISTORY, history), is_after_standards=True
        ),
    }
    return tuple(
        special.get(table.name) or Maker((table,), partial(_make, access, table, from_sql(table)))
        for table in (*COST, *VARIANCE)
    )


def _make(access: Access, table: Table, rows_of: _Rows, run: Run, shift_dates: Sequence[str]) -> Made:
    made = Made()
    sets_standards = table.name in _SETTING_STANDARDS
    # Where it was asked for, or its findings have changed, it is news that the others still stand.
    seen = run.asked | (run.recorded(table.inputs) if table is FINDING_HISTORY else set())
    marked = {day for day, owners in access.lake.marks().items() if run.run_id in owners} if sets_standards else set()
    with connect() as connection:
        for shift_date in sorted(shift_dates):
            try:
                # Held while inputs are read, so that an older reading never overwrites a newer, nor is told of it.
                with access.lake.locked([shift_date], seconds=LOCK_SECONDS):
                    rows = rows_of(connection, shift_date)
                    before = _standing(access, table, shift_date)
                    if before is None and sets_standards and shift_date not in marked:
                        # Nothing raw has changed, but dates after it were made without this.
                        access.lake.mark(shift_date, run.run_id)
                    if before is None or _differ(before.rows, rows, seen=shift_date in seen) or not before.has_shape:
                        access.lake.replace(table, shift_date, rows, {})
                    elif shift_date not in run.asked:
                        continue  # nothing has happened here that is worth telling
                    figures = figures_of(
                        connection,
                        access.lake,
                        table,
                        shift_date,
                        rows,
                        access.rules,
                        may_be_untold=access.receipts_hold_operations,
                    )
                if table is DAILY_COGS and before is not None:
                    figures |= _change_of_cost(before.rows, rows)
                made.add(table, shift_date, figures)
            except (ComputeError, ContractError, LakeError) as error:
                made.fail(shift_date, str(error))
            except duckdb.Error as error:
                made.fail(shift_date, explain(error))
    return made


def _standing(access: Access, table: Table, shift_date: str) -> Partition | None:
    """What the partition holds; None where it is not made, or damaged and to be written anew."""
    try:
        return access.lake.partition(table, shift_date)
    except LakeError:
        return None


def _differ(before: pa.Table, rows: pa.Table, *, seen: bool) -> bool:
    """Whether a partition is other than before; when findings were last seen counts where they were `seen`."""
    if not seen and _LAST_SEEN in rows.column_names:
        before, rows = before.drop_columns([_LAST_SEEN]), rows.drop_columns([_LAST_SEEN])
    return bool(before != rows)


def _change_of_cost(before: pa.Table, after: pa.Table) -> Facts:
    """What making the date again did to its cost of goods."""
    was, is_now = (pc.sum(rows.column("cogs")).as_py() or Decimal(0) for rows in (before, after))
    return {"cogs_before": was, "cogs_change": is_now - was}


def _make_ledger(access: Access, run: Run, shift_dates: Sequence[str]) -> Made:
    with connect() as connection:
        return make_stock_ledger(access.lake, connection, shift_dates, run.run_id)
