"""The findings as Dagster asset checks: one per check, on the table it is about, per shift date."""

from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from clopos_assets.access import Access
from clopos_assets.assets.asked import asked_dates, tell_unmade
from clopos_assets.assets.events import changed_dates
from clopos_assets.assets.specs import check_spec_of
from clopos_assets.findings import CHECKS, Check, show_amount, show_findings, show_message, worst_of
from clopos_assets.lake import LakeError
from clopos_assets.tables import VARIANCE_FINDINGS
from clopos_assets.targets import targets_of

_QUOTED = 3


def finding_checks(access: Access, partitions_def: dg.PartitionsDefinition[str]) -> dg.AssetChecksDefinition:
    """All checks in one step, after the findings they speak of."""
    specs = [
        check_spec_of(check.name, check.table, partitions_def, check.description, deps=[VARIANCE_FINDINGS.name])
        for check in CHECKS
    ]

    # Checks are selected with their tables, or alone. Of dates whose findings this run does not make anew, those that
    # stand are told again: of a check that was planned and not told, Dagster forgets what it was told before.
    @dg.multi_asset_check(name="variance_checks", specs=specs, can_subset=True)
    def variance_checks(context: dg.AssetCheckExecutionContext) -> Iterator[object]:
        run_context = context.op_execution_context
        asked = asked_dates(run_context, partitions_def)
        made = changed_dates(context.instance, run_context.run.run_id, {VARIANCE_FINDINGS.name})
        selected = {(key.asset_key.to_user_string(), key.name) for key in context.selected_asset_check_keys}
        checks = [check for check in CHECKS if (check.table, check.name) in selected]
        days = with_findings(access, asked, made)
        tell_unmade(run_context, VARIANCE_FINDINGS.name, asked, days)
        # The results below speak for the date of a run of one partition; in a range, be it of one date, each date needs
        # an evaluation of its own.
        ranged = () if run_context.has_partition_key else days
        # A check speaks of its table as it stands: besides, of each date of which that was written anew.
        told = {VARIANCE_FINDINGS.name, *(check.table for check in checks)}
        written = changed_dates(context.instance, run_context.run.run_id, told)
        besides = with_findings(access, sorted(written - set(asked)), made)
        yield from judge(access, context.instance, [*ranged, *besides], checks)
        if days:
            found = [_findings(access, day) for day in days]
            findings = pa.concat_tables(map(_dated, found, days)) if len(days) > 1 else found[0]
            yield from (evaluate(check, findings, days) for check in checks)

    return variance_checks


def with_findings(access: Access, asked: Sequence[str], made: Collection[str] = ()) -> list[str]:
    """Those of the shift dates whose findings are there, `made` by this run or by an earlier one.

    Raises dagster.Failure where the lake can't be read.
    """
    others = [day for day in asked if day not in made]
    try:
        there = {*made, *access.lake.has_each([VARIANCE_FINDINGS], others)}
    except LakeError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    return [day for day in asked if day in there]


def untold(told: Collection[dg.AssetCheckKey]) -> list[Check]:
    """The checks that are not among those told."""
    return [check for check in CHECKS if dg.AssetCheckKey(dg.AssetKey(check.table), check.name) not in told]


def judge(
    access: Access, instance: dg.DagsterInstance, shift_dates: Sequence[str], checks: Sequence[Check] = CHECKS
) -> Iterator[dg.AssetCheckEvaluation]:
    """The checks of every shift date. Raises dagster.Failure where the findings can't be read, or are not there."""
    targets = {table: targets_of(instance, table, shift_dates) for table in {check.table for check in checks}}
    for shift_date in shift_dates:
        findings = _findings(access, shift_date)
        for check in checks:
            result = evaluate(check, findings)
            yield dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(check.table),
                check_name=check.name,
                passed=result.passed,
                severity=result.severity,
                partition=shift_date,
                metadata=result.metadata,
                description=result.description,
                target_materialization_data=targets[check.table].get(shift_date),
            )


def _findings(access: Access, shift_date: str) -> pa.Table:
    try:
        findings = access.lake.read(VARIANCE_FINDINGS, shift_date)
    except LakeError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    if findings is None:
        raise dg.Failure(
            f"variance_findings of shift date {shift_date} is not materialized: materialize it first",
            allow_retries=False,
        )
    return findings


def _dated(findings: pa.Table, shift_date: str) -> pa.Table:
    return findings.append_column("shift_date", pa.array([shift_date] * findings.num_rows, pa.string()))


def evaluate(check: Check, findings: pa.Table, shift_dates: Sequence[str] = ()) -> dg.AssetCheckResult:
    """How a check went: it fails on an ERROR or WARN; an INFO is told and passes.

    Findings of several `shift_dates`, ascending, have a column that says which.
    """
    found = findings.filter(pc.equal(findings.column("check_name"), check.name))
    at_risk = pc.sum(found.column("amount_at_risk")).as_py() or Decimal(0)
    rows = worst_of(found)
    is_range = len(shift_dates) > 1
    which = "_in_range" if is_range else ""  # under one name, Dagster would plot a range among its dates
    metadata: dict[str, dg.MetadataValue[Any]] = {
        f"count{which}": dg.MetadataValue.int(found.num_rows),
        f"amount_at_risk{which}": dg.MetadataValue.float(float(at_risk)),
    }
    # What is told for information need not be a loss: what came into stock unexplained is most often a delivery.
    worth = f"worth {show_amount(at_risk)}" if check.severity == "INFO" else f"{show_amount(at_risk)} at risk"
    of = f"{shift_dates[0]} to {shift_dates[-1]}: " if is_range else ""
    said = " ".join(show_message(row["message"]) for row in rows[:_QUOTED])
    if rows:
        metadata["worst"] = dg.MetadataValue.md(show_findings(rows, with_dates=is_range))
    return dg.AssetCheckResult(
        asset_key=check.table,
        check_name=check.name,
        passed=check.severity == "INFO" or not found.num_rows,
        severity=dg.AssetCheckSeverity.ERROR if check.severity == "ERROR" else dg.AssetCheckSeverity.WARN,
        metadata=metadata,
        description=f"{of}{found.num_rows} found, {worth}. {said}" if said else f"{of}nothing found.".capitalize(),
    )
