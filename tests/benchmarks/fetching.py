"""Processor time for fetching a shift date, beside dlt and a minimal client: `python -m tests.benchmarks.fetching`.

2,000 receipts with their lines and stock operations come from one sandbox in a process of its own. Each client is a
fresh process: user and system time of the whole of it, and of the fetching alone, its imports left out. Files go to
memory where the machine has a folder for that, so that the load of its disk does not count, and pandas, which only the
tests install, is kept from pyarrow, which would load it. The least of some rounds counts, in which the clients take
turns.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.figure import Figure, show
from tests.benchmarks.served import served_apart

RAW_LINE, MINIMAL, MINIMAL_AIOHTTP, DLT = "raw_line", "minimal", "minimal_aiohttp", "dlt_rest_api"
MEMORY = "/dev/shm"
INSTALL_DLT = "dlt is not installed, so not measured: pip install '.[benchmarks]'"
_CLIENT = """
import importlib, pathlib, sys, time

class WithoutPandas:
    def find_spec(self, name, path, target=None):
        if name == "pandas":
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, WithoutPandas())
client = importlib.import_module("tests.benchmarks." + sys.argv[1])
begun = time.process_time()
client.fetch(pathlib.Path(sys.argv[2]))
print("processor seconds", time.process_time() - begun)
"""


@dataclass(frozen=True)
class Cost:
    """Processor seconds of a client: of the whole process, and of the fetching after its imports."""

    whole: float
    fetching: float


def has_dlt() -> bool:
    """Whether dlt can be compared with."""
    return importlib.util.find_spec("dlt") is not None


def run_client(name: str, settings: dict[str, str], root: Path) -> Cost:
    """One client in a process of its own, which leaves its files in `root`."""
    root.mkdir(parents=True)
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    quiet = {
        "RUNTIME__LOG_LEVEL": "ERROR",
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "DLT_PROJECT_DIR": str(root),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    with (root / "told").open("w+") as told:
        process = subprocess.Popen(
            [sys.executable, "-c", _CLIENT, name, str(root)], env={**kept, **quiet, **settings}, stdout=told
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{name} ended with {process.returncode}")
        told.seek(0)
        (fetching,) = (line.split()[-1] for line in told if line.startswith("processor seconds"))
    return Cost(usage.ru_utime + usage.ru_stime, float(fetching))


def measure(root: Path, receipts: int, rounds: int, clients: Sequence[str]) -> dict[str, Cost]:
    """The least cost of each client; the files of the last round stay in `root`/client."""
    costs: dict[str, list[Cost]] = {name: [] for name in clients}
    with served_apart(receipts) as settings:
        for turn in range(rounds):
            for name in clients:
                place = root / (name if turn == rounds - 1 else f"{name}.{turn}")
                costs[name].append(run_client(name, settings, place))
    return {
        name: Cost(min(cost.whole for cost in taken), min(cost.fetching for cost in taken))
        for name, taken in costs.items()
    }


def figures(costs: dict[str, Cost]) -> Iterable[Figure]:
    """Ratios of the product's cost to its peers'."""
    ours = costs[RAW_LINE]
    for name, said, goal in (
        (DLT, "dlt's rest_api", 0.2),
        (MINIMAL, "asyncio + msgspec + pyarrow", 2.0),
        (MINIMAL_AIOHTTP, "aiohttp + msgspec + pyarrow", None),
    ):
        if name in costs:
            peer = costs[name]
            yield Figure(
                f"processor time over {said}, whole processes",
                ours.whole / peer.whole,
                goal,
                f"{ours.whole:.2f} s / {peer.whole:.2f} s",
            )
            yield Figure(
                "  the same without imports",
                ours.fetching / peer.fetching,
                None,
                f"{ours.fetching:.2f} s / {peer.fetching:.2f} s",
            )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--receipts", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each client, of which the least counts")
    options = parser.parse_args()
    clients = [RAW_LINE, MINIMAL, MINIMAL_AIOHTTP, *([DLT] if has_dlt() else [])]
    with tempfile.TemporaryDirectory(dir=MEMORY if os.path.isdir(MEMORY) else None) as root:
        costs = measure(Path(root), options.receipts, options.rounds, clients)
    show(f"Fetching {options.receipts:,} receipts with their stock operations", figures(costs))
    if not has_dlt():
        print(INSTALL_DLT)


if __name__ == "__main__":
    main()
