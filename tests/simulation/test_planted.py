"""Each planted bug is caught by a history that passes without it."""

import pytest

from tests.simulation.planted import BUGS
from tests.simulation.playing import CI_SEEDS, Theatre

CAUGHT_BY = {
    "a cursor that skips equal stamps": 25,
    "a sensor that starts at the present": 0,
    "dropping what a page skipped": 1,
    "a run key without content": 2,
    "a cursor moved before the run succeeded": 101,
    "operations kept though the receipt changed": 0,
    "a move that writes the source first": 23,
    "a ledger that looks inside one partition only": 3,
    "nothing waits for a shift date": 1,
    "a dead run leaves no word": 23,
    "standards of later days stay": 83,
}
"""Bug → a seed of the set that catches it. Others: `python -m tests.simulation --find-bugs --bug "…"`."""


def test_every_bug_has_a_seed_of_the_set() -> None:
    assert CAUGHT_BY.keys() == BUGS.keys()
    assert set(CAUGHT_BY.values()) <= set(CI_SEEDS)


@pytest.mark.parametrize("bug", CAUGHT_BY)
def test_a_planted_bug_is_caught(bug: str) -> None:
    with Theatre(bug) as theatre:
        outcome = theatre.play(CAUGHT_BY[bug])
    assert not outcome.broke, outcome.wrong
    assert outcome.wrong, f"seed {CAUGHT_BY[bug]} no longer catches {bug}: find another by --find-bugs --bug {bug!r}"
