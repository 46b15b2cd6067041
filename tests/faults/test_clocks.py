"""Clocks that are set while a run is under way, by hours, back or forward: nothing comes of it but requests."""

import ast
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import pytest

import clopos_assets
from clopos_assets.clopos.store import FileStore
from clopos_assets.sandbox import LimitOptions, Quirks, Sandbox
from clopos_assets.sandbox.server import ApiVersion
from tests.faults.restaurant import DAYS, QUIRKS, Rows, Site, hasty, history, morning_after, served

PACKAGE = Path(clopos_assets.__file__).parent
HOUR = 3600.0
OF_THE_WALL = {
    "assets/monthly.py": "which months have ended",
    "clopos/dialect.py": "for servers that do not say their time",
    "clopos/store.py": "removes files that nobody has used for a month",
    "ingest/made.py": "when rows were fetched, and whether operations may still post",
    "ingest/operations.py": "how old a kept answer is: one too old or from before is asked for again",
    "line/derived.py": "when findings were seen",
}
"""The modules that read a clock which people set, and what for."""

# One window is less than a run, and the server counts exactly.
LIMITS = LimitOptions(30, 10**9, 10**9, window_seconds=1.0, requests_v1=30, requests_v1_per_hour=10**4)


class Wall:
    """The module `time`, whose clock on the wall is `wrong_by` so many seconds."""

    def __init__(self) -> None:
        self.wrong_by = 0.0

    def time(self) -> float:
        return time.time() + self.wrong_by

    def __getattr__(self, name: str) -> object:
        return getattr(time, name)


@pytest.fixture
def wall() -> Iterator[Wall]:
    """The clock on the wall of the client's machine; the API has another."""
    wall = Wall()
    with (
        patch("clopos_assets.clopos.dialect.time", wall),
        patch("clopos_assets.clopos.store.time", wall),
        patch("clopos_assets.ingest.operations.time", wall),
        hasty(),
    ):
        yield wall


def reads_the_wall(path: Path) -> bool:
    """Whether a module asks what time it is, other than since some moment."""
    names = {("time", "time"), ("datetime", "now"), ("datetime", "today"), ("datetime", "utcnow"), ("date", "today")}
    return any(
        isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in names
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )


def test_these_modules_read_the_clock_on_the_wall() -> None:
    apart = {"sandbox", "demo.py", "cli.py"}
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] not in apart and reads_the_wall(path)
    }
    assert found == set(OF_THE_WALL), "see what a clock that is set does there, and test it here"


def truth_of(sandbox: Sandbox, version: ApiVersion, root: Path) -> Rows:
    site = Site.at(root / "truth", sandbox, version)
    assert site.make() == {}
    return site.rows()


@pytest.mark.parametrize("hours", [-5.0, 30.0])
@pytest.mark.parametrize("version", ["v2", "v1"])
def test_a_clock_set_in_mid_run(wall: Wall, version: ApiVersion, hours: float, tmp_path: Path) -> None:
    past = history()
    past.advance(morning_after(5))
    with served(past) as unlimited:
        true = truth_of(unlimited, version, tmp_path)
    quirks = Quirks(refuse_large_limit=True, v1_operations=QUIRKS.v1_operations, v1_reset="moment")
    with served(past, limits=LIMITS, quirks=quirks) as sandbox:
        site = Site.at(tmp_path / "lake", sandbox, version)
        site.store = FileStore(tmp_path / "shared")

        def set_clock() -> None:
            if sandbox.requests.total() == 12:
                wall.wrong_by = hours * HOUR
                site.access.wrong_by = timedelta(hours=hours)

        sandbox.hooks.before = set_clock
        assert site.make() == {}
        assert wall.wrong_by == hours * HOUR
        assert site.rows() == true
        assert sandbox.requests.total() > LIMITS.requests
        assert sum(request.status == 429 for request in sandbox.requests.latest()) <= 1
        assert site.make() == {}
        assert site.asked().get("operations", 0) == 0


@pytest.mark.parametrize("hours", [-5.0, 5.0])
def test_a_clock_set_while_the_api_refuses_by_the_moment(wall: Wall, hours: float, tmp_path: Path) -> None:
    """v1 says when to ask again as a moment: by the client's clock it would be hours away, or long gone."""
    past = history()
    past.advance(morning_after(5))
    with served(past) as unlimited:
        true = truth_of(unlimited, "v1", tmp_path)
    quirks = Quirks(refuse_large_limit=True, v1_operations=QUIRKS.v1_operations, v1_reset="moment")
    with served(past, limits=LIMITS, quirks=quirks) as sandbox:
        # Somebody else has spent all, and this client knows nothing of it.
        for _ in range(LIMITS.requests_v1):
            sandbox.limits.take_request_v1(sandbox.credentials.brand)
        site = Site.at(tmp_path / "lake", sandbox, "v1")
        wall.wrong_by = hours * HOUR
        assert site.make() == {}
        assert site.rows() == true
        assert sum(request.status == 429 for request in sandbox.requests.latest()) == 1


@pytest.mark.parametrize(("hours", "is_kept"), [(-30.0, True), (-5.0, True), (5.0, True), (30.0, False)])
def test_a_clock_set_between_a_run_that_failed_and_the_next(hours: float, is_kept: bool, tmp_path: Path) -> None:
    """Files that are so much older or newer are what the next run finds. Kept answers are worth a day."""
    past = history()
    past.advance(morning_after(5))
    with hasty(attempts=2), served(past) as sandbox:
        true = truth_of(sandbox, "v2", tmp_path)
        site = Site.at(tmp_path / "lake", sandbox)
        sandbox.faults.plan("503", "/stock-operations", spared=10)
        assert site.make().keys() == set(DAYS)
        sandbox.faults.clear()
        for file in (tmp_path / "lake").rglob("*"):
            moment = file.stat().st_mtime - hours * HOUR
            os.utime(file, (moment, moment))
        assert site.make() == {}
        assert site.rows() == true
        operations = sandbox.requests.count("GET", "/v2/receipts/{id}/stock-operations")
        assert Site.at(tmp_path / "again", sandbox).make() == {}
        whole = sandbox.requests.count("GET", "/v2/receipts/{id}/stock-operations")
        assert whole - operations == (10 if is_kept else 0)
