"""The demo as a newcomer runs it, and the lake as an analyst reads it."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest

from clopos_assets.cli import main
from tests.system.processes import environment, free_port, run, wait_for

pytestmark = pytest.mark.system
SIZE = ("--days", "3", "--receipts-per-day", "16", "--venues", "2")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the demo has run once."""
    folder = tmp_path_factory.mktemp("demo") / "home"
    first = run(["clopos_assets", "demo", "--home", str(folder), *SIZE], environment(COLUMNS="120"))
    assert first.returncode == 0, first.stderr
    (folder / "first.txt").write_text(first.stdout)
    return folder


def test_it_prints_the_cost_of_each_venue_and_date(home: Path) -> None:
    printed = (home / "first.txt").read_text()
    rows = re.findall(r"│ (\d{4}-\d\d-\d\d) │ +(\d) │ +([\d,.]+) │ +([\d,.]+) │ +([\d,.]+) │ +([\d.]+) │", printed)
    assert len(rows) == 6
    stored = duckdb.execute(
        f"select shift_date, venue_id, net_sales, cogs, gross_profit, food_cost_pct "
        f"from read_parquet('{home}/lake/daily_cogs/**/*.parquet', hive_partitioning = true) order by all"
    ).fetchall()
    assert rows == [
        (str(day), str(venue), f"{sales:,.2f}", f"{cogs:,.2f}", f"{profit:,.2f}", f"{percent:.2f}")
        for day, venue, sales, cogs, profit, percent in stored
    ]
    assert f"Parquet: {home}/lake" in printed.replace("\n", "")
    # The venues are those that it has where none are named.
    named = f"--home {home} --days 3 --receipts-per-day 16"
    assert f"Look at it in Dagster: clopos-assets demo {named} --ui" in printed


def test_interrupted_it_says_so_and_goes_on_when_run_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = [sys.executable, "-m", "clopos_assets", "demo", "--home", str(home), "--days", "10"]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        for _ in range(600):
            if list(home.glob("lake/_staging/stock_operations.changed/*/*")):
                break
            assert demo.poll() is None
            time.sleep(0.1)
        demo.send_signal(signal.SIGINT)
        _, told = demo.communicate(timeout=60)
    assert demo.returncode == 2
    assert told == "clopos-assets: interrupted: the same command goes on from here\n"
    assert list(home.glob("lake/_staging/stock_operations.changed/*/*"))


def test_run_again_it_makes_no_needless_request(home: Path) -> None:
    again = run(["clopos_assets", "demo", "--home", str(home), *SIZE], environment())
    assert again.returncode == 0, again.stderr
    counts = re.search(
        r"(\d+) requests \((\d+) for list pages, (\d+) for receipts by id, (\d+) for stock operations", again.stdout
    )
    assert counts is not None
    # Receipts of the running day may close or change between the two runs; none of the shift dates is of it.
    assert int(counts[4]) + int(counts[3]) <= 3
    first = re.search(r"(\d+) for stock operations", (home / "first.txt").read_text())
    assert first is not None
    assert int(first[1]) > 60


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The line with which the demo, given these arguments, ends: in this process, for it ends before it begins."""

    def end(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["clopos-assets", "demo", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return said

    return end


def test_a_refusal_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = run(["clopos_assets", "demo", "--home", str(tmp_path / "file")], environment())
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)


def test_another_restaurant_needs_another_folder(home: Path, refuse: Callable[..., str]) -> None:
    assert "--home" in refuse("--home", str(home), "--seed", "2", *SIZE)


def test_a_home_that_can_not_be_used(tmp_path: Path, refuse: Callable[..., str]) -> None:
    """A file, a Dagster home of somebody's, a name that Dagster's database can't have, one not to be written."""
    (tmp_path / "file").write_text("")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text("run_queue: {}")
    (tmp_path / "blocked" / "dagster.yaml").mkdir(parents=True)
    begun = date.today() - timedelta(days=400)
    restaurant = {"start_date": f"{begun}", "venues": 2, "receipts_per_day": 60, "seed": 1}
    (tmp_path / "blocked" / "restaurant.json").write_text(json.dumps(restaurant))
    for name in ("file", "home", "what?", "blocked"):
        said = refuse("--home", str(tmp_path / name))
        assert f"{tmp_path / name} " in said
        assert "--home" in said
    assert (tmp_path / "home" / "dagster.yaml").read_text() == "run_queue: {}"


def test_a_port_of_the_ui_that_is_taken(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = run(["clopos_assets", "demo", "--home", str(home), *SIZE, "--ui", "--port", port], environment())
    assert ended.returncode == 2
    assert ended.stderr == f"clopos-assets: port {port} of 127.0.0.1 can't be served (Address already in use): " + (
        "name another with --port\n"
    )


def test_the_users_own_settings_do_not_reach_the_demo(home: Path) -> None:
    env = environment(
        CLOPOS_BASE_URL="https://integrations.clopos.com/open-api", CLOPOS_VENUE_IDS="77", clopos_sweep_days="none"
    )
    ended = run(["clopos_assets", "demo", "--home", str(home), *SIZE], env)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("table", ["receipts", "receipt_products", "stock_operations", "line_cogs"])
def test_three_readers_agree(home: Path, table: str) -> None:
    pattern = f"{home}/lake/{table}/**/*.parquet"
    source = f"read_parquet('{pattern}', hive_partitioning = true, union_by_name = true)"
    ((rows,),) = duckdb.execute(f"select count(*) from {source}").fetchall()
    by_polars = pl.read_parquet(pattern, hive_partitioning=True)
    by_pandas = pd.read_parquet(f"{home}/lake/{table}", dtype_backend="pyarrow")
    assert rows == by_polars.height == len(by_pandas) > 50
    column = "total" if table.startswith("receipt") else "total_cost" if table == "stock_operations" else "cogs"
    ((by_duckdb,),) = duckdb.execute(f"select sum({column}) from {source}").fetchall()
    sums = {str(by_duckdb)} | {str(by_polars[column].sum()), str(by_pandas[column].sum())}
    assert len(sums) == 1, sums


def test_the_ui_is_served_and_ends_with_the_demo(home: Path, tmp_path: Path) -> None:
    """On the demo alone: Dagster would let a `.env` of the user's folder win over the demo's settings."""
    users = tmp_path / "dagster_home"
    users.mkdir()
    (tmp_path / ".env").write_text(f"DAGSTER_HOME={users}\nCLOPOS_LAKE={users}/lake\n")
    port = free_port()
    command = [sys.executable, "-m", "clopos_assets", "demo", "--home", str(home), *SIZE, "--ui", "--port", str(port)]
    with subprocess.Popen(
        command, env=environment(), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as demo:
        wait_for(f"http://127.0.0.1:{port}/server_info")
        demo.terminate()
        assert demo.wait(timeout=60) == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert list(users.iterdir()) == []


def test_the_folder_remembers_its_restaurant(home: Path) -> None:
    assert json.loads((home / "restaurant.json").read_text())["seed"] == 1
