"""Runs of some of the tables, or of checks alone: what is known of the other tables' checks stays known."""

from collections.abc import Mapping

import dagster as dg
import pytest

from clopos_assets.assembly import build_definitions
from clopos_assets.assets.raw_checks import UNKNOWN_FIELDS_CHECK
from clopos_assets.automation import JOB
from clopos_assets.findings import CHECKS
from clopos_assets.ingest.made import NOBODY
from clopos_assets.ingest.venues import VENUES_CHECK
from clopos_assets.line import left_behind
from clopos_assets.settings import Settings
from clopos_assets.tables import COST, RAW, TABLES, Table
from tests.assets.conftest import Project, failure_of

pytestmark = pytest.mark.usefixtures("memory_with_figures")

DAY = "2026-01-19"
UNPAID = dg.AssetCheckKey(dg.AssetKey("receipts"), "payments_match_total")
UNDOCUMENTED = dg.AssetCheckKey(dg.AssetKey("receipts"), UNKNOWN_FIELDS_CHECK)
OF_OPERATIONS = dg.AssetCheckKey(dg.AssetKey("stock_operations"), UNKNOWN_FIELDS_CHECK)
INCOMPLETE = dg.AssetCheckKey(dg.AssetKey("receipts"), VENUES_CHECK)


def keys(*tables: str) -> set[dg.AssetKey]:
    return {dg.AssetKey(table) for table in tables}


def last_known(project: Project, key: dg.AssetCheckKey, shift_date: str = DAY) -> str:
    """What Dagster has written down last of a check of a shift date."""
    records = project.instance.event_log_storage.get_asset_check_execution_history(key, limit=100)
    return next(record.status.value for record in records if record.partition == shift_date)


def underpay(project: Project) -> None:
    """Leave something to pay of receipt 1, which is paid in full."""
    project.shop.world.update_receipt(1, remaining=1)


def run_checks(
    project: Project, shift_date: str | None, checks: set[dg.AssetCheckKey], tags: Mapping[str, str] | None = None
) -> dg.ExecuteInProcessResult:
    """What the UI's button to execute checks does, which names no shift date."""
    job = project.definitions.resolve_job_def(JOB).get_subset(asset_selection=set(), asset_check_selection=checks)
    return job.execute_in_process(instance=project.instance, partition_key=shift_date, tags=tags, raise_on_error=False)


@pytest.mark.parametrize("tables", [[table.name for table in RAW], ["line_cogs"], ["stock_ledger"]])
def test_a_run_of_some_tables_keeps_what_their_checks_say(project: Project, tables: list[str]) -> None:
    underpay(project)
    assert project.run(DAY, "2026-01-20").success
    known = {key: last_known(project, key) for key in all_keys()}
    assert known == {key: "FAILED" if key == UNPAID else "SUCCEEDED" for key in known}
    assert project.run(DAY, asset_selection=list(keys(*tables))).success
    assert {key: last_known(project, key) for key in known} == known


def test_a_range_of_some_tables_keeps_what_their_checks_say(project: Project) -> None:
    underpay(project)
    assert project.run(DAY, "2026-01-20").success
    assert project.run(DAY, "2026-01-20", asset_selection=list(keys("receipts", "receipt_products"))).success
    assert [last_known(project, UNPAID, day) for day in (DAY, "2026-01-20")] == ["FAILED", "SUCCEEDED"]


@pytest.mark.parametrize("groups", [(RAW, COST), (COST,), (RAW,)], ids=["raw and cost", "cost", "raw"])
def test_tables_that_nobody_asked_for_are_left_to_whoever_makes_them_next(
    project: Project, groups: tuple[tuple[Table, ...], ...]
) -> None:
    """Dagster takes the steps in an order of its own, so that any of them may be the last."""
    lake = project.shop.lake
    if RAW not in groups:
        assert project.run(DAY, asset_selection=list(keys(*(table.name for table in RAW)))).success
    names = [table.name for group in groups for table in group]
    assert project.run(DAY, asset_selection=list(keys(*names))).success
    assert lake.marks() == {DAY: {NOBODY}}
    assert left_behind(lake, lambda _: "succeeded") == {}
    assert [lock for lock in (lake.root / "_locks").iterdir() if lock.name.startswith("run ")] == []


