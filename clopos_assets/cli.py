"""The command line: `demo` shows the whole product on a restaurant of this machine, `sandbox` runs that alone, and
`doctor` says whether everything is there that runs need.

What the commands do is elsewhere; here are their options, what they print, and how they end.
"""

import logging
import os
import sys
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from clopos_assets.demo import HOME, DemoError, DemoOptions, port_is_taken, run_demo
from clopos_assets.doctor import examine, show
from clopos_assets.sandbox import HistoryOptions, LimitOptions, run_sandbox
from clopos_assets.sandbox.day import SHIFT_END
from clopos_assets.settings import FIRST_DAY, LAST_DAY, SettingsError

_UNBROKEN = 1000
_MANY_RECEIPTS = 50_000


class ApiVersion(StrEnum):
    """Versions of the Open API."""

    V1 = "v1"
    V2 = "v2"


app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def clopos_assets() -> None:
    """Clopos receipts and stock deductions as exact Parquet tables and cost of goods, in Dagster."""


@app.command()
def demo(
    home: Annotated[Path, typer.Option(help="Folder for the lake and Dagster's home; kept between runs.")] = Path(HOME),
    days: Annotated[int, typer.Option(min=1, max=366, help="How many past shift dates to make.")] = 14,
    venues: Annotated[int, typer.Option(min=1, max=50, help="Venues of the restaurant.")] = 2,
    receipts_per_day: Annotated[int, typer.Option(min=1, max=5000, help="Receipts per venue and day.")] = 60,
    seed: Annotated[int, typer.Option(help="Another seed, another restaurant.")] = 1,
    ui: Annotated[bool, typer.Option("--ui", help="Serve the Dagster UI on the result until interrupted.")] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the Dagster UI.")] = 3000,
) -> None:
    """Make the last shift dates of a made-up restaurant through the real API protocol, and show their cost."""
    options = DemoOptions(home.absolute(), days, venues, receipts_per_day, seed)
    run_demo(options, Console(), ui_port=port if ui else None)


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 8810,
    seed: Annotated[int, typer.Option(help="Another seed, another restaurant.")] = 1,
    start_date: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day of its history; 30 days ago if not given.")
    ] = None,
    now: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
            help="Stop its clock here, in local time; POST /sandbox/advance moves it on. It runs if not given.",
        ),
    ] = None,
    venues: Annotated[int, typer.Option(min=1, max=200, help="Venues of the brand.")] = 2,
    receipts_per_day: Annotated[int, typer.Option(min=0, max=20000, help="Receipts per venue and day.")] = 80,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, help="The brand's quota; 300 if not given, and 100 under v1.")
    ] = None,
    api_version: Annotated[
        ApiVersion, typer.Option(help="The version to print settings for; both are served.")
    ] = ApiVersion.V2,
) -> None:
    """Run a Clopos on this machine until interrupted, and print the settings to export for it."""
    for option, said in (("--start-date", start_date), ("--now", now)):
        if said is not None and not FIRST_DAY <= said.date() < LAST_DAY:
            raise DemoError(f"{option} {said.date()} is outside of the years {FIRST_DAY.year} to {LAST_DAY.year - 1}")
    begin = start_date.date() if start_date is not None else _days_ago(30, now)
    ends = now.date() if now is not None else _days_ago(0, None)
    opening = datetime.combine(begin, SHIFT_END)
    if begin > ends or (now is not None and now < opening):
        raise DemoError(f"the sandbox opens on {opening}, which its clock is before: name an earlier --start-date")
    history = HistoryOptions(start_date=begin, seed=seed, venues=venues, receipts_per_day=receipts_per_day)

    def print_settings(settings: dict[str, str]) -> None:
        for name, value in settings.items():
            typer.echo(f"export {name}={value}")
        typer.echo("# serving until interrupted (Ctrl+C)")
        sys.stdout.flush()

    made_up = venues * receipts_per_day * (ends - begin).days
    if made_up > _MANY_RECEIPTS:
        typer.echo(f"# making up about {made_up:,} receipts first, which takes time and memory", err=True)
    try:
        run_sandbox(
            history,
            port,
            now=now,
            limits=_limits(api_version, requests_per_minute),
            api_version=api_version.value,
            on_ready=print_settings,
        )
    except OSError as error:
        raise port_is_taken(port, error) from None


@app.command()
def doctor() -> None:
    """Look at settings, credentials, venues, quota, lake and Dagster's instance; exit code 0 if all is ok."""
    # The table says what went wrong; what libraries log of their tries would stand above it.
    logging.disable(logging.CRITICAL)
    findings, is_over = examine()
    # Lines that go into a file or another program are not broken.
    show(findings, Console(width=None if sys.stdout.isatty() else _UNBROKEN))
    code = 0 if all(finding.is_ok for finding in findings) else 1
    if not is_over:
        # What still hangs in a library's thread would keep the process from ending.
        sys.stdout.flush()
        os._exit(code)
    raise typer.Exit(code)


def _limits(api_version: ApiVersion, requests: int | None) -> LimitOptions:
    if requests is None:
        return LimitOptions()
    if api_version is ApiVersion.V1:
        return LimitOptions(requests_v1=requests, requests_v1_per_hour=10 * requests)
    return LimitOptions(requests=requests)


def _days_ago(days: int, now: datetime | None) -> date:
    today = now.date() if now is not None else datetime.now().astimezone().date()
    return date.fromordinal(today.toordinal() - days)


def main() -> None:
    """Run the command line; errors that a user can mend are one line and exit code 2."""
    try:
        app()
    except (SettingsError, DemoError) as error:
        typer.echo(f"clopos-assets: {error}", err=True)
        raise SystemExit(2) from None
