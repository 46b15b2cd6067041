"""The measuring itself, at a size that says nothing of the quota."""

from pathlib import Path

import pytest

from tests.benchmarks.quota import measure, show


def test_a_run_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure = measure("file", str(tmp_path), 2, 21, strangers=100)
    assert (figure.processes, figure.requests, figure.refused) == (2, 21, 0)
    show([figure])
    assert capsys.readouterr().out.splitlines()[-1].split()[:4] == ["file", "2", "100", "21"]
