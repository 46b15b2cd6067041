"""`clopos-assets doctor`: whether everything is there that runs need, and what to do where it is not.

`env_file` is where settings may come from, `api` asks Clopos, `places` looks at the lake and at Dagster's instance;
here is what is said of settings, and in which order all is said.
"""

from contextlib import ExitStack
from datetime import timedelta

from rich.console import Console
from rich.table import Table as Printed
from rich.text import Text

from clopos_assets.automation import shift_dates
from clopos_assets.doctor.api import WHAT, ask_clopos
from clopos_assets.doctor.env_file import EnvFile, env_file
from clopos_assets.doctor.finding import Examination, Finding
from clopos_assets.doctor.places import look_at_instance, look_at_lake
from clopos_assets.settings import Settings, SettingsError, unknown_variables

LONGEST_SECONDS = 40.0
"""How long the doctor takes at most, whatever hangs."""

__all__ = ["LONGEST_SECONDS", "Finding", "examine", "show"]


def examine(seconds: float = LONGEST_SECONDS) -> tuple[list[Finding], bool]:
    """All findings in the order of the table, and whether every examination has come to its end."""
    with ExitStack() as environment:
        return _examine(seconds, environment)


def _examine(seconds: float, environment: ExitStack) -> tuple[list[Finding], bool]:
    findings: list[Finding] = []
    examinations: list[Examination] = []
    file: EnvFile | None = None
    try:
        file = environment.enter_context(env_file())
        settings = Settings.read()
    except SettingsError as error:
        findings.append(Finding("settings", False, f"{error}{_besides(file)}"))
        findings += [Finding(what, False, "not looked at: mend settings first") for what in (*WHAT, "lake")]
    else:
        findings.append(_judge_settings(settings, file))
        lake = Examination("lake", seconds, lambda found: look_at_lake(settings, found))
        try:
            settings.require_credentials()
        except SettingsError as error:
            findings.append(Finding("credentials", False, str(error)))
            findings += [Finding(what, False, "not looked at: set the credentials first") for what in WHAT]
        else:
            findings.append(Finding("credentials", True, f"of the client {settings.client_id}"))
            examinations.append(Examination("Clopos", seconds, lambda found: ask_clopos(settings, found)))
        examinations.append(lake)
    examinations.append(Examination("instance", seconds, look_at_instance))
    for examination in examinations:
        findings += examination.findings()
    return findings, all(examination.is_over for examination in examinations)


def show(findings: list[Finding], console: Console) -> None:
    """One table: what, ok or not, and what it is like or what to do."""
    table = Printed(title="clopos-assets doctor")
    for name in ("what", "is", "which, or what to do"):
        table.add_column(name, overflow="fold")
    for finding in findings:
        state = Text("ok", "green") if finding.is_ok else Text("not ok", "bold red")
        table.add_row(Text(finding.what), state, Text(finding.text))
    console.print(table)


def _judge_settings(settings: Settings, file: EnvFile | None) -> Finding:
    if shift_dates(settings).get_last_partition_key() is not None:
        is_whole = file is None or not file.idle_lines
        return Finding("settings", is_whole, f"{_summary(settings)}{_besides(file)}")
    first_end = f"{settings.start_date + timedelta(days=1)} {settings.shift_end:%H:%M}"
    text = (
        f"no shift has ended since CLOPOS_START_DATE, {settings.start_date}, so that there is no shift date to make: "
        f"set an earlier one, or wait until {first_end}"
    )
    return Finding("settings", False, f"{text}{_besides(file)}")


def _besides(file: EnvFile | None) -> str:
    """Where settings come from besides the environment, and what in it is nobody's here, which may be a mistake."""
    strangers = ", ".join(name for name, meant in unknown_variables().items() if meant is None)
    return "".join(
        [
            f"; with what {file.path} sets" if file is not None and file.sets_some else "",
            _idle(file) if file is not None and file.idle_lines else "",
            f"; not settings: {strangers}" if strangers else "",
        ]
    )


def _idle(file: EnvFile) -> str:
    # What stands there is not shown: it may be a secret.
    numbers = ", ".join(map(str, file.idle_lines))
    lines = "lines" if len(file.idle_lines) > 1 else "line"
    return f"; Dagster passes over what is not NAME=value in {file.path}: mend {lines} {numbers}, or take that away"


def _summary(settings: Settings) -> str:
    venues = settings.venue_ids
    named = venues if isinstance(venues, str | None) else ", ".join(map(str, venues))
    read = "the token's own venue" if named is None else f"venues {named}"
    return (
        f"{read}, API {settings.api_version}, from {settings.start_date}, {settings.timezone.key}, shifts end at "
        f"{settings.shift_end:%H:%M}, personal data: {settings.personal_data}"
    )
