"""A making of the ledger that ends anywhere, by death or by a full disk, is made up for by the next one."""

import os
import shutil
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from clopos_assets.database import connect
from clopos_assets.lake import Lake, LakeError
from clopos_assets.ledger import make_stock_ledger
from clopos_assets.tables import STOCK_LEDGER, STOCK_OPERATIONS
from tests.ingest.shop import days_from
from tests.variance.ledger_world import World, assert_ledger, index_files, make

DAYS = days_from("2026-03-12", 8)
"""With a boundary of the index's blocks among them."""


class Death(BaseException):
    """The process is killed."""


class FragileLake(Lake):
    """Fails at the n-th of its writes and removals, before or after it took effect."""

    def __init__(self, root: Path, error: BaseException, at: int, *, done: bool) -> None:
        super().__init__(root)
        self.left = at
        self._error = error
        self._done = done

    def _write(self, name: str, body: bytes | pa.Buffer, *, durable: bool = True) -> None:
        self._count(lambda: super(FragileLake, self)._write(name, body, durable=durable))

    def discard(self, name: str) -> None:
        if (self.root / name).exists():
            self._count(lambda: super(FragileLake, self).discard(name))

    def discard_folder(self, name: str) -> None:
        if (self.root / name).exists():
            self._count(lambda: super(FragileLake, self).discard_folder(name))

    def _count(self, act: Callable[[], None]) -> None:
        self.left -= 1
        if self.left or self._done:
            act()
        if not self.left:
            raise self._error


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as connection:
        yield connection


def a_made_world(lake: Lake, connection: duckdb.DuckDBPyConnection) -> World:
    """Operations on most days, and then much that is not followed yet."""
    world = World(DAYS, 2)
    for day in DAYS[:-1]:
        world.sell(day, f"{day} 12:00:00", f"{day} 13:00:00")
    world.sell(DAYS[-1], f"{DAYS[-1]} 12:00:00", stock_id=77)
    moving = world.sell(DAYS[1], f"{DAYS[2]} 11:00:00", stock_id=77)
    dropped = world.sell(DAYS[0], f"{DAYS[0]} 11:00:00", f"{DAYS[3]} 23:00:00")
    world.file(lake)
    make(lake, connection, *DAYS)
    world.drop(dropped)
    world.move(moving, DAYS[4])
    world.correct(moving, after_quantity=world.operations[moving][0]["after_quantity"] + 1)
    world.sell(DAYS[1], f"{DAYS[5]} 23:00:00")
    world.file(lake)
    return world


