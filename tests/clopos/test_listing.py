"""Reading a list whole while it changes, on a list in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
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


@dataclass
class _Source:
    """A list by ascending id; `change` runs before each page is served, with the number of the answer."""

    rows: list[Item]
    size: Callable[[int], int] = lambda answer: 2
    change: Callable[["_Source", int], None] = lambda source, answer: None
    asked: list[int] = field(default_factory=list)
    total: Callable[[int], int] = lambda count: count

    async def fetch(self, number: int) -> Page:
        await asyncio.sleep(0)
        answer = len(self.asked)
        self.asked.append(number)
        self.change(self, answer)
        size = self.size(answer)
        return Page(self.rows[(number - 1) * size : number * size], self.total(len(self.rows)))


def _rows(*ids: int) -> list[Item]:
    return [{"id": number, "total": number} for number in ids]


@dataclass
class _Calendar:
    """A list by ascending id in pages of two, of which days can be asked for; one more of a day with each answer."""

    by_day: dict[date, list[int]]
    growing: date
    answers_until_calm: int = 10**6
    asked: list[tuple[date, date, int]] = field(default_factory=list)

    async def fetch(self, first: date, last: date, number: int) -> Page:
        await asyncio.sleep(0)
        self.asked.append((first, last, number))
        if len(self.asked) < self.answers_until_calm:
            self.by_day[self.growing].append(1000 + len(self.asked))
        ids = sorted(number for day, ids in self.by_day.items() if first <= day <= last for number in ids)
        return Page(_rows(*ids[(number - 1) * 2 : number * 2]), len(ids))

    def read(self) -> Listing[list[object]]:
        """The list of all days."""

        async def list_days(first: date, last: date) -> Listing[list[object]]:
            return await read_listing(
                lambda number: self.fetch(first, last, number),
                _ids,
                name=f"{first} to {last}",
                concurrency=2,
                pause_seconds=0.0,
                can_be_cut=first < last,
            )

        return asyncio.run(read_by_days(list_days, min(self.by_day), max(self.by_day)))


def _calendar(days: int, of_each: int) -> dict[date, list[int]]:
    first = date(2026, 1, 1)
    return {first + timedelta(days=day): list(range(1 + day * of_each, 1 + (day + 1) * of_each)) for day in range(days)}


def _ids(items: list[Item]) -> list[object]:
    return [item["id"] for item in items]


def _read(source: _Source, concurrency: int = 1) -> Listing[list[object]]:
    return _read_by(source.fetch, concurrency)


def _read_by(fetch: Callable[[int], Awaitable[Page]], concurrency: int = 1) -> Listing[list[object]]:
    return asyncio.run(read_listing(fetch, _ids, name="the list", concurrency=concurrency, pause_seconds=0.0))


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 20])
def test_pages_come_in_order_and_once(count: int, concurrency: int) -> None:
    source = _Source(_rows(*range(1, count + 1)))
    listing = _read(source, concurrency)
    assert numbers_of(listing) == list(range(1, count + 1))
    pages = max((count + 1) // 2, 1)
    assert sorted(source.asked) == list(range(1, pages + 1))
    assert (listing.total, listing.restarts, listing.conflicts) == (count, 0, {})


def test_pages_that_shrink_are_read_to_the_end() -> None:
    source = _Source(_rows(*range(1, 8)), size=lambda answer: 3 if answer == 0 else 2)
    listing = _read(source)
    assert sorted(numbers_of(listing)) == list(range(1, 8))
    assert listing.restarts == 0


@pytest.mark.parametrize("count", [50, 100, 200])
def test_a_total_of_the_page_alone_hides_nothing(count: int) -> None:
    source = _Source(_rows(*range(2 * count)), size=lambda answer: count, total=lambda _: count)
    with pytest.raises(CloposAnswerError, match=f"^the first {count} receipts are all by the answer's total, and more"):
        _read(source)
    source = _Source(_rows(*range(count)), size=lambda answer: count)
    assert numbers_of(_read(source)) == list(range(count))
    assert source.asked == [1, 2]


@pytest.mark.parametrize("parameter", ["page", None])
def test_a_refused_page_behind_one_that_is_all_is_none(parameter: str | None) -> None:
    source = _Source(_rows(*range(50)), size=lambda answer: 50)

    async def fetch(number: int) -> Page:
        if number > 1:
            raise CloposRefusedError("GET /x: no such page", parameter)
        return await source.fetch(number)

    assert numbers_of(_read_by(fetch)) == list(range(50))


def _lose_the_last(source: _Source, answer: int) -> None:
    if answer == 1:
        source.rows.pop()


def _refusing_behind_the_last(source: _Source, most: int = 100) -> Callable[[int], Awaitable[Page]]:
    """As some servers do, which say in a refusal alone that there is no such page."""

    async def fetch(number: int) -> Page:
        if len(source.asked) >= most:
            raise CloposRefusedError("GET /x: no leave")
        page = await source.fetch(number)
        if not page.items:
            raise CloposRefusedError("GET /x: no such page", "page")
        return page

    return fetch


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_page_that_vanishes_while_the_list_is_read_starts_it_again(concurrency: int) -> None:
    source = _Source(_rows(*range(1, 8)))
    source.change = _lose_the_last
    listing = _read_by(_refusing_behind_the_last(source), concurrency)
    assert numbers_of(listing) == list(range(1, 7))
    assert listing.restarts == 1


def test_a_repeat_that_the_total_counts_asks_for_no_page_that_there_is_not() -> None:
    source = _Source([*_rows(1, 2, 2), *_rows(3)], size=lambda answer: 4)
    listing = _read_by(_refusing_behind_the_last(source))
    assert (numbers_of(listing), listing.restarts) == ([1, 2, 3], 0)
    assert source.asked == [1, 2]


def test_what_is_refused_of_every_page_is_told() -> None:
    source = _Source(_rows(*range(1, 8)))
    source.change = _lose_the_last
    with pytest.raises(CloposRefusedError, match=r"^GET /x: no leave$"):
        _read_by(_refusing_behind_the_last(source, most=1))


def test_a_page_that_is_always_refused_ends_the_reading() -> None:
    source = _Source(_rows(*range(1, 8)), total=lambda count: count + 2)
    with pytest.raises(
        CloposUnavailableError, match=r"read 6 times .* page 5 of 5 is refused \(GET /x: no such page\)"
    ):
        _read_by(_refusing_behind_the_last(source))


def test_a_page_that_is_not_full_is_all() -> None:
    source = _Source(_rows(*range(49)), size=lambda answer: 50)
    assert len(numbers_of(_read(source))) == 49
    assert source.asked == [1]


def test_a_server_that_repeats_its_first_page_is_found_out() -> None:
    async def fetch(number: int) -> Page:
        return Page(_rows(1, 2), 4)

    with pytest.raises(
        CloposUnavailableError, match=r"the list: the list was read 6 times .* 2 of 4 items came; run again"
    ):
        _read_by(fetch, 2)


def test_an_empty_first_page_of_a_list_that_promises_more_starts_again() -> None:
    source = _Source(_rows(1), total=lambda count: 5)
    source.rows = []
    with pytest.raises(CloposUnavailableError, match="first page is empty and 5 items are promised"):
        _read(source)
    assert source.asked == [1] * 6


def _delete_first(source: _Source, answer: int) -> None:
    if answer == 1:
        source.rows = source.rows[1:]


def test_a_deletion_while_paging_starts_again() -> None:
    source = _Source(_rows(1, 2, 3, 4, 5), change=_delete_first)
    listing = _read(source)
    assert listing.parts == [[2, 3], [4, 5]]
    assert listing.restarts == 1


def test_an_insert_while_paging_starts_again() -> None:
    def insert(source: _Source, answer: int) -> None:
        if answer == 2:
            source.rows = [*source.rows, *_rows(6)]

    listing = _read(_Source(_rows(1, 2, 3, 4, 5), change=insert))
    assert listing.parts == [[1, 2], [3, 4], [5, 6]]
    assert listing.restarts == 1


def test_a_deletion_and_an_insert_between_two_answers_hide_no_row_of_the_pages_before() -> None:
    def move(source: _Source, answer: int) -> None:
        if answer == 2:
            source.rows = [*source.rows[1:], *_rows(7)]

    listing = _read(_Source(_rows(1, 2, 3, 4, 5, 6), change=move))
    assert listing.parts == [[2, 3], [4, 5], [6, 7]]


@pytest.mark.parametrize("total", [1, 3])
def test_a_total_of_neither_ids_nor_rows_is_no_whole_list(total: int) -> None:
    source = _Source([{"id": 1}, {"id": 1}, {"id": 1}, {"id": 2}], size=lambda answer: 4, total=lambda count: total)
    with pytest.raises(CloposUnavailableError, match=f"2 of {total} items came"):
        _read(source)


def test_conflicts_of_all_days_are_reported() -> None:
    variants: list[Item] = [{"id": 1, "a": 1}, {"id": 1, "a": 2}]

    async def list_days(first: date, last: date) -> Listing[list[object]]:
        if first < last:
            raise LongListChangedError("the list changed")
        return Listing([], total=1, restarts=0, conflicts={first.day: [*variants]})

    listing = asyncio.run(read_by_days(list_days, date(2026, 1, 1), date(2026, 1, 3)))
    assert listing.conflicts == {1: variants, 2: variants, 3: variants}


def test_a_long_list_that_grows_is_read_by_fewer_days_until_it_stands_still() -> None:
    by_day = _calendar(8, of_each=20)
    calendar = _Calendar(by_day, growing=date(2026, 1, 8), answers_until_calm=60)
    listing = calendar.read()
    assert sorted(numbers_of(listing)) == sorted(number for ids in by_day.values() for number in ids)
    days_asked = dict.fromkeys((first.day, last.day) for first, last, _ in calendar.asked)
    # Those of the first four days came at once, those of the last day grew until the list was no longer long.
    assert list(days_asked)[:3] == [(1, 8), (1, 4), (5, 8)]
    assert listing.total == len(numbers_of(listing))
    assert listing.restarts >= 2


def test_one_day_that_never_stands_still_is_given_up() -> None:
    calendar = _Calendar(_calendar(2, of_each=60), growing=date(2026, 1, 2))
    with pytest.raises(CloposUnavailableError, match="2026-01-02 to 2026-01-02: the list was read 6 times"):
        calendar.read()
    asked = dict.fromkeys((first.day, last.day) for first, last, _ in calendar.asked)
    assert list(asked) == [(1, 2), (1, 1), (2, 2)]


def test_a_short_list_that_changes_is_begun_again_whole() -> None:
    calendar = _Calendar(_calendar(2, of_each=4), growing=date(2026, 1, 2), answers_until_calm=3)
    listing = calendar.read()
    assert {(first.day, last.day) for first, last, _ in calendar.asked} == {(1, 2)}
    assert listing.restarts >= 1


def test_a_row_that_moved_to_another_page_is_one_row() -> None:
    pages = {1: _rows(1, 2), 2: _rows(2, 3), 3: _rows(4)}

    async def fetch(number: int) -> Page:
        return Page(pages.get(number, []), 4)

    listing = _read_by(fetch)
    assert sorted(numbers_of(listing)) == [1, 2, 3, 4]
    assert listing.restarts == 0


def test_an_item_that_changed_between_pages_starts_again() -> None:
    first: list[Item] = [{"id": 1, "total": 1}, {"id": 2, "total": 1}]
    answers = iter([Page(first, 3), Page([{"id": 2, "total": 5}, {"id": 3}], 3), Page(first, 3), Page([{"id": 3}], 3)])

    async def fetch(number: int) -> Page:
        return next(answers)

    listing = _read_by(fetch)
    assert (listing.parts, listing.restarts) == ([[1, 2], [3]], 1)


@pytest.mark.parametrize("total", [2, 3])
def test_two_contents_in_one_answer_are_reported(total: int) -> None:
    """Whether the total counts ids or rows."""
    rows: list[Item] = [{"id": 1, "venue_id": 1}, {"id": 1, "venue_id": 2}, {"id": 2, "venue_id": 1}]
    listing = _read(_Source(rows, size=lambda answer: 3, total=lambda count: total))
    assert listing.parts[0] == [2]
    assert listing.conflicts == {1: rows[:2]}
    assert listing.total == total


def test_the_same_row_twice_in_one_answer_is_one_row() -> None:
    listing = _read(_Source([{"id": 1, "a": 1}, {"a": 1, "id": 1}, {"id": 2}], size=lambda answer: 3))
    assert listing.parts[0] == [1, 2]
    assert listing.conflicts == {}


def test_rows_beyond_repeated_ones_are_not_lost() -> None:
    """The total counts ids, the pages count rows: the last id is on a page that the total does not promise."""
    rows: list[Item] = [{"id": 1}, {"id": 1}, {"id": 2}, {"id": 3}]
    listing = _read(_Source(rows, size=lambda answer: 3, total=lambda count: 3))
    assert listing.parts == [[1, 2], [3]]


def test_what_convert_raises_comes_out() -> None:
    def convert(items: list[Item]) -> None:
        if items and items[0]["id"] == 3:
            raise LookupError("no such field")

    source = _Source(_rows(*range(1, 10)))
    with pytest.raises(LookupError, match="no such field"):
        asyncio.run(read_listing(source.fetch, convert, name="x", concurrency=3, pause_seconds=0.0))


def test_endless_lists_are_refused() -> None:
    source = _Source(_rows(1), total=lambda count: 10**9)
    with pytest.raises(CloposAnswerError, match="fewer days"):
        _read(source)
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

    def change(source: _Source, answer: int) -> None:
        nonlocal newest
        if answer not in changes:
            return
        place = changes[answer]
        if place is None:
            newest += 1
            source.rows = [*source.rows, *_rows(newest)]
        elif place < len(source.rows):
            source.rows = source.rows[:place] + source.rows[place + 1 :]
        moments.append({int(str(row["id"])) for row in source.rows})

    source = _Source(
        _rows(*range(1, count + 1)),
        size=(lambda answer: sizes[0]) if is_steady else (lambda answer: sizes[answer % len(sizes)]),
        change=change,
    )
    try:
        listing = _read(source, concurrency)
    except CloposUnavailableError:
        # Only pages of changing sizes, or a change in each reading, may defeat six readings.
        assert not is_steady or len(changes) >= 6
        return
    ids = numbers_of(listing)
    assert len(ids) == len(set(ids)) == listing.total
    assert set(ids) in moments
