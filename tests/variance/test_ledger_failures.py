"""What DuckDB can't do for one shift date's ledger costs that date alone, and its reason says what to do."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

import clopos_assets.ledger.making
from clopos_assets.compute import select
from clopos_assets.lake import Lake
from clopos_assets.ledger import make_stock_ledger
from clopos_assets.tables import STOCK_LEDGER
from tests.ingest.shop import days_from
from tests.variance.ledger_world import World, make

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
