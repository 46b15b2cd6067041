"""What a run has told Dagster so far."""

from collections import defaultdict
from collections.abc import Collection

import dagster as dg


class _Told:
    """The materializations of a run, of which each is read once, though all its steps ask for them."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.dates: dict[str, set[str]] = defaultdict(set)


# By run id, and never of more than one run: a process makes the steps of one run after the other.
_TOLD: dict[str, _Told] = {}
_PLANNED: dict[str, frozenset[str]] = {}


def changed_dates(instance: dg.DagsterInstance, run_id: str, tables: Collection[str]) -> set[str]:
    """The shift dates of which a run has materialized any of the tables so far."""
    told = _TOLD.get(run_id)
    if told is None:
        _TOLD.clear()
        told = _TOLD[run_id] = _Told()
    events, told.cursor = _read(instance, run_id, dg.DagsterEventType.ASSET_MATERIALIZATION, told.cursor)
    for event in events:
        made = event.asset_materialization
        if made is not None and made.partition is not None:
            told.dates[made.asset_key.to_user_string()].add(made.partition)
    return {shift_date for table in tables for shift_date in told.dates[table]}


def planned_tables(instance: dg.DagsterInstance, run_id: str) -> frozenset[str]:
    """The tables that a run is to make."""
    known = _PLANNED.get(run_id)
    if known is None:
        events, _ = _read(instance, run_id, dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
        known = frozenset(
            event.dagster_event.asset_key.to_user_string()
            for event in events
            if event.dagster_event is not None and event.dagster_event.asset_key is not None
        )
        _PLANNED.clear()
        _PLANNED[run_id] = known
    return known


def planned_checks(instance: dg.DagsterInstance, run_id: str) -> set[dg.AssetCheckKey]:
    """The checks of which a run is to tell."""
    events, _ = _read(instance, run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED)
    return {
        event.dagster_event.asset_check_planned_data.asset_check_key
        for event in events
        if event.dagster_event is not None
    }


def _read(
    instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType, cursor: str | None = None
) -> tuple[list[dg.EventLogEntry], str]:
    """A run's events after a cursor, and the cursor after them."""
    events: list[dg.EventLogEntry] = []
    while True:  # as many pages as the run has events
        page = instance.get_records_for_run(run_id, of_type=kind, cursor=cursor)
        events += (record.event_log_entry for record in page.records)
        cursor = page.cursor
        if not page.has_more or not page.records:
            return events, cursor
