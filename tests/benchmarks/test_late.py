"""The measuring itself, on a short stretch of history."""

from io import StringIO
from pathlib import Path

from rich.console import Console

from tests.benchmarks.late import measure, show


def test_late_changes_are_measured(tmp_path: Path) -> None:
    figures = measure(tmp_path, days=3, hours=4, receipts_per_day=60, seed=1)
    assert figures.changes >= len(figures.intervals) > 0
    assert figures.asked <= 1.1 * figures.least
    printed = StringIO()
    show(figures, Console(file=printed, width=100))
    assert "requests beyond list pages" in printed.getvalue()
