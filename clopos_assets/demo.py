"""The demo: a sandbox and a real Dagster instance in one folder, the main job on them, and what came out."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as Printed

from clopos_assets.assembly import build_definitions
from clopos_assets.automation import JOB, shift_dates
from clopos_assets.lake import Lake
from clopos_assets.sandbox import History, HistoryOptions, LimitOptions, LiveHistory, Sandbox
from clopos_assets.sandbox.server import listen
from clopos_assets.settings import Settings
from clopos_assets.tables import DAILY_COGS
from clopos_assets.tags import RANGE_END, RANGE_START

HOME = "clopos-demo"
"""The folder that a demo lives in where none is named."""
RAISED_QUOTA = 1_000_000
"""The demo shows the product, not the wait: Clopos itself gives 300 requests a minute."""
_WARM_UP_DAYS = 10
_ZONE = "Asia/Baku"
_SHIFT_END = timedelta(hours=6)
_UI_ENDS_SECONDS = 10
_INTERRUPTED = {"DagsterExecutionInterruptedError", "KeyboardInterrupt"}
_DAGSTER_YAML = "telemetry:\n  enabled: false\nnux:\n  enabled: false\n"


class DemoError(Exception):
    """The demo can't go on. One line for the user."""


@dataclass(frozen=True)
class DemoOptions:
    """Where the demo lives, and how large its restaurant is."""

    home: Path
    days: int = 14
    venues: int = 2
    receipts_per_day: int = 60
    seed: int = 1


class _Restaurant(msgspec.Struct, frozen=True):
    """What a demo folder remembers, so that the next run meets the same restaurant."""

    start_date: date
    venues: int
    receipts_per_day: int
    seed: int


def run_demo(options: DemoOptions, console: Console, ui_port: int | None = None) -> None:
    """Make the last shift dates and print their cost; then serve the UI, where a port is given.

    Raises DemoError, one line, where the folder belongs to another restaurant or to something else, the port is taken,
    or a shift date was not made.
    """
    if ui_port is not None:
        _look_for_port(ui_port)
    restaurant = _restaurant(options)
    try:
        (options.home / "dagster.yaml").write_text(_DAGSTER_YAML, encoding="utf-8")
    except OSError as error:
        raise _unusable(options.home, error) from None
    history = History(
        HistoryOptions(
            start_date=restaurant.start_date,
            seed=restaurant.seed,
            venues=restaurant.venues,
            receipts_per_day=restaurant.receipts_per_day,
        )
    )
    live = LiveHistory(history, lambda: datetime.now(ZoneInfo(_ZONE)).replace(tzinfo=None, microsecond=0))
    live.catch_up()
    with Sandbox(history, limits=LimitOptions(RAISED_QUOTA, RAISED_QUOTA, RAISED_QUOTA)) as sandbox:
        sandbox.hooks.before = live.catch_up
        with _environment(options, sandbox.settings(), restaurant.start_date + timedelta(days=_WARM_UP_DAYS)):
            settings = Settings.read()
            days = shift_dates(settings).get_partition_keys()[-options.days :]
            begun = time.monotonic()
            _materialize(settings, days, console)
            seconds = time.monotonic() - begun
            _print_cost(console, Lake(settings.lake), days)
            _print_requests(console, sandbox.requests.counts(), seconds)
            console.print(f"Parquet: {settings.lake}", soft_wrap=True, markup=False)
            if ui_port is None:
                console.print(f"Look at it in Dagster: {_command(options)} --ui", soft_wrap=True, markup=False)
            else:
                _serve_ui(console, ui_port, options.home)


def _command(options: DemoOptions) -> str:
    """How the same restaurant is asked for again."""
    given = [
        f"--{field.name.replace('_', '-')} {shlex.quote(str(getattr(options, field.name)))}"
        for field in fields(options)
        if getattr(options, field.name) not in (field.default, Path(HOME).absolute())
    ]
    return " ".join(["clopos-assets demo", *given])


def _restaurant(options: DemoOptions) -> _Restaurant:
    remembered = options.home / "restaurant.json"
    today = (datetime.now(ZoneInfo(_ZONE)) - _SHIFT_END).date()  # the shift date that is under way
    try:
        if remembered.exists():
            restaurant = msgspec.json.decode(remembered.read_bytes(), type=_Restaurant)
            asked = (options.venues, options.receipts_per_day, options.seed)
            if (restaurant.venues, restaurant.receipts_per_day, restaurant.seed) != asked:
                raise DemoError(
                    f"{options.home} holds another restaurant (venues {restaurant.venues}, receipts per day "
                    f"{restaurant.receipts_per_day}, seed {restaurant.seed}): name another folder with --home"
                )
            if restaurant.start_date > today - timedelta(days=options.days + _WARM_UP_DAYS):
                raise DemoError(
                    f"the restaurant in {options.home} opened on {restaurant.start_date}: ask for fewer --days, "
                    "or name another folder with --home"
                )
            return restaurant
        if "?" in str(options.home):
            raise DemoError(f"{options.home} holds a ?, with which Dagster finds no file: name another with --home")
        # What is there may be a Dagster home, whose settings would be overwritten.
        if options.home.is_dir() and any(options.home.iterdir()):
            raise DemoError(f"{options.home} holds something else than a demo: name another folder with --home")
        start_date = today - timedelta(days=options.days + _WARM_UP_DAYS)
        restaurant = _Restaurant(start_date, options.venues, options.receipts_per_day, options.seed)
        options.home.mkdir(parents=True, exist_ok=True)
        remembered.write_bytes(msgspec.json.encode(restaurant))
    except OSError as error:
        raise _unusable(options.home, error) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise DemoError(f"{remembered} is not of this demo: name another folder with --home") from None
    return restaurant


