"""What Dagster shows of the checks of each shift date after a run over many, and after one that fails."""

from collections import Counter
from datetime import date

import dagster as dg
import pytest

from clopos_assets.assembly import build_definitions
from clopos_assets.assets.raw_checks import UNKNOWN_FIELDS_CHECK
from clopos_assets.findings import CHECKS
from clopos_assets.ingest.venues import VENUES_CHECK
from clopos_assets.settings import Settings
from clopos_assets.targets import targets_of
from tests.assets.conftest import Project, failure_of

pytestmark = pytest.mark.usefixtures("memory_with_figures")

DAYS = ["2026-01-19", "2026-01-20"]
OF_FINDINGS = [dg.AssetCheckKey(dg.AssetKey(check.table), check.name) for check in CHECKS]
OF_RAW = [
    dg.AssetCheckKey(dg.AssetKey(table), name)
    for table, names in {
        "receipts": (UNKNOWN_FIELDS_CHECK, VENUES_CHECK),
        "receipt_products": (UNKNOWN_FIELDS_CHECK,),
        "stock_operations": (UNKNOWN_FIELDS_CHECK,),
    }.items()
    for name in names
]
OF_LAKE = [key for key in OF_RAW if key.name == UNKNOWN_FIELDS_CHECK]
UNPAID = dg.AssetCheckKey(dg.AssetKey("receipts"), "payments_match_total")


def shown(project: Project, keys: list[dg.AssetCheckKey]) -> dict[tuple[str, str, str | None], str | None]:
    """Table, check and shift date → status, as the UI counts them: None for one that is not of what stands there."""
    infos = project.instance.event_log_storage.get_asset_check_partition_info(keys)
    return {
        (info.check_key.asset_key.to_user_string(), info.check_key.name, info.partition_key): (
            info.latest_execution_status.value if info.is_current else None
        )
        for info in infos
        if info.partition_key is not None
    }


def all_of(keys: list[dg.AssetCheckKey], status: str) -> dict[tuple[str, str, str | None], str | None]:
    return {(key.asset_key.to_user_string(), key.name, day): status for key in keys for day in DAYS}


@pytest.mark.parametrize("ranges", [[DAYS], [[day] for day in DAYS], [DAYS, DAYS[:1]]], ids=["range", "each", "again"])
def test_every_date_has_the_checks_of_what_stands_there(project: Project, ranges: list[list[str]]) -> None:
    for days in ranges:
        assert project.run(*days).success
    assert shown(project, OF_FINDINGS + OF_RAW) == all_of(OF_FINDINGS + OF_RAW, "SUCCEEDED")


def test_of_a_run_of_one_date_each_is_told_once(project: Project) -> None:
    result = project.run(DAYS[0])
    assert result.success
    told = Counter(event.asset_check_key for event in result.get_asset_check_evaluations())
    assert told == dict.fromkeys(OF_FINDINGS + OF_RAW, 1)


def test_of_more_dates_than_are_looked_up_at_once_none_is_missing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clopos_assets.targets._AT_ONCE", 1)
    assert project.run(*DAYS).success
    assert targets_of(project.instance, "receipts", DAYS).keys() == set(DAYS)
    assert shown(project, OF_FINDINGS + OF_RAW) == all_of(OF_FINDINGS + OF_RAW, "SUCCEEDED")


@pytest.mark.parametrize("days", [DAYS, DAYS[:1]], ids=["range", "date"])
@pytest.mark.parametrize(
    ("setting", "named"), [({"client_secret": "another"}, "HTTP 401"), ({"brand": "another"}, "holds the brand")]
)
def test_a_run_that_is_refused_leaves_what_was_found(
    project: Project, days: list[str], setting: dict[str, str], named: str
) -> None:
    project.shop.world.update_receipt(1, remaining=1)
    assert project.run(*DAYS).success
    keys = OF_FINDINGS + OF_LAKE
    found = shown(project, keys)
    assert found == all_of(keys, "SUCCEEDED") | {("receipts", UNPAID.name, DAYS[0]): "FAILED"}
    project.definitions = build_definitions(Settings.read(**setting))
    result = project.run(*days)
    assert not result.success
    assert named in failure_of(result)
    assert shown(project, keys) == found


def test_a_date_beside_that_a_receipt_moved_to_has_the_checks_of_what_stands_there(project: Project) -> None:
    assert project.run(*DAYS).success
    project.shop.world.move_receipt(1, date.fromisoformat(DAYS[1]))
    project.shop.world.update_receipt(1, news=1)
    assert project.run(DAYS[0]).success
    assert project.shop.stands(1)["receipts"] == [DAYS[1]]
    keys = OF_FINDINGS + OF_LAKE
    news = {("receipts", UNKNOWN_FIELDS_CHECK, DAYS[1]): "FAILED"}
    assert shown(project, keys) == all_of(keys, "SUCCEEDED") | news


def test_a_run_with_a_bad_date_tells_the_checks_of_what_it_made_and_leaves_the_others(project: Project) -> None:
    assert project.run(*DAYS).success
    project.shop.world.update_receipt(3, total="1e30")
    project.shop.world.update_receipt(1, news=1)
    assert not project.run(*DAYS).success
    found = all_of(OF_FINDINGS + OF_RAW, "SUCCEEDED") | {("receipts", UNKNOWN_FIELDS_CHECK, DAYS[0]): "FAILED"}
    # Who has no answer of Clopos does not know which venues there are.
    assert shown(project, OF_FINDINGS + OF_RAW) == found | {("receipts", VENUES_CHECK, DAYS[1]): None}
