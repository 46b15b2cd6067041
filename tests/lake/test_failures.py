"""A write that fails leaves the old partition, nothing that a reader would find, and one line that says what to do."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clopos_assets.lake import Lake, LakeError
from clopos_assets.storage.errors import DamagedError, unreadable, unwritable
from clopos_assets.tables import RECEIPTS, STOCK_OPERATIONS
from tests.lake.sample import DAY, OTHER_DAY, files_under, operations, stored_ids

Break = Callable[[pytest.MonkeyPatch, OSError], None]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with one partition."""
    lake = Lake(tmp_path / "lake")
    lake.replace(STOCK_OPERATIONS, DAY, operations(3), {"run": "first"})
    return lake


def raiser(error: OSError) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def break_fsync(patch: pytest.MonkeyPatch, error: OSError) -> None:
    patch.setattr(os, "fsync", raiser(error))


def break_replace(patch: pytest.MonkeyPatch, error: OSError) -> None:
    patch.setattr(Path, "replace", raiser(error))


def break_mkdir(patch: pytest.MonkeyPatch, error: OSError) -> None:
    patch.setattr(Path, "mkdir", raiser(error))


def break_open(patch: pytest.MonkeyPatch, error: OSError) -> None:
    patch.setattr(Path, "open", raiser(error))


class HalfWritten:
    """A file that takes some bytes, and then has no more room."""

    def __init__(self, path: Path, error: OSError) -> None:
        self.file = path.open("wb")
        self.error = error

    def __enter__(self) -> "HalfWritten":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, body: Any) -> None:
        self.file.write(memoryview(body)[:100])
        raise self.error


def break_write(patch: pytest.MonkeyPatch, error: OSError) -> None:
    whole = Path.open

    def open_half(path: Path, *mode: Any, **kwargs: Any) -> Any:
        if path.name.startswith(".part-0"):
            patch.setattr(Path, "open", whole)
            return HalfWritten(path, error)
        return whole(path, *mode, **kwargs)

    patch.setattr(Path, "open", open_half)


every_break = pytest.mark.parametrize("breaks", [break_fsync, break_replace, break_open, break_write, break_mkdir])
every_error = pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EFBIG, "allow larger files (ulimit -f)"),
        (errno.EACCES, "allow this user to write there"),
        (errno.EROFS, "allow this user to write there"),
    ],
)


@every_break
@every_error
def test_a_failed_write_leaves_the_old_partition(lake: Lake, breaks: Break, number: int, remedy: str) -> None:
    before = files_under(lake.root)
    rows = operations(5, first_id=100)
    with pytest.MonkeyPatch.context() as patch:
        breaks(patch, OSError(number, os.strerror(number)))
        with pytest.raises(LakeError) as caught:
            lake.replace(STOCK_OPERATIONS, DAY, rows, {"run": "second"})
    assert str(caught.value) == (
        f"the lake {lake.root} can't be written ({os.strerror(number)}): {remedy}, or set CLOPOS_LAKE, and run again"
    )
    assert stored_ids(lake) == [1, 2, 3]
    assert lake.notes(STOCK_OPERATIONS, DAY) == {"run": "first"}
    assert files_under(lake.root) == before
    # Once mended, it goes through.
    lake.replace(STOCK_OPERATIONS, DAY, operations(5, first_id=100), {})
    assert stored_ids(lake) == [100, 101, 102, 103, 104]


def test_what_is_in_the_way_is_named(lake: Lake) -> None:
    for name in (f"stock_operations/shift_date={OTHER_DAY}/part-0.parquet", "_lake/origin.json"):
        (lake.root / name).mkdir(parents=True)
    with pytest.raises(LakeError, match=rf"see what is in the way at .*{OTHER_DAY}/part-0\.parquet, and remove it"):
        lake.replace(STOCK_OPERATIONS, OTHER_DAY, operations(5), {})
    with pytest.raises(LakeError, match=r"origin\.json can't be read \(Is a directory\): see what is there"):
        lake.kept("_lake/origin.json")
    (lake.root / "receipts").write_text("not a folder")
    with pytest.raises(LakeError, match=r"can't be written \(Not a directory\): see what is in the way at .*/receipts"):
        lake.replace(RECEIPTS, DAY, RECEIPTS.schema.empty_table(), {})


def test_a_file_in_the_lakes_own_place_is_named(tmp_path: Path) -> None:
    place = tmp_path / "lake"
    place.write_text("not a folder")
    with pytest.raises(LakeError, match=rf"see what is in the way at {place}, and remove it"):
        Lake(place).keep("_lake/origin.json", b"{}")


