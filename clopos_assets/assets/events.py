"""What a run has told Dagster so far."""

from collections.abc import Collection, Iterator

import dagster as dg


def changed_dates(instance: dg.DagsterInstance, run_id: str, tables: Collection[str]) -> set[str]:
    """The shift dates of which a run has materialized any of the tables so far."""
    return {
        event.asset_materialization.partition
        for event in events_of(instance, run_id, dg.DagsterEventType.ASSET_MATERIALIZATION)
        if event.asset_materialization is not None
        and event.asset_materialization.partition is not None
        and event.asset_materialization.asset_key.to_user_string() in tables
    }


def events_of(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> Iterator[dg.EventLogEntry]:
    cursor = None
    more = True
    while more:  # as many pages as the run has events
        page = instance.get_records_for_run(run_id, of_type=kind, cursor=cursor)
        yield from (record.event_log_entry for record in page.records)
        more, cursor = page.has_more and bool(page.records), page.cursor
