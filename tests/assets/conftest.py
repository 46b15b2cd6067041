"""A served shop, definitions on settings for it, and a Dagster instance in a folder of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from clopos_assets.assembly import build_definitions
from clopos_assets.automation import JOB
from clopos_assets.settings import Settings
from tests.ingest.shop import Shop, open_shop


@dataclass
class Project:
    """The definitions, where their runs are recorded, and the shop that they read."""

    shop: Shop
    settings: Settings
    definitions: dg.Definitions
    instance: dg.DagsterInstance

    def run(self, first: str, last: str | None = None, **options: Any) -> dg.ExecuteInProcessResult:
        """The main job over a shift date, or over a range in one run."""
        where: dict[str, Any] = {"partition_key": first}
        if last is not None:
            start, end = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
            where = {"tags": {start: first, end: last}}
        self.shop.sandbox.requests.reset()
        job = self.definitions.resolve_job_def(JOB)
        return job.execute_in_process(instance=self.instance, raise_on_error=False, **where, **options)

    def materializations(self, table: str) -> dict[str, list[dg.AssetMaterialization]]:
        """Recorded events of a table by shift date, oldest first."""
        records = self.instance.fetch_materializations(dg.AssetKey(table), limit=1000, ascending=True).records
        by_date: dict[str, list[dg.AssetMaterialization]] = {}
        for record in records:
            event = record.asset_materialization
            assert event is not None
            by_date.setdefault(str(event.partition), []).append(event)
        return by_date


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    """What the failed step of a run says."""
    (event,) = result.get_step_failure_events()
    data = event.step_failure_data.user_failure_data
    assert data is not None
    assert data.description is not None
    return data.description


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Three receipts on two shift dates."""
    with open_shop(tmp_path) as shop, dg.DagsterInstance.ephemeral(str(tmp_path)) as instance:
        shop.sell(1, "2026-01-19")
        shop.sell(2, "2026-01-19")
        shop.sell(3, "2026-01-20")
        for name, value in shop.sandbox.settings().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CLOPOS_LAKE", str(shop.lake.root))
        monkeypatch.setenv("CLOPOS_START_DATE", "2026-01-10")
        settings = Settings.read()
        yield Project(shop, settings, build_definitions(settings), instance)
