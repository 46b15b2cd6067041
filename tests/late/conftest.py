"""A served shop whose sensor is watched: ticks with a cursor, and the runs that they ask for."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self

import dagster as dg
import pytest

from clopos_assets.assembly import build_definitions
from clopos_assets.automation import JOB
from clopos_assets.late_sensor import SENSOR
from clopos_assets.settings import Settings
from tests.assets.conftest import Project
from tests.ingest.shop import Shop, open_shop


@pytest.fixture(scope="module", autouse=True)
def _memory(memory: None) -> None:
    """Runs of all modules here."""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop of one venue that sold two receipts on the 19th and one on the 20th."""
    with open_shop(tmp_path) as shop:
        shop.sell(1, "2026-01-19")
        shop.sell(2, "2026-01-19")
        shop.sell(3, "2026-01-20")
        yield shop


@dataclass
class Watched(Project):
    """A project with its sensor, the cursor kept between ticks, and what the last tick asked for and told."""

    cursor: str | None = None
    asked: list[dg.RunRequest] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)
    later: timedelta = timedelta()

    def tick(self) -> str:
        """One tick; what it says where it skips."""
        self.shop.sandbox.requests.reset()
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            repository_def=self.definitions.get_repository_def(),
            sensor_name=SENSOR,
        ) as context:
            data = self.definitions.resolve_sensor_def(SENSOR).evaluate_tick(context)
        self.cursor = data.cursor
        self.asked = list(data.run_requests or [])
        self.events = list(data.asset_events)
        return data.skip_message or ""

    @property
    def asked_for(self) -> list[str]:
        """Shift dates, or first and last of a range, of what the last tick asked for."""
        start, end = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
        return [request.partition_key or f"{request.tags[start]}...{request.tags[end]}" for request in self.asked]

    def run_asked(self) -> list[bool]:
        """Do what the daemon does with the requests, in this process; whether each succeeded."""
        job = self.definitions.resolve_job_def(JOB)
        ended = []
        for request in self.asked:
            # A run key is taken once.
            if not self.instance.get_runs(dg.RunsFilter(tags={"dagster/run_key": str(request.run_key)})):
                result = job.execute_in_process(
                    instance=self.instance,
                    raise_on_error=False,
                    partition_key=request.partition_key,
                    tags={**request.tags, "dagster/run_key": str(request.run_key)},
                )
                ended.append(result.success)
        return ended

    def remembered(self) -> dict[str, Any]:
        """The cursor, decoded."""
        return dict(json.loads(self.cursor or "{}"))


@pytest.fixture
def watched(tmp_path: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """The shop with both its dates made, and nothing remembered."""
    with dg.DagsterInstance.ephemeral(str(tmp_path)) as instance:
        for name, value in shop.sandbox.settings().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CLOPOS_LAKE", str(shop.lake.root))
        monkeypatch.setenv("CLOPOS_START_DATE", "2026-01-10")
        settings = Settings.read()
        watched = Watched(shop, settings, build_definitions(settings), instance)

        class Clock(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Self:
                return super().now(tz) + watched.later

        monkeypatch.setattr("clopos_assets.ingest.made.datetime", Clock)
        shop.make("2026-01-19", "2026-01-20")
        yield watched
