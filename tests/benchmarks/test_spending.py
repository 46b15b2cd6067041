"""Requests over the least possible, on a few dates: as they are counted, the goal holds at any size."""

from pathlib import Path

from tests.benchmarks.spending import figures, measure


def test_hardly_more_is_asked_than_must_be(tmp_path: Path) -> None:
    spending = measure(tmp_path, days=4, receipts_per_day=60)
    assert all(sent >= least > 0 for sent, least in zip(spending.sent, spending.least, strict=True))
    assert next(iter(figures(spending))).is_met
    # The second run knows all of it: the list, and which venues there are.
    assert spending.sent[1] == spending.least[1] + 1
