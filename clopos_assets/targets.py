"""Which materialization of a shift date a check speaks of: Dagster counts one that does not say so as missing."""

from collections.abc import Collection

import dagster as dg

# Dagster's own, of a class that an AssetCheckEvaluation takes and that it does not export; its version is pinned.
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData as Target,
)

__all__ = ["Target", "targets_of"]

_AT_ONCE = 500
"""Events asked for by one query."""


def targets_of(instance: dg.DagsterInstance, table: str, shift_dates: Collection[str]) -> dict[str, Target]:
    """The last materialization of a table by shift date; dates that have none are left out."""
    if not shift_dates:
        return {}
    key, kind = dg.AssetKey(table), dg.DagsterEventType.ASSET_MATERIALIZATION
    last = sorted(instance.get_latest_storage_id_by_partition(key, kind, set(shift_dates)).values())
    found: dict[str, Target] = {}
    for start in range(0, len(last), _AT_ONCE):
        of = dg.AssetRecordsFilter(asset_key=key, storage_ids=last[start : start + _AT_ONCE])
        for record in instance.fetch_materializations(of, limit=_AT_ONCE).records:
            if record.partition_key is not None:
                found[record.partition_key] = Target(
                    storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
                )
    return found
