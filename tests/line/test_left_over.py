"""What a run leaves over that others change beside it, or that fails or dies at the worst moment: somebody makes it
good.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from unittest.mock import Mock

import pytest
from starlette.requests import Request
from starlette.responses import Response

from clopos_assets.ingest.made import NOBODY
from clopos_assets.lake import LakeError
from clopos_assets.ledger.index import Index
from clopos_assets.ledger.packing import DamagedIndexError
from clopos_assets.line import Run
from clopos_assets.tables import (
    COST,
    FINDING_HISTORY,
    LINE_COGS,
    RAW,
    RECEIPT_PRODUCTS,
    RECEIPTS,
    RECIPE_OBSERVED,
    STOCK_GAPS,
    STOCK_OPERATIONS,
    TABLES,
    USAGE_VARIANCE,
    VARIANCE,
    VARIANCE_FINDINGS,
    Table,
)
from tests.ingest.test_runs_beside import before
from tests.line.conftest import DiedError, Runs
from tests.line.runner import in_order
from tests.line.test_following import (
    DAYS,
    RAW_TABLES,
    change_cost,
    dying_when_it_writes,
    made_anew,
    unresolved,
    without_history,
)

FIRST, SECOND, THIRD = DAYS[:3]


def at_write(table: Table, shift_date: str, act: Callable[[], object]) -> AbstractContextManager[None]:
    """Do something once, before a partition is written."""
    return before("replace", lambda of, day, *_: (of, day) == (table, shift_date), act)


def dying_at_mark(shift_date: str, owner: str) -> AbstractContextManager[None]:
    """The process ends before it marks a date as the owner's."""
    return before("mark", lambda *of: of == (shift_date, owner), Mock(side_effect=DiedError()))


def let_no_ledger_follow(runs: Runs) -> None:
    """What the second date sells is of another stock, so that its ledger does not follow the first's."""
    bar = {"id": 6601, "storage": {"id": 4, "name": "Bar"}}
    for receipt_id in (3, 4):
        runs.shop.deduct(receipt_id, stock_id=6601, stock=bar, storage_id=4)


def test_a_date_without_its_operations_is_left_to_others_though_receipts_left_it(runs: Runs) -> None:
    shop = runs.shop
    runs.make(FIRST)
    shop.sell(20, FIRST)
    shop.world.update_receipt(1, order_status="READY")

    async def instead(request: Request) -> Response | None:
        if request.url.path.endswith("/receipts/1/stock-operations") and 1 not in shop.world.deleted:
            shop.world.delete_receipt(1)
        if request.url.path.endswith("/receipts/20/stock-operations"):
            return Response('{"success": true, "data": [{"id": 900, "quantity": "?"}]}', media_type="application/json")
        return None

    shop.sandbox.hooks.answer_instead = instead
    failed = runs.make(FIRST)
    assert runs.bad[failed].keys() == {FIRST}
    assert shop.ids(RECEIPTS, FIRST) == [2, 20]
    assert runs.behind() == {FIRST: {failed}}
    shop.answer_truly()
    assert runs.bad[runs.make(FIRST)] == {}
    assert shop.ids(STOCK_OPERATIONS, FIRST, "receipt_id") == [2, 20]
    assert runs.behind() == {}


@pytest.mark.parametrize("error", [LakeError("no space left"), DiedError()], ids=["failed", "killed"])
def test_findings_over_time_follow_though_the_findings_were_written_by_a_run_that_ended_there(
    runs: Runs, error: BaseException
) -> None:
    shop = runs.shop
    let_no_ledger_follow(runs)
    runs.make(FIRST, SECOND)
    shop.world.pass_time(timedelta(minutes=1))
    for receipt_id in (1, 2):
        shop.deduct(receipt_id, cost=Decimal(10), before_cost=Decimal(10), total_cost=Decimal(2))
        shop.world.update_receipt(receipt_id, order_status="READY")
    with at_write(FINDING_HISTORY, SECOND, Mock(side_effect=error)):
        if isinstance(error, LakeError):
            assert runs.bad[runs.make(FIRST)].keys() == {SECOND}
        else:
            with pytest.raises(DiedError):
                runs.make(FIRST)
    tables = runs.tables()
    assert tables[VARIANCE_FINDINGS.name, SECOND].num_rows > tables[FINDING_HISTORY.name, SECOND].num_rows
    assert runs.bad[runs.make(FIRST)] == {}
    tables = runs.tables()
    found, known = (tables[table.name, SECOND].column("finding_id") for table in (VARIANCE_FINDINGS, FINDING_HISTORY))
    assert set(known.to_pylist()) == set(found.to_pylist())


