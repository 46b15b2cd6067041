"""What the ledger's index holds for cases that random makings hardly meet."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from clopos_assets.database import connect
from clopos_assets.lake import Lake
from clopos_assets.ledger import make_stock_ledger
from tests.ingest.shop import days_from
from tests.variance.ledger_world import World, assert_ledger, make
from tests.variance.test_ledger_crashes import Death, FragileLake

DAYS = days_from("2026-03-12", 5)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as connection:
        yield connection


def a_world(*days: str) -> World:
    world = World(DAYS, 2)
    for day in days or DAYS:
        world.sell(day, f"{day} 13:00:00")
    return world


def raise_stock(world: World, receipt_id: int) -> None:
    world.correct(receipt_id, after_quantity=world.operations[receipt_id][0]["after_quantity"] + 1)


def test_a_days_first_and_last_of_a_stock_may_be_filed_under_two_dates(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    """Who changes what came before follows the first."""
    lake, world = Lake(tmp_path), a_world(DAYS[0], *DAYS[2:])
    world.sell(DAYS[1], f"{DAYS[3]} 09:00:00", stock_id=77)
    world.sell(DAYS[3], f"{DAYS[3]} 20:00:00", stock_id=77)
    before = world.sell(DAYS[0], f"{DAYS[0]} 10:00:00", stock_id=77)
    world.file(lake)
    make(lake, connection, *DAYS)
    raise_stock(world, before)
    world.file(lake)
    make(lake, connection, DAYS[0])
    assert_ledger(lake, world, DAYS)


@pytest.mark.parametrize("at", range(1, 12))
def test_a_date_that_dies_between_two_of_its_ledger_days(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, at: int
) -> None:
    """The next making compares one of them with what is taken in already: that it had changed is noted."""
    lake, world = Lake(tmp_path), a_world()
    gone = world.sell(DAYS[0], f"{DAYS[1]} 12:30:00", f"{DAYS[2]} 12:30:00")
    world.file(lake)
    make(lake, connection, *DAYS)
    world.drop(gone)
    world.file(lake)
    fragile = FragileLake(tmp_path, Death(), at, done=True)
    try:
        make_stock_ledger(fragile, connection, [DAYS[0]])
    except Death:
        assert fragile.left == 0
    make(Lake(tmp_path), connection, DAYS[4])
    assert_ledger(Lake(tmp_path), world, DAYS)


def test_nodes_that_an_unfinished_removal_left_count_for_nothing(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    lake, world = Lake(tmp_path), a_world(DAYS[0], *DAYS[2:])
    world.touched.add(DAYS[1])
    world.sell(DAYS[4], f"{DAYS[4]} 12:00:00", stock_id=77)
    gone = world.sell(DAYS[0], f"{DAYS[1]} 12:30:00", stock_id=77)
    world.file(lake)
    make(lake, connection, *DAYS)
    (tmp_path / "_ledger/catalog.json").unlink()
    shutil.rmtree(tmp_path / "_ledger/days")
    world.drop(gone)
    world.file(lake)
    make(Lake(tmp_path), connection, *DAYS)
    assert_ledger(Lake(tmp_path), world, DAYS)


def test_what_was_rewritten_before_the_index_was_found_damaged_is_told(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    """What is made from the ledger follows there."""
    lake, world = Lake(tmp_path), a_world()
    world.sell(DAYS[3], f"{DAYS[4]} 20:00:00")
    changed = world.sell(DAYS[0], f"{DAYS[1]} 12:30:00", f"{DAYS[3]} 12:30:00")
    world.file(lake)
    make(lake, connection, *DAYS)
    lake.keep(f"_ledger/days/{DAYS[4]}/{DAYS[4]}.arrow", b"torn")
    raise_stock(world, changed)
    world.file(lake)
    made = make_stock_ledger(Lake(tmp_path), connection, [DAYS[0]])
    assert not made.bad
    assert set(made.facts["stock_ledger"]) >= {DAYS[0], DAYS[1], DAYS[3]}
    assert_ledger(Lake(tmp_path), world, DAYS)
