"""Figures of variance_findings: the longest wait for a deduction, not the shortest."""

from datetime import datetime

from clopos_assets.ingest.made import Made
from clopos_assets.lake import Lake
from tests.line.test_figures import DAY, NOON, figures, lake
from tests.sql.day import operation, receipt

__all__ = ["lake"]


def test_how_long_after_closing_the_last_deduction_came(lake: Lake) -> None:
    found = figures(
        lake,
        [receipt(1, closed_at=NOON), receipt(2, closed_at=NOON)],
        [
            operation(1, 1, None, operated_at=datetime(2026, 1, 19, 12, 0, 7)),
            operation(2, 2, None, operated_at=datetime(2026, 1, 19, 13)),
        ],
    )
    assert found["posting_lag_seconds"] == 3600


def test_the_first_reason_for_which_a_date_failed_stands() -> None:
    made, later = Made(), Made()
    made.fail(DAY, "no answer")
    later.fail(DAY, "not materialized")
    made.update(later)
    assert made.bad == {DAY: "no answer"}
