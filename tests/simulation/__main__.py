"""Play many histories: `python -m tests.simulation --histories 10000 --from-seed 0`."""

import argparse
import sys
import time

from tests.simulation.coverage import Coverage
from tests.simulation.planted import BUGS
from tests.simulation.playing import CI_SEEDS, Theatre, play_all

_SHOWN = 12


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--histories", type=int, default=len(CI_SEEDS), help="how many to play")
    parser.add_argument("--from-seed", type=int, default=0, help="the seed of the first")
    parser.add_argument(
        "--processes", type=int, default=None, help="how many at once; as there are processors if not said"
    )
    parser.add_argument("--bug", choices=sorted(BUGS), default="", help="plant this bug")
    parser.add_argument("--find-bugs", action="store_true", help="name, for every bug, the seeds that catch it")
    parser.add_argument("--enough", type=int, default=3, help="so many seeds that catch a bug are enough")
    given = parser.parse_args()
    seeds = range(given.from_seed, given.from_seed + given.histories)
    if given.find_bugs:
        return find_bugs(seeds, given.processes, [given.bug] if given.bug else list(BUGS), given.enough)
    return play(seeds, given.processes, given.bug)


def play(seeds: range, processes: int | None, bug: str) -> int:
    """Play the seeds; 1 where one fails, or where something has not occurred."""
    coverage = Coverage()
    failed = []
    began = time.monotonic()
    for seed, outcome in play_all(seeds, bug, processes):
        coverage.add(outcome)
        if outcome.wrong:
            failed.append(seed)
            print(f"seed {seed} fails: {outcome.wrong[0]}", flush=True)
    print(coverage.describe())
    print(f"{(time.monotonic() - began) / max(1, len(seeds)):.2f} s a history")
    if failed:
        with Theatre(bug) as theatre:
            print(f"{len(failed)} fail: {failed[:_SHOWN]}; the first:\n{theatre.explain(failed[0])}")
    return 1 if failed or coverage.missing() else 0


def find_bugs(seeds: range, processes: int | None, bugs: list[str], enough: int) -> int:
    """Say which seeds catch which bug, up to so many; 1 where one is caught by none."""
    uncaught = 0
    for bug in bugs:
        caught: list[int] = []
        played = 0
        for seed, outcome in play_all(seeds, bug, processes):
            played += 1
            if outcome.broke:  # by how the bug was planted, as likely as by the bug
                print(f"  seed {seed} breaks: {outcome.wrong[0].splitlines()[-1][:160]}", flush=True)
            elif outcome.wrong:
                caught.append(seed)
                print(f"  seed {seed}: {outcome.wrong[0][:160]}", flush=True)
            if len(caught) >= enough:
                break
        uncaught += not caught
        print(f"{bug}: caught by {len(caught)} of {played}: {caught[:_SHOWN]}", flush=True)
    return 1 if uncaught else 0


if __name__ == "__main__":
    sys.exit(main())
