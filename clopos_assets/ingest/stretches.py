"""Shift dates put together to ranges, each of which one listing or one run is for."""

from collections.abc import Iterable
from datetime import date, timedelta


def stretches_of(shift_dates: Iterable[str]) -> list[list[str]]:
    """Shift dates as runs of consecutive days, ascending, each date once."""
    stretches: list[list[str]] = []
    for shift_date in sorted(set(shift_dates)):
        day_before = (date.fromisoformat(shift_date) - timedelta(days=1)).isoformat()
        if stretches and stretches[-1][-1] == day_before:
            stretches[-1].append(shift_date)
        else:
            stretches.append([shift_date])
    return stretches
