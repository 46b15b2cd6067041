"""Where things are kept: the lake, which has to be writable and this brand's, and Dagster's instance with what runs
share in it and the logs of their processes.
"""

import asyncio
import os
import re
from pathlib import Path
from tempfile import TemporaryFile
from urllib.parse import urlsplit
from uuid import uuid4

import dagster as dg
import msgspec

from clopos_assets.clopos.errors import CloposUnavailableError
from clopos_assets.clopos.store import FileStore
from clopos_assets.doctor.finding import Finding
from clopos_assets.lake import Lake, LakeError
from clopos_assets.origin import SCHEMA_VERSION, check_origin
from clopos_assets.settings import Settings, dagster_home
from clopos_assets.sharing import own_store_of
from clopos_assets.tables import RECEIPTS
from clopos_assets.tables.shape import span_of

_OF_INSTANCE = ("instance", "sharing", "logs")

_LOOKED_AT = "clopos_assets/doctor"
_TRIAL = "_lake/doctor"
_TRIAL_BODY = bytes(4096)  # a full disk takes empty files
_LONGEST = 300
_USER_OF_ADDRESS = re.compile(r"[^\s\"']*@")
_ADDRESS = "DAGSTER_POSTGRES_URL"
_READS_ADDRESS = re.compile(rf"^[^#\n]*\benv:\s*[\"']?{_ADDRESS}\b", re.MULTILINE)
_LIKE_ADDRESS = "postgresql+psycopg2://user:password@host:5432/database"


def look_at_lake(settings: Settings, found: list[Finding]) -> None:
    """Writes a small file into the lake, reads it and takes it away."""
    if _lies_in_no_home(settings.lake):
        found.append(Finding("lake", False, "not looked at: mend instance first"))
        return
    lake = Lake(settings.lake)
    try:
        origin = check_origin(lake, settings.brand)
        trial = f"{_TRIAL}.{uuid4().hex}"  # another doctor may look at the same time
        lake.keep(trial, _TRIAL_BODY)
        is_there = lake.kept(trial) == _TRIAL_BODY
        lake.discard(trial)
        dates = lake.dates(RECEIPTS)
    except LakeError as error:
        found.append(Finding("lake", False, str(error)))
        return
    if not is_there:
        found.append(Finding("lake", False, f"{lake.uri()} does not give back what was written: set CLOPOS_LAKE"))
        return
    holds = span_of(dates) if dates else "no shift dates yet"
    whose = "" if origin is None or origin.brand is None else f" of the brand {origin.brand}"
    schema = SCHEMA_VERSION if origin is None else origin.schema_version or "not noted"
    forward = "" if schema == SCHEMA_VERSION else f", which the next run brings forward to {SCHEMA_VERSION}"
    found.append(Finding("lake", True, f"{lake.uri()} can be written: {holds}{whose}, schema {schema}{forward}"))


def _lies_in_no_home(lake: Path | str) -> bool:
    """Whether the lake is to lie in a home that is not there: what is made for it would pass for that home."""
    home = dagster_home()
    return isinstance(lake, Path) and lake.is_relative_to(home) and not home.is_dir()


def look_at_instance(found: list[Finding]) -> None:
    """Opens Dagster's instance as a run would, asks its storage a question, and uses what runs need besides."""
    _look_at_instance(found)
    found += [Finding(what, False, "not looked at: mend instance first") for what in _OF_INSTANCE[len(found) :]]


