"""The nightly run: the shift that just ended, and what was missed before it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from clopos_assets.assembly import build_definitions
from clopos_assets.lake import Lake, LakeError
from clopos_assets.settings import Settings
from clopos_assets.tables import RECEIPTS, Table
from clopos_assets.tags import PARTITION, RANGE_END, RANGE_START
from tests.late.conftest import Watched

ZONE = ZoneInfo("Asia/Baku")
NOT_ENDED = ("NOT_STARTED", "STARTING", "STARTED", "CANCELING")


def nightly(at: str, instance: dg.DagsterInstance | None, **settings: Any) -> list[str]:
    """Dates and ranges that the tick scheduled for a local time asks for."""
    definitions = build_definitions(Settings.read(**settings))
    schedule = definitions.resolve_schedule_def("nightly_shift_schedule")
    with dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=datetime.fromisoformat(at).replace(tzinfo=ZONE),
        repository_def=definitions.get_repository_def(),
    ) as context:
        requests = schedule.evaluate_tick(context).run_requests or []
    assert len({request.run_key for request in requests}) == len(requests)
    assert all(request.partition_key or request.tags["clopos/reason"].startswith("missed by") for request in requests)
    ranges = [f"{request.tags.get(RANGE_START)} to {request.tags.get(RANGE_END)}" for request in requests]
    return [request.partition_key or dates for request, dates in zip(requests, ranges, strict=True)]


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    home = tmp_path / "home"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        yield instance


def test_what_was_missed_is_asked_for_with_the_shift_that_just_ended(
    watched: Watched, instance: dg.DagsterInstance
) -> None:
    """Of the watched lake the 19th and the 20th are made."""
    assert nightly("2026-01-21 06:00", instance) == ["2026-01-20"]
    assert nightly("2026-01-22 06:00", instance) == ["2026-01-21"]
    assert nightly("2026-01-23 06:00", instance) == ["2026-01-22", "2026-01-21 to 2026-01-21"]
    watched.shop.make("2026-01-23")
    assert nightly("2026-01-26 06:00", instance) == [
        "2026-01-25",
        "2026-01-21 to 2026-01-22",
        "2026-01-24 to 2026-01-24",
    ]


def test_a_tick_can_be_tried_without_an_instance(watched: Watched) -> None:
    assert nightly("2026-01-23 06:00", None) == ["2026-01-22", "2026-01-21 to 2026-01-21"]
    with dg.DagsterInstance.ephemeral() as instance:
        assert nightly("2026-01-23 06:00", instance) == ["2026-01-22", "2026-01-21 to 2026-01-21"]


def test_dates_before_the_first_one_and_long_ago_are_backfills(watched: Watched, instance: dg.DagsterInstance) -> None:
    assert nightly("2026-01-23 06:00", instance, sweep_days=2) == ["2026-01-22", "2026-01-21 to 2026-01-21"]
    assert nightly("2026-01-22 06:00", instance, sweep_days=1) == ["2026-01-21"]
    assert nightly("2026-01-23 06:00", instance, sweep_days=1) == ["2026-01-22", "2026-01-21 to 2026-01-21"]
    assert nightly("2026-01-24 06:00", instance, sweep_days=1) == ["2026-01-23"]
    assert nightly("2026-01-24 06:00", instance, sweep_days=2) == ["2026-01-23", "2026-01-21 to 2026-01-22"]
    assert nightly("2026-01-25 06:00", instance, sweep_days=2) == ["2026-01-24"]
    assert nightly("2026-02-20 06:00", instance) == ["2026-02-19"]


@pytest.mark.parametrize(
    "tags",
    [
        {PARTITION: "2026-01-22"},
        {RANGE_START: "2026-01-22", RANGE_END: "2026-01-23"},
        {PARTITION: "another project's|2026-01-22"},
        {},
    ],
)
def test_what_a_run_is_about_to_make_is_not_asked_for_again(
    watched: Watched, instance: dg.DagsterInstance, tags: dict[str, str]
) -> None:
    @dg.job
    def some_job() -> None:
        """Whatever it is called: a run from the command line has not the job's name."""

    instance.create_run_for_job(some_job, tags=tags, status=dg.DagsterRunStatus.STARTED)
    instance.create_run_for_job(some_job, tags={PARTITION: "2026-01-21"}, status=dg.DagsterRunStatus.FAILURE)
    is_ours = "2026-01-22" in tags.values()
    missed = "2026-01-21 to 2026-01-21" if is_ours else "2026-01-21 to 2026-01-22"
    assert nightly("2026-01-24 06:00", instance) == ["2026-01-23", missed]


def test_a_run_that_died_with_its_machine_keeps_nothing_from_being_made(
    watched: Watched, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dg.job
    def some_job() -> None:
        """Begun now, which no run that is looked at has as its age."""

    century = 100 * 365 * 86_400
    monkeypatch.setattr("clopos_assets.automation.LONGEST_RUN_SECONDS", -century)
    instance.create_run_for_job(some_job, tags={PARTITION: "2026-01-21"}, status=dg.DagsterRunStatus.STARTED)
    assert nightly("2026-01-23 06:00", instance) == ["2026-01-22", "2026-01-21 to 2026-01-21"]


def test_a_lake_that_can_not_be_looked_at_does_not_keep_the_night_from_being_asked_for(
    watched: Watched, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_lake: Lake, _table: Table, _shift_date: str) -> bool:
        raise LakeError("the lake can't be reached")

    assert watched.shop.ids(RECEIPTS, "2026-01-20")
    monkeypatch.setattr(Lake, "has", refuse)
    assert nightly("2026-01-24 06:00", instance) == ["2026-01-23"]


@dg.job
def some_job() -> None:
    """A run that makes a shift date."""


@pytest.mark.parametrize("status", NOT_ENDED)
def test_a_run_counts_until_it_has_ended(watched: Watched, instance: dg.DagsterInstance, status: str) -> None:
    instance.create_run_for_job(some_job, tags={PARTITION: "2026-01-21"}, status=dg.DagsterRunStatus[status])
    assert nightly("2026-01-23 06:00", instance) == ["2026-01-22"]


def test_the_age_of_a_run_is_told_by_the_clock_of_its_records(
    watched: Watched, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in UTC, and the shop is four hours ahead: a run of just now is younger than an hour."""
    now = datetime.now(ZONE)
    made, held, missed = ((now - timedelta(days=back)).date().isoformat() for back in (5, 4, 3))
    watched.shop.make(made)
    monkeypatch.setattr("clopos_assets.automation.LONGEST_RUN_SECONDS", 3600)
    instance.create_run_for_job(some_job, tags={PARTITION: held}, status=dg.DagsterRunStatus.STARTED)
    asked = nightly(now.replace(tzinfo=None).isoformat(), instance)
    assert [range_.split(" to ")[0] for range_ in asked[1:]] == [missed]
