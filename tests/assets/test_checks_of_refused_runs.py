"""What Dagster shows of checks after a run that may not touch the lake at all."""

from decimal import Decimal

import pytest

from clopos_assets.assembly import build_definitions
from clopos_assets.assets.making import UNKNOWN_FIELDS_CHECK
from clopos_assets.findings import show_amount
from clopos_assets.settings import Settings
from tests.assets.conftest import Project, failure_of
from tests.assets.test_standing_checks import DAYS, OF_FINDINGS, OF_RAW, UNPAID, all_of, shown


@pytest.mark.parametrize("days", [DAYS, DAYS[:1]], ids=["range", "date"])
def test_a_run_into_the_lake_of_another_brand_leaves_what_was_found(project: Project, days: list[str]) -> None:
    project.shop.world.update_receipt(1, remaining=1)
    assert project.run(*DAYS).success
    keys = OF_FINDINGS + [key for key in OF_RAW if key.name == UNKNOWN_FIELDS_CHECK]
    found = shown(project, keys)
    assert found == all_of(keys, "SUCCEEDED") | {("receipts", UNPAID.name, DAYS[0]): "FAILED"}
    project.definitions = build_definitions(Settings.read(brand="another"))
    result = project.run(*days)
    assert not result.success
    assert "holds the brand" in failure_of(result)
    assert shown(project, keys) == found


def test_nothing_at_risk_is_told_as_such() -> None:
    assert [show_amount(amount) for amount in (None, Decimal(0), Decimal("1234.5"))] == ["", "0.00", "1,234.50"]
