"""`clopos-assets doctor`: whether everything is there that runs need, and what to do where it is not.

`api` asks Clopos, `places` looks at the lake and at Dagster's instance; here is what is said, and in which order.
"""

from rich.console import Console
from rich.table import Table as Printed
from rich.text import Text

from clopos_assets.doctor.api import WHAT, ask_clopos
from clopos_assets.doctor.finding import Examination, Finding
from clopos_assets.doctor.places import look_at_instance, look_at_lake
from clopos_assets.settings import Settings, SettingsError

LONGEST_SECONDS = 40.0
"""How long the doctor takes at most, whatever hangs."""

__all__ = ["LONGEST_SECONDS", "Finding", "examine", "show"]


def examine(seconds: float = LONGEST_SECONDS) -> tuple[list[Finding], bool]:
    """All findings in the order of the table, and whether every examination has come to its end."""
    instance = Examination("instance", seconds, look_at_instance)
    findings: list[Finding] = []
    examinations: list[Examination] = []
    try:
        settings = Settings.read()
    except SettingsError as error:
        findings.append(Finding("settings", False, str(error)))
        findings += [Finding(what, False, "not looked at: mend settings first") for what in (*WHAT, "lake")]
    else:
        findings.append(Finding("settings", True, _summary(settings)))
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
    examinations.append(instance)
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


def _summary(settings: Settings) -> str:
    venues = settings.venue_ids
    read = (
        "the token's own venue" if venues is None else f"venues {venues if isinstance(venues, str) else list(venues)}"
    )
    return (
        f"{read}, API {settings.api_version}, from {settings.start_date}, {settings.timezone.key}, shifts end at "
        f"{settings.shift_end:%H:%M}, personal data: {settings.personal_data}"
    )
