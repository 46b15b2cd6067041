"""The measuring itself, one round over few receipts; that the bare job has the same shape is asserted as it runs."""

from pathlib import Path

from tests.benchmarks.runs import ONE_ASSET, PRODUCT, SAME_SHAPE, figures, measure


def test_runs_are_measured(tmp_path: Path) -> None:
    seconds = measure(tmp_path, receipts=5, rounds=1)
    assert seconds.keys() == {PRODUCT, SAME_SHAPE, ONE_ASSET}
    assert all(taken > 0 for taken in seconds.values())
    assert [figure.goal for figure in figures(seconds)] == [1.5, None]
