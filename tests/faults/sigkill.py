"""Runs of the whole line in processes of their own, ended by SIGKILL at a write, rename or removal counted off.

`python -m tests.faults.sigkill` ends them at every one; the tests, where dates change late, at every third.
"""

import multiprocessing
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

import pyarrow as pa

from clopos_assets.access import Access
from clopos_assets.lake import Lake
from clopos_assets.line import line_of
from clopos_assets.settings import Settings
from clopos_assets.tables import TABLES
from clopos_assets.tables.columns import Table
from tests.ingest.shop import Shop, open_shop
from tests.line.runner import run_through
from tests.simulation.memory import remembering

DAYS = ("2026-01-12", "2026-01-13")

_SECONDS = 120.0
_CHANGES = {"os.rename", "os.remove", "os.rmdir"}
_ASKED = "/v2/receipts/{id}/stock-operations"
_STAGED = re.compile(r"(\d+)\.[0-9a-f]+\.json")
_BY_THE_CLOCK = {"fetched_at", "first_seen_at", "last_seen_at", "resolved_at"}
_OF_THIS_PROCESS = ExitStack()
"""Holds what lasts as long as the process: a context that nothing refers to any more ends."""


class Processes:
    """Runs on lakes in other processes. To be used as a context manager.

    A run whose changes are counted has a process of its own, forked from one where everything is loaded and nothing
    runs. Runs that are to come to their end share one that stays, and what it has loaded, opened and computed.
    """

    def __init__(self, settings: Mapping[str, str], shift_dates: Sequence[str]) -> None:
        self._settings = dict(settings)
        self._shift_dates = tuple(shift_dates)
        self._context = multiprocessing.get_context("forkserver")
        # pyarrow would load pandas in each of them, were it not there yet.
        preloaded = [__name__, "duckdb", "aiohttp", "encodings.idna", "pandas", "pyarrow.acero", "pyarrow.parquet"]
        self._context.set_forkserver_preload(preloaded)
        self._finishing = self._context.Pool(1, _stay)

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        self._finishing.terminate()
        self._finishing.join()

    def run(self, lake: Path, *, killed_at: int | None = None) -> int:
        """One run over the shift dates to its end, or to its `killed_at`-th change; how many changes it made.

        Raises AssertionError for a run that ends in any other way.
        """
        counted = self._context.Value("i", 0)
        arguments = (self._settings_at(lake), self._shift_dates, killed_at, counted.get_obj())
        process = self._context.Process(target=_work, args=arguments)
        process.start()
        _see_end(process, -signal.SIGKILL if killed_at is not None else 0)
        return int(counted.value)

    def finish(self, lake: Path) -> None:
        """One run over the shift dates to its end. Raises AssertionError where a date fails."""
        self._finishing.apply_async(_make, (self._settings_at(lake), self._shift_dates)).get(_SECONDS)

    def _settings_at(self, lake: Path) -> dict[str, str]:
        return {**self._settings, "CLOPOS_LAKE": str(lake)}


def _see_end(process: BaseProcess, wanted: int) -> None:
    process.join(_SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
    assert process.exitcode == wanted, f"the run ended with {process.exitcode}, and was to end with {wanted}"


def _work(settings: dict[str, str], shift_dates: tuple[str, ...], killed_at: int | None, counted: "_Number") -> None:
    lake = Lake(settings["CLOPOS_LAKE"])
    sys.addaudithook(_reaper(lake, killed_at, counted))
    _make(settings, shift_dates)


def _stay() -> None:
    _OF_THIS_PROCESS.enter_context(remembering())


def _make(settings: dict[str, str], shift_dates: tuple[str, ...]) -> None:
    os.environ.update(settings)
    bad = run_through(line_of(Access(Settings.read())), "a run", shift_dates)
    assert not bad, bad


class _Number:
    """What `Value` gives: a number in memory that both processes see."""

    value: int


def _reaper(lake: Lake, killed_at: int | None, counted: _Number) -> Callable[[str, tuple[object, ...]], None]:
    """An audit hook: Python calls it before each change of a file. One that is opened to be written is left half."""
    root = str(lake.folder)
    busy = False

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal busy
        if busy or not _is_change(root, event, arguments):
            return
        counted.value += 1
        if counted.value == killed_at:
            busy = True
            if event == "open" and "/." in str(arguments[0]):
                with suppress(FileNotFoundError):  # where the folder is still to be made
                    Path(str(arguments[0])).write_bytes(b"PAR1 and no more")
            os.kill(os.getpid(), signal.SIGKILL)

    return hook


def _is_change(root: str, event: str, arguments: tuple[object, ...]) -> bool:
    """Whether what the lake says is about to change. Locks are no part of that: the dead hold none."""
    path = str(arguments[0]) if arguments else ""
    if event == "open":
        flags = arguments[2]
        is_written = isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))
        return is_written and path.startswith(root) and not path.startswith(f"{root}/_locks")
    # Whole folders are removed by the names in them, relative to the folder.
    return event in _CHANGES and (path.startswith(root) or not path.startswith("/"))


