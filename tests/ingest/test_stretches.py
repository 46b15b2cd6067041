"""Shift dates as ranges and in words."""

import pytest

from clopos_assets.ingest.stretches import in_words, stretches_of


@pytest.mark.parametrize(
    ("shift_dates", "stretches"),
    [
        ([], []),
        (["2026-03-01", "2026-02-28", "2026-03-01"], [["2026-02-28", "2026-03-01"]]),
        (["2026-01-01", "2025-12-31", "2026-01-03"], [["2025-12-31", "2026-01-01"], ["2026-01-03"]]),
        (["0001-01-01", "9999-12-31"], [["0001-01-01"], ["9999-12-31"]]),
    ],
)
def test_consecutive_days_are_one_stretch(shift_dates: list[str], stretches: list[list[str]]) -> None:
    assert stretches_of(shift_dates) == stretches


@pytest.mark.parametrize(
    ("shift_dates", "words"),
    [
        (["2026-01-01", "2026-01-05"], "2026-01-01, 2026-01-05"),
        ([f"2026-01-0{day}" for day in range(1, 5)], "4 dates from 2026-01-01 to 2026-01-04"),
        (["0001-01-01", "2026-01-01", "2026-01-02", "9999-12-31"], "4 dates between 0001-01-01 and 9999-12-31"),
    ],
)
def test_many_are_told_by_the_first_and_the_last(shift_dates: list[str], words: str) -> None:
    assert in_words(shift_dates) == words
