"""The measuring itself, on two small dates."""

from pathlib import Path

import pytest

from tests.benchmarks.figure import show
from tests.benchmarks.files import figures, measure, play


def test_both_writers_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compared = measure(tmp_path, play(days=2, receipts_per_day=15), rounds=1)
    assert [one.table for one in compared] == ["receipts", "receipt_products", "stock_operations"]
    assert all(0 < one.bytes[0] < one.bytes[1] for one in compared)
    assert all(ours > 0 and theirs > 0 for one in compared for ours, theirs in (one.scan, one.reading, one.writing))
    show("Files", figures(compared))
    assert "DuckDB's summing of the columns" in capsys.readouterr().out
