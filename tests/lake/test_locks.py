"""One run at a time makes a shift date; a dead run holds nothing."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from clopos_assets.lake import BusyError, Lake, LakeError
from tests.lake.places import Place
from tests.lake.sample import DAY, OTHER_DAY

PROJECT = Path(__file__).parents[2]

LONG = 30.0
"""Seconds that no test waits: the bound of a wait that ends before."""

HOLDER = """
import sys
from tests.lake.places import Place

with Place(sys.argv[1], sys.argv[2]).open().locked(sys.argv[3:], seconds=0):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process_holding(place: Place, *shift_dates: str) -> Iterator["subprocess.Popen[str]"]:
    """A real process that holds the shift dates until it is killed or its input ends."""
    command = [sys.executable, "-c", HOLDER, place.root, place.locks, *shift_dates]
    with subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
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


@pytest.fixture(params=["in the lake", "beside it", "in PostgreSQL"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Lakes whose locks are in every kind of place; of the object store nothing is asked."""
    if request.param == "in the lake":
        return Place(str(tmp_path / "lake"))
    beside = request.param == "beside it"
    locks = str(tmp_path / "locks") if beside else request.getfixturevalue("postgres")
    return Place(f"s3://bucket/{tmp_path.name}", locks)


@pytest.fixture
def lake(place: Place) -> Lake:
    """A lake there."""
    return place.open()


def test_another_process_is_kept_out_and_told_what_to_do(place: Place, lake: Lake) -> None:
    with another_process_holding(place, DAY):
        with pytest.raises(BusyError) as caught:
            take(lake, DAY)
        assert str(caught.value) == (
            f"shift date {DAY} is being made by another run: run this one again when that has ended"
        )
        assert isinstance(caught.value, LakeError)
        take(lake, OTHER_DAY)


def test_a_wait_ends_when_the_holder_does(place: Place, lake: Lake) -> None:
    with another_process_holding(place, DAY) as process:
        process.communicate("")
        assert process.returncode == 0
        take(lake, DAY, seconds=LONG)


def test_a_killed_holder_holds_nothing(place: Place, lake: Lake) -> None:
    with another_process_holding(place, DAY, OTHER_DAY) as process:
        process.kill()
        process.wait()
        take(lake, DAY, OTHER_DAY)


def test_one_busy_date_lets_go_of_the_others(place: Place, lake: Lake) -> None:
    """And all of a failed attempt is free again."""
    with another_process_holding(place, OTHER_DAY), pytest.raises(BusyError, match=OTHER_DAY):
        take(lake, OTHER_DAY, DAY)
    with another_process_holding(place, DAY):
        take(lake, OTHER_DAY)


def test_two_lakes_of_one_process_exclude_each_other(place: Place, lake: Lake) -> None:
    with lake.locked([DAY], seconds=0):
        with pytest.raises(BusyError):
            take(place.open(), DAY)
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


def test_a_killed_holder_is_waited_for(place: Place, lake: Lake) -> None:
    with another_process_holding(place, DAY) as process:
        process.kill()
        take(lake, DAY, seconds=LONG)


def test_names_are_taken_in_their_order() -> None:
    """So that two runs never wait for each other."""
    locks = MagicMock()
    lake = Lake("s3://bucket/lake")
    lake.use_locks(locks)
    with lake.locked(["stock_ledger", OTHER_DAY, DAY], seconds=1):
        locks.held.assert_called_once_with([DAY, OTHER_DAY, "stock_ledger"], seconds=1)


def test_what_is_held_inside_is_given_back_alone(place: Place, lake: Lake) -> None:
    with lake.locked([DAY], seconds=0):
        with lake.locked([OTHER_DAY, "stock_ledger"], seconds=0):
            pass
        take(place.open(), OTHER_DAY, "stock_ledger")
        with pytest.raises(BusyError):
            take(place.open(), DAY)
    take(place.open(), DAY)


def test_a_name_that_is_no_date_can_be_held_and_forgotten(place: Place, lake: Lake) -> None:
    with lake.locked(["run 1234"], seconds=0), pytest.raises(BusyError, match=r"^run 1234 is being made"):
        take(place.open(), "run 1234")
    lake.forget_lock("run 1234")
    lake.forget_lock("run 1234")
    take(place.open(), "run 1234")


@pytest.mark.parametrize("locks", ["folder", "postgres"])
def test_different_roots_do_not_know_each_other(locks: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    one = Place(str(tmp_path / "one"))
    if locks == "postgres":
        one = Place(f"s3://bucket/{tmp_path.name}/one", request.getfixturevalue("postgres"))
    two = replace(one, root=one.root.replace("one", "two"))
    with one.open().locked([DAY], seconds=0):
        take(two.open(), DAY)


MANY = """
import resource, sys
from pathlib import Path
from clopos_assets.lake import Lake

resource.setrlimit(resource.RLIMIT_NOFILE, (64, int(sys.argv[2])))
with Lake(Path(sys.argv[1])).locked([f"{day:04}" for day in range(300)], seconds=0):
    print(len(list((Path(sys.argv[1]) / "_locks").glob("*.lock"))))
"""


def test_a_long_range_takes_more_files_than_a_shell_allows(folder_lake: Lake) -> None:
    """In a process of its own: limits are the process's, and can't be raised again."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    command = [sys.executable, "-c", MANY, str(folder_lake.root), str(hard)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("300\n", "")


def test_locks_are_no_tables(folder_lake: Lake) -> None:
    take(folder_lake, DAY)
    root = folder_lake.root
    assert [path.relative_to(root).parts[0] for path in root.rglob("*.lock")] == ["_locks"]


def test_a_lake_without_locks_is_for_reading() -> None:
    with pytest.raises(LakeError, match="without locks"):
        take(Lake("s3://bucket/lake"), DAY)
