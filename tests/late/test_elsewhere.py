"""A sensor whose settings go elsewhere for a while, to another lake or a later start: what it passed over is found."""

from datetime import timedelta
from pathlib import Path

import pytest

from clopos_assets.assembly import build_definitions
from clopos_assets.settings import Settings
from clopos_assets.tables import RECEIPTS
from tests.late.conftest import Watched

DAY, NEXT = "2026-01-19", "2026-01-20"


def go(watched: Watched, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    watched.settings = Settings.read()
    watched.definitions = build_definitions(watched.settings)


def tick_later(watched: Watched) -> None:
    watched.later += timedelta(minutes=10)
    watched.tick()


def total_of_first(watched: Watched) -> object:
    rows = watched.shop.lake.read(RECEIPTS, DAY, ["id", "total"])
    assert rows is not None
    return {row["id"]: int(row["total"]) for row in rows.to_pylist()}[1]


def test_changes_of_dates_before_a_start_that_was_later_for_a_while(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert watched.run(DAY, NEXT).success
    watched.tick()
    go(watched, monkeypatch, "CLOPOS_START_DATE", NEXT)
    watched.shop.world.update_receipt(1, total=99, updated_at="2026-01-25 12:00:01")
    watched.shop.sell(40, DAY, created_at="2026-01-02 10:00:00", updated_at="2026-01-25 12:00:05")
    tick_later(watched)
    watched.shop.world.update_receipt(3, total=50, updated_at="2026-01-25 13:00:00")
    tick_later(watched)
    assert watched.run_asked() == [True]
    go(watched, monkeypatch, "CLOPOS_START_DATE", "2026-01-10")
    tick_later(watched)
    assert watched.asked_for == [DAY]
    assert watched.run_asked() == [True]
    assert (total_of_first(watched), watched.shop.ids(RECEIPTS, DAY)) == (99, [1, 2, 40])
    tick_later(watched)
    assert watched.asked_for == []


def test_changes_seen_while_another_lake_was_filled(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert watched.run(DAY, NEXT).success
    watched.tick()
    go(watched, monkeypatch, "CLOPOS_LAKE", str(tmp_path / "another"))
    assert watched.run(NEXT).success
    watched.shop.world.update_receipt(1, total=99, updated_at="2026-01-25 12:00:01")
    tick_later(watched)
    watched.shop.world.update_receipt(3, total=50, updated_at="2026-01-25 13:00:00")
    tick_later(watched)
    assert watched.run_asked() == [True]
    go(watched, monkeypatch, "CLOPOS_LAKE", str(watched.shop.lake.root))
    tick_later(watched)
    assert watched.asked_for == [f"{DAY}...{NEXT}"]
    assert watched.run_asked() == [True]
    assert total_of_first(watched) == 99
    tick_later(watched)
    assert watched.asked_for == []
