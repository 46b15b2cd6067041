"""The checks of a shift date with planted faults, in a real browser: each shows, with its rows."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from clopos_assets.findings import CHECKS, Check
from tests.assets.faulty import DAYS, faulty_world, served
from tests.system.processes import ROOT, Home, environment
from tests.system.test_ui import CHROMIUM, QUIET, WAIT, webserver

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser on a home in which the dates before were made in one run, and the faulty one alone, last."""
    folder = tmp_path_factory.mktemp("findings") / "home"
    folder.mkdir()
    (folder / "dagster.yaml").write_text((ROOT / "dagster_home" / "dagster.yaml").read_text())
    with served(faulty_world()) as sandbox:
        home = Home(folder, environment(DAGSTER_HOME=str(folder), CLOPOS_START_DATE=DAYS[0], **sandbox.settings()))
        for dates in (("--partition-range", f"{DAYS[0]}...{DAYS[-2]}"), ("--partition", DAYS[-1])):
            made = home.materialize(*dates)
            assert made.returncode == 0, made.stderr[-3000:]
        with webserver(home) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
            page = browser.new_page(viewport={"width": 1500, "height": 950}, base_url=address)
            page.set_default_timeout(WAIT)
            expect.set_options(timeout=WAIT)
            yield page
            browser.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_planted_fault_shows_with_its_rows(page: Page, check: Check, tmp_path: Path) -> None:
    page.goto(f"/assets/{check.table}?view=checks&checkDetail={check.name}")
    expect(page.get_by_text(check.description).first).to_be_visible()
    expect(page.get_by_text("Passed" if check.severity == "INFO" else "Failed").first).to_be_visible()
    expect(page.get_by_text("found,").first).to_be_visible()
    page.get_by_text("[Show Markdown]").first.click()
    row = page.get_by_role("dialog").get_by_role("row").nth(1)
    expect(row).to_be_visible()
    assert len(row.inner_text()) > 30
    assert page.screenshot(path=tmp_path / f"{check.name}.png")
