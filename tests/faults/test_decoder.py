"""Rows that round-trip, or an error of ours: 2,000 answers broken at random, and nasty values in all places."""

from pathlib import Path

from tests.faults.cases import every_nasty_place
from tests.faults.decoder import Kitchen, run

CASES = 2_000


def test_broken_answers_are_rows_or_our_errors(tmp_path: Path) -> None:
    kitchen = Kitchen(tmp_path)
    run(CASES, kitchen.judge)
    assert {"rows", "no rows", "no good answer", "made", "refused"} <= kitchen.outcomes.keys()


def test_nothing_nasty_gets_anywhere(tmp_path: Path) -> None:
    kitchen = Kitchen(tmp_path)
    # Of each place and each value some; `python -m tests.faults.decoder` tries every value in every place.
    for case in every_nasty_place()[::7]:
        kitchen.judge(case)
    assert kitchen.outcomes["no rows"] > 0 < kitchen.outcomes["rows"]
