"""The measuring itself, at a size that says nothing of speed."""

from pathlib import Path

import pytest

from tests.benchmarks.tables import MEASURED, make_lake, measure, show


def test_every_table_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [table.name for table in MEASURED]
    make_lake(tmp_path, 2000)
    figures = measure(tmp_path, 1, names)
    assert [figure.table for figure in figures] == names
    assert all(figure.rows for figure in figures if figure.table in {"line_cogs", "recipe_observed", "usage_variance"})
    show(2000, figures)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[3:]] == names
