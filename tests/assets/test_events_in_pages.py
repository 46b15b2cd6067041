"""A run of many dates has more events than Dagster gives at once: all pages are read."""

from typing import Any

import dagster as dg
import pytest

from clopos_assets.assets import events
from clopos_assets.tables import TABLES
from tests.assets.conftest import Project
from tests.assets.test_standing_checks import DAYS


def test_all_pages_are_read(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    result = project.run(*DAYS)
    assert result.success
    records_of = dg.DagsterInstance.get_records_for_run

    def one(instance: dg.DagsterInstance, run_id: str, **options: Any) -> Any:
        return records_of(instance, run_id, **options | {"limit": 1})

    monkeypatch.setattr(dg.DagsterInstance, "get_records_for_run", one)
    for known in (events._TOLD, events._PLANNED):
        known.clear()
    assert events.changed_dates(project.instance, result.run_id, {"receipts"}) == set(DAYS)
    assert events.planned_tables(project.instance, result.run_id) == set(TABLES)