def rows_of(lake: Path) -> dict[tuple[str, str], pa.Table]:
    """All tables, but for what tells when somebody looked."""
    return {
        (table.name, day): _without_times(Lake(lake), table, day)
        for table in TABLES.values()
        for day in Lake(lake).dates(table)
    }


def _without_times(lake: Lake, table: Table, day: str) -> pa.Table:
    rows = lake.read(table, day)
    assert rows is not None
    if "resolved_at" in rows.column_names:
        rows = rows.append_column("is_resolved", rows.column("resolved_at").is_valid())
    return rows.drop_columns(sorted(_BY_THE_CLOCK & set(rows.column_names)))


def staged(lake: Path) -> set[int]:
    """The receipts whose operations a run that did not finish has left for the next."""
    names = (_STAGED.fullmatch(path.name) for path in lake.glob("_staging/*/*/*.json"))
    return {int(match[1]) for match in names if match}


def asked_for(shop: Shop) -> set[int]:
    """The receipts whose operations were asked for since the log was reset, each once."""
    found = [int(request.path.split("/")[-2]) for request in shop.sandbox.requests.latest() if request.route == _ASKED]
    assert len(found) == len(set(found))
    return set(found)


class Killing:
    """Kills runs over a shop's shift dates, each on a copy of the lake as it stood before, and lets another finish."""

    def __init__(self, shop: Shop, root: Path, processes: Processes, before: Path | None = None) -> None:
        self._shop = shop
        self._root = root
        self._before = before
        self._processes = processes

    def everywhere(self, needed: set[int], *, step: int = 1) -> int:
        """Kill at each `step`-th change. `needed` are the receipts whose operations a run that lives asks for.

        How many changes there are; an AssertionError where the second run does not end right.
        """
        whole = self._copy("whole")
        self._shop.sandbox.requests.reset()
        changes = self._processes.run(whole)
        assert asked_for(self._shop) == needed
        wanted = rows_of(whole)
        for number in range(1, changes + 1, step):
            lake = self._copy(str(number))
            self._kill_and_finish(lake, number, needed)
            made = rows_of(lake)
            assert made.keys() == wanted.keys(), f"after change {number}"
            assert [key for key in wanted if not made[key].equals(wanted[key])] == [], f"after change {number}"
            assert not list(lake.glob("_staging/*/*/*")), f"left after change {number}"
            shutil.rmtree(lake)
        return changes

    def _copy(self, name: str) -> Path:
        if self._before is not None:
            shutil.copytree(self._before, self._root / name)
        return self._root / name

    def _kill_and_finish(self, lake: Path, number: int, needed: set[int]) -> None:
        requests = self._shop.sandbox.requests
        requests.reset()
        self._processes.run(lake, killed_at=number)
        asked = asked_for(self._shop)
        kept = staged(lake) & asked
        rows_of(lake)  # whatever stands there can be read
        requests.reset()
        self._processes.finish(lake)
        again = asked_for(self._shop)
        assert not again & kept, f"kept before change {number}, and asked for again"
        assert asked | again == needed, f"after change {number}"


def settings_of(shop: Shop) -> dict[str, str]:
    """What a run needs to read the shop; a short window, so that the tables are quick to make."""
    return {**shop.sandbox.settings(), "CLOPOS_STANDARD_DAYS": "3"}


def kill_first_run(shop: Shop, root: Path) -> int:
    """A run over a shift date that was not made before."""
    for number in range(1, 4):
        shop.sell(number, DAYS[0])
    with Processes(settings_of(shop), DAYS[:1]) as processes:
        return Killing(shop, root, processes).everywhere({1, 2, 3})


def kill_run_over_changes(shop: Shop, root: Path, *, step: int = 1) -> int:
    """A run over shift dates of which one receipt moved, one changed, one vanished and one is new."""
    for number in range(1, 7):
        shop.sell(number, DAYS[number % 2])
    before = root / "before"
    with Processes(settings_of(shop), DAYS) as processes:
        processes.finish(before)
        shop.sell(1, DAYS[0])
        shop.sell(2, DAYS[0], order_number="2b")
        shop.world.delete_receipt(3)
        shop.sell(7, DAYS[1])
        return Killing(shop, root, processes, before).everywhere({1, 2, 7}, step=step)


def main() -> None:
    """Kill everywhere, and say how often."""
    for kill in (kill_first_run, kill_run_over_changes):
        with tempfile.TemporaryDirectory() as folder, open_shop(Path(folder)) as shop:
            print(f"{kill.__name__}: {kill(shop, Path(folder) / 'lakes')} changes, each survived", flush=True)


if __name__ == "__main__":
    main()
