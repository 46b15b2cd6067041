"""A run that is ended, or can't go on, while it carries the good dates of a failed step on."""

from unittest.mock import Mock

import pytest

from clopos_assets.tables import LINE_COGS
from tests.line.conftest import DiedError, Runs
from tests.line.test_following import DAYS, change_cost
from tests.line.test_left_over import at_write

SECOND, THIRD = DAYS[1:3]


@pytest.mark.parametrize("error", [DiedError(), RuntimeError("no more threads")], ids=["killed", "broken"])
def test_what_it_has_changed_by_then_is_left_to_others(runs: Runs, error: BaseException) -> None:
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
