"""Where reading starts without a cursor: at the earliest time up to which a shift date's making saw every change."""

import json
from datetime import datetime

import pytest

from clopos_assets.ingest.venues import KNOWN_UNTIL, venue_notes
from clopos_assets.late.beginning import LATE_STAMPS, known_until
from clopos_assets.tables import RECEIPTS
from tests.ingest.shop import Shop

SETTLED = "2026-01-25 12:00:00"


def note(shop: Shop, shift_date: str, known: object) -> None:
    """Write the note as a making would, or something else."""
    rows = shop.lake.read(RECEIPTS, shift_date)
    assert rows is not None
    text = known if isinstance(known, str) else json.dumps(known)
    shop.lake.replace(RECEIPTS, shift_date, rows, {**shop.lake.notes(RECEIPTS, shift_date), KNOWN_UNTIL: text})


def known(shop: Shop, venues: list[str]) -> dict[str, str]:
    """Where reading starts, without the days that a change may be dated back."""
    began = known_until(shop.lake, venues, SETTLED, venue_notes(shop.lake))
    return {venue: str(datetime.fromisoformat(at) + LATE_STAMPS) for venue, at in began.items()}


def test_an_empty_lake_knows_nothing(shop: Shop) -> None:
    assert known(shop, [""]) == {}


def test_the_earliest_of_the_dates_counts_for_each_venue(shop: Shop) -> None:
    shop.make("2026-01-19", "2026-01-20")
    note(shop, "2026-01-19", {"1": "2026-01-22 10:00:00", "2": "2026-01-21 09:00:00"})
    note(shop, "2026-01-20", {"1": "2026-01-21 10:00:00", "2": "2026-01-21 09:30:00"})
    earliest = known(shop, ["1", "2", "3"])
    assert earliest == {"1": "2026-01-21 10:00:00", "2": "2026-01-21 09:00:00", "3": "2026-01-21 09:00:00"}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"1": 5}', "null", '{"1": "soon"}', '{"1": "2026-01-20T01:00:00Z"}']
)
def test_without_a_note_the_last_change_in_the_partition_counts(shop: Shop, text: str) -> None:
    shop.sell(4, "2026-01-20", updated_at="2026-01-21 01:00:00")
    shop.make("2026-01-20")
    note(shop, "2026-01-20", text)
    assert known(shop, ["1"]) == {"1": "2026-01-21 01:00:00"}


def test_times_of_a_note_are_read_as_times(shop: Shop) -> None:
    shop.make("2026-01-20")
    note(shop, "2026-01-20", {"1": "2026-01-20T10:00:00.123456", "2": "2026-01-20 13:00:00"})
    assert known(shop, ["1", "2"]) == {"1": "2026-01-20 10:00:00", "2": "2026-01-20 13:00:00"}


def test_a_time_after_the_present_is_not_believed(shop: Shop) -> None:
    shop.sell(4, "2026-01-20", updated_at="2096-01-21 01:00:00")
    shop.make("2026-01-20")
    assert known(shop, [""]) == {"": "2026-01-20 12:30:00"}


def test_three_days_before_the_first_of_all_times_there_are_none(shop: Shop) -> None:
    shop.sell(4, "2026-01-21", updated_at="0001-01-01 00:00:00")
    shop.make("2026-01-21")
    note(shop, "2026-01-21", {"1": "0001-01-01 00:00:00"})
    assert known(shop, ["1"]) == {"1": "1970-01-04 00:00:00"}


def test_a_date_without_receipts_is_known_until_it_began(shop: Shop) -> None:
    shop.make("2026-01-19", "2026-01-20", "2026-01-21")
    assert known(shop, [""]) == {"": "2026-01-20 12:30:00"}  # one listing for all of them
    shop.make("2026-01-12")
    assert known(shop, [""]) == {"": "2026-01-12 00:00:00"}


def test_a_damaged_date_is_known_until_it_began(shop: Shop) -> None:
    shop.make("2026-01-19", "2026-01-20")
    shop.lake.path(RECEIPTS, "2026-01-20").write_bytes(b"PAR1 no more")
    shop.lake.path(RECEIPTS, "2026-01-19").unlink()
    assert known(shop, [""]) == {"": "2026-01-20 00:00:00"}
