"""What the definitions hold: assets, groups, descriptions, the calendar, the job and the schedule."""

from datetime import datetime
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from clopos_assets.assembly import build_definitions
from clopos_assets.automation import shift_dates
from clopos_assets.settings import Settings
from clopos_assets.tables import TABLES

CREDENTIALS = ("CLOPOS_CLIENT_ID", "CLOPOS_CLIENT_SECRET", "CLOPOS_BRAND", "CLOPOS_INTEGRATOR_ID")


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's own environment."""
    import os

    for name in [name for name in os.environ if name.startswith("CLOPOS_")]:
        monkeypatch.delenv(name)


def test_definitions_load_without_any_setting() -> None:
    definitions = build_definitions(Settings.read())
    assets = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    assert sorted(assets) == sorted(TABLES)
    for name, table in TABLES.items():
        spec = assets[name]
        assert spec.group_name == table.group
        assert spec.description is not None
        assert table.grain in spec.description
        columns = spec.metadata["dagster/column_schema"].columns
        assert [column.name for column in columns] == list(table.names)
        assert all(column.description for column in columns)
        assert {dep.asset_key.to_user_string() for dep in spec.deps} == {*table.inputs, *table.trailing} - {name}


def test_every_asset_makes_a_range_in_a_single_run_on_one_calendar() -> None:
    assets = build_definitions(Settings.read()).assets
    assert assets is not None
    calendars = set()
    for asset in assets:
        assert isinstance(asset, dg.AssetsDefinition)
        assert asset.backfill_policy == dg.BackfillPolicy.single_run()
        calendars.add(asset.partitions_def)
    assert len(calendars) == 1


@pytest.mark.parametrize(
    ("now", "last"),
    [
        ("2026-01-20 05:59", "2026-01-18"),
        ("2026-01-20 06:00", "2026-01-19"),
    ],
)
def test_a_shift_date_becomes_a_partition_when_its_shift_ends(now: str, last: str) -> None:
    calendar = shift_dates(Settings.read(start_date="2026-01-10"))
    at = datetime.fromisoformat(now).replace(tzinfo=ZoneInfo("Asia/Baku"))
    keys = calendar.get_partition_keys(current_time=at)
    assert (keys[0], keys[-1]) == ("2026-01-10", last)


@pytest.mark.parametrize("zone", ["Europe/Istanbul", "Europe/Berlin"])
def test_the_calendar_holds_through_a_change_of_clocks(zone: str) -> None:
    calendar = shift_dates(Settings.read(start_date="2026-03-20", timezone=zone, shift_end="02:30"))
    at = datetime(2026, 4, 5, 12, tzinfo=ZoneInfo(zone))
    assert [key[-2:] for key in calendar.get_partition_keys(current_time=at)] == [
        *(f"{day}" for day in range(20, 32)),
        *(f"{day:02}" for day in range(1, 5)),
    ]


def tick(at: str) -> dg.RunRequest | dg.SkipReason:
    definitions = build_definitions(Settings.read(start_date="2026-01-10"))
    schedule = definitions.resolve_schedule_def("nightly_shift_schedule")
    when = datetime.fromisoformat(at).replace(tzinfo=ZoneInfo("Asia/Baku"))
    with dg.build_schedule_context(
        scheduled_execution_time=when, repository_def=definitions.get_repository_def()
    ) as context:
        data = schedule.evaluate_tick(context)
    return data.run_requests[0] if data.run_requests else dg.SkipReason(data.skip_message)


def test_the_schedule_runs_and_asks_for_the_shift_that_just_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CREDENTIALS:
        monkeypatch.setenv(name, "given")
    request = tick("2026-01-20 06:00")
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == "2026-01-19"
    schedule = build_definitions(Settings.read()).resolve_schedule_def("nightly_shift_schedule")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 6 * * *", "Asia/Baku")


def test_the_schedule_skips_without_credentials_and_before_the_first_shift_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    skipped = tick("2026-01-20 06:00")
    assert isinstance(skipped, dg.SkipReason)
    assert "CLOPOS_CLIENT_ID" in str(skipped.skip_message)
    for name in CREDENTIALS:
        monkeypatch.setenv(name, "given")
    early = tick("2026-01-10 06:00")
    assert isinstance(early, dg.SkipReason)
    assert "CLOPOS_START_DATE" in str(early.skip_message)
