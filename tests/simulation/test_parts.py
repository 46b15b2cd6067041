"""What the simulation is made of: the author of histories, the shrinking, the counting."""

from collections.abc import Sequence
from itertools import pairwise

import pytest

from tests.simulation.coverage import CONSEQUENCES, Coverage
from tests.simulation.crash import Killed, Reaper
from tests.simulation.events import KINDS, PAIRS, Event, history_of
from tests.simulation.shrinking import shrink
from tests.simulation.stage import Outcome


def test_a_seed_gives_one_history() -> None:
    assert history_of(7) == history_of(7)
    assert history_of(7) != history_of(8)


def test_an_event_says_how_it_is_made() -> None:
    for event in history_of(3):
        assert eval(str(event)) == event


def test_kinds_are_those_that_are_played() -> None:
    written = {event.kind for seed in range(40) for event in history_of(seed)}
    assert written == set(KINDS)


def test_shrinking_leaves_what_is_needed() -> None:
    events = [Event("sale", number=number) for number in range(40)]

    def fails(fewer: Sequence[Event]) -> bool:
        return {7, 8, 31} <= {event.number for event in fewer}

    assert [event.number for event in shrink(events, fails)] == [7, 8, 31]


def test_shrinking_ends() -> None:
    tries = 0

    def fails(fewer: Sequence[Event]) -> bool:
        nonlocal tries
        tries += 1
        return len(fewer) > 30

    shrink([Event("sale", number=number) for number in range(40)], fails, most_tries=9)
    assert tries == 9


def test_what_is_missing_is_named() -> None:
    coverage = Coverage()
    for pair in PAIRS:
        coverage.add(Outcome(list(pair)))
    coverage.counts.update(CONSEQUENCES)
    assert coverage.missing() == []
    coverage.pairs["night", "sweep"] = 0
    coverage.kinds["kill"] = 0
    coverage.counts["runs killed"] = 0
    assert coverage.missing() == ["kill", "night, then sweep", "runs killed"]
    assert coverage.describe().endswith("missing: kill; night, then sweep; runs killed")


def test_the_pairs_of_two_hundred_seeds_are_all_pairs() -> None:
    written = {pair for seed in range(200) for pair in pairwise(event.kind for event in history_of(seed))}
    assert set(PAIRS) <= written


@pytest.mark.parametrize("before", [True, False])
def test_a_process_dies_at_the_change_that_was_said(before: bool) -> None:
    reaper = Reaper()
    done: list[int] = []
    reaper.arm(2, before=before)
    reaper.change(lambda: done.append(1))
    with pytest.raises(Killed):
        reaper.change(lambda: done.append(2))
    assert done == ([1] if before else [1, 2])
    with pytest.raises(Killed):
        reaper.change(lambda: done.append(3))
    reaper.disarm()
    reaper.change(lambda: done.append(4))
    assert done[-1] == 4