def _unusable(home: Path, error: OSError) -> DemoError:
    return DemoError(f"{home} can't be used ({error.strerror}): name another folder with --home")


def _look_for_port(port: int) -> None:
    """Raise DemoError where the UI could not be served, before anything is made."""
    try:
        listen(port).close()
    except OSError as error:
        raise port_is_taken(port, error) from None


def port_is_taken(port: int, error: OSError) -> DemoError:
    """What to say where a port of this machine can't be served."""
    return DemoError(f"port {port} of 127.0.0.1 can't be served ({error.strerror}): name another with --port")


@contextmanager
def _environment(options: DemoOptions, settings: Mapping[str, str], start_date: date) -> Iterator[None]:
    """The demo's settings in place of the user's own, for this process and the UI's."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.upper().startswith("CLOPOS_")]:
        del os.environ[name]
    os.environ.update(settings)
    os.environ.update(
        CLOPOS_START_DATE=start_date.isoformat(),
        CLOPOS_LAKE=str(options.home / "lake"),
        DAGSTER_HOME=str(options.home),
    )
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _materialize(settings: Settings, days: Sequence[str], console: Console) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress, dg.DagsterInstance.get() as instance:
        bar = progress.add_task("starting", total=None)

        def watch(what: str, done: int, of: int) -> None:
            progress.update(bar, description=what, completed=done, total=of or None)

        job = build_definitions(settings, watch).resolve_job_def(JOB)
        result = job.execute_in_process(
            instance=instance,
            tags={RANGE_START: days[0], RANGE_END: days[-1]},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
        if result.success:
            progress.update(bar, description="shift dates made", completed=len(days), total=len(days))
    if not result.success:
        failures = [event.step_failure_data for event in result.get_step_failure_events()]
        if any(failure.error is not None and failure.error.cls_name in _INTERRUPTED for failure in failures):
            raise DemoError("interrupted: the same command goes on from here")
        reasons = [
            failure.user_failure_data.description or "no reason given"
            for failure in failures
            if failure.user_failure_data is not None
        ]
        home = os.environ["DAGSTER_HOME"]
        look = f"DAGSTER_HOME={home} dagster dev -m clopos_assets.definitions"
        raise DemoError("; ".join(reasons) or f"a step failed, and its run tells why: {look}")


def _print_cost(console: Console, lake: Lake, days: Sequence[str]) -> None:
    printed = Printed(title="Cost of goods per venue and shift date")
    printed.add_column("shift date")
    for name in ("venue", "net sales", "cost of goods", "gross profit", "food cost %"):
        printed.add_column(name, justify="right")
    totals: dict[int, dict[str, Decimal]] = {}
    for shift_date in days:
        rows = lake.read(DAILY_COGS, shift_date)
        assert rows is not None  # the run that made it has succeeded
        for row in rows.to_pylist():
            printed.add_row(shift_date, str(row["venue_id"]), *_amounts(row))
            total = totals.setdefault(row["venue_id"], {})
            for name in ("net_sales", "cogs", "gross_profit"):
                total[name] = total.get(name, Decimal(0)) + row[name]
        printed.add_section()
    for venue_id, sums in sorted(totals.items()):
        printed.add_row("all", str(venue_id), *_amounts(sums), style="bold")
    console.print(printed)


def _amounts(row: Mapping[str, Decimal]) -> list[str]:
    percent = f"{100 * row['cogs'] / row['net_sales']:.2f}" if row["net_sales"] else ""
    return [*(f"{row[name]:,.2f}" for name in ("net_sales", "cogs", "gross_profit")), percent]


def _print_requests(console: Console, counts: Mapping[tuple[str, str], int], seconds: float) -> None:
    kinds = {
        "/v2/receipts": "for list pages",
        "/v2/receipts/{id}": "for receipts by id",
        "/v2/receipts/{id}/stock-operations": "for stock operations",
        "/v2/venues": "for the venues",
    }
    asked = {kind: counts.get(("GET", route), 0) for route, kind in kinds.items()}
    parts = ", ".join(f"{number} {kind}" for kind, number in asked.items())
    console.print(f"{sum(asked.values())} requests ({parts}) in {seconds:.1f} s", soft_wrap=True)


def _serve_ui(console: Console, port: int, home: Path) -> None:
    console.print(f"Dagster UI, once it has started: http://127.0.0.1:{port} (Ctrl+C ends it)")
    command = [sys.executable, "-m", "dagster", "dev", "-m", "clopos_assets.definitions", "-p", str(port)]
    # A session of its own, so that whoever ends the demo ends all of the UI's processes, once. In the demo's folder,
    # because Dagster lets a `.env` of the current one win over the environment, and the user's is not for the demo.
    environment = {**os.environ, "PYTHONWARNINGS": "ignore:Function `dev_command` is superseded"}
    served = subprocess.Popen(command, env=environment, start_new_session=True, cwd=home)  # noqa: S603 - no shell; the port is a number
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if served.wait():
            raise DemoError(f"the Dagster UI ended by itself: see whether port {port} is free, and start it again")
    except KeyboardInterrupt:
        console.print("Ending the Dagster UI")
    finally:
        _end(served)


def _end(served: subprocess.Popen[bytes]) -> None:
    for ending in (signal.SIGTERM, signal.SIGKILL):
        if served.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(served.pid, ending)
            with suppress(subprocess.TimeoutExpired):
                served.wait(timeout=_UI_ENDS_SECONDS)