def assert_index(root: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """The index is what a first making of the same tables gives."""
    anew = root.with_name(f"{root.name} anew")
    shutil.copytree(root, anew, copy_function=os.link, ignore=shutil.ignore_patterns("_ledger"))
    make(Lake(anew), connection, DAYS[0])
    assert index_files(Lake(root)) == index_files(Lake(anew))


def stands(lake: Lake, world: World) -> bool:
    """All is made already: what failed was to say so."""
    assert_ledger(lake, world, DAYS)
    return True


def crash_everywhere(
    tmp_path: Path,
    connection: duckdb.DuckDBPyConnection,
    error: BaseException,
    then: Callable[[Lake, World], list[str]],
    *,
    done: bool,
    step: int = 1,
) -> None:
    crashes = 0
    before = tmp_path / "before"
    changed = a_made_world(Lake(before), connection)
    for at in range(1, 200, step):
        root, world = tmp_path / str(at), deepcopy(changed)
        shutil.copytree(before, root, copy_function=os.link)  # the same files: nothing in a lake is written in place
        fragile = FragileLake(root, error, at, done=done)
        try:
            made = make_stock_ledger(fragile, connection, [DAYS[0], DAYS[1], DAYS[4]])
        except Death:
            assert isinstance(error, Death)
        else:
            assert made.bad or fragile.left > 0 or stands(Lake(root), world)
        if fragile.left > 0:
            break
        crashes += 1
        make(Lake(root), connection, *then(Lake(root), world))
        assert_ledger(Lake(root), world, DAYS)
        assert_index(root, connection)
    assert crashes > 15 // step, "that many writes there are"


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_a_death_at_any_write_is_made_up_for(tmp_path: Path, connection: duckdb.DuckDBPyConnection, done: bool) -> None:
    """By a making that asks for another shift date altogether."""
    crash_everywhere(tmp_path, connection, Death(), lambda *_: [DAYS[5]], done=done)


def test_what_was_half_taken_in_may_be_gone_again(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """Others may have followed an operation that the next making does not find any more."""

    def undo(lake: Lake, world: World) -> list[str]:
        late = max(world.receipts)
        world.drop(late)
        world.correct(1, operated_at=f"{DAYS[5]} 10:00:00")
        world.file(lake)
        return [DAYS[5]]

    crash_everywhere(tmp_path, connection, Death(), undo, done=True, step=2)


def test_a_full_disk_is_named_and_made_up_for(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    crash_everywhere(tmp_path, connection, LakeError("the lake is full"), lambda *_: [DAYS[5]], done=False, step=3)


def test_a_first_making_that_dies_is_begun_anew(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    world = a_made_world(Lake(tmp_path / "whole"), connection)
    for at in range(1, 200, 5):
        root = tmp_path / str(at)
        world.touched = set(DAYS)
        world.file(Lake(root))
        fragile = FragileLake(root, Death(), at, done=True)
        try:
            make(fragile, connection, *DAYS)
        except Death:
            late = world.sell(DAYS[2], f"{DAYS[2]} 14:00:00")
            world.file(Lake(root))
            make(Lake(root), connection, *DAYS)
            assert_ledger(Lake(root), world, DAYS)
            world.drop(late)
        else:
            break
    assert at > 30, "that many writes there are"


def test_only_the_shift_dates_that_cannot_be_written_fail(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    class Refusing(Lake):
        def _write(self, name: str, body: bytes | pa.Buffer, *, durable: bool = True) -> None:
            if self.root / name == self.path(STOCK_LEDGER, DAYS[6]):
                raise LakeError("it can't be written")
            super()._write(name, body, durable=durable)

    lake = Lake(tmp_path)
    world = a_made_world(lake, connection)
    made = make_stock_ledger(Refusing(tmp_path), connection, [DAYS[0], DAYS[1], DAYS[4]])
    assert made.bad == {DAYS[6]: "it can't be written"}, "which was not asked for: its row follows others"
    assert {DAYS[0], DAYS[1], DAYS[4]} <= made.facts["stock_ledger"].keys()
    assert DAYS[6] in make(lake, connection, DAYS[5])
    assert_ledger(lake, world, DAYS)


def test_a_shift_date_that_cannot_be_read_stays_to_be_followed(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    """Died on after its change was begun, and unreadable for the next making; what followed it is not forgotten."""
    world = a_made_world(Lake(tmp_path), connection)
    with pytest.raises(Death):
        make_stock_ledger(FragileLake(tmp_path, Death(), 10, done=True), connection, [DAYS[0], DAYS[1], DAYS[4]])
    unfinished = Lake(tmp_path).kept_in("_ledger/changes")
    assert f"{DAYS[1]}.arrow" in unfinished
    path = Lake(tmp_path).path(STOCK_OPERATIONS, DAYS[1])
    aside = path.rename(tmp_path / "aside")
    path.write_bytes(b"torn")
    made = make_stock_ledger(Lake(tmp_path), connection, [DAYS[5]])
    assert list(made.bad) == [DAYS[1]]
    assert Lake(tmp_path).kept_in("_ledger/changes")
    aside.rename(path)
    make(Lake(tmp_path), connection, DAYS[5])
    assert_ledger(Lake(tmp_path), world, DAYS)
