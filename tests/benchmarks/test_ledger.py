"""The measuring itself, at sizes that say nothing of speed."""

from pathlib import Path

import pytest

from tests.benchmarks import ledger


def test_the_ledger_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.file_days(tmp_path / "one", 400, 400)
    ledger.measure_sql(tmp_path / "one", 400, 1)
    ledger.file_days(tmp_path / "range", 400, 100)
    ledger.measure_range(tmp_path / "range", 400, 1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("400 operations as one shift date: ")
    assert lines[2].startswith("400 operations of 4 shift dates, made: ")


def test_new_days_are_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "YEAR", 2)
    ledger.measure_increments(tmp_path, 40, 2)
    assert "(medians of 2 days)" in capsys.readouterr().out
