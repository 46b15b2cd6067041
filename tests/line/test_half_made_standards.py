"""A date that has only some of the tables on which standards rest sets none: they would not go together."""

from pathlib import Path

import pytest

from clopos_assets.tables import TABLES, USAGE_VARIANCE
from tests.line.conftest import Runs, runs_on
from tests.line.test_following import DAYS, change_cost

FIRST, SECOND, THIRD = DAYS[:3]


@pytest.mark.parametrize("name", USAGE_VARIANCE.trailing)
def test_a_half_made_date_is_no_part_of_a_standard(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    change_cost(runs, 3)  # of the second
    runs.make(FIRST, SECOND, THIRD)
    runs.shop.lake.path(TABLES[name], SECOND).unlink()
    assert runs.bad[runs.make(THIRD)] == {}
    rows = runs.shop.lake.read(USAGE_VARIANCE, THIRD)
    without = runs_on(runs.shop, tmp_path, monkeypatch, "without")
    without.make(FIRST)
    without.make(THIRD)
    assert rows is not None
    assert rows.num_rows
    assert rows == without.shop.lake.read(USAGE_VARIANCE, THIRD)
