"""How much of the quota processes use that share it, as a share of the fastest possible, and what is refused.

`python -m tests.benchmarks.quota` lets 1, 2 and 4 processes make 1,500 requests under 300 in 6 s, each counted by the
server 10 to 50 ms after it was sent; then beside a stranger who spends half. `--postgres URL` measures the store in a
database, too. The fastest possible sends a full window at each window's begin; seconds differ from machine to machine,
shares are what to compare.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from tests.clopos.askers import Task, refusals, run_all, served, stranger

REQUESTS_PER_WINDOW = 300
WINDOW_SECONDS = 6.0
JITTER_SECONDS = (0.01, 0.05)


@dataclass(frozen=True)
class Figure:
    """One run: its processes, what the stranger spent a window, requests, seconds, and requests refused."""

    store: str
    processes: int
    strangers: int
    requests: int
    fastest: float
    seconds: float
    refused: int

    @property
    def share(self) -> float:
        """Of the fastest possible."""
        return self.fastest / self.seconds if self.seconds else 0.0

    @property
    def windows(self) -> float:
        """For how many windows it ran."""
        return max(1.0, self.seconds / WINDOW_SECONDS)


def measure(store: str, where: str, processes: int, requests: int, strangers: int = 0) -> Figure:
    """So many processes make so many requests in all, beside a stranger who spends so many a window."""
    with served(REQUESTS_PER_WINDOW, WINDOW_SECONDS, JITTER_SECONDS) as sandbox:
        shares = [requests // processes + (number < requests % processes) for number in range(processes)]
        tasks = [Task(where, sandbox.settings(), share) for share in shares]
        with stranger(sandbox, strangers, WINDOW_SECONDS) if strangers else nullcontext():
            outcomes = run_all(tasks)
        assert sum(outcome.answered for outcome in outcomes) == requests
        seconds = max(outcome.ended for outcome in outcomes) - min(outcome.begun for outcome in outcomes)
        fastest = (ceil(requests / (REQUESTS_PER_WINDOW - strangers)) - 1) * WINDOW_SECONDS
        return Figure(store, processes, strangers, requests, fastest, seconds, refusals(sandbox))


def show(figures: Sequence[Figure]) -> None:
    """Print the figures as a table."""
    print(f"{REQUESTS_PER_WINDOW} requests in {WINDOW_SECONDS:g} s")
    print(
        f"{'store':<12}{'processes':>10}{'stranger':>10}{'requests':>10}{'seconds':>9}{'share':>8}{'refused':>9}",
        end="",
    )
    print(f"{'a window':>10}")
    for figure in figures:
        print(
            f"{figure.store:<12}{figure.processes:>10}{figure.strangers:>10}{figure.requests:>10}{figure.seconds:>9.2f}"
            f"{figure.share:>8.3f}{figure.refused:>9}{figure.refused / figure.windows:>10.2f}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1500, help="in all, of each run")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4], help="numbers of processes")
    parser.add_argument("--postgres", metavar="URL", help="a database to measure, too")
    options = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as scratch:
        stores: list[tuple[str, Callable[[int], str]]] = [("file", lambda run: str(Path(scratch) / str(run)))]
        if options.postgres:
            stores.append(("postgres", lambda _: options.postgres))
        for store, place in stores:
            for strangers in (0, REQUESTS_PER_WINDOW // 2):
                for processes in options.processes:
                    figures.append(measure(store, place(len(figures)), processes, options.requests, strangers))
    show(figures)


if __name__ == "__main__":
    main()
