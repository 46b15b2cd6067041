"""The findings as Dagster asset checks: one per check, on the table it is about, per shift date."""

import warnings
from collections.abc import Iterator
from decimal import Decimal

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from clopos_assets.access import Access
from clopos_assets.findings import CHECKS, Check
from clopos_assets.tables import VARIANCE_FINDINGS

_WORST = 10


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
        by_date = {}
        for shift_date in context.op_execution_context.partition_keys:
            findings = access.lake.read(VARIANCE_FINDINGS, shift_date)
            if findings is None:
                raise dg.Failure(
                    f"variance_findings of shift date {shift_date} is not materialized: materialize it first",
                    allow_retries=False,
                )
            by_date[shift_date] = findings
        everything = pa.concat_tables(by_date.values())
        for check in CHECKS:
            if len(by_date) > 1:  # of a single date the result itself speaks
                for shift_date, findings in by_date.items():
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
            yield evaluate(check, everything)

    return variance_checks


def evaluate(check: Check, findings: pa.Table) -> dg.AssetCheckResult:
    """How a check went: it fails on an ERROR or WARN; an INFO is told and passes."""
    found = findings.filter(pc.equal(findings.column("check_name"), check.name))
    at_risk = pc.sum(found.column("amount_at_risk")).as_py() or Decimal(0)
    rows = sorted(found.to_pylist(), key=lambda row: row["amount_at_risk"] or Decimal(0), reverse=True)[:_WORST]
    metadata: dict[str, dg.MetadataValue[object] | int | float] = {
        "count": found.num_rows,
        "amount_at_risk": float(at_risk),
    }
    worst = [f"| {_amount(row['amount_at_risk'])} | {row['message'].replace('|', '/')} |" for row in rows]
    shown = {"worst": dg.MetadataValue.md("\n".join(["| at risk | what |", "|--:|---|", *worst]))} if worst else {}
    return dg.AssetCheckResult(
        asset_key=check.table,
        check_name=check.name,
        passed=check.severity == "INFO" or not found.num_rows,
        severity=dg.AssetCheckSeverity.ERROR if check.severity == "ERROR" else dg.AssetCheckSeverity.WARN,
        metadata={**metadata, **shown},
        description=f"{found.num_rows} found, {_amount(at_risk)} at risk" if found.num_rows else None,
    )


def _amount(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount:,.2f}"
