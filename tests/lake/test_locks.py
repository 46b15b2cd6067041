"""One run at a time makes a shift date; a dead run holds nothing."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clopos_assets.lake import BusyError, Lake, LakeError
from tests.lake.sample import DAY, OTHER_DAY

LONG = 30.0
"""Seconds that no test waits: the bound of a wait that ends before."""

HOLDER = """
import sys
from pathlib import Path
from clopos_assets.lake import Lake

with Lake(Path(sys.argv[1])).locked(sys.argv[2:], seconds=0):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process_holding(lake: Lake, *shift_dates: str) -> Iterator["subprocess.Popen[str]"]:
    """A real process that holds the shift dates until it is killed or its input ends."""
    command = [sys.executable, "-c", HOLDER, str(lake.root), *shift_dates]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def take(lake: Lake, *shift_dates: str, seconds: float = 0) -> None:
    """Hold shift dates for a moment."""
    with lake.locked(shift_dates, seconds=seconds):
        pass


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_another_process_is_kept_out_and_told_what_to_do(lake: Lake) -> None:
    with another_process_holding(lake, DAY):
        with pytest.raises(BusyError) as caught:
            take(lake, DAY)
        assert str(caught.value) == (
            f"shift date {DAY} is being made by another run: run this one again when that has ended"
        )
        assert isinstance(caught.value, LakeError)
        take(lake, OTHER_DAY)


def test_a_wait_ends_when_the_holder_does(lake: Lake) -> None:
    with another_process_holding(lake, DAY) as process:
        process.communicate("")
        assert process.returncode == 0
        take(lake, DAY, seconds=LONG)


def test_a_killed_holder_holds_nothing(lake: Lake) -> None:
    with another_process_holding(lake, DAY, OTHER_DAY) as process:
        process.kill()
        process.wait()
        take(lake, DAY, OTHER_DAY)


def test_one_busy_date_lets_go_of_the_others(lake: Lake) -> None:
    """And all of a failed attempt is free again."""
    with another_process_holding(lake, OTHER_DAY), pytest.raises(BusyError, match=OTHER_DAY):
        take(lake, OTHER_DAY, DAY)
    with another_process_holding(lake, DAY):
        take(lake, OTHER_DAY)


def test_two_lakes_of_one_process_exclude_each_other(lake: Lake) -> None:
    with lake.locked([DAY], seconds=0):
        with pytest.raises(BusyError):
            take(Lake(lake.root), DAY)
        with pytest.raises(BusyError):
            take(lake, DAY)
    take(lake, DAY)


def test_an_error_inside_frees_the_dates(lake: Lake) -> None:
    with pytest.raises(LookupError), lake.locked([DAY], seconds=0):
        raise LookupError
    take(lake, DAY)


def test_a_repeated_date_is_held_once(lake: Lake) -> None:
    take(lake, DAY, DAY, OTHER_DAY)
    take(lake)


def test_different_roots_do_not_know_each_other(tmp_path: Path) -> None:
    with Lake(tmp_path / "one").locked([DAY], seconds=0):
        take(Lake(tmp_path / "two"), DAY)


MANY = """
import resource, sys
from pathlib import Path
from clopos_assets.lake import Lake

resource.setrlimit(resource.RLIMIT_NOFILE, (64, int(sys.argv[2])))
with Lake(Path(sys.argv[1])).locked([f"{day:04}" for day in range(300)], seconds=0):
    print(len(list((Path(sys.argv[1]) / "_locks").glob("*.lock"))))
"""


def test_a_long_range_takes_more_files_than_a_shell_allows(lake: Lake) -> None:
    """In a process of its own: limits are the process's, and can't be raised again."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    command = [sys.executable, "-c", MANY, str(lake.root), str(hard)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("300\n", "")


def test_locks_are_no_tables(lake: Lake) -> None:
    take(lake, DAY)
    assert [path.relative_to(lake.root).parts[0] for path in lake.root.rglob("*.lock")] == ["_locks"]
