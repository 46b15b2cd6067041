"""Receipts that move between dates that do not follow each other: no two runs at once that wait for each other."""

from datetime import date

import pytest

from clopos_assets.late.state import Asked
from tests.ingest.shop import Shop
from tests.late.test_deciding import NEW, NOW, Case, dates, seen

OLD_DATE, NEW_DATE = "2026-01-19", "2026-01-21"


@pytest.fixture
def case(shop: Shop) -> Case:
    """Dates before and after one that has nothing to do with it."""
    shop.sell(4, NEW_DATE)
    shop.make(OLD_DATE, "2026-01-20", NEW_DATE)
    return Case(shop)


def test_a_move_asks_for_the_date_where_the_receipt_is_now(case: Case) -> None:
    decision = case.decide(seen(1, NEW_DATE), seen(2))
    assert [request.receipts for request in decision.requests] == [{NEW_DATE: {"1": NEW}}]
    # Its run takes the receipt out of the other date, and would wait for one of that, and that for it.
    assert decision.kept == decision.running == {OLD_DATE: {"1": f"gone {NEW}", "2": NEW}}
    case.let_runs_be("running")
    assert case.decide().requests == []
    case.shop.world.move_receipt(1, date.fromisoformat(NEW_DATE))
    case.shop.make(NEW_DATE)
    case.let_runs_be("succeeded")
    assert [request.receipts for request in case.decide().requests] == [{OLD_DATE: {"2": NEW}}]


def test_of_dates_that_exchange_receipts_one_is_asked_for_and_then_the_other(case: Case) -> None:
    case.asked = {OLD_DATE: Asked("before", 1, NOW - 1, {"2": NEW})}
    case.runs["before"] = "failed"
    decision = case.decide(seen(1, NEW_DATE), seen(4, OLD_DATE))
    (asked,) = dates(decision)
    (kept,) = decision.kept.values()
    assert len(asked) == 1
    assert kept.keys() >= {"1", "4"}
    case.let_runs_be("succeeded")
    (then,) = dates(case.decide())
    assert {*asked, *then} == {OLD_DATE, NEW_DATE}


def test_what_was_asked_for_in_vain_waits_too_and_is_not_forgotten(case: Case) -> None:
    case.asked = {OLD_DATE: Asked("before", 1, NOW - 1, {"2": NEW})}
    case.runs["before"] = "failed"
    decision = case.decide(seen(1, NEW_DATE))
    assert dates(decision) == [[NEW_DATE]]
    assert decision.asked[OLD_DATE] == Asked("before", 1, NOW - 1, {"2": NEW})
    assert decision.kept == {OLD_DATE: {"1": f"gone {NEW}", "2": NEW}}
    case.let_runs_be("succeeded")
    case.runs["before"] = "failed"
    (request,) = case.decide().requests
    assert request.receipts == {OLD_DATE: {"1": f"gone {NEW}", "2": NEW}}
