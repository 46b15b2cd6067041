"""stock_ledger follows whatever changed, in any order of making, and only what differs is written."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

import duckdb
import pytest

from clopos_assets.database import connect
from clopos_assets.lake import Lake
from clopos_assets.ledger import make_stock_ledger
from clopos_assets.ledger.index import Index
from clopos_assets.tables import RECEIPTS, STOCK_LEDGER, STOCK_OPERATIONS
from tests.ingest.shop import days_from
from tests.variance.ledger_world import World, assert_ledger, day_after, index_files, make, one_a_day, small_world

pytestmark = pytest.mark.usefixtures("memory")
DAY = "2026-03-01"


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as connection:
        yield connection


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def written(lake: Lake) -> dict[str, tuple[int, int]]:
    """Which file each partition of the ledger is."""
    files = {day: lake.path(STOCK_LEDGER, day).stat() for day in lake.dates(STOCK_LEDGER)}
    return {day: (file.st_ino, file.st_mtime_ns) for day, file in files.items()}


@pytest.mark.parametrize("seed", range(6))
def test_random_makings_of_a_changing_world(lake: Lake, connection: duckdb.DuckDBPyConnection, seed: int) -> None:
    """After any making, every made day is as the whole lake says, and no file was written for nothing."""
    world = small_world(seed)
    random = Random(seed)
    world.file(lake, random.sample(world.days, 4))
    for _ in range(12):
        for _ in range(random.randrange(4)):
            world.change()
        changed = world.file(lake)
        again = random.sample(world.days, random.randrange(3))
        asked = list({*random.sample(changed, random.randrange(len(changed) + 1)), *again})
        random.shuffle(asked)
        stood = {day: lake.read(STOCK_LEDGER, day) for day in lake.dates(STOCK_LEDGER)}
        files = written(lake)
        made = make(lake, connection, *asked)
        assert_ledger(lake, world, asked)
        rewritten = {day for day, file in written(lake).items() if files.get(day) != file}
        assert rewritten == {day for day in written(lake) if lake.read(STOCK_LEDGER, day) != stood.get(day)}
        assert made == rewritten | set(asked)
        assert not lake.kept_in("_ledger/changes")


@pytest.mark.parametrize("seed", range(2))
def test_the_index_is_the_same_whatever_the_way(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, seed: int
) -> None:
    """But for the stamps in its catalog: nothing is left of what was once and is no more."""
    one, other = Lake(tmp_path / "one"), Lake(tmp_path / "other")
    world = small_world(seed)
    for _ in range(12):
        world.change()
        make(one, connection, *world.file(one))
    world.touched = set(world.days)
    world.file(other)
    make(other, connection, *world.days)
    found, expected = index_files(one), index_files(other)
    assert {name for name in found if "catalog" not in name} == {name for name in expected if "catalog" not in name}
    assert all(found[name] == body for name, body in expected.items() if "catalog" not in name)
    assert all(one.read(STOCK_LEDGER, day) == other.read(STOCK_LEDGER, day) for day in world.days)


def test_newest_first_equals_oldest_first(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    lakes = []
    for name, step in (("up", 1), ("down", -1)):
        lake = Lake(tmp_path / name)
        world = small_world(5, events=60)
        for day in world.days[::step]:
            world.file(lake, [day])
            make(lake, connection, day)
        assert_ledger(lake, world, world.days)
        lakes.append(lake)
    assert all(lakes[0].read(STOCK_LEDGER, day) == lakes[1].read(STOCK_LEDGER, day) for day in world.days)


def test_a_change_rewrites_its_successor_months_later_and_nothing_else(
    lake: Lake, connection: duckdb.DuckDBPyConnection
) -> None:
    days = days_from(DAY, 20)
    world = one_a_day(lake, connection, days)
    rare = world.sell(days[0], f"{days[0]} 13:00:00", stock_id=77)
    world.sell("2026-08-30", "2026-08-30 12:00:00", stock_id=77)
    world.file(lake)
    make(lake, connection, days[0], "2026-08-30")
    before = written(lake)
    world.correct(rare, after_quantity=world.operations[rare][0]["after_quantity"] + 1)
    world.file(lake)
    assert make(lake, connection, days[0]) == {days[0], "2026-08-30"}
    assert_ledger(lake, world)
    # The operation's own row holds the corrected figure too.
    assert {day for day, file in written(lake).items() if before[day] != file} == {days[0], "2026-08-30"}


def test_a_late_closing_stands_between_its_neighbours(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    days = days_from(DAY, 6)
    world = one_a_day(lake, connection, days)
    before = written(lake)
    late = world.sell(days[0], f"{days[3]} 11:00:00")
    world.file(lake)
    assert make(lake, connection, days[0]) == {days[0], days[3]}
    assert_ledger(lake, world)
    assert {day for day, file in written(lake).items() if before[day] != file} == {days[0], days[3]}
    world.edit(late, status=1)  # opened again
    world.file(lake)
    assert make(lake, connection, days[0]) == {days[0], days[3]}
    assert_ledger(lake, world)


def test_operations_around_another_shift_dates_operation(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    """The row in between follows the first of them, and the row after the last."""
    days = days_from(DAY, 4)
    world = one_a_day(lake, connection, days)
    world.sell(days[0], f"{days[2]} 14:00:00", f"{days[2]} 11:00:00")
    world.file(lake)
    assert make(lake, connection, days[0]) == {days[0], days[2], days[3]}
    assert_ledger(lake, world)


def test_a_change_in_the_middle_of_a_day_reaches_no_later_day(
    lake: Lake, connection: duckdb.DuckDBPyConnection
) -> None:
    days = days_from(DAY, 4)
    world = one_a_day(lake, connection, days)
    world.sell(days[1], f"{days[1]} 10:00:00")
    world.file(lake)
    assert make(lake, connection, days[1]) == {days[1]}
    assert_ledger(lake, world)


def test_a_move_between_shift_dates_changes_no_other(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    days = days_from(DAY, 5)
    world = one_a_day(lake, connection, days)
    before = written(lake)
    world.move(3, days[0])  # the receipt of the second day: ids of operations come between
    world.file(lake)
    assert make(lake, connection, days[0], days[1]) == {days[0], days[1]}
    assert_ledger(lake, world)
    assert {day for day, file in written(lake).items() if before[day] != file} == {days[0], days[1]}


def test_making_again_writes_nothing(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    world = small_world(3, events=40)
    world.file(lake)
    make(lake, connection, *world.days)
    before, index = written(lake), index_files(lake)
    assert make(lake, connection, *world.days) == set(world.days)
    assert written(lake) == before
    assert index_files(lake) == index


def test_facts(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    world = World([DAY], 0)
    plain = {"before_quantity": 5, "after_quantity": 5, "before_cost": 2, "cost": 2}
    world.sell(DAY, f"{DAY} 12:00:00", **plain)
    world.sell(DAY, f"{DAY} 12:01:00", **plain)
    world.sell(DAY, f"{DAY} 12:02:00", **plain | {"before_cost": 3})
    world.sell(DAY, f"{DAY} 12:03:00", **plain | {"before_quantity": 4})
    world.sell(DAY, f"{DAY} 12:04:00", **plain | {"before_quantity": 7, "before_cost": None})
    world.sell(DAY, f"{DAY} 12:00:00", **plain | {"stock_id": 8})
    world.file(lake)
    facts = make_stock_ledger(lake, connection, [DAY]).facts["stock_ledger"][DAY]
    assert facts == {"rows": 6, "stocks": 2, "gaps": 3, "net_unexplained_value": 5 - 2}


def test_a_day_without_operations(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    world = World([DAY], 0)
    world.file(lake)
    facts = make_stock_ledger(lake, connection, [DAY]).facts["stock_ledger"][DAY]
    assert facts == {"rows": 0, "stocks": 0, "gaps": 0, "net_unexplained_value": 0}
    assert lake.dates(STOCK_LEDGER) == [DAY]


def test_inputs_that_are_not_materialized(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    days = days_from(DAY, 3)
    world = World(days, 0)
    world.sell(days[0], f"{days[0]} 12:00:00")
    world.file(lake, days[:2])
    lake.path(STOCK_OPERATIONS, days[1]).unlink()
    made = make_stock_ledger(lake, connection, days)
    assert made.bad == {
        days[1]: f"stock_operations of shift date {days[1]} is not materialized: materialize it first, or together",
        days[2]: f"receipts of shift date {days[2]} is not materialized: materialize it first, or together",
    }
    assert list(made.facts["stock_ledger"]) == [days[0]]


def test_a_partition_that_cannot_be_read_does_not_cost_the_others(
    lake: Lake, connection: duckdb.DuckDBPyConnection
) -> None:
    days = days_from(DAY, 3)
    world = World(days, 0)
    for day in days:
        world.sell(day, f"{day} 12:00:00")
    world.file(lake)
    whole = lake.path(STOCK_OPERATIONS, days[1]).read_bytes()
    lake.path(STOCK_OPERATIONS, days[1]).write_bytes(b"torn")
    made = make_stock_ledger(lake, connection, days)
    assert list(made.bad) == [days[1]]
    assert "can't be read" in made.bad[days[1]]
    assert set(made.facts["stock_ledger"]) == {days[0], days[2]}
    lake.path(STOCK_OPERATIONS, days[1]).write_bytes(whole)
    make(lake, connection, days[1])
    assert_ledger(lake, world, days)


def test_the_whole_lake_counts_whether_its_ledger_was_made_or_not(
    lake: Lake, connection: duckdb.DuckDBPyConnection
) -> None:
    days = days_from(DAY, 40)
    world = World(days, 0)
    for day in days:
        world.sell(day, f"{day} 12:00:00")
    world.file(lake, days[1:])
    assert make(lake, connection, days[-1]) == {days[-1]}
    assert lake.dates(STOCK_LEDGER) == [days[-1]]
    assert_ledger(lake, world)
    world.sell(days[5], f"{days[20]} 12:00:00")
    world.file(lake)
    assert make(lake, connection, days[21]) == {days[21]}
    assert_ledger(lake, world)


def test_another_day_that_changed_meanwhile_is_noticed(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    """A run that failed after the raw tables, and was not made up for yet."""
    days = days_from(DAY, 6)
    world = one_a_day(lake, connection, days)
    world.sell(days[1], f"{days[4]} 11:00:00")
    world.file(lake)
    assert make(lake, connection, days[5]) == {days[1], days[4], days[5]}
    assert_ledger(lake, world)


def test_a_shift_date_that_is_gone_from_the_lake(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    days = days_from(DAY, 5)
    world = one_a_day(lake, connection, days)
    for table in (RECEIPTS, STOCK_OPERATIONS, STOCK_LEDGER):
        lake.path(table, days[2]).unlink()
    assert make(lake, connection, days[0]) == {days[0], days[3]}
    assert_ledger(lake, world)


def test_while_a_receipt_moves_its_operations_stand_under_both_dates(
    lake: Lake, connection: duckdb.DuckDBPyConnection
) -> None:
    days = days_from(DAY, 4)
    world = one_a_day(lake, connection, days)
    world.move(3, days[0])
    world.file(lake, [days[0]])  # the source has not let go yet
    assert make(lake, connection, days[0]) == {days[0]}
    for day in (days[0], days[1]):
        rows = lake.read(STOCK_LEDGER, day)
        assert rows is not None
        (row,) = (row for row in rows.to_pylist() if row["receipt_id"] == 3)
        assert row["previous_operation_id"] == 2
    world.file(lake)
    make(lake, connection, days[1])
    assert_ledger(lake, world, days)


@pytest.mark.parametrize("what", ["all", "catalog.json", "nodes/1", "nodes", "days"])
def test_an_index_that_is_missing_is_made_again(lake: Lake, connection: duckdb.DuckDBPyConnection, what: str) -> None:
    world = small_world(7, days=20, events=80)
    world.file(lake)
    make(lake, connection, *world.days)
    path = lake.root / "_ledger" / ("" if what == "all" else what)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    index = index_files(lake)
    world.sell(world.days[7], f"{world.days[7]} 00:00:01", f"{world.days[9]} 00:00:01")
    world.file(lake)
    before = written(lake)
    make(lake, connection, world.days[7])
    assert_ledger(lake, world, world.days)
    assert index_files(lake).keys() > index.keys()
    rewritten = {day for day, file in written(lake).items() if before[day] != file}
    assert world.days[7] in rewritten
    assert len(rewritten) < 5


def test_an_unreadable_ledger_is_written_again(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    world = one_a_day(lake, connection, [DAY])
    lake.path(STOCK_LEDGER, DAY).write_bytes(b"torn")
    make(lake, connection, DAY)
    assert_ledger(lake, world, [DAY])


def test_no_reader_of_the_lake_finds_the_index(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    one_a_day(lake, connection, [DAY])
    assert index_files(lake)
    found = {path.relative_to(lake.root).parts[0] for path in lake.root.rglob("*.parquet")}
    assert found == {"receipts", "stock_operations", "stock_ledger"}


def test_the_ledger_is_held_against_other_runs(
    lake: Lake, connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clopos_assets.ledger.making.LOCK_SECONDS", 0)
    world = World([DAY], 0)
    world.file(lake)
    with lake.locked(["stock_ledger"], seconds=0):
        made = make_stock_ledger(lake, connection, [DAY])
    assert made.bad == {DAY: "stock_ledger is being made by another run: run this one again when that has ended"}
    with lake.locked([day_after(DAY)], seconds=0):  # another shift date does not matter
        make(lake, connection, DAY)


def test_tables_that_change_while_the_ledger_is_made(
    lake: Lake, connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shift date that was not asked for is not held: what its rows follow is left to the making that comes."""
    days = days_from(DAY, 3)
    world = one_a_day(lake, connection, days)
    world.correct(1, after_quantity=6)
    world.file(lake)
    stood = lake.read(STOCK_LEDGER, days[1])
    settle = Index.settle

    def settle_and_change(index: Index) -> None:
        settle(index)
        world.sell(days[1], f"{days[1]} 11:00:00")
        world.file(lake)

    monkeypatch.setattr(Index, "settle", settle_and_change)
    assert make(lake, connection, days[0]) == {days[0]}
    assert lake.read(STOCK_LEDGER, days[1]) == stood
    monkeypatch.undo()
    assert make(lake, connection, days[2]) == {days[1], days[2]}
    assert_ledger(lake, world, days)


def test_a_missing_file_does_not_hide_what_has_gone(lake: Lake, connection: duckdb.DuckDBPyConnection) -> None:
    days = days_from(DAY, 10)
    world = one_a_day(lake, connection, days)
    (lake.root / "_ledger" / "days" / days[4] / f"{days[4]}.arrow").unlink()
    world.drop(1 + 2 * 4)  # the receipt of the fifth day
    world.file(lake)
    assert make(lake, connection, days[4]) == {days[4], days[5]}
    assert_ledger(lake, world, days)