def _look_at_instance(found: list[Finding]) -> None:
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
    reads_address = _reads_address(home)
    if reads_address and not os.environ.get(_ADDRESS):  # Dagster tells of an empty one in words of its own code
        text = f"{home} keeps its records at the address in {_ADDRESS}, which is not set: set it to {_LIKE_ADDRESS}"
        found.append(Finding("instance", False, text))
        return
    try:
        with dg.DagsterInstance.get() as instance:
            runs = instance.get_runs_count()
            # Dagster looks at these no sooner than a run begins: who queues it, who starts it, storage that takes it.
            _ = instance.run_launcher, instance.run_coordinator
            instance.run_storage.set_cursor_values({_LOOKED_AT: str(runs)})
            found.append(Finding("instance", True, f"{_kind(instance, home)}: {runs} runs recorded"))
            found.append(_judge_sharing(instance))
            found.append(_judge_logs(instance, home))
    except ModuleNotFoundError as error:
        # The usual two: the extra is not installed, or the address does not name the driver that it brings.
        remedies = {
            "dagster_postgres": "install clopos-assets[postgres]",
            "psycopg": "begin its address with postgresql+psycopg2://",
        }
        remedy = remedies.get(error.name or "", "install it")
        found.append(Finding("instance", False, f"{home} needs the module {error.name}: {remedy}"))
    except Exception as error:  # the home's own file says which classes are loaded, and these raise what they like
        found.append(Finding("instance", False, _remedy(error, home, reads_address)))


def _reads_address(home: str) -> bool:
    """Whether the home's file takes PostgreSQL's address from the environment, as `dagster_home/postgres` does."""
    try:
        return _READS_ADDRESS.search((Path(home) / "dagster.yaml").read_text(encoding="utf-8")) is not None
    except (OSError, ValueError):
        return False  # Dagster says what is wrong with it


def _remedy(error: Exception, home: str, reads_address: bool) -> str:
    reason = _in_one_line(error)
    text = f"{home} can't be used: {reason}"
    if "(psycopg2.OperationalError)" in reason:  # nobody answers at the address, or who does takes no such user
        what = _ADDRESS if reads_address else f"storage in {home}/dagster.yaml"
        text = (
            f"{home} can't be used ({reason}): see that PostgreSQL runs and can be reached, and that {what} has its "
            "host and port, and a database, user and password that it takes"
        )
    if reads_address and os.environ.get(_ADDRESS, "").count("@") > 1:
        text += f"; an @ in the password of {_ADDRESS} is written %40"
    return text


class _Trial(msgspec.Struct):
    """A state that each look at the store writes anew, by the store's clock."""

    looked_at: float = -1.0

    def look(self, now: float) -> None:
        self.looked_at = now


def _judge_sharing(instance: dg.DagsterInstance) -> Finding:
    store = own_store_of(instance)
    try:
        asyncio.run(store.change("doctor", _Trial, _Trial.look))
    except CloposUnavailableError as error:
        return Finding("sharing", False, str(error))
    where = str(store.folder) if isinstance(store, FileStore) else "the instance's database"
    return Finding("sharing", True, f"runs share quota and token in {where}")


def _judge_logs(instance: dg.DagsterInstance, home: str) -> Finding:
    """The manager is made of the home's file when it is first asked for, which a run does at its start."""
    try:
        manager = instance.compute_log_manager
        # One that writes to an object store writes to a folder of this machine first, by a manager of its own.
        local = getattr(manager, "local_manager", None) or manager
        file = local.get_log_metadata(["doctor"]).stderr_location
    except Exception as error:  # as of the instance itself
        return Finding("logs", False, f"compute_logs of {home} can't be used: {_in_one_line(error)}")
    if file is None or not os.path.isabs(file):
        return Finding("logs", True, f"of processes are kept by {type(manager).__name__}")
    folder = Path(file).parent
    named = os.environ.get("DAGSTER_COMPUTE_LOGS", "")
    is_named = named != "" and Path(named).resolve() == folder.resolve()
    if is_named and not os.path.isabs(named):
        text = f"DAGSTER_COMPUTE_LOGS is {named}, below whichever folder a process is started in: name it from the root"
        return Finding("logs", False, text)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        other = "set DAGSTER_COMPUTE_LOGS to another folder" if is_named else f"name another in compute_logs of {home}"
        return Finding(
            "logs",
            False,
            f"{folder}, for the logs of processes, can't be written ({error.strerror}): allow this user to write "
            f"there, or {other}",
        )
    return Finding("logs", True, f"of processes can be written in {folder}")


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
    reason = _USER_OF_ADDRESS.sub("***@", reason)
    return f"{reason[:_LONGEST]}…" if len(reason) > _LONGEST else reason
