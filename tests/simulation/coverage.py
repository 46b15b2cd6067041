"""How often each kind of event, and each kind after each, has occurred in a set of histories; and what has not."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

from tests.simulation.events import KINDS, PAIRS
from tests.simulation.faults import FAULTS
from tests.simulation.stage import Outcome

CONSEQUENCES = (
    "runs succeeded",
    "runs failed",
    "runs killed",
    "ticks that could not read",
    *(f"fault: {name}" for name in FAULTS),
    "fault: meanwhile",
)
"""What has to come of events at times, besides their happening."""


@dataclass
class Coverage:
    """Counts over histories."""

    histories: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Count what happened in a history."""
        self.histories += 1
        self.kinds.update(outcome.happened)
        self.pairs.update(pairwise(outcome.happened))
        self.counts.update(outcome.counts)

    def missing(self) -> list[str]:
        """What has not occurred at all."""
        return [
            *(kind for kind in KINDS if not self.kinds[kind]),
            *(f"{first}, then {then}" for first, then in PAIRS if not self.pairs[first, then]),
            *(name for name in CONSEQUENCES if not self.counts[name]),
        ]

    def describe(self) -> str:
        """All counts; the pairs as a table of the first of two by the second."""
        width = max(map(len, KINDS))
        lines = [f"{self.histories} histories, {self.kinds.total()} events", ""]
        lines.append(
            f"{'':{width + 3}} {'events':>6} followed by" + "".join(f"{n:5}" for n in range(1, len(KINDS) + 1))
        )
        for number, kind in enumerate(KINDS, start=1):
            followed = "".join(f"{self.pairs[kind, then]:5}" for then in KINDS)
            lines.append(f"{number:2} {kind:{width}} {self.kinds[kind]:6}            {followed}")
        lines += ["", *(f"{name}: {count}" for name, count in sorted(self.counts.items()))]
        least = self.counts["least requests of sensor runs"]
        if least:
            ratio = self.counts["requests of sensor runs"] / least
            lines.append(f"requests of sensor runs beyond list pages, of the least possible: {ratio:.2f}")
        missing = self.missing()
        return "\n".join([*lines, "", f"missing: {'; '.join(missing)}" if missing else "nothing is missing"])
