"""What a run leaves over that others change beside it, or that fails or dies at the worst moment: somebody makes it
good.
"""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from starlette.requests import Request
from starlette.responses import Response

from clopos_assets.lake import Lake, LakeError
from clopos_assets.tables import (
    COST,
    FINDING_HISTORY,
    RAW,
    RECEIPTS,
    RECIPE_OBSERVED,
    STOCK_OPERATIONS,
    TABLES,
    VARIANCE,
    VARIANCE_FINDINGS,
    Table,
)
from tests.ingest.shop import days_from
from tests.line.conftest import DiedError, Runs, runs_on

DAYS = days_from("2026-01-12", 6)
FIRST, SECOND = DAYS[:2]


def at_write(monkeypatch: pytest.MonkeyPatch, table: Table, shift_date: str, act: Callable[[], object]) -> None:
    """Do something once, before a partition is written."""
    replace = Lake.replace
    left = [act]

    def acting(lake: Lake, of: Table, day: str, rows: pa.Table, notes: Any) -> None:
        if left and (of, day) == (table, shift_date):
            left.pop()()
        replace(lake, of, day, rows, notes)

    monkeypatch.setattr(Lake, "replace", acting)


def raising(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


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
    runs: Runs, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    shop = runs.shop
    bar = {"id": 6601, "storage": {"id": 4, "name": "Bar"}}
    for receipt_id in (3, 4):  # of another stock, so that the ledger of their date does not follow
        shop.deduct(receipt_id, stock_id=6601, stock=bar, storage_id=4)
    runs.make(FIRST, SECOND)
    shop.world.pass_time(timedelta(minutes=1))
    for receipt_id in (1, 2):
        shop.deduct(receipt_id, cost=Decimal(10), before_cost=Decimal(10), total_cost=Decimal(2))
        shop.world.update_receipt(receipt_id, order_status="READY")
    with monkeypatch.context() as once:
        at_write(once, FINDING_HISTORY, SECOND, raising(error))
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


def test_a_date_that_another_run_makes_first_meanwhile_knows_of_the_dates_before(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_write(monkeypatch, RECIPE_OBSERVED, FIRST, lambda: runs.make(SECOND))
    assert runs.bad[runs.make(FIRST)] == {}
    rows = runs.shop.lake.read(RECIPE_OBSERVED, SECOND)
    assert rows is not None
    assert rows.column("previous_quantity_per_unit").to_pylist() == rows.column("quantity_per_unit").to_pylist()
    assert rows.num_rows > 0


def assert_as_made_at_once(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each table is what one run over all dates gives that begins with nothing."""
    tables = runs.tables()
    fresh = runs_on(runs.shop, tmp_path, monkeypatch, "fresh")
    fresh.make(*DAYS)
    expected = fresh.tables()
    assert tables.keys() == expected.keys()
    assert [key for key in tables if key[0] != FINDING_HISTORY.name and tables[key] != expected[key]] == []


@pytest.mark.parametrize("is_there", [False, True], ids=["first", "changed"])
def test_later_dates_follow_a_date_that_is_made_group_by_group(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_there: bool
) -> None:
    runs.make(*(DAYS if is_there else DAYS[1:]))
    for receipt_id in (1, 2):
        runs.shop.deduct(receipt_id, quantity=Decimal("0.4"), cost=Decimal("4.1"), total_cost=Decimal("1.64"))
        runs.shop.world.update_receipt(receipt_id, order_status="READY")
    rest = [table for table in VARIANCE if table is not RECIPE_OBSERVED]  # which Dagster makes before the ledger
    for group in (RAW, COST, [RECIPE_OBSERVED], rest):
        runs.make(FIRST, planned=[table.name for table in group])
    assert_as_made_at_once(runs, tmp_path, monkeypatch)


@pytest.mark.parametrize("names", [["product_cogs", "ingredient_usage"], ["recipe_observed"], ["daily_cogs"]])
def test_later_dates_follow_where_a_file_was_missing_for_a_while(runs: Runs, names: list[str]) -> None:
    runs.shop.deduct(3, quantity=Decimal("0.4"), cost=Decimal("4.1"), total_cost=Decimal("1.64"))
    runs.make(*DAYS)
    before = runs.tables()
    for name in names:
        runs.shop.lake.path(TABLES[name], SECOND).unlink()
    runs.make(*DAYS[2:])
    assert any(rows != before[key] for key, rows in runs.tables().items())
    runs.make(SECOND)
    assert runs.tables() == before
