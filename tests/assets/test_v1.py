"""A run in Dagster on a brand of v1, from its settings to its figures, and what it says of missing operations."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from clopos_assets.assembly import build_definitions
from clopos_assets.sandbox import Quirks, Sandbox
from clopos_assets.settings import Settings
from clopos_assets.tables import COST, TABLES, VARIANCE_FINDINGS
from tests.assets.conftest import Project
from tests.ingest.shop import Shop, open_shop

pytestmark = pytest.mark.usefixtures("memory_with_figures")

DAYS = ("2026-01-19", "2026-01-20")


@pytest.fixture(params=["everywhere", "nowhere"])
def project(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Two venues of v1 with three receipts; `param` is where receipts hold their operations."""
    with open_shop(tmp_path, venues=2) as filled:
        filled.sell(1, DAYS[0])
        filled.sell(2, DAYS[0], venue_id=2)
        filled.sell(3, DAYS[1])
        quirks = Quirks(v1_operations=request.param)
        with Sandbox(filled.world, quirks=quirks) as sandbox, dg.DagsterInstance.ephemeral(str(tmp_path)) as instance:
            shop = Shop(tmp_path, sandbox)
            for name, value in sandbox.settings("v1").items():
                monkeypatch.setenv(name, value)
            monkeypatch.setenv("CLOPOS_LAKE", str(shop.lake.root))
            monkeypatch.setenv("CLOPOS_START_DATE", "2026-01-10")
            settings = Settings.read()
            yield Project(shop, settings, build_definitions(settings), instance)


def warnings_of(project: Project, run_id: str) -> list[str]:
    logs = project.instance.all_logs(run_id)
    return [entry.user_message for entry in logs if entry.level == 30 and "tells no stock" in entry.user_message]


@pytest.mark.parametrize("project", ["everywhere"], indirect=True)
def test_every_table_is_made_of_the_list_alone(project: Project) -> None:
    result = project.run(*DAYS)
    assert result.success
    assert project.shop.asked() == {"v1 list": 2}  # one per venue
    assert project.shop.sandbox.requests.count("POST", "/auth") == 2
    for name in TABLES:
        assert list(project.materializations(name)) == list(DAYS)
    daily = project.materializations("daily_cogs")[DAYS[0]][0].metadata
    assert (daily["net_sales"].value, daily["cogs"].value) == (25.0, 1.28)
    operations = project.materializations("stock_operations")[DAYS[0]][0].metadata
    assert operations["receipts_without_operations"].value == 0
    assert "receipts_without_operations" not in daily
    assert "food_cost_pct" in daily
    assert warnings_of(project, result.run_id) == []


@pytest.mark.parametrize("project", ["nowhere"], indirect=True)
def test_missing_operations_are_said_and_not_made_up(project: Project) -> None:
    for _ in range(2):
        result = project.run(*DAYS)
        assert result.success
        assert warnings_of(project, result.run_id) == [
            f"shift date {day}: of {count} of {count} closed receipts Clopos tells no stock operations, neither in the "
            "list nor by id; their cost is unknown, not zero: daily_cogs.undeducted_sales holds their sales"
            for day, count in zip(DAYS, (2, 1), strict=True)
        ]
    operations = project.materializations("stock_operations")[DAYS[0]][-1].metadata
    assert operations["receipts_without_operations"].value == 2
    daily = project.materializations("daily_cogs")[DAYS[0]][-1].metadata
    assert (daily["cogs"].value, daily["undeducted_sales"].value) == (0.0, 25.0)
    assert "food_cost_pct" not in daily
    for table in COST:
        assert project.materializations(table.name)[DAYS[0]][-1].metadata["receipts_without_operations"].value == 2


@pytest.mark.parametrize("project", ["everywhere"], indirect=True)
def test_what_is_not_told_is_no_finding(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = project.shop.world
    assert project.run(DAYS[0]).success  # the product of all receipts takes stock
    with Sandbox(world, quirks=Quirks(v1_operations="nowhere")) as silent:
        monkeypatch.setenv("CLOPOS_BASE_URL", silent.settings("v1")["CLOPOS_BASE_URL"])
        settings = Settings.read()
        told_none = Project(Shop(tmp_path, silent), settings, build_definitions(settings), project.instance)
        assert told_none.run(DAYS[1]).success
    assert checks_found(project) == set()  # though the receipt reports what it cost
    world.put_operations(3, [])
    world.update_receipt(3, order_status="READY")
    assert project.run(DAYS[1]).success
    assert checks_found(project) == {"line_has_deduction"}


def checks_found(project: Project) -> set[str]:
    rows = project.shop.lake.read(VARIANCE_FINDINGS, DAYS[1])
    assert rows is not None
    return set(rows.column("check_name").to_pylist())
