"""What the sensor makes of marks whose runs were cancelled, or are not among Dagster's records any more."""

import dagster as dg

from clopos_assets.automation import JOB
from clopos_assets.tables import FINDING_HISTORY, RECIPE_OBSERVED
from tests.late.conftest import Watched


def cancel(watched: Watched, shift_date: str) -> None:
    """A first fill of the date, of which no history is there yet, was cancelled."""
    watched.instance.add_run(dg.DagsterRun(JOB, run_id="stopped", status=dg.DagsterRunStatus.CANCELED))
    watched.shop.lake.mark(shift_date, "stopped")
    watched.shop.lake.path(FINDING_HISTORY, shift_date).unlink()


def test_a_cancelled_first_fill_on_which_no_standard_rests_is_not_begun_again(watched: Watched) -> None:
    assert watched.run("2026-01-19", "2026-01-20").success
    cancel(watched, "2026-01-19")
    watched.shop.lake.path(RECIPE_OBSERVED, "2026-01-19").unlink()
    watched.tick()
    assert watched.asked_for == []


def test_standards_rest_on_a_cancelled_first_fill_for_as_long_as_the_window_is(watched: Watched) -> None:
    watched.shop.sell(9, "2026-01-23")
    assert watched.run("2026-01-19").success
    assert watched.run("2026-01-23").success
    cancel(watched, "2026-01-19")
    watched.tick()
    assert watched.asked_for == ["2026-01-19"]


def test_a_run_that_lives_is_left_alone_though_its_record_was_deleted(watched: Watched) -> None:
    watched.shop.lake.mark("2026-01-20", "deleted")
    with watched.shop.lake.locked(["run deleted"], seconds=0):
        watched.tick()
    assert watched.asked_for == []
    watched.tick()
    assert watched.asked_for == ["2026-01-20"]
