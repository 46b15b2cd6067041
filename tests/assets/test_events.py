"""A run asks Dagster what it has told, and is not sent the same events at each of its steps."""

from collections import Counter
from typing import Any

import dagster as dg
import pytest

from clopos_assets.assets.events import _PLANNED, _TOLD, changed_dates, planned_tables
from clopos_assets.tables import TABLES
from tests.assets.conftest import Project

DAYS = ["2026-01-19", "2026-01-20"]


def test_a_run_reads_each_of_its_events_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    read: Counter[str] = Counter()
    records_of = dg.DagsterInstance.get_records_for_run

    def counted(instance: dg.DagsterInstance, run_id: str, **options: Any) -> Any:
        page = records_of(instance, run_id, **options)
        read.update(f"{record.storage_id} {record.event_log_entry.dagster_event_type}" for record in page.records)
        return page

    monkeypatch.setattr(dg.DagsterInstance, "get_records_for_run", counted)
    result = project.run(*DAYS)
    assert result.success
    assert len(read) > len(DAYS) * 12
    assert read.most_common(1)[0][1] == 1


def test_what_was_told_since_the_last_look_is_seen() -> None:
    seen = []

    @dg.op
    def tells(context: dg.OpExecutionContext) -> None:
        for table, day in (("receipts", DAYS[0]), ("daily_cogs", DAYS[1]), ("receipts", DAYS[1])):
            context.log_event(dg.AssetMaterialization(table, partition=day))
            seen.append(changed_dates(context.instance, context.run_id, {"receipts"}))

    @dg.job
    def telling() -> None:
        tells()

    for _ in range(2):  # another run has told nothing yet
        assert telling.execute_in_process().success
        assert seen == [{DAYS[0]}, {DAYS[0]}, set(DAYS)]
        seen.clear()


def test_all_pages_are_read(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    result = project.run(*DAYS)
    assert result.success
    records_of = dg.DagsterInstance.get_records_for_run

    def one(instance: dg.DagsterInstance, run_id: str, **options: Any) -> Any:
        return records_of(instance, run_id, **options | {"limit": 1})

    monkeypatch.setattr(dg.DagsterInstance, "get_records_for_run", one)
    for known in (_TOLD, _PLANNED):
        known.clear()
    assert changed_dates(project.instance, result.run_id, {"receipts"}) == set(DAYS)
    assert planned_tables(project.instance, result.run_id) == set(TABLES)
