"""From a late closing to the corrected cost of goods, by a real daemon and without a hand laid on."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus
from playwright.sync_api import expect, sync_playwright

from clopos_assets.late_sensor import SENSOR
from clopos_assets.tables import DAILY_COGS, USAGE_VARIANCE
from clopos_assets.tags import LATE_RECEIPTS
from tests.ingest.shop import Shop, days_from, open_shop
from tests.system.processes import ROOT, SECONDS, Home, environment
from tests.system.test_ui import CHROMIUM, QUIET, WAIT, webserver

pytestmark = pytest.mark.system
DAYS = days_from("2026-01-19", 3)


@contextmanager
def daemon(home: Home) -> Iterator[None]:
    """The daemon with the project's code, as an operator starts it."""
    command = [sys.executable, "-m", "dagster._daemon", "run", "-m", "clopos_assets.definitions"]
    with (home.path / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=home.env, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)


def cogs(shop: Shop, shift_date: str) -> list[Decimal]:
    """Cost of goods of the only venue."""
    rows = shop.lake.read(DAILY_COGS, shift_date, ["cogs"])
    assert rows is not None
    return list(rows.column(0).to_pylist())


@pytest.fixture
def home(tmp_path: Path) -> Iterator[tuple[Shop, Home]]:
    """Three shift dates that are made, one receipt of the first still open."""
    with open_shop(tmp_path) as shop:
        for number, day in enumerate(DAYS):
            shop.sell(number + 1, day)
        shop.sell(9, DAYS[0], status=1, closed_at=None)
        path = tmp_path / "home"
        path.mkdir()
        (path / "dagster.yaml").write_text((ROOT / "dagster_home" / "dagster.yaml").read_text())
        settings = shop.sandbox.settings() | {
            "CLOPOS_LAKE": str(shop.lake.root),
            "CLOPOS_START_DATE": "2026-01-15",
            "CLOPOS_POLL_SECONDS": "5",
            "DAGSTER_HOME": str(path),
        }
        home = Home(path, environment(**settings))
        made = home.materialize("--partition-range", f"{DAYS[0]}...{DAYS[-1]}")
        assert made.returncode == 0, made.stderr[-2000:]
        yield shop, home


def test_a_late_closing_reaches_the_cost_of_goods(
    home: tuple[Shop, Home], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shop, place = home
    assert cogs(shop, DAYS[0]) == [Decimal("0.640000")]
    with daemon(place):
        # While the daemon runs: closed and deducted two days late.
        shop.sandbox.requests.reset()
        shop.world.update_receipt(9, status=2, closed_at="2026-01-21 03:10:00")
        shop.deduct(9)
        deadline = time.monotonic() + SECONDS
        while cogs(shop, DAYS[0]) != [Decimal("1.280000")]:
            assert time.monotonic() < deadline, (place.path / "daemon.log").read_text()[-3000:]
            time.sleep(0.5)
        monkeypatch.setenv("DAGSTER_HOME", str(place.path))
        with dg.DagsterInstance.get() as instance:
            (run,) = _ended_runs(instance, deadline)
            assert run.status == DagsterRunStatus.SUCCESS
            assert run.tags["dagster/sensor_name"] == SENSOR
            assert run.tags["dagster/partition"] == DAYS[0]
            assert run.tags[LATE_RECEIPTS] == "1 receipt: 9"
    # One page for the sensor or more, one for the date, and one request for the receipt.
    asked = shop.asked()
    assert asked.pop("list") >= 2
    assert asked == {"operations": 1}
    with webserver(place) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1500, "height": 950}, base_url=address)
        page.set_default_timeout(WAIT)
        page.goto(f"/assets/receipts?view=partitions&partition={DAYS[0]}")
        expect(page.get_by_text("receipts_changed").first).to_be_visible(timeout=WAIT)
        row = page.get_by_role("row").filter(has_text="open, 12.50").last
        expect(row).to_have_text(re.compile("9.*changed.*open, 12.50.*closed, 12.50"), timeout=WAIT)
        page.screenshot(path=tmp_path / "receipts.png")
        page.goto(f"/assets/daily_cogs?view=partitions&partition={DAYS[0]}")
        expect(page.get_by_text("cogs_before").first).to_be_visible(timeout=WAIT)
        page.screenshot(path=tmp_path / "daily_cogs.png")
        browser.close()
    # The days whose standards rest on it have followed.
    rows = shop.lake.read(USAGE_VARIANCE, DAYS[1], ["standard_days", "units_sold"])
    assert rows is not None
    assert not shop.lake.marks()


def _ended_runs(instance: dg.DagsterInstance, deadline: float) -> list[dg.DagsterRun]:
    """The runs that the daemon has started, when they have ended."""
    while True:
        runs = [run for run in instance.get_runs() if "dagster/sensor_name" in run.tags]
        if runs and all(run.is_finished for run in runs):
            return runs
        assert time.monotonic() < deadline, "the run does not end"
        time.sleep(0.5)
