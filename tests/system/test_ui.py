"""The Dagster UI in a real browser: the graph in its groups, descriptions, columns, row counts and plots."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.system.processes import ROOT, Home, free_port, new_home, sandbox_process, wait_for

pytestmark = pytest.mark.system
CHROMIUM = "/usr/bin/chromium"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
WAIT = 60_000
TODAY = datetime.now(ZoneInfo("Asia/Baku")).date()
LAST = TODAY - timedelta(days=3)


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a webserver over a home in which five shift dates were made."""
    folder = tmp_path_factory.mktemp("ui") / "home"
    # The UI plots the latest partitions, and the calendar ends today.
    history = ("--start-date", str(TODAY - timedelta(days=14)), "--receipts-per-day", "10")
    with sandbox_process(*history, "--requests-per-minute", "100000") as settings:
        home = new_home(folder, settings)
        made = home.materialize("--partition-range", f"{TODAY - timedelta(days=7)}...{LAST}")
        assert made.returncode == 0, made.stderr[-3000:]
        with webserver(home) as address:
            yield address


@contextmanager
def webserver(home: Home) -> Iterator[str]:
    """Dagster's webserver over a home, and its address."""
    port = free_port()
    command = [sys.executable, "-m", "dagster_webserver", "-w", str(ROOT / "workspace.yaml"), "-p", str(port)]
    with subprocess.Popen(
        command, env=home.env, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(f"{address}/server_info")
            yield address
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def page(ui: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1500, "height": 950}, base_url=ui)
        page.set_default_timeout(WAIT)
        expect.set_options(timeout=WAIT)
        yield page
        browser.close()


LINEAGE = "/locations/clopos_assets.definitions/asset-groups"


@pytest.mark.parametrize(
    ("group", "tables"),
    [
        ("raw", ["receipts", "receipt_products", "stock_operations"]),
        ("cost", ["line_cogs", "product_cogs", "daily_cogs", "ingredient_usage"]),
        ("variance", ["stock_ledger", "stock_gaps", "usage_variance", "variance_findings", "finding_history"]),
    ],
)
def test_the_graph_shows_each_group(page: Page, group: str, tables: list[str], tmp_path: Path) -> None:
    page.goto(f"{LINEAGE}/{group}/lineage")
    for table in tables:
        expect(page.get_by_text(table, exact=True).first).to_be_visible()
    expect(page.get_by_text("Parquet" if group == "raw" else "DuckDB").first).to_be_visible()
    assert page.screenshot(path=tmp_path / f"{group}.png")


def test_an_asset_shows_description_and_columns(page: Page) -> None:
    page.goto("/assets/daily_cogs?view=overview")
    expect(page.get_by_text("one row per venue with a closed receipt").first).to_be_visible()
    expect(page.get_by_text("food_cost_pct_excl_tax", exact=True).first).to_be_visible()
    expect(page.get_by_text("DECIMAL(18,6)").first).to_be_visible()


def test_a_partition_shows_its_row_count_and_cost(page: Page) -> None:
    page.goto(f"/assets/daily_cogs?view=partitions&partition={LAST}")
    expect(page.get_by_text("dagster/partition_row_count")).to_be_visible()
    expect(page.get_by_text("food cost %")).to_be_visible()


def test_figures_plot_over_shift_dates(page: Page) -> None:
    page.goto(f"{LINEAGE}/cost/lineage/daily_cogs")
    expect(page.get_by_text("Metadata plots")).to_be_visible()
    expect(page.locator("canvas").first).to_be_visible()


def test_the_check_of_unknown_fields_shows(page: Page) -> None:
    page.goto("/assets/receipts?view=checks")
    expect(page.get_by_text("fields_are_documented").first).to_be_visible()


def test_no_modal_stands_over_the_page(page: Page) -> None:
    page.goto("/overview")
    expect(page.get_by_text("Overview").first).to_be_visible()
    assert page.get_by_role("dialog").count() == 0
