"""The sweep: which shift dates it makes again, when, and when it does not."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from clopos_assets.assembly import build_definitions
from clopos_assets.lake import Lake, LakeError
from clopos_assets.settings import Settings
from clopos_assets.tables import RECEIPTS, Table
from tests.ingest.shop import days_from
from tests.late.conftest import Watched

ZONE = ZoneInfo("Asia/Baku")


def sweep(at: str, **settings: Any) -> list[tuple[str, str]] | str:
    """Ranges that the tick scheduled for a local time asks for, or why for none."""
    definitions = build_definitions(Settings.read(**settings))
    schedule = definitions.resolve_schedule_def("trailing_sweep_schedule")
    with dg.build_schedule_context(
        scheduled_execution_time=datetime.fromisoformat(at).replace(tzinfo=ZONE),
        repository_def=definitions.get_repository_def(),
    ) as context:
        data = schedule.evaluate_tick(context)
    start, end = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
    return [(request.tags[start], request.tags[end]) for request in data.run_requests or []] or str(data.skip_message)


@pytest.mark.parametrize(
    ("shift_end", "cron"), [("06:00", "0 7 * * *"), ("23:30", "30 0 * * *"), ("00:00", "0 1 * * *")]
)
def test_it_ticks_an_hour_after_the_shift_ended(shift_end: str, cron: str) -> None:
    schedule = build_definitions(Settings.read(shift_end=shift_end)).resolve_schedule_def("trailing_sweep_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == (cron, "Asia/Baku")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert schedule.job_name == "shift_date_job"


@pytest.mark.parametrize("days", [1, 3, 14])
def test_it_makes_the_last_dates_that_had_ended_again(watched: Watched, days: int) -> None:
    made = days_from("2026-01-11", 10)
    watched.shop.make(*made)
    asked = sweep("2026-01-21 07:00", sweep_days=days)
    assert asked == [(made[-min(days, 10)], "2026-01-20")]
    assert sweep("2026-01-21 05:00", sweep_days=1) == [("2026-01-19", "2026-01-19")]


def test_a_shift_that_ends_before_midnight(watched: Watched) -> None:
    assert sweep("2026-01-21 00:30", shift_end="23:30", sweep_days=1) == [("2026-01-19", "2026-01-19")]
    assert "nothing to sweep" in sweep("2026-01-20 23:00", shift_end="23:30", sweep_days=1)


def test_it_makes_nothing_for_the_first_time(watched: Watched) -> None:
    watched.shop.make("2026-01-15", "2026-01-16")
    assert sweep("2026-01-23 07:00") == [("2026-01-15", "2026-01-16"), ("2026-01-19", "2026-01-20")]
    assert sweep("2026-01-23 07:00", sweep_days=2) == (
        "none of the last 2 shift dates is made: there is nothing to sweep"
    )
    assert "nothing to sweep" in sweep("2026-01-05 07:00")


def test_no_credentials(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLOPOS_CLIENT_SECRET")
    assert sweep("2026-01-21 07:00") == "no credentials: CLOPOS_CLIENT_SECRET not set"


def test_a_lake_that_can_not_be_looked_at_is_told_in_a_line(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_lake: Lake, _table: Table, _shift_date: str) -> bool:
        raise LakeError("the lake can't be reached")

    assert watched.shop.ids(RECEIPTS, "2026-01-20")
    monkeypatch.setattr(Lake, "has", refuse)
    assert sweep("2026-01-21 07:00") == "which shift dates are made can't be told: the lake can't be reached"


def test_its_run_finds_a_deleted_receipt(watched: Watched) -> None:
    watched.shop.world.delete_receipt(1)
    watched.tick()
    assert watched.asked == []
    assert sweep("2026-01-21 07:00") == [("2026-01-19", "2026-01-20")]
    assert watched.run("2026-01-19", "2026-01-20").success
    assert watched.shop.stands(1) == {"receipts": [], "receipt_products": [], "stock_operations": []}