def test_a_check_alone_tells_what_stands(project: Project) -> None:
    underpay(project)
    assert project.run(DAY).success
    result = run_checks(project, DAY, {UNPAID})
    assert result.success
    (told,) = result.get_asset_check_evaluations()
    assert (told.asset_check_key, told.partition, told.passed) == (UNPAID, DAY, False)
    assert last_known(project, UNPAID) == "FAILED"


def test_checks_of_raw_tables_alone_make_nothing(project: Project) -> None:
    """They are told by what the lake holds, however Clopos has gone on since."""
    project.shop.world.venues.append({"id": 2, "name": "Filial 2", "is_main": 0, "media": []})
    project.definitions = build_definitions(Settings.read(venue_ids="1"))
    assert project.run(DAY).success
    stamps = [project.shop.lake.stamps(table) for table in TABLES.values()]
    project.shop.sell(9, DAY, colour="blue")
    project.shop.sell(10, "2026-01-21")
    project.definitions = build_definitions(Settings.read(venue_ids="all"))
    project.shop.sandbox.requests.reset()
    result = run_checks(project, DAY, {UNDOCUMENTED, OF_OPERATIONS, INCOMPLETE, UNPAID})
    assert result.success
    told = {event.asset_check_key: event for event in result.get_asset_check_evaluations()}
    assert {key for key, event in told.items() if event.passed} == {UNDOCUMENTED, OF_OPERATIONS, UNPAID}
    assert told[INCOMPLETE].metadata["missing_venues"].value == "2"
    assert str(told[INCOMPLETE].description).startswith("Made without venue 2")
    result = run_checks(project, "2026-01-21", {UNDOCUMENTED})
    assert (result.success, result.get_asset_check_evaluations()) == (True, [])
    assert [project.shop.lake.stamps(table) for table in TABLES.values()] == stamps
    assert project.shop.lake.marks() == {}
    assert project.shop.asked() == {}


def test_of_a_date_without_findings_nothing_is_told(project: Project) -> None:
    result = run_checks(project, DAY, {UNPAID, UNDOCUMENTED, OF_OPERATIONS})
    assert result.success
    assert result.get_asset_check_evaluations() == []
    said = [entry.user_message for entry in project.instance.all_logs(result.run_id)]
    for table in ("receipts", "stock_operations", "variance_findings"):
        assert f"{table} of {DAY} is not made: there is nothing to check" in said


@pytest.mark.parametrize(
    ("tags", "named"),
    [
        ({}, "the run names no shift dates, or not only such as exist ("),
        ({"dagster/partition": "2099-01-01"}, "no partition: 2099-01-01: "),
        ({"dagster/partition": "2026-1-19"}, "no partition: 2026-1-19: "),
        (
            {"dagster/asset_partition_range_start": "2026-01-20", "dagster/asset_partition_range_end": DAY},
            "the run's range holds no shift date, for it ends before it begins",
        ),
    ],
)
def test_checks_alone_are_refused_without_shift_dates(project: Project, tags: dict[str, str], named: str) -> None:
    """The first is what *Execute all* launches, on the page of an asset's checks."""
    assert project.run(DAY).success
    for check in (UNPAID, UNDOCUMENTED, OF_OPERATIONS):
        result = run_checks(project, None, {check}, tags)
        assert named in failure_of(result)
        assert result.get_asset_check_evaluations() == []


def test_findings_made_alone_are_told_by_the_checks_of_other_tables(project: Project) -> None:
    assert project.run(DAY, "2026-01-20").success
    underpay(project)
    raw_and_cost = [table for table in TABLES if table not in ("variance_findings", "finding_history")]
    assert project.run(DAY, asset_selection=list(keys(*raw_and_cost))).success
    assert last_known(project, UNPAID) == "SUCCEEDED"
    result = project.run(DAY, asset_selection=list(keys("variance_findings", "finding_history")))
    assert result.success
    assert sorted(told.check_name for told in result.get_asset_check_evaluations()) == sorted(c.name for c in CHECKS)
    assert last_known(project, UNPAID) == "FAILED"


def all_keys() -> list[dg.AssetCheckKey]:
    return [dg.AssetCheckKey(dg.AssetKey(check.table), check.name) for check in CHECKS]
