"""What a change of one shift date does to others, in the run that brings it and after one that died."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from clopos_assets.ingest import Made
from clopos_assets.ingest.made import NOBODY, Facts, RunState
from clopos_assets.lake import Lake
from clopos_assets.line import Line, Maker, Run, left_behind
from clopos_assets.tables import (
    DAILY_COGS,
    FINDING_HISTORY,
    RECIPE_OBSERVED,
    TABLES,
    USAGE_VARIANCE,
    VARIANCE_FINDINGS,
    Table,
)
from tests.ingest.shop import days_from
from tests.line.conftest import DiedError, Runs, runs_on

DAYS = days_from("2026-01-12", 6)
RAW_TABLES = ("receipts", "receipt_products", "stock_operations")


def change_cost(runs: Runs, receipt_id: int) -> None:
    """The deduction of a receipt costs more, and the receipt tells that it has changed."""
    runs.shop.deduct(receipt_id, quantity=Decimal("0.4"), cost=Decimal("4.1"), total_cost=Decimal("1.64"))
    runs.shop.world.update_receipt(receipt_id, order_status="READY")


def made_anew(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *shift_dates: str
) -> dict[tuple[str, str], pa.Table]:
    """The tables of one range run over the dates, by default all, into an empty lake."""
    fresh = runs_on(runs.shop, tmp_path, monkeypatch, "fresh")
    fresh.make(*shift_dates or DAYS)
    return fresh.tables()


def without_history(tables: dict[tuple[str, str], pa.Table]) -> dict[tuple[str, str], pa.Table]:
    return {key: rows for key, rows in tables.items() if key[0] != FINDING_HISTORY.name}


def unresolved(tables: dict[tuple[str, str], pa.Table]) -> dict[str, list[Any]]:
    return {
        day: [row for row in rows.to_pylist() if row["resolved_at"] is None]
        for (name, day), rows in tables.items()
        if name == FINDING_HISTORY.name
    }


def test_the_standards_of_later_dates_follow_and_those_of_others_are_left_alone(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.make(*DAYS)
    before = runs.stamps(USAGE_VARIANCE, RECIPE_OBSERVED, VARIANCE_FINDINGS)
    change_cost(runs, 3)  # of the 13th
    run_id = runs.make("2026-01-13")
    after = runs.stamps(USAGE_VARIANCE, RECIPE_OBSERVED, VARIANCE_FINDINGS)
    rewritten = {key for key in before if before[key] != after[key]}
    assert {day for name, day in rewritten if name == "usage_variance"} == set(days_from("2026-01-13", 4))
    assert not {day for _, day in rewritten} - set(days_from("2026-01-13", 4))
    assert {day for name, day in runs.recorded[run_id] if name == "usage_variance"} == set(days_from("2026-01-13", 4))
    assert not runs.shop.lake.marks()
    tables = runs.tables()
    anew = made_anew(runs, tmp_path, monkeypatch)
    assert without_history(tables) == without_history(anew)
    assert unresolved(tables) == unresolved(anew)


def test_findings_that_stay_are_written_again_only_where_their_date_is_asked_for(runs: Runs) -> None:
    runs.shop.world.update_receipt(7, payment_methods=[])  # of the 15th, which is found
    runs.make(*DAYS)
    before, seen = runs.stamps(VARIANCE_FINDINGS, FINDING_HISTORY), last_seen(runs, "2026-01-15")
    change_cost(runs, 3)  # of the 13th
    run_id = runs.make("2026-01-13")
    after = runs.stamps(VARIANCE_FINDINGS, FINDING_HISTORY)
    rewritten = {key for key in before if before[key] != after[key]}
    assert ("usage_variance", "2026-01-15") in runs.recorded[run_id]
    assert not {("variance_findings", "2026-01-15"), ("finding_history", "2026-01-15")} & rewritten
    assert ("finding_history", "2026-01-15") not in runs.recorded[run_id]
    assert ("finding_history", "2026-01-13") in rewritten
    runs.make("2026-01-15")
    assert min(last_seen(runs, "2026-01-15")) > max(seen)


def last_seen(runs: Runs, shift_date: str) -> list[Any]:
    history = runs.shop.lake.read(FINDING_HISTORY, shift_date)
    assert history is not None
    return list(history.column("last_seen_at").to_pylist())


def test_making_a_date_again_tells_what_became_of_its_cost(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Facts] = []
    step = Line.step

    def listen(line: Line, run: Run, maker: Maker, planned: Collection[str]) -> Made:
        made = step(line, run, maker, planned)
        told.extend(made.facts.get(DAILY_COGS.name, {}).values())
        return made

    monkeypatch.setattr(Line, "step", listen)
    runs.make("2026-01-13")
    change_cost(runs, 3)  # from 0.64 to 1.64, beside another of 0.64
    runs.make("2026-01-13")
    changes = [{name: facts[name] for name in facts if name.startswith("cogs_")} for facts in told]
    assert changes == [{}, {"cogs_before": Decimal("1.28"), "cogs_change": Decimal(1)}]


def test_a_fill_in_reverse_order_gives_what_a_range_gives(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in reversed(DAYS):
        runs.make(day)
    tables = runs.tables()
    assert without_history(tables) == without_history(made_anew(runs, tmp_path, monkeypatch))


def test_making_again_what_has_not_changed_touches_nothing_else(runs: Runs) -> None:
    runs.make(*DAYS)
    tables = [table for table in TABLES.values() if table is not FINDING_HISTORY]
    before = runs.stamps(*tables)
    run_id = runs.make("2026-01-13")
    assert runs.stamps(*tables) == before
    assert {day for _, day in runs.recorded[run_id]} == {"2026-01-13"}


@pytest.mark.parametrize(
    "table", ["receipt_products", "stock_operations", "daily_cogs", "stock_ledger", "usage_variance", "finding_history"]
)
def test_what_a_dead_run_left_is_told_and_made_good(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    runs.make(*DAYS)
    change_cost(runs, 3)
    with dying_when_it_writes(table), pytest.raises(DiedError):
        runs.make("2026-01-13")
    # The process is gone, and nobody has told Dagster that the run has ended.
    assert runs.states["run-2"] == "running"
    assert runs.behind() == {"2026-01-13": {"run-2"}}
    runs.make("2026-01-13")
    assert not runs.behind()
    assert not runs.shop.lake.marks()
    tables = runs.tables()
    anew = made_anew(runs, tmp_path, monkeypatch)
    assert without_history(tables) == without_history(anew)
    assert unresolved(tables) == unresolved(anew)


@contextmanager
def dying_when_it_writes(table: str) -> Iterator[None]:
    replace = Lake.replace

    def die(lake: Lake, of: Table, shift_date: str, rows: pa.Table, notes: dict[str, str]) -> None:
        if of.name == table:
            raise DiedError
        replace(lake, of, shift_date, rows, notes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lake, "replace", die)
        yield


def test_a_run_that_lives_has_left_nothing_behind(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.make(*DAYS)
    change_cost(runs, 3)
    seen = []
    replace = Lake.replace

    def look(lake: Lake, of: Table, shift_date: str, rows: pa.Table, notes: dict[str, str]) -> None:
        replace(lake, of, shift_date, rows, notes)
        seen.append((runs.shop.lake.marks(), runs.behind()))

    monkeypatch.setattr(Lake, "replace", look)
    runs.make("2026-01-13")
    assert ({"2026-01-13": {"run-2"}}, {}) in seen
    assert not any(behind for _, behind in seen)


def test_a_run_that_made_only_some_tables_is_not_asked_to_make_more(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.make(*DAYS)
    change_cost(runs, 3)
    runs.make("2026-01-13", planned=RAW_TABLES)
    assert runs.shop.lake.marks() == {"2026-01-13": {"nobody"}}
    assert not runs.behind()
    # The next run of all tables makes good what it left, and so do the dates after it.
    runs.make("2026-01-13")
    assert not runs.shop.lake.marks()
    assert without_history(runs.tables()) == without_history(made_anew(runs, tmp_path, monkeypatch))


@pytest.mark.parametrize(
    "planned",
    [("line_cogs", "product_cogs", "daily_cogs", "ingredient_usage"), ("recipe_observed", "usage_variance")],
    ids=["cost", "looking back"],
)
def test_a_run_of_some_tables_leaves_to_others_what_a_dead_run_left(runs: Runs, planned: tuple[str, ...]) -> None:
    runs.make(*DAYS)
    change_cost(runs, 3)
    with dying_when_it_writes("line_cogs"), pytest.raises(DiedError):
        runs.make("2026-01-13")
    runs.make("2026-01-13", planned=planned)
    assert runs.behind() == runs.shop.lake.marks() == {"2026-01-13": {"run-2"}}


def test_a_failed_date_is_left_behind_and_the_good_ones_are_not(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.make(*DAYS)
    change_cost(runs, 3)
    change_cost(runs, 5)
    with monkeypatch.context() as patch:
        runs.shop.answer("/receipts/3/stock-operations", "{}")
        patch.setattr("clopos_assets.ingest.operations.FAILURES_BORNE", 0)
        runs.make("2026-01-13", "2026-01-14")
    assert runs.states["run-2"] == "failed"
    assert runs.behind() == {"2026-01-13": {"run-2"}}
    runs.shop.answer_truly()
    runs.make("2026-01-13")
    assert not runs.shop.lake.marks()


def test_a_move_killed_between_its_dates_is_told_of_the_destination_too(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.make(*DAYS)
    runs.shop.world.move_receipt(3, date(2026, 1, 14))
    with dying_when_it_writes("stock_operations"), pytest.raises(DiedError):
        runs.make("2026-01-13")
    assert runs.behind() == {"2026-01-13": {"run-2"}, "2026-01-14": {"run-2"}}
    runs.make("2026-01-14")
    runs.make("2026-01-13")
    assert not runs.shop.lake.marks()
    assert without_history(runs.tables()) == without_history(made_anew(runs, tmp_path, monkeypatch))


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_date_that_another_run_changes_between_two_steps_is_made_good(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goes_on: bool
) -> None:
    runs.make(*DAYS)
    other = runs.steps("other", "2026-01-13")
    step = Line.step

    def meet(line: Line, run: Run, maker: Maker, planned: Collection[str]) -> Made:
        if run.run_id != "other" and maker.tables == (DAILY_COGS,):
            change_cost(runs, 3)
            next(other)  # receipts
            next(other)  # stock operations
        return step(line, run, maker, planned)

    with monkeypatch.context() as patch:
        patch.setattr(Line, "step", meet)
        run_id = runs.make(*DAYS)
    assert runs.bad[run_id] == {
        "2026-01-13": "daily_cogs: another run has changed the shift date since line_cogs was made: that run brings "
        "its tables up to date, or make it again when that has ended"
    }
    assert {day for name, day in runs.recorded[run_id] if name == "usage_variance"} == set(DAYS) - {"2026-01-13"}
    # The mark of who has changed it stands until every table has followed.
    assert runs.shop.lake.marks() == {"2026-01-13": {"other"}}
    assert not runs.behind()
    if goes_on:
        assert list(other) == [None] * (len(runs.line.makers) - 2)
    else:
        runs.states["other"] = "failed"
        assert runs.behind() == {"2026-01-13": {"other"}}
        runs.make("2026-01-13")
    assert not runs.shop.lake.marks()
    assert without_history(runs.tables()) == without_history(made_anew(runs, tmp_path, monkeypatch))


def test_a_lock_of_a_run_is_forgotten_with_it(runs: Runs) -> None:
    runs.make("2026-01-12")
    assert not [file.name for file in (runs.shop.lake.root / "_locks").glob("run *")]


def test_a_lock_of_a_dead_run_is_forgotten_once_it_is_seen(runs: Runs) -> None:
    runs.shop.lake.mark(DAYS[0], "killed")
    assert runs.behind() == {DAYS[0]: {"killed"}}
    assert not [*(runs.shop.lake.root / "_locks").glob("run *")]


def test_a_run_that_ends_while_it_is_looked_for_has_left_nothing_behind(runs: Runs) -> None:
    lake = runs.shop.lake
    lake.mark(DAYS[0], "other")

    def end(run_id: str) -> RunState:
        lake.unmark(DAYS[0], run_id)
        return "succeeded"

    assert left_behind(lake, end) == {}


def test_a_date_left_to_whoever_comes_is_not_taken_over_by_a_run_of_another(runs: Runs) -> None:
    runs.make(*DAYS)
    runs.shop.world.update_receipt(3, order_status="READY")  # which no ledger tells of
    runs.make(DAYS[1], planned=RAW_TABLES)
    change_cost(runs, 11)  # of the last
    with dying_when_it_writes("finding_history"), pytest.raises(DiedError):
        runs.make(DAYS[5])
    assert runs.shop.lake.marks()[DAYS[1]] == {NOBODY}
    assert runs.behind() == {DAYS[5]: {"run-3"}}
