"""The findings as Dagster asset checks: one per check, on the table it is about, per shift date."""

import warnings
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from clopos_assets.access import Access
from clopos_assets.assets.making import changed_dates
from clopos_assets.findings import CHECKS, Check
from clopos_assets.tables import VARIANCE_FINDINGS

_WORST = 10
_TOLD = 3


def finding_checks(access: Access, partitions_def: dg.PartitionsDefinition[str]) -> dg.AssetChecksDefinition:
    """All checks in one step, after the findings they speak of."""
    with warnings.catch_warnings():
        # Checks per partition are in preview, and there is no other way to say of which shift date one speaks;
        # the version of Dagster is pinned.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        specs = [
            dg.AssetCheckSpec(
                name=check.name,
                asset=check.table,
                additional_deps=[VARIANCE_FINDINGS.name],
                partitions_def=partitions_def,
                description=check.description,
            )
            for check in CHECKS
        ]

    @dg.multi_asset_check(name="variance_checks", specs=specs)
    def variance_checks(context: dg.AssetCheckExecutionContext) -> Iterator[object]:
        days = context.op_execution_context.partition_keys
        run = context.op_execution_context.run
        touched = changed_dates(context.instance, run.run_id, {VARIANCE_FINDINGS.name}) - set(days)
        if len(days) > 1:  # of a single date the result itself speaks
            yield from judge(access, days)
        yield from judge(access, sorted(touched))
        findings = pa.concat_tables([_findings(access, day) for day in days])
        yield from (evaluate(check, findings) for check in CHECKS)

    return variance_checks


def judge(access: Access, shift_dates: Sequence[str]) -> Iterator[dg.AssetCheckEvaluation]:
    """Every check of every shift date. Raises dagster.Failure where the findings are not materialized."""
    for shift_date in shift_dates:
        findings = _findings(access, shift_date)
        for check in CHECKS:
            result = evaluate(check, findings)
            yield dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(check.table),
                check_name=check.name,
                passed=result.passed,
                severity=result.severity,
                partition=shift_date,
                metadata=result.metadata,
                description=result.description,
            )


def _findings(access: Access, shift_date: str) -> pa.Table:
    findings = access.lake.read(VARIANCE_FINDINGS, shift_date)
    if findings is None:
        raise dg.Failure(
            f"variance_findings of shift date {shift_date} is not materialized: materialize it first",
            allow_retries=False,
        )
    return findings


def evaluate(check: Check, findings: pa.Table) -> dg.AssetCheckResult:
    """How a check went: it fails on an ERROR or WARN; an INFO is told and passes."""
    found = findings.filter(pc.equal(findings.column("check_name"), check.name))
    at_risk = pc.sum(found.column("amount_at_risk")).as_py() or Decimal(0)
    rows = sorted(found.to_pylist(), key=lambda row: row["amount_at_risk"] or Decimal(0), reverse=True)[:_WORST]
    metadata: dict[str, dg.MetadataValue[Any]] = {
        "count": dg.MetadataValue.int(found.num_rows),
        "amount_at_risk": dg.MetadataValue.float(float(at_risk)),
    }
    said = " ".join(row["message"] for row in rows[:_TOLD])
    worst = [f"| {_amount(row['amount_at_risk'])} | {row['message'].replace('|', '/')} |" for row in rows]
    if worst:
        metadata["worst"] = dg.MetadataValue.md("\n".join(["| at risk | what |", "|--:|---|", *worst]))
    return dg.AssetCheckResult(
        asset_key=check.table,
        check_name=check.name,
        passed=check.severity == "INFO" or not found.num_rows,
        severity=dg.AssetCheckSeverity.ERROR if check.severity == "ERROR" else dg.AssetCheckSeverity.WARN,
        metadata=metadata,
        description=f"{found.num_rows} found, {_amount(at_risk)} at risk. {said}" if said else None,
    )


def _amount(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount:,.2f}"
