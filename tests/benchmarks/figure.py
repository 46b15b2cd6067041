"""One figure beside its goal, and how figures are printed."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """What was measured: `value`, good up to `goal`, inclusive; without a goal it is told for comparison."""

    name: str
    value: float
    goal: float | None = None
    note: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the goal is reached; true where there is none."""
        return self.goal is None or self.value <= self.goal


def show(title: str, figures: Iterable[Figure]) -> None:
    """Print the figures as a table, with what they say of their goals."""
    print(f"\n{title}")
    print(f"{'figure':<64}{'measured':>10}{'goal':>8}  ")
    for figure in figures:
        goal = "" if figure.goal is None else f"≤ {figure.goal:g}"
        verdict = "" if figure.goal is None else "met" if figure.is_met else "MISSED"
        print(f"{figure.name:<64}{figure.value:>10,.3f}{goal:>8}  {verdict:<8}{figure.note}".rstrip(), flush=True)
