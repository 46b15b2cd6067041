"""A fault that stays, seen in Dagster: the failed step says one line, and the next run finishes the work."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from clopos_assets.assembly import build_definitions
from clopos_assets.settings import Settings
from tests.assets.conftest import Project, failure_of
from tests.faults.restaurant import hasty
from tests.ingest.shop import open_shop
from tests.late.conftest import Watched

DAYS = ["2026-01-19", "2026-01-20"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Ten receipts on each of two shift dates, and a client that gives up soon."""
    with hasty(attempts=2), open_shop(tmp_path) as shop, dg.DagsterInstance.ephemeral(str(tmp_path)) as instance:
        for number in range(1, 21):
            shop.sell(number, DAYS[number % 2])
        for name, value in shop.sandbox.settings().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CLOPOS_LAKE", str(shop.lake.root))
        monkeypatch.setenv("CLOPOS_START_DATE", "2026-01-10")
        settings = Settings.read()
        yield Project(shop, settings, build_definitions(settings), instance)


@pytest.mark.parametrize(
    ("fault", "path", "line", "made"),
    [
        (
            "reset",
            "/v2/receipts",
            r"2 of 2 shift dates not made. 2026-01-19, 2026-01-20: GET /v2/receipts (2026-01-17 to 2026-01-21, "
            r"venue 1): given up after 2 tries, the last: the connection broke; run again later",
            set(),
        ),
        (
            "502",
            "/stock-operations",
            "2 of 2 shift dates not made. 2026-01-19: stock operations of 7 of 10 closed receipts could not be read "
            "(receipt 8, 10, 12, 14, 16, 18, 20): GET /v2/receipts/8/stock-operations (venue 1): given up after "
            "2 tries, the last: HTTP 502 with a body that is not whole JSON (text/html); run again later; what was "
            "read is kept for the next run; 2026-01-20: not asked for, after too many failures on 2026-01-19: run "
            "again later",
            {"receipts", "receipt_products"},
        ),
    ],
)
def test_the_failures_event_has_the_line(project: Project, fault: str, path: str, line: str, made: set[str]) -> None:
    project.shop.sandbox.faults.plan(fault, path, spared=0 if fault == "reset" else 3)
    result = project.run(*DAYS)
    assert not result.success
    said = failure_of(result)
    assert said.isprintable()
    assert project.shop.sandbox.credentials.client_secret not in said
    # What the system calls the break differs.
    assert [said.partition("the last: ")[0], said.rpartition("; ")[2]] == [
        line.partition("the last: ")[0],
        line.rpartition("; ")[2],
    ]
    events = {
        table for table in ("receipts", "receipt_products", "stock_operations") if project.materializations(table)
    }
    assert events == made
    kept = sum(request.fault == "" and request.status == 200 for request in project.shop.sandbox.requests.latest()
               if request.route.endswith("stock-operations"))  # fmt: skip
    project.shop.sandbox.faults.clear()
    assert project.run(*DAYS).success
    assert project.shop.asked() == {"list": 1, "operations": 20 - kept}
    assert set(project.materializations("stock_operations")) == set(DAYS)


@pytest.mark.parametrize("fault", ["reset", "cut-off", "502", "huge", "token-expired"])
def test_a_tick_of_the_sensor_says_the_line_and_the_next_one_sees_all(project: Project, fault: str) -> None:
    watched = Watched(project.shop, project.settings, project.definitions, project.instance)
    project.shop.make(*DAYS)
    watched.tick()
    before = watched.cursor
    project.shop.sell(99, DAYS[0], updated_at="2026-01-25 11:00:00")
    project.shop.sandbox.faults.plan(fault, "/v2/receipts")
    said = watched.tick()
    assert said.isprintable()
    assert (
        "nothing could be read, the next tick tries again: GET /v2/receipts (last changed, page 1, venue 1): " in said
    )
    assert (watched.asked, watched.cursor) == ([], before)
    project.shop.sandbox.faults.clear()
    watched.tick()
    assert watched.asked_for == [DAYS[0]]
