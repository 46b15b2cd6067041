"""The lake follows whatever happens: the set of histories that is played on every change of the code."""

from tests.simulation.coverage import Coverage
from tests.simulation.playing import CI_SEEDS, Theatre, play_all


def test_every_history_ends_well() -> None:
    coverage = Coverage()
    failed = []
    for seed, outcome in play_all(CI_SEEDS, processes=2):  # this worker waits, and others wait for servers now and then
        coverage.add(outcome)
        if outcome.wrong:
            failed.append(seed)
    print(coverage.describe())
    if failed:
        with Theatre() as theatre:
            raise AssertionError(f"{len(failed)} histories fail ({failed}); {theatre.explain(failed[0])}")
    assert coverage.missing() == [], "other weights in events.py, or more pairs a history, bring them back"
