"""Making a failing history short: leaving events out as long as it fails, within a bound on tries."""

from collections.abc import Callable, Sequence

from tests.simulation.events import Event

MOST_TRIES = 120


def shrink(
    events: Sequence[Event], fails: Callable[[Sequence[Event]], bool], most_tries: int = MOST_TRIES
) -> list[Event]:
    """The events without those that are not needed for the failure, in their order.

    Parts of half the length are left out first, then ever smaller ones. The shortest found within `most_tries`.
    """
    kept = list(events)
    size = max(1, len(kept) // 2)
    tries = 0
    while tries < most_tries:
        is_shorter = False
        start = 0
        while start < len(kept) and tries < most_tries:
            without = kept[:start] + kept[start + size :]
            tries += 1
            if without and fails(without):
                kept, is_shorter = without, True
            else:
                start += size
        if size == 1 and not is_shorter:
            return kept
        if not is_shorter:
            size = max(1, size // 2)
    return kept
