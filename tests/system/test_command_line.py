"""Dagster's command line on a sandbox process: a partition, a range, refusals."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clopos_assets.cli import main
from clopos_assets.lake import Lake
from clopos_assets.tables import COST, STOCK_OPERATIONS, TABLES
from tests.system.processes import ROOT, Home, environment, new_home, run, sandbox_process

pytestmark = pytest.mark.system
HISTORY = ("--start-date", "2026-01-01", "--now", "2026-01-25T12:00", "--receipts-per-day", "30")


@pytest.fixture(scope="module")
def settings() -> Iterator[dict[str, str]]:
    """Of a sandbox that nobody changes anything of."""
    with sandbox_process(*HISTORY, "--requests-per-minute", "100000") as settings:
        yield settings


@pytest.fixture
def home(tmp_path: Path, settings: dict[str, str]) -> Home:
    return new_home(tmp_path / "home", settings)


def test_an_interrupt_while_modules_are_read_is_no_stack_trace() -> None:
    interrupted = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, *_):
        if name == "clopos_assets.sandbox":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from clopos_assets.__main__ import main
main()
"""
    told = subprocess.run([sys.executable, "-c", interrupted], capture_output=True, text=True, timeout=60)
    assert (told.returncode, told.stdout, told.stderr) == (-signal.SIGINT, "", "")


def test_a_partition_and_a_range(home: Home) -> None:
    one = home.materialize("--partition", "2026-01-19")
    assert one.returncode == 0, one.stderr[-3000:]
    more = home.materialize("--partition-range", "2026-01-15...2026-01-19")
    assert more.returncode == 0, more.stderr[-3000:]
    lake = Lake(home.path / "lake")
    for table in TABLES.values():
        assert lake.dates(table) == [f"2026-01-{day}" for day in range(15, 20)], table.name


def test_a_partition_of_a_brand_on_v1(tmp_path: Path) -> None:
    with sandbox_process(*HISTORY, "--api-version", "v1") as settings:
        home = new_home(tmp_path / "home", settings)
        one = home.materialize("--partition", "2026-01-19")
        assert one.returncode == 0, one.stderr[-3000:]
        unnamed = Home(home.path, home.env | {"CLOPOS_VENUE_IDS": ""}).materialize("--partition", "2026-01-19")
    lake = Lake(home.path / "lake")
    assert lake.dates(STOCK_OPERATIONS) == ["2026-01-19"]
    rows = lake.read(STOCK_OPERATIONS, "2026-01-19")
    assert rows is not None
    assert rows.num_rows > 0
    assert unnamed.returncode != 0
    assert "CLOPOS_VENUE_IDS is not set: " in unnamed.stderr


def test_some_of_the_tables_can_be_selected(home: Home) -> None:
    lake = Lake(home.path / "lake")
    begin = ("asset", "materialize", "-m", "clopos_assets.definitions", "--partition", "2026-01-19", "--select")
    made: set[str] = set()
    for selected, adds in (
        ("receipts", {"receipts", "receipt_products"}),
        (
            "key:stock_operations or group:cost or key:stock_ledger",
            {"stock_operations", *(table.name for table in COST), "stock_ledger"},
        ),
        ("group:variance", {table.name for table in TABLES.values() if table.group == "variance"}),
    ):
        ended = home.dagster(*begin, selected)
        assert ended.returncode == 0, (selected, ended.stderr[-3000:])
        made |= adds
        assert {table.name for table in TABLES.values() if lake.dates(table)} == made, selected


def test_wrong_credentials_are_one_line(home: Home) -> None:
    home.env["CLOPOS_CLIENT_SECRET"] = "not-the-secret"
    ended = home.materialize("--partition", "2026-01-19")
    assert ended.returncode != 0
    lines = [line for line in ended.stderr.splitlines() if "Failure:" in line]
    assert lines
    assert all("CLOPOS_CLIENT_SECRET" in line and "2026-01-19" in line for line in lines)
    assert "not-the-secret" not in ended.stderr + ended.stdout


def test_a_malformed_setting_is_one_line(home: Home) -> None:
    home.env["CLOPOS_START_DATE"] = "yesterday"
    ended = home.materialize("--partition", "2026-01-19")
    assert ended.returncode != 0
    takes = "a date from 1970 on as YYYY-MM-DD, such as 2025-01-01"
    wanted = f"CLOPOS_START_DATE is malformed: it takes {takes}, and got 'yesterday'"
    assert wanted in ended.stderr + ended.stdout


def test_a_shift_date_outside_the_calendar_is_refused(home: Home) -> None:
    ended = home.materialize("--partition", "2024-01-19")
    assert ended.returncode != 0
    assert "2024-01-19" in ended.stderr + ended.stdout
    assert not (home.path / "lake").exists()


def test_the_workspace_loads(home: Home) -> None:
    ended = home.dagster("definitions", "validate", "-w", str(ROOT / "workspace.yaml"))
    assert ended.returncode == 0, ended.stderr[-3000:]


def test_the_sandboxs_port_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = run(["clopos_assets", "sandbox", "--port", port, *HISTORY], environment())
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "--port" in ended.stderr


@pytest.mark.parametrize(("option", "said"), [("--now", "0001-01-01T00:00"), ("--start-date", "9999-12-31")])
def test_a_sandbox_of_another_age(
    option: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["clopos-assets", "sandbox", option, said])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"clopos-assets: {option} {said[:10]} is outside of the years 1970 to 8999\n"


def test_a_sandbox_whose_clock_is_before_it_opens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = ("--start-date", "2026-01-19", "--now", "2026-01-19T03:00")
    monkeypatch.setattr(sys, "argv", ["clopos-assets", "sandbox", "--port", "0", *said])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "clopos-assets: the sandbox opens on 2026-01-19 06:00:00, which its clock is before: name an earlier "
        "--start-date\n"
    )


@pytest.mark.parametrize(("venues", "said"), [("1", ""), ("200", "# making up about 480,000 receipts first, which ta")])
def test_a_sandbox_with_a_long_past_says_that_it_takes_its_time(
    venues: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("clopos_assets.cli.run_sandbox", lambda *_, **__: None)
    monkeypatch.setattr(sys, "argv", ["clopos-assets", "sandbox", "--venues", venues])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert capsys.readouterr().err[:50] == said
