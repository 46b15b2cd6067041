"""Where things are kept: the lake, which has to be writable and this brand's, and Dagster's instance."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg

from clopos_assets.doctor.finding import Finding
from clopos_assets.lake import Lake, LakeError
from clopos_assets.origin import SCHEMA_VERSION, check_origin
from clopos_assets.settings import Settings
from clopos_assets.tables import RECEIPTS

_TRIAL = "_lake/doctor"
_LONGEST = 300
_USER_OF_ADDRESS = re.compile(r"://[^@\s]*@")


def look_at_lake(settings: Settings, found: list[Finding]) -> None:
    """Writes a small file into the lake, reads it and takes it away."""
    lake = Lake(settings.lake)
    try:
        origin = check_origin(lake, settings.brand)
        lake.keep(_TRIAL, b"")
        is_there = lake.kept(_TRIAL) == b""
        lake.discard(_TRIAL)
        dates = lake.dates(RECEIPTS)
    except LakeError as error:
        found.append(Finding("lake", False, str(error)))
        return
    if not is_there:
        found.append(Finding("lake", False, f"{lake.uri()} does not give back what was written: set CLOPOS_LAKE"))
        return
    holds = f"{len(dates)} shift dates, {dates[0]} to {dates[-1]}" if dates else "no shift dates yet"
    whose = "" if origin is None or origin.brand is None else f" of the brand {origin.brand}"
    schema = SCHEMA_VERSION if origin is None else origin.schema_version or "not noted"
    forward = "" if schema == SCHEMA_VERSION else f", which the next run brings forward to {SCHEMA_VERSION}"
    found.append(Finding("lake", True, f"{lake.uri()} can be written: {holds}{whose}, schema {schema}{forward}"))


def look_at_instance(found: list[Finding]) -> None:
    """Opens Dagster's instance as a run would, and asks its storage a question."""
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        found.append(
            Finding(
                "instance",
                False,
                "DAGSTER_HOME is not set, so that Dagster forgets everything with its process: set it to "
                "dagster_home, or to dagster_home/postgres",
            )
        )
        return
    try:
        with dg.DagsterInstance.get() as instance:
            runs = instance.get_runs_count()
            found.append(Finding("instance", True, f"{_kind(instance, home)}: {runs} runs recorded"))
    except ModuleNotFoundError as error:
        # The usual two: the extra is not installed, or the address does not name the driver that it brings.
        remedies = {
            "dagster_postgres": "install clopos-assets[postgres]",
            "psycopg": "begin its address with postgresql+psycopg2://",
        }
        remedy = remedies.get(error.name or "", "install it")
        found.append(Finding("instance", False, f"{home} needs the module {error.name}: {remedy}"))
    except Exception as error:  # the home's own file says which classes are loaded, and these raise what they like
        found.append(Finding("instance", False, f"{home} can't be used: {_in_one_line(error)}"))


def _kind(instance: dg.DagsterInstance, home: str) -> str:
    """Which of the homes it is, by the storage of runs; of its address, which holds a password, host and name alone."""
    url = getattr(instance.run_storage, "postgres_url", None)
    if url is not None:
        address = urlsplit(url)
        host = address.hostname or "a local socket"
        return f"PostgreSQL, database {address.path.lstrip('/')} at {host}, as {home} says"
    return f"SQLite in {Path(home).absolute()}, for one machine"


def _in_one_line(error: BaseException) -> str:
    """The error's reason without line breaks and passwords in addresses."""
    text = " ".join(str(error.__cause__ or error).split())
    # Of a configuration that does not fit, what comes before describes the configuration.
    _, _, reason = text.rpartition("PostProcessingError: ")
    for appendix in (" Stack Trace:", " (Background on this error"):
        reason, _, _ = reason.partition(appendix)
    reason = _USER_OF_ADDRESS.sub("://***@", reason)
    return f"{reason[:_LONGEST]}…" if len(reason) > _LONGEST else reason
