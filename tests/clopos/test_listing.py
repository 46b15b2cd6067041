"""Reading a list whole while it changes, on a list in memory."""

import asyncio
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clopos_assets.clopos.errors import CloposAnswerError, CloposRefusedError, CloposUnavailableError
from clopos_assets.clopos.listing import (
    Item,
    Listing,
    LongListChangedError,
    Page,
    read_by_days,
    read_id,
    read_listing,
    read_page,
)
from tests.clopos.asking import numbers_of
from tests.clopos.listed import (
    Calendar,
    Source,
    calendar_of,
    delete_first,
    lose_the_last,
    read,
    read_by,
    refusing_behind_the_last,
    rows_of,
)


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 20])
def test_pages_come_in_order_and_once(count: int, concurrency: int) -> None:
    source = Source(rows_of(*range(1, count + 1)))
    listing = read(source, concurrency)
    assert numbers_of(listing) == list(range(1, count + 1))
    pages = max((count + 1) // 2, 1)
    assert sorted(source.asked) == list(range(1, pages + 1))
    assert (listing.total, listing.restarts, listing.conflicts) == (count, 0, {})


def test_pages_that_shrink_are_read_to_the_end() -> None:
    source = Source(rows_of(*range(1, 8)), size=lambda answer: 3 if answer == 0 else 2)
    listing = read(source)
    assert sorted(numbers_of(listing)) == list(range(1, 8))
    assert listing.restarts == 0


@pytest.mark.parametrize("count", [50, 100, 200])
def test_a_total_of_the_page_alone_hides_nothing(count: int) -> None:
    source = Source(rows_of(*range(2 * count)), size=lambda answer: count, total=lambda _: count)
    with pytest.raises(CloposAnswerError, match=f"^the first {count} receipts are all by the answer's total, and more"):
        read(source)
    source = Source(rows_of(*range(count)), size=lambda answer: count)
    assert numbers_of(read(source)) == list(range(count))
    assert source.asked == [1, 2]


@pytest.mark.parametrize("parameter", ["page", None])
def test_a_refused_page_behind_one_that_is_all_is_none(parameter: str | None) -> None:
    source = Source(rows_of(*range(50)), size=lambda answer: 50)

    async def fetch(number: int) -> Page:
        if number > 1:
            raise CloposRefusedError("GET /x: no such page", parameter)
        return await source.fetch(number)

    assert numbers_of(read_by(fetch)) == list(range(50))


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_page_that_vanishes_while_the_list_is_read_starts_it_again(concurrency: int) -> None:
    source = Source(rows_of(*range(1, 8)))
    source.change = lose_the_last
    listing = read_by(refusing_behind_the_last(source), concurrency)
    assert numbers_of(listing) == list(range(1, 7))
    assert listing.restarts == 1


def test_a_repeat_that_the_total_counts_asks_for_no_page_that_there_is_not() -> None:
    source = Source([*rows_of(1, 2, 2), *rows_of(3)], size=lambda answer: 4)
    listing = read_by(refusing_behind_the_last(source))
    assert (numbers_of(listing), listing.restarts) == ([1, 2, 3], 0)
    assert source.asked == [1, 2]


def test_what_is_refused_of_every_page_is_told() -> None:
    source = Source(rows_of(*range(1, 8)))
    source.change = lose_the_last
    with pytest.raises(CloposRefusedError, match=r"^GET /x: no leave$"):
        read_by(refusing_behind_the_last(source, most=1))


def test_a_page_that_is_always_refused_ends_the_reading() -> None:
    source = Source(rows_of(*range(1, 8)), total=lambda count: count + 2)
    with pytest.raises(
        CloposUnavailableError, match=r"read 6 times .* page 5 of 5 is refused \(GET /x: no such page\)"
    ):
        read_by(refusing_behind_the_last(source))


def test_a_page_that_is_not_full_is_all() -> None:
    source = Source(rows_of(*range(49)), size=lambda answer: 50)
    assert len(numbers_of(read(source))) == 49
    assert source.asked == [1]


def test_a_server_that_repeats_its_first_page_is_found_out() -> None:
    async def fetch(number: int) -> Page:
        return Page(rows_of(1, 2), 4)

    with pytest.raises(
        CloposUnavailableError, match=r"the list: the list was read 6 times .* 2 of 4 items came; run again"
    ):
        read_by(fetch, 2)


def test_an_empty_first_page_of_a_list_that_promises_more_starts_again() -> None:
    source = Source(rows_of(1), total=lambda count: 5)
    source.rows = []
    with pytest.raises(CloposUnavailableError, match="first page is empty and 5 items are promised"):
        read(source)
    assert source.asked == [1] * 6


def test_a_deletion_while_paging_starts_again() -> None:
    source = Source(rows_of(1, 2, 3, 4, 5), change=delete_first)
    listing = read(source)
    assert listing.parts == [[2, 3], [4, 5]]
    assert listing.restarts == 1


def test_an_insert_while_paging_starts_again() -> None:
    def insert(source: Source, answer: int) -> None:
        if answer == 2:
            source.rows = [*source.rows, *rows_of(6)]

    listing = read(Source(rows_of(1, 2, 3, 4, 5), change=insert))
    assert listing.parts == [[1, 2], [3, 4], [5, 6]]
    assert listing.restarts == 1


def test_a_deletion_and_an_insert_between_two_answers_hide_no_row_of_the_pages_before() -> None:
    def move(source: Source, answer: int) -> None:
        if answer == 2:
            source.rows = [*source.rows[1:], *rows_of(7)]

    listing = read(Source(rows_of(1, 2, 3, 4, 5, 6), change=move))
    assert listing.parts == [[2, 3], [4, 5], [6, 7]]


@pytest.mark.parametrize("total", [1, 3])
def test_a_total_of_neither_ids_nor_rows_is_no_whole_list(total: int) -> None:
    source = Source([{"id": 1}, {"id": 1}, {"id": 1}, {"id": 2}], size=lambda answer: 4, total=lambda count: total)
    with pytest.raises(CloposUnavailableError, match=f"2 of {total} items came"):
        read(source)


def test_conflicts_of_all_days_are_reported() -> None:
    variants: list[Item] = [{"id": 1, "a": 1}, {"id": 1, "a": 2}]

    async def list_days(first: date, last: date) -> Listing[list[object]]:
        if first < last:
            raise LongListChangedError("the list changed")
        return Listing([], total=1, restarts=0, conflicts={first.day: [*variants]})

    listing = asyncio.run(read_by_days(list_days, date(2026, 1, 1), date(2026, 1, 3)))
    assert listing.conflicts == {1: variants, 2: variants, 3: variants}


def test_a_long_list_that_grows_is_read_by_fewer_days_until_it_stands_still() -> None:
    by_day = calendar_of(8, of_each=20)
    calendar = Calendar(by_day, growing=date(2026, 1, 8), answers_until_calm=60)
    listing = calendar.read()
    assert sorted(numbers_of(listing)) == sorted(number for ids in by_day.values() for number in ids)
    days_asked = dict.fromkeys((first.day, last.day) for first, last, _ in calendar.asked)
    # Those of the first four days came at once, those of the last day grew until the list was no longer long.
    assert list(days_asked)[:3] == [(1, 8), (1, 4), (5, 8)]
    assert listing.total == len(numbers_of(listing))
    assert listing.restarts >= 2


def test_one_day_that_never_stands_still_is_given_up() -> None:
    calendar = Calendar(calendar_of(2, of_each=60), growing=date(2026, 1, 2))
    with pytest.raises(CloposUnavailableError, match="2026-01-02 to 2026-01-02: the list was read 6 times"):
        calendar.read()
    asked = dict.fromkeys((first.day, last.day) for first, last, _ in calendar.asked)
    assert list(asked) == [(1, 2), (1, 1), (2, 2)]


def test_a_short_list_that_changes_is_begun_again_whole() -> None:
    calendar = Calendar(calendar_of(2, of_each=4), growing=date(2026, 1, 2), answers_until_calm=3)
    listing = calendar.read()
    assert {(first.day, last.day) for first, last, _ in calendar.asked} == {(1, 2)}
    assert listing.restarts >= 1


def test_a_row_that_moved_to_another_page_is_one_row() -> None:
    pages = {1: rows_of(1, 2), 2: rows_of(2, 3), 3: rows_of(4)}

    async def fetch(number: int) -> Page:
        return Page(pages.get(number, []), 4)

    listing = read_by(fetch)
    assert sorted(numbers_of(listing)) == [1, 2, 3, 4]
    assert listing.restarts == 0


def test_an_item_that_changed_between_pages_starts_again() -> None:
    first: list[Item] = [{"id": 1, "total": 1}, {"id": 2, "total": 1}]
    answers = iter([Page(first, 3), Page([{"id": 2, "total": 5}, {"id": 3}], 3), Page(first, 3), Page([{"id": 3}], 3)])

    async def fetch(number: int) -> Page:
        return next(answers)

    listing = read_by(fetch)
    assert (listing.parts, listing.restarts) == ([[1, 2], [3]], 1)


@pytest.mark.parametrize("total", [2, 3])
def test_two_contents_in_one_answer_are_reported(total: int) -> None:
    """Whether the total counts ids or rows."""
    rows: list[Item] = [{"id": 1, "venue_id": 1}, {"id": 1, "venue_id": 2}, {"id": 2, "venue_id": 1}]
    listing = read(Source(rows, size=lambda answer: 3, total=lambda count: total))
    assert listing.parts[0] == [2]
    assert listing.conflicts == {1: rows[:2]}
    assert listing.total == total


def test_the_same_row_twice_in_one_answer_is_one_row() -> None:
    listing = read(Source([{"id": 1, "a": 1}, {"a": 1, "id": 1}, {"id": 2}], size=lambda answer: 3))
    assert listing.parts[0] == [1, 2]
    assert listing.conflicts == {}


def test_rows_beyond_repeated_ones_are_not_lost() -> None:
    """The total counts ids, the pages count rows: the last id is on a page that the total does not promise."""
    rows: list[Item] = [{"id": 1}, {"id": 1}, {"id": 2}, {"id": 3}]
    listing = read(Source(rows, size=lambda answer: 3, total=lambda count: 3))
    assert listing.parts == [[1, 2], [3]]


def test_what_convert_raises_comes_out() -> None:
    def convert(items: list[Item]) -> None:
        if items and items[0]["id"] == 3:
            raise LookupError("no such field")

    source = Source(rows_of(*range(1, 10)))
    with pytest.raises(LookupError, match="no such field"):
        asyncio.run(read_listing(source.fetch, convert, name="x", concurrency=3, pause_seconds=0.0))


def test_endless_lists_are_refused() -> None:
    source = Source(rows_of(1), total=lambda count: 10**9)
    with pytest.raises(CloposAnswerError, match="fewer days"):
        read(source)
    assert source.asked == [1]


@pytest.mark.parametrize(
    ("envelope", "message"),
    [
        ({"data": []}, "no whole number in total"),
        ({"data": [], "total": "one"}, "no whole number in total"),
        ({"data": [], "total": True}, "no whole number in total"),
        ({"data": [], "total": -1}, "no whole number in total"),
        ({"total": 1}, "not a list of objects"),
        ({"data": {"id": 1}, "total": 1}, "not a list of objects"),
        ({"data": [{"id": 1}, 2], "total": 1}, "not a list of objects"),
    ],
)
def test_pages_not_as_documented(envelope: Item, message: str) -> None:
    with pytest.raises(CloposAnswerError, match=message):
        read_page(envelope, "GET /x")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (2**63 - 1, 2**63 - 1),
        (2**63, None),
        (-(2**63) - 1, None),
        (True, None),
        ("007", 7),
        ("9" * 18, 10**18 - 1),
        ("9" * 19, None),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), None),
        (Decimal("12.0"), 12),
        (Decimal("1.2E+1"), 12),
        (Decimal("12.5"), None),
        (Decimal("1e400"), None),
        ("²", None),
        ("٣", None),
        ("-1", None),
        ("", None),
        (1.0, None),
    ],
)
def test_an_id_is_a_whole_number_of_64_bits(value: object, number: int | None) -> None:
    assert read_id(value) == number


