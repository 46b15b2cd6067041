"""Play many mixtures of faults: `python -m tests.faults --seeds 200 --from-seed 0`."""

import argparse
import logging
import sys
from collections import Counter

from clopos_assets.sandbox import Fault
from tests.faults.mixtures import play


def main() -> int:
    """0 where every seed ends right and every fault was met."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="how many to play")
    parser.add_argument("--from-seed", type=int, default=0, help="the first")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    met: Counter[str] = Counter()
    exact = failed = 0
    wrong: list[int] = []
    for seed in range(given.from_seed, given.from_seed + given.seeds):
        played = play(seed)
        met += played.met
        exact, failed = exact + played.exact, failed + played.failed
        if played.wrong:
            wrong.append(seed)
            print(f"seed {seed}: {played.wrong[0]}", flush=True)
    print(f"{exact} partitions exact and {failed} dates failed in a line at once; all after the next run")
    print(", ".join(f"{name} {count}" for name, count in sorted(met.items())))
    unmet = sorted(fault.value for fault in Fault if fault.value not in met)
    if unmet:
        print(f"never met: {', '.join(unmet)}")
    if wrong:
        print(f"wrong: {wrong}")
    return 1 if wrong or unmet else 0


if __name__ == "__main__":
    sys.exit(main())
