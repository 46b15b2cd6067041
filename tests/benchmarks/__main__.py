"""The figures that have goals, one module after the other: `python -m tests.benchmarks`.

`late`, `quota`, `tables` and `ledger` have commands of their own, and tell what they measure.
"""

import subprocess
import sys

MODULES = ("fetching", "spending", "files", "runs")


def main() -> None:
    """Each in a process of its own, so that none warms up for another."""
    ended = [subprocess.run([sys.executable, "-m", f"tests.benchmarks.{name}"], check=False) for name in MODULES]
    sys.exit(any(one.returncode for one in ended))


if __name__ == "__main__":
    main()
