"""A run whose dates are followed by one that another run is making at the time."""

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from clopos_assets.lake import Lake
from clopos_assets.line import derived, following
from clopos_assets.tables import (
    FINDING_HISTORY,
    RECIPE_OBSERVED,
    USAGE_VARIANCE,
    VARIANCE_FINDINGS,
)
from tests.line.conftest import Runs
from tests.line.test_following import (
    made_anew,
    without_history,
)
from tests.line.test_left_over import FIRST, SECOND, at_write, let_no_ledger_follow


def test_a_date_that_another_run_makes_first_meanwhile_knows_of_the_dates_before(
    runs: Runs,
) -> None:
    with at_write(RECIPE_OBSERVED, FIRST, lambda: runs.make(SECOND)):
        assert runs.bad[runs.make(FIRST)] == {}
    rows = runs.shop.lake.read(RECIPE_OBSERVED, SECOND)
    assert rows is not None
    assert rows.column("previous_quantity_per_unit").to_pylist() == rows.column("quantity_per_unit").to_pylist()
    assert rows.num_rows > 0


def test_a_date_that_another_run_is_making_first_is_waited_for(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have read the standards of before already."""
    earlier = threading.Thread(target=runs.make, args=[FIRST])
    waits = threading.Event()
    locked = Lake.locked

    def tell(lake: Lake, names: Sequence[str], *, seconds: float) -> AbstractContextManager[None]:
        if threading.current_thread() is earlier and list(names) == [SECOND]:
            waits.set()
        return locked(lake, names, seconds=seconds)

    def meet() -> None:
        earlier.start()
        while earlier.is_alive() and not waits.wait(0.05):
            pass

    monkeypatch.setattr(Lake, "locked", tell)
    with at_write(RECIPE_OBSERVED, SECOND, meet):
        runs.make(SECOND)
    earlier.join(60)
    assert not any(runs.bad.values())
    assert waits.is_set()
    assert without_history(runs.tables()) == without_history(made_anew(runs, tmp_path, monkeypatch, FIRST, SECOND))


def test_a_date_that_another_run_holds_for_too_long_is_told(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    let_no_ledger_follow(runs)
    runs.make(SECOND)
    for table in (RECIPE_OBSERVED, USAGE_VARIANCE, VARIANCE_FINDINGS, FINDING_HISTORY):
        runs.shop.lake.path(table, SECOND).unlink()
    for module in (derived, following):
        monkeypatch.setattr(module, "LOCK_SECONDS", 0.1)
    with Lake(runs.shop.lake.root).locked([SECOND], seconds=0):
        run_id = runs.make(FIRST)
    assert runs.bad[run_id].keys() == {SECOND}
    assert "being made by another run" in runs.bad[run_id][SECOND]
    assert FIRST in runs.behind()
