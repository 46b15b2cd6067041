"""Shift dates as ranges and in words, and what fails of several ranges."""

from datetime import date

import pytest
from starlette.requests import Request
from starlette.responses import Response

from clopos_assets.ingest.made import Made
from clopos_assets.ingest.stretches import all_in_words, in_words, stretches_of
from tests.ingest.shop import Shop


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


def test_all_are_told() -> None:
    days = ["2026-01-01", *(f"2026-01-{day}" for day in range(10, 14)), "2026-01-20", "2026-01-21"]
    assert all_in_words(days) == "2026-01-01, 2026-01-10 to 2026-01-13, 2026-01-20, 2026-01-21"


def test_a_date_that_can_not_be_listed_is_not_made_by_what_another_took_from_it(shop: Shop) -> None:
    shop.sell(5, "2026-01-23")
    shop.make("2026-01-19", "2026-01-23")
    shop.sell(6, "2026-01-23")
    shop.world.move_receipt(5, date(2026, 1, 19))
    shop.world.update_receipt(5, created_at="2026-01-19 10:00:00")
    lists = iter(range(9))

    async def instead(request: Request) -> Response | None:
        if request.url.path.endswith("/receipts") and next(lists) > 0:
            return Response("{}", media_type="application/json")
        return None

    shop.sandbox.hooks.answer_instead = instead
    made = shop.make_receipts("2026-01-19", "2026-01-23")
    assert shop.stands(6)["receipts"] == []
    assert "2026-01-23" in made.bad, made.facts


def test_the_first_reason_for_which_a_date_failed_stands() -> None:
    made, later = Made(), Made()
    made.fail("2026-01-19", "no answer")
    later.fail("2026-01-19", "not materialized")
    made.update(later)
    assert made.bad == {"2026-01-19": "no answer"}
