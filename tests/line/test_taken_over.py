"""A date that a dead run left, taken over by one that can't make it, though a receipt leaves it."""

from datetime import date

import pytest

from clopos_assets.tables import DAILY_COGS, LINE_COGS, RECEIPTS, USAGE_VARIANCE
from tests.line.conftest import DiedError, Runs
from tests.line.test_following import DAYS, change_cost, dying_when_it_writes

SECOND, THIRD = DAYS[1:3]


def fail_though_one_leaves(runs: Runs, receipt_id: int, gone: int) -> None:
    """A run over two dates: a receipt moves from the first to the second, and another of the first can't be read."""
    shop = runs.shop
    shop.world.move_receipt(receipt_id, date.fromisoformat(THIRD))
    shop.world.delete_receipt(gone)
    shop.answer(f"/receipts/{gone}", "{}")
    failed = runs.make(SECOND, THIRD)
    shop.answer_truly()
    assert runs.bad[failed].keys() == {SECOND}
    assert shop.stands(receipt_id)[RECEIPTS.name] == [THIRD]


def test_a_first_fill_that_died_is_not_forgotten_by_a_run_that_fails_there(runs: Runs) -> None:
    with dying_when_it_writes("line_cogs"), pytest.raises(DiedError):
        runs.make(SECOND)
    assert runs.behind() == {SECOND: {"run-1"}}
    fail_though_one_leaves(runs, 3, gone=4)
    assert not runs.shop.lake.has(DAILY_COGS, SECOND)
    assert SECOND in runs.behind()


def test_tables_that_a_dead_run_left_are_not_forgotten_by_a_run_that_fails_there(runs: Runs) -> None:
    runs.shop.sell(20, SECOND, status=1, closed_at=None)
    runs.shop.sell(21, SECOND, status=1, closed_at=None)
    runs.make(*DAYS)
    change_cost(runs, 3)
    with dying_when_it_writes("usage_variance"), pytest.raises(DiedError):
        runs.make(SECOND)
    assert runs.behind() == {SECOND: {"run-2"}}
    fail_though_one_leaves(runs, 20, gone=21)
    behind, stands = runs.behind(), runs.shop.lake.read(USAGE_VARIANCE, SECOND)
    runs.make(SECOND)
    assert stands != runs.shop.lake.read(USAGE_VARIANCE, SECOND)  # so it was left behind its inputs
    assert SECOND in behind


def test_the_cost_of_a_date_that_fails_is_without_a_receipt_that_leaves_it(runs: Runs) -> None:
    runs.make(*DAYS)
    fail_though_one_leaves(runs, 3, gone=4)
    assert runs.shop.ids(LINE_COGS, SECOND, "receipt_id") == [4]
    assert runs.shop.ids(LINE_COGS, THIRD, "receipt_id") == [3, 5, 6]