@pytest.mark.parametrize("is_there", [False, True], ids=["first", "changed"])
def test_later_dates_follow_a_date_that_is_made_group_by_group(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_there: bool
) -> None:
    runs.make(*(DAYS if is_there else DAYS[1:]))
    for receipt_id in (1, 2):
        change_cost(runs, receipt_id)
    rest = [table for table in VARIANCE if table is not RECIPE_OBSERVED]  # which Dagster makes before the ledger
    for group in (RAW, COST, [RECIPE_OBSERVED], rest):
        runs.make(FIRST, planned=[table.name for table in group])
    tables = without_history(runs.tables())
    assert tables == without_history(made_anew(runs, tmp_path, monkeypatch))


@pytest.mark.parametrize("names", [["product_cogs", "ingredient_usage"], ["recipe_observed"], ["daily_cogs"]])
def test_later_dates_follow_where_a_file_was_missing_for_a_while(runs: Runs, names: list[str]) -> None:
    change_cost(runs, 3)
    runs.make(*DAYS)
    tables = runs.tables()
    for name in names:
        runs.shop.lake.path(TABLES[name], SECOND).unlink()
    runs.make(*DAYS[2:])
    assert any(rows != tables[key] for key, rows in runs.tables().items())
    runs.make(SECOND)
    assert runs.tables() == tables


def test_a_run_that_dies_as_it_takes_over_what_another_left_hides_it_from_nobody(runs: Runs) -> None:
    runs.make(*DAYS)
    change_cost(runs, 3)
    with dying_when_it_writes("line_cogs"), pytest.raises(DiedError):
        runs.make(SECOND)
    with dying_at_mark(SECOND, "run-3"), pytest.raises(DiedError):
        runs.make(SECOND)
    assert runs.behind() == {SECOND: {"run-2"}}


def test_a_run_of_some_tables_that_dies_as_it_ends_has_left_its_date_behind(runs: Runs) -> None:
    runs.make(*DAYS)
    change_cost(runs, 3)
    with dying_at_mark(SECOND, NOBODY), pytest.raises(DiedError):
        runs.make(SECOND, planned=RAW_TABLES)
    assert runs.behind() == {SECOND: {"run-2"}}


def test_a_run_of_some_tables_that_dies_before_its_last_has_left_its_date_behind(runs: Runs) -> None:
    runs.make(*DAYS)
    change_cost(runs, 3)
    with dying_when_it_writes("product_cogs"), pytest.raises(DiedError):
        runs.make(SECOND, planned=[table.name for table in (*RAW, *COST)])
    assert runs.behind() == {SECOND: {"run-2"}}


