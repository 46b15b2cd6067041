"""Real runs of the main job over a lake in a folder: two at once on one shift date, and one that is killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from starlette.requests import Request
from starlette.responses import Response

from clopos_assets.access import Access
from clopos_assets.automation import JOB
from clopos_assets.clopos.connection import Connection
from clopos_assets.lake import Lake
from clopos_assets.line import line_of
from clopos_assets.sandbox import LimitOptions, Sandbox, World
from clopos_assets.settings import Settings
from clopos_assets.tables import TABLES
from tests.faults.sigkill import rows_of
from tests.ingest.shop import NOW, Shop
from tests.line.runner import run_through
from tests.system.processes import ROOT, SECONDS, Home, environment, until_set
from tests.system.test_machines import Listings

pytestmark = pytest.mark.system
DAY = "2026-01-19"
RECEIPTS = 40
QUOTA = LimitOptions(requests=30, window_seconds=2.0)
"""Fewer than a run needs."""
SPARED = 12
OVERLAP_SECONDS = 2.0
"""How long a listing is held once a second run could have begun its own."""


@dataclass
class Place:
    """A shop, and a home with an empty lake in which its runs are recorded."""

    shop: Shop
    home: Home
    instance: dg.DagsterInstance

    @contextmanager
    def run(self) -> Iterator["subprocess.Popen[str]"]:
        """A run of the shift date in a process of its own, which is gone when the block ends."""
        command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "clopos_assets.definitions", "-j", JOB]
        command += ["--tags", f'{{"dagster/partition": "{DAY}"}}']
        process = subprocess.Popen(
            command,
            env=self.home.env,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=SECONDS)

    def begun(self) -> int:
        """How many runs have begun their first step."""
        return sum(
            any(record.event_log_entry.step_key == "receipts" for record in self._starts(run.run_id))
            for run in self.instance.get_runs()
        )

    def _starts(self, run_id: str) -> "list[dg.EventLogRecord]":
        found = self.instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_START)
        return [*found.records]

    def expected(self, root: Path) -> dict[tuple[str, str], pa.Table]:
        """The tables as one run makes them, in another lake."""
        settings = self.shop.sandbox.settings() | {"CLOPOS_LAKE": str(root), "CLOPOS_START_DATE": "2026-01-15"}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name, value)
            assert run_through(line_of(Access(Settings.read())), "one run", [DAY]) == {}
        return rows_of(root)

    def made(self) -> dict[tuple[str, str], pa.Table]:
        """The tables that the runs have made."""
        return rows_of(Path(self.home.env["CLOPOS_LAKE"]))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    path = tmp_path / "home"
    path.mkdir()
    (path / "dagster.yaml").write_text((ROOT / "dagster_home" / "dagster.yaml").read_text())
    monkeypatch.setenv("DAGSTER_HOME", str(path))
    venues = [{"id": 1, "name": "Filial", "is_main": 1, "media": []}]
    with Sandbox(World(venues, now=NOW), limits=QUOTA) as sandbox, dg.DagsterInstance.get() as instance:
        assert instance.get_runs() == []
        shop = Shop(tmp_path, sandbox)
        for number in range(1, RECEIPTS + 1):
            shop.sell(number, DAY)
        settings = sandbox.settings() | {
            "CLOPOS_LAKE": str(tmp_path / "lake"),
            "CLOPOS_START_DATE": "2026-01-15",
            "DAGSTER_HOME": str(path),
        }
        yield Place(shop, Home(path, environment(**settings)), instance)


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"it is not so that {what}"
        time.sleep(0.1)


def ended_well(process: "subprocess.Popen[str]") -> bool:
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said[-3000:]
    return True


def assert_same(made: dict[tuple[str, str], pa.Table], expected: dict[tuple[str, str], pa.Table]) -> None:
    assert made.keys() == expected.keys() == {(table, DAY) for table in TABLES}
    assert [key for key in expected if not made[key].equals(expected[key])] == []


def test_two_runs_at_once_ask_for_operations_once(place: Place, tmp_path: Path) -> None:
    """One waits while the other lists, lists anew when its turn comes, and finds nothing else to ask for."""
    requests = place.shop.sandbox.requests
    listings = Listings(DAY)
    place.shop.sandbox.hooks.answer_instead = listings.watch
    with place.run() as one, place.run() as other:
        wait_until(lambda: place.begun() == 2, "both runs have begun")
        assert listings.begun.wait(SECONDS)
        time.sleep(OVERLAP_SECONDS)
        assert listings.most == 1
        listings.go_on.set()
        assert ended_well(one)
        assert ended_well(other)
    assert listings.most == 1
    asked = Counter(request.path for request in requests.latest() if request.route.endswith("/stock-operations"))
    assert set(asked.values()) == {1}
    assert requests.counts() == {
        ("POST", "/v2/auth"): 1,
        ("GET", "/v2/venues"): 2,
        ("GET", "/v2/receipts"): 2,
        ("GET", "/v2/receipts/{id}/stock-operations"): RECEIPTS,
    }
    assert {request.status for request in requests.latest()} == {200}, "nothing was refused, though the quota is small"
    assert {run.status for run in place.instance.get_runs()} == {dg.DagsterRunStatus.SUCCESS}
    assert not Lake(place.home.env["CLOPOS_LAKE"]).marks()
    assert_same(place.made(), place.expected(tmp_path / "one"))


class Stall:
    """Counts what operations are asked for, and after some keeps all from being answered."""

    def __init__(self, spared: int) -> None:
        self._left = spared
        self.asked: Counter[int] = Counter()
        self.held: set[int] = set()
        self.go_on = threading.Event()

    async def watch(self, request: Request) -> Response | None:
        """Before the API answers."""
        if not request.url.path.endswith("/stock-operations"):
            return None
        receipt_id = int(request.url.path.split("/")[-2])
        self.asked[receipt_id] += 1
        self._left -= 1
        if self._left < 0 and not self.go_on.is_set():
            self.held.add(receipt_id)
            await until_set(self.go_on)
        return None


def test_after_a_kill_only_what_was_under_way_is_asked_for_again(place: Place, tmp_path: Path) -> None:
    stall = Stall(SPARED)
    place.shop.sandbox.hooks.answer_instead = stall.watch
    with place.run() as killed:
        # Who asks goes on when the answer is kept: where all of them are held, all that was answered is kept.
        wait_until(lambda: len(stall.held) == Connection.max_in_flight, "the run is in the midst of it")
        os.killpg(killed.pid, signal.SIGKILL)
        assert killed.wait(SECONDS) == -signal.SIGKILL
    held = set(stall.held)
    assert len(stall.asked) == SPARED + len(held) < RECEIPTS
    stall.go_on.set()
    assert ("stock_operations", DAY) not in place.made()
    with place.run() as again:
        assert ended_well(again)
    assert stall.asked == {number: 1 + (number in held) for number in range(1, RECEIPTS + 1)}
    assert {request.status for request in place.shop.sandbox.requests.latest()} == {200}
    place.shop.sandbox.hooks.answer_instead = None
    assert_same(place.made(), place.expected(tmp_path / "one"))
    lake = Path(place.home.env["CLOPOS_LAKE"])
    assert not Lake(lake).marks()
    assert [path for path in lake.glob("_staging/**/*") if path.is_file()] == []
