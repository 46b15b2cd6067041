"""SIGKILL at every write, rename and removal of a run: the next run ends right, and asks for nothing that was kept."""

from pathlib import Path

from tests.faults.sigkill import kill_first_run, kill_run_over_changes
from tests.ingest.shop import open_shop


def test_a_first_run_may_be_killed_anywhere(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        assert kill_first_run(shop, tmp_path / "lakes") > 50


def test_a_run_over_what_changed_may_be_killed(tmp_path: Path) -> None:
    with open_shop(tmp_path) as shop:
        assert kill_run_over_changes(shop, tmp_path / "lakes", step=3) > 50