def test_later_dates_follow_also_in_the_steps_that_come_after_one_that_failed(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.make(*DAYS)
    change_cost(runs, 3)
    runs.shop.deduct(11, before_quantity=Decimal(50))  # of the last date
    runs.shop.world.update_receipt(11, order_status="READY")
    with at_write(STOCK_GAPS, DAYS[5], Mock(side_effect=LakeError("full"))):
        runs.make(SECOND, DAYS[5])
    assert runs.bad["run-2"] == {DAYS[5]: "full"}
    assert runs.behind() == {DAYS[5]: {"run-2"}}
    lake = runs.shop.lake
    made_anew(runs, tmp_path, monkeypatch)
    for day in DAYS[:5]:
        assert lake.read(USAGE_VARIANCE, day) == runs.shop.lake.read(USAGE_VARIANCE, day)


def test_later_dates_follow_a_file_that_was_missing_though_its_run_died_before_it_told(runs: Runs) -> None:
    change_cost(runs, 3)
    runs.make(*DAYS)
    tables = runs.tables()
    runs.shop.lake.path(RECIPE_OBSERVED, SECOND).unlink()
    runs.make(*DAYS[2:])
    with dying_at_mark(SECOND, "run-3"), pytest.raises(DiedError):
        runs.make(SECOND)
    runs.make(SECOND)
    assert runs.tables() == tables


def test_tables_made_from_a_ledger_that_followed_come_after_a_death_at_its_mark(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.make(*DAYS)
    runs.shop.deduct(4, after_quantity=Decimal(7))  # the last of its date
    runs.shop.world.update_receipt(4, order_status="READY")
    with dying_at_mark(DAYS[2], "run-2"), pytest.raises(DiedError):
        runs.make(SECOND)
    runs.make(SECOND)
    assert without_history(runs.tables()) == without_history(made_anew(runs, tmp_path, monkeypatch))


@pytest.mark.parametrize("table", [STOCK_GAPS, VARIANCE_FINDINGS, FINDING_HISTORY], ids=lambda table: table.name)
@pytest.mark.parametrize("error", [LakeError("no space left"), DiedError()], ids=["failed", "killed"])
def test_a_date_whose_ledger_followed_another_is_left_to_others_though_it_was_asked_for(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: Table, error: BaseException
) -> None:
    """Nothing raw has changed there, and its date is before the other's, so that no standard leads to it."""
    before_the_first = {"operated_at": "2026-01-12 01:00:00"}
    runs.shop.deduct(3, **before_the_first, after_quantity=Decimal(10))
    runs.make(*DAYS)
    runs.shop.deduct(3, **before_the_first, after_quantity=Decimal(7))
    runs.shop.world.update_receipt(3, order_status="READY")
    with at_write(table, FIRST, Mock(side_effect=error)):
        if isinstance(error, LakeError):
            assert runs.bad[runs.make(FIRST, SECOND)].keys() == {FIRST}
        else:
            with pytest.raises(DiedError):
                runs.make(FIRST, SECOND)
    assert FIRST in runs.behind()
    runs.make(*runs.behind())
    assert not runs.shop.lake.marks()
    tables = runs.tables()
    anew = made_anew(runs, tmp_path, monkeypatch)
    assert without_history(tables) == without_history(anew)
    assert unresolved(tables).keys() == unresolved(anew).keys()
    for day, rows in unresolved(anew).items():
        assert {row["finding_id"] for row in rows} == {row["finding_id"] for row in unresolved(tables)[day]}


def test_a_date_that_turns_out_bad_while_good_ones_are_carried_on_is_left_to_others(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = runs.shop
    runs.make(*DAYS)
    change_cost(runs, 3)  # of the second
    shop.world.update_receipt(1, total="many")
    with monkeypatch.context() as patch:
        shop.answer("/receipts/3/stock-operations", "{}")
        patch.setattr("clopos_assets.ingest.operations.FAILURES_BORNE", 0)
        failed = runs.make(FIRST, SECOND)
    assert runs.bad[failed].keys() == {FIRST, SECOND}
    assert not [name for name, day in runs.recorded[failed] if day == SECOND and name in ("line_cogs", "stock_ledger")]
    assert runs.behind() == {SECOND: {failed}}
    shop.answer_truly()
    shop.world.update_receipt(1, total=Decimal("12.50"))
    assert runs.bad[runs.make(FIRST, SECOND)] == {}
    assert not runs.shop.lake.marks()
    assert without_history(runs.tables()) == without_history(made_anew(runs, tmp_path, monkeypatch))


@pytest.mark.parametrize("planned", [[t.name for t in (*COST, *VARIANCE)], [*TABLES][2:], [*TABLES]])
def test_what_a_run_left_before_its_operations_is_left_to_one_that_makes_them(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planned: list[str]
) -> None:
    runs.make(*DAYS)
    change_cost(runs, 3)
    with dying_when_it_writes("stock_operations"), pytest.raises(DiedError):
        runs.make(SECOND)
    runs.make(SECOND, planned=planned)
    assert bool(runs.behind()) is ("receipts" not in planned)
    runs.make(*runs.behind())
    assert not runs.shop.lake.marks()
    assert without_history(runs.tables()) == without_history(made_anew(runs, tmp_path, monkeypatch))


@pytest.mark.parametrize("table", [RECEIPT_PRODUCTS, RECEIPTS], ids=["none of it", "lines only"])
def test_a_move_of_which_the_source_can_not_be_written_is_told(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: Table
) -> None:
    runs.make(*DAYS)
    runs.shop.world.move_receipt(1, date.fromisoformat(SECOND))
    with at_write(table, FIRST, Mock(side_effect=LakeError("no space left"))):
        run_id = runs.make(SECOND)
    assert runs.bad[run_id] == {FIRST: "no space left"}
    assert FIRST in runs.behind()
    runs.make(*runs.behind())
    assert runs.shop.ids(RECEIPTS, FIRST) == [2]
    assert without_history(runs.tables()) == without_history(made_anew(runs, tmp_path, monkeypatch))


def test_of_several_sources_each_is_told_where_one_can_not_be_written(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    third, fourth = DAYS[2:4]
    runs.make(*DAYS)
    for receipt_id in (3, 5):  # of the second and of the third
        runs.shop.world.move_receipt(receipt_id, date.fromisoformat(fourth))
    with at_write(RECEIPTS, SECOND, Mock(side_effect=LakeError("no space left"))):
        run_id = runs.make(fourth)
    assert runs.bad[run_id] == {SECOND: "no space left", third: "no space left"}
    assert runs.behind().keys() >= {SECOND, third}
    runs.make(*(runs.behind().keys() - {fourth}))
    assert runs.shop.stands(3)["receipts"] == runs.shop.stands(5)["receipts"] == [fourth]
    assert without_history(runs.tables()) == without_history(made_anew(runs, tmp_path, monkeypatch))


def test_a_ledger_that_is_made_again_for_its_index_tells_of_what_it_had_rewritten(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.make(*DAYS)
    runs.shop.deduct(4, after_quantity=Decimal(7))
    runs.shop.world.update_receipt(4, order_status="READY")
    damage = Mock(side_effect=DamagedIndexError("a bit that flipped"))
    with before("neighbours", lambda of, *_: of == DAYS[4], damage, of=Index):
        runs.make(SECOND, DAYS[4])
    assert damage.called
    assert without_history(runs.tables()) == without_history(made_anew(runs, tmp_path, monkeypatch))


@pytest.mark.parametrize("error", [DiedError(), RuntimeError("no more threads")], ids=["killed", "broken"])
def test_what_a_run_has_changed_when_it_ends_while_it_carries_on_is_left_to_others(
    runs: Runs, error: BaseException
) -> None:
    runs.make(*DAYS)
    for receipt_id in (3, 5):  # of the second and of the third
        change_cost(runs, receipt_id)
    runs.shop.answer("/receipts/3/stock-operations", "{}")
    with at_write(LINE_COGS, THIRD, Mock(side_effect=error)), pytest.raises(type(error)):
        runs.make(SECOND, THIRD)
    assert runs.behind() == {SECOND: {"run-2"}, THIRD: {"run-2"}}
    runs.shop.answer_truly()
    runs.make(SECOND, THIRD)
    assert not runs.shop.lake.marks()


def test_what_a_step_that_broke_off_has_changed_is_left_to_others_though_later_steps_come(runs: Runs) -> None:
    runs.make(*DAYS)
    change_cost(runs, 3)
    stopped: set[str] = set()
    with at_write(RECIPE_OBSERVED, SECOND, Mock(side_effect=RuntimeError("no more threads"))):
        run = Run("broken", frozenset({SECOND}), recorded=lambda _: set())
        for maker in in_order(runs.line.makers):
            if maker.needs & stopped:
                stopped |= maker.names
                continue
            try:
                runs.line.step(run, maker, tuple(TABLES))
            except RuntimeError:
                stopped |= maker.names
    assert VARIANCE_FINDINGS.name in stopped
    assert STOCK_GAPS.name not in stopped
    assert runs.behind() == {SECOND: {"broken"}}


def test_what_a_failed_step_was_made_from_is_not_made_again_for_the_good_dates(runs: Runs) -> None:
    with at_write(RECIPE_OBSERVED, SECOND, Mock(side_effect=LakeError("full"))):
        run_id = runs.make(FIRST, SECOND)
    assert runs.bad[run_id] == {SECOND: "full"}
    assert runs.shop.lake.has(FINDING_HISTORY, FIRST)
    assert runs.shop.asked()["list"] == 1
