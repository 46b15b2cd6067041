"""The product's side of the comparison: its raw tables of one shift date, made as a run makes them, without Dagster."""

import os
from pathlib import Path

from clopos_assets.access import Access
from clopos_assets.line import Run, line_of
from clopos_assets.settings import Settings


def fetch(root: Path) -> None:
    """Receipts, lines and stock operations of the first shift date, into a lake at `root`."""
    os.environ["CLOPOS_LAKE"] = str(root)
    access = Access(Settings.read())
    run = Run("benchmark", frozenset({os.environ["CLOPOS_START_DATE"]}), recorded=lambda _: set())
    for maker in line_of(access).makers[:2]:
        made = maker.make(run, sorted(run.asked))
        assert not made.bad, made.bad
