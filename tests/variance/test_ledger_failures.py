"""What DuckDB can't do for one shift date's ledger costs that date alone, and its reason says what to do."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

import clopos_assets.ledger.making
from clopos_assets.compute import select
from clopos_assets.lake import Lake
from clopos_assets.ledger import make_stock_ledger
from clopos_assets.tables import STOCK_LEDGER, ContractError
from tests.ingest.shop import days_from
from tests.variance.ledger_world import World, assert_ledger, make

DAYS = days_from("2026-03-12", 3)
SAID = "IO Error: could not write: No space left on device"


def test_the_dates_written_before_are_told(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(tmp_path)
    world = World(DAYS, seed=1)
    for _ in range(30):
        world.change()
    world.file(lake)
    asked: list[object] = []

    def fails_once(*given: Any) -> Any:
        asked.append(given)
        if len(asked) == 2:
            raise duckdb.IOException(f"{SAID}\nand more of that")
        return select(*given)

    with monkeypatch.context() as patched:
        patched.setattr(clopos_assets.ledger.making, "select", fails_once)
        made = make_stock_ledger(lake, connection, DAYS)
    (why,) = made.bad.values()
    assert list(made.bad) == [DAYS[1]]
    assert why.startswith(f"{SAID}: if it is short of memory, or of room in ")
    assert "\n" not in why
    assert sorted(made.facts[STOCK_LEDGER.name]) == [DAYS[0], DAYS[2]] == lake.dates(STOCK_LEDGER)
    assert DAYS[1] in make(lake, connection, *DAYS)


def test_a_figure_that_does_not_fit_hides_no_date_that_is_to_be_tried_again(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(tmp_path)
    world = World(DAYS, seed=1)
    changing = [world.sell(DAYS[0], f"{DAYS[0]} 12:00:00", stock_id=stock_id) for stock_id in (1, 2)]
    for stock_id, day in ((1, DAYS[1]), (2, DAYS[2])):
        world.sell(day, f"{day} 12:00:00", stock_id=stock_id)
    world.file(lake)
    make(lake, connection, *DAYS)
    for receipt_id in changing:
        world.correct(receipt_id, after_quantity=77)
    world.file(lake)
    errors = [None, duckdb.IOException(SAID), ContractError("stock_ledger: a figure is too large for its column")]

    def fails(*given: Any) -> Any:
        error = errors.pop(0)
        if error is not None:
            raise error
        return select(*given)

    with monkeypatch.context() as patched:
        patched.setattr(clopos_assets.ledger.making, "select", fails)
        made = make_stock_ledger(lake, connection, DAYS[:1])
    assert list(made.bad) == DAYS[1:]
    assert make(lake, connection, DAYS[0]) == set(DAYS)
    assert_ledger(lake, world)


def test_a_bit_that_flips_in_the_index_makes_no_other_ledger(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    lake = Lake(tmp_path)
    world = World(DAYS, seed=1)
    for day in DAYS:
        world.sell(day, f"{day} 12:00:00")
    world.file(lake)
    make(lake, connection, *DAYS)
    names = [path.relative_to(tmp_path) for path in sorted((tmp_path / "_ledger").rglob("*.*"))]
    assert {name.parts[1] for name in names} == {"catalog.json", "days", "nodes"}
    for number, name in enumerate(names):
        for part in (1, 2, 3):
            body = bytearray((tmp_path / name).read_bytes())
            body[len(body) * part // 4] ^= 1
            (tmp_path / name).write_bytes(body)
            world.sell(DAYS[1], f"{DAYS[1]} 13:00:{number:02}.{part}")
            world.file(lake)
            make(lake, connection, DAYS[1])
            assert_ledger(lake, world)