@given(
    count=st.integers(0, 12),
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    is_steady=st.booleans(),
    changes=st.dictionaries(st.integers(0, 25), st.one_of(st.none(), st.integers(0, 20)), max_size=6),
    concurrency=st.integers(1, 3),
)
@example(count=4, sizes=[2], is_steady=True, changes={1: 0, 2: None}, concurrency=1)
def test_a_listing_is_the_list_at_some_moment_or_an_error(
    count: int, sizes: list[int], is_steady: bool, changes: dict[int, int | None], concurrency: int
) -> None:
    """Before an answer there is at most one change: an insert at the end (None), or the deletion at a place."""
    moments = [set(range(1, count + 1))]
    newest = count

    def change(source: Source, answer: int) -> None:
        nonlocal newest
        if answer not in changes:
            return
        place = changes[answer]
        if place is None:
            newest += 1
            source.rows = [*source.rows, *rows_of(newest)]
        elif place < len(source.rows):
            source.rows = source.rows[:place] + source.rows[place + 1 :]
        moments.append({int(str(row["id"])) for row in source.rows})

    source = Source(
        rows_of(*range(1, count + 1)),
        size=(lambda answer: sizes[0]) if is_steady else (lambda answer: sizes[answer % len(sizes)]),
        change=change,
    )
    try:
        listing = read(source, concurrency)
    except CloposUnavailableError:
        # Only pages of changing sizes, or a change in each reading, may defeat six readings.
        assert not is_steady or len(changes) >= 6
        return
    ids = numbers_of(listing)
    assert len(ids) == len(set(ids)) == listing.total
    assert set(ids) in moments
