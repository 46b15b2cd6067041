"""Shift dates put together: to ranges, each of which one listing or one run is for, and to words."""

from collections.abc import Iterable, Sequence
from datetime import date

_MOST_NAMED = 3


def stretches_of(shift_dates: Iterable[str]) -> list[list[str]]:
    """Shift dates as runs of consecutive days, ascending, each date once."""
    stretches: list[list[str]] = []
    for shift_date in sorted(set(shift_dates)):
        if stretches and _number(shift_date) == _number(stretches[-1][-1]) + 1:
            stretches[-1].append(shift_date)
        else:
            stretches.append([shift_date])
    return stretches


def _number(shift_date: str) -> int:
    # Not a day more or less: the API may name the first or the last day that there is.
    return date.fromisoformat(shift_date).toordinal()


def in_words(shift_dates: Sequence[str]) -> str:
    """Some shift dates, ascending, by name; of many the first, the last and how many they are."""
    if len(shift_dates) <= _MOST_NAMED:
        return ", ".join(shift_dates)
    first, last = shift_dates[0], shift_dates[-1]
    between = f"from {first} to {last}" if len(stretches_of(shift_dates)) == 1 else f"between {first} and {last}"
    return f"{len(shift_dates)} dates {between}"


def all_in_words(shift_dates: Iterable[str]) -> str:
    """Every one of some shift dates, ascending: by name, or where many follow each other as a range."""
    return ", ".join(
        f"{stretch[0]} to {stretch[-1]}" if len(stretch) > _MOST_NAMED else ", ".join(stretch)
        for stretch in stretches_of(shift_dates)
    )