@every_break
def test_a_failed_first_write_leaves_the_partition_absent(lake: Lake, breaks: Break) -> None:
    with pytest.MonkeyPatch.context() as patch:
        breaks(patch, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(LakeError, match="CLOPOS_LAKE"):
            lake.replace(STOCK_OPERATIONS, OTHER_DAY, operations(5), {})
    assert not lake.has(STOCK_OPERATIONS, OTHER_DAY)
    assert lake.read(STOCK_OPERATIONS, OTHER_DAY) is None
    assert lake.dates(STOCK_OPERATIONS) == [DAY]


def test_a_writer_that_dies_leaves_nothing_that_a_reader_finds(lake: Lake) -> None:
    """KeyboardInterrupt stands for a death between the bytes and the name: nothing tidies up after it."""

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    for where, name in ((os, "fsync"), (Path, "replace")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(where, name, die)
            with pytest.raises(KeyboardInterrupt):
                lake.replace(STOCK_OPERATIONS, DAY, operations(5, first_id=100), {})
    left = files_under(lake.root) - {f"stock_operations/shift_date={DAY}/part-0.parquet"}
    assert len(left) == 1  # the next writer tidied up after the one before
    assert [path.name for path in lake.root.glob("**/*.parquet")] == ["part-0.parquet"]
    assert all(Path(name).name.startswith(".") for name in left)
    assert stored_ids(lake) == [1, 2, 3]
    lake.replace(STOCK_OPERATIONS, DAY, operations(1), {})
    assert files_under(lake.root) == {f"stock_operations/shift_date={DAY}/part-0.parquet"}


def test_the_bytes_are_safe_before_the_name_changes(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(descriptor: int) -> None:
        steps.append("fsync")
        fsync(descriptor)

    def noted_replace(path: Path, target: Path) -> Path:
        steps.append(f"replace {target.name}, {path.stat().st_size > 0}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    lake.replace(STOCK_OPERATIONS, DAY, operations(1), {})
    assert steps == ["fsync", "replace part-0.parquet, True"]


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    for root in (tmp_path / "taken", tmp_path / "taken" / "lake"):
        lake = Lake(root)
        with pytest.raises(LakeError) as caught:
            lake.replace(STOCK_OPERATIONS, DAY, operations(1), {})
        assert "\n" not in str(caught.value)
        assert "CLOPOS_LAKE" in str(caught.value)
        with pytest.raises(LakeError, match="CLOPOS_LAKE"), lake.locked([DAY], seconds=0):
            pass
        with pytest.raises(LakeError, match="CLOPOS_LAKE"):
            lake.stage("operations", DAY, "1", b"x")
        with pytest.raises(LakeError, match="CLOPOS_LAKE"):
            lake.wait_for(DAY, 1, 1)
        assert lake.dates(STOCK_OPERATIONS) == []
        assert lake.waiting(DAY) == {}
    assert (tmp_path / "taken").read_text() == "a file"


def test_what_another_run_keeps_while_a_folder_is_removed_is_left(
    folder_lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(path: str, **rest: Any) -> None:
        monkeypatch.undo()
        folder_lake.stage("kind", DAY, "newer", b"answer")
        os.rmdir(path, **rest)

    folder_lake.stage("kind", DAY, "older", b"answer")
    monkeypatch.setattr(os, "rmdir", meanwhile)
    folder_lake.unstage("kind", DAY)
    assert folder_lake.staged("kind", DAY, newer_than=0) == {"newer": b"answer"}


def test_a_note_that_two_runs_write_at_once_is_written_by_both(
    folder_lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(_: int) -> None:
        monkeypatch.undo()
        folder_lake.wait_for(DAY, 1, 2)

    monkeypatch.setattr(os, "fsync", meanwhile)
    folder_lake.wait_for(DAY, 1, 2)
    assert folder_lake.waiting(DAY) == {1: 2}


@pytest.mark.parametrize("name_error", [unwritable, unreadable])
def test_too_many_open_files_are_no_lack_of_permission(name_error: Callable[[str, OSError], LakeError]) -> None:
    said = str(name_error("lake", OSError(errno.EMFILE, os.strerror(errno.EMFILE))))
    assert said.endswith("make fewer shift dates at once, or allow more open files (ulimit -n), and run again")


def test_a_file_that_can_not_be_opened_is_not_taken_for_a_damaged_one(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clopos_assets.lake.open_file", raiser(OSError(errno.EMFILE, os.strerror(errno.EMFILE))))
    accesses: list[Callable[[], object]] = [
        lambda: lake.read(STOCK_OPERATIONS, DAY),
        lambda: lake.notes(STOCK_OPERATIONS, DAY),
        lambda: lake.find(STOCK_OPERATIONS, "id", [1]),
    ]
    for access in accesses:
        with pytest.raises(LakeError, match="allow more open files") as caught:
            access()
        assert not isinstance(caught.value, DamagedError)
