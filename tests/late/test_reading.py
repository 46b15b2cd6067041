"""Reading a list that changes meanwhile: nothing that was changed before and still exists is missed."""

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clopos_assets.clopos.errors import CloposAnswerError, CloposRefusedError, CloposUnavailableError
from clopos_assets.clopos.listing import Item, Page
from clopos_assets.late.reading import read_changes
from clopos_assets.late.state import Reading, Unread
from tests.late.moving import MovingList, refusing_behind_the_last, stamp

NOW = stamp(20_000)


def read(moving: MovingList, reading: Reading, settled: str = NOW) -> tuple[list[int], Reading]:
    """Ids in the order read, repeats included, and how far it is read then."""
    moving.asked = []
    items, after = asyncio.run(read_changes(moving.fetch, reading, settled, moving.most_answers))
    return [int(str(item["id"])) for item in items], after


def numbered(count: int) -> dict[int, int]:
    """Receipt n was changed in second n."""
    return {number: number for number in range(1, count + 1)}


def test_it_reads_down_to_where_it_stopped_and_no_further() -> None:
    moving = MovingList(numbered(30))
    ids, after = read(moving, Reading(stamp(25)))
    assert ids == [30, 29, 28, 27, 26, 25]
    assert after == Reading(stamp(30))
    assert moving.asked == [1, 2, 3]


def test_what_has_the_time_at_which_it_stopped_is_read_again() -> None:
    moving = MovingList(numbered(9))
    _, after = read(moving, Reading(stamp(9)))
    moving.changed[10] = 9
    ids, after = read(moving, after)
    assert sorted(ids) == [9, 10]
    assert after == Reading(stamp(9))


def test_what_may_not_be_settled_yet_is_read_again() -> None:
    moving = MovingList(numbered(30))
    _, after = read(moving, Reading(stamp(20)), stamp(25))
    assert after == Reading(stamp(25))
    moving.changed[31] = 26  # it bears this time, and was not in the list before
    assert 31 in read(moving, after)[0]


@pytest.mark.parametrize("count", [0, 1, 3, 4])
def test_it_ends_with_the_list(count: int) -> None:
    moving = MovingList(numbered(count))
    ids, after = read(moving, Reading(stamp(0)))
    assert sorted(ids) == list(range(1, count + 1))
    assert after == Reading(stamp(count))
    assert len(moving.asked) == max(1, -(-count // 3))


def test_a_deletion_hides_nothing() -> None:
    def delete(moving: MovingList, answer: int) -> None:
        if answer == 2:
            del moving.changed[12]

    ids, _ = read(MovingList(numbered(12), before_answer=delete), Reading(stamp(5)))
    assert set(range(5, 13)) == set(ids)


def test_many_deletions_hide_nothing() -> None:
    def delete(moving: MovingList, answer: int) -> None:
        if answer == 4:
            for gone in range(24, 31):
                del moving.changed[gone]

    ids, _ = read(MovingList(numbered(30), before_answer=delete), Reading(stamp(2)))
    assert set(range(2, 31)) == set(ids)


def test_a_burst_is_read_over_several_looks() -> None:
    moving = MovingList(numbered(40), most_answers=3)
    first, after = read(moving, Reading(stamp(5)))
    assert first == [*range(40, 32, -1)]  # the last of nine is left: it may be one of several with its time
    assert after == Reading(stamp(40), Unread(8, 40, stamp(5)))
    seen = set(first)
    moving.changed |= {41: 41, 20: 42}
    while after.unread is not None or after.newest != stamp(42):
        ids, after = read(moving, after)
        seen |= set(ids)
    assert after == Reading(stamp(42))
    assert seen == set(range(5, 42))


def test_what_is_new_does_not_wait_for_what_is_unread() -> None:
    moving = MovingList(numbered(90), most_answers=6)
    _, after = read(moving, Reading(stamp(1)))
    moving.changed |= {91: 91}
    ids, after = read(moving, after)
    assert ids[0] == 91
    assert after.newest == stamp(91)
    assert after.unread is not None


def test_a_second_burst_before_the_first_is_read() -> None:
    moving = MovingList(numbered(20), most_answers=2)
    seen, after = read(moving, Reading(stamp(5)))
    moving.changed |= {number: number for number in range(21, 40)}
    moving.most_answers = 4
    ids, after = read(moving, after)
    assert after.newest == stamp(20)
    moving.most_answers = 100
    rest, after = read(moving, after)
    assert after == Reading(stamp(39))
    assert {*seen, *ids, *rest} == set(range(5, 40))


@pytest.mark.parametrize("stamps", [[9] * 40, [*range(1, 41)], [*range(1, 30), *[30] * 11]])
def test_a_burst_is_got_over_though_nothing_new_comes(stamps: list[int]) -> None:
    """Not the newest part over and over again, which lies within the time that is not settled."""
    moving = MovingList(dict(enumerate(stamps)), most_answers=11)
    seen, after = read(moving, Reading(stamp(1)), stamp(1))
    for _ in range(10):
        if set(seen) == set(range(40)):
            break
        ids, after = read(moving, after, stamp(1))
        seen += ids
    assert set(seen) == set(range(40))


def test_no_time_at_all_changes_nothing() -> None:
    reading = Reading(stamp(5), Unread(3, 9, stamp(2)))
    assert read(MovingList(numbered(9), most_answers=0), reading) == ([], reading)


def test_a_part_does_not_end_inside_a_group_of_equal_times() -> None:
    moving = MovingList({1: 1, 2: 2, 3: 3, 4: 3, 5: 3, 6: 3, 7: 7}, most_answers=1)
    ids, after = read(moving, Reading(stamp(1)))
    assert ids == [7]
    assert after.unread == Unread(1, 7, stamp(1))


def test_a_group_that_there_is_no_time_for_is_left_to_the_next_look() -> None:
    moving = MovingList(dict.fromkeys(range(1, 13), 5), most_answers=3)
    assert read(moving, Reading(stamp(5))) == ([], Reading(stamp(5)))
    moving.most_answers = 4
    ids, after = read(moving, Reading(stamp(5)))
    assert (sorted(ids), after) == ([*range(1, 13)], Reading(stamp(5)))


def test_a_group_longer_than_a_look_is_got_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clopos_assets.late.reading.GROUP_PAGES", 2)
    moving = MovingList(dict.fromkeys(range(1, 13), 5) | {20: 6}, most_answers=5)
    seen, after = read(moving, Reading(stamp(5)))
    while after.unread is not None:
        ids, after = read(moving, after)
        seen += ids
    assert set(seen) == {*range(1, 13), 20}


def test_equal_times_across_pages_in_an_order_that_changes_are_read_again() -> None:
    orders = iter([[1, 2, 3, 4], [3, 1, 2, 4], [1, 2, 3, 4], [1, 2, 3, 4]])
    asked = []

    async def fetch(number: int) -> Page:
        asked.append(number)
        ids = next(orders)
        part = ids[(number - 1) * 2 : number * 2]
        return Page([{"id": i, "updated_at": stamp(9)} for i in part], 4)

    items, _ = asyncio.run(read_changes(fetch, Reading(stamp(9)), NOW, 25))
    assert [item["id"] for item in items] == [1, 2, 3, 4]
    assert asked == [1, 2, 1, 2]


def test_equal_times_that_never_come_whole_are_given_up() -> None:
    async def fetch(number: int) -> Page:
        return Page([{"id": 1, "updated_at": stamp(9)}, {"id": 2, "updated_at": stamp(9)}], 4)

    with pytest.raises(CloposUnavailableError, match="listed 3 times"):
        asyncio.run(read_changes(fetch, Reading(stamp(9)), NOW, 25))


def test_a_new_receipt_that_pushes_others_down_costs_no_second_walk() -> None:
    def insert(moving: MovingList, answer: int) -> None:
        moving.changed[100 + answer] = 1000 + answer

    moving = MovingList(numbered(30), before_answer=insert)
    ids, _ = read(moving, Reading(stamp(10)))
    assert set(range(10, 31)) <= set(ids)
    assert moving.asked == sorted(set(moving.asked))


@pytest.mark.parametrize("broken", [None, "yesterday", 5, "2026-13-40 00:00:00", ""])
def test_a_time_that_cannot_be_read_stops_nothing(broken: Any) -> None:
    items: list[Item] = [{"id": number, "updated_at": stamp(50 - number)} for number in range(12)]
    for place in (0, 2, 3, 7):
        items[place]["updated_at"] = broken

    async def fetch(number: int) -> Page:
        return Page(items[(number - 1) * 3 : number * 3], 12)

    read_items, after = asyncio.run(read_changes(fetch, Reading(stamp(42)), NOW, 25))
    assert [item["id"] for item in read_items] == list(range(9))
    assert after == Reading(stamp(49))


def test_a_till_whose_clock_is_wrong_does_not_blind_the_next_look() -> None:
    moving = MovingList({1: 1, 2: 2, 3: 30_000})
    _, after = read(moving, Reading(stamp(1)))
    assert after == Reading(stamp(2))
    moving.changed[4] = 20_001
    moving.changed[5] = 2
    assert {4, 5} <= set(read(moving, after)[0])


def test_where_all_that_was_read_is_ahead_of_the_present_the_rest_is_not_read_twice() -> None:
    moving = MovingList({1: 1} | {number: 30_000 + number for number in range(2, 10)}, most_answers=1)
    _, after = read(moving, Reading(stamp(1)))
    assert after.newest == NOW
    assert after.unread is not None
    assert after.unread.down_to == stamp(1)


def test_a_list_in_another_order_is_refused() -> None:
    async def fetch(_: int) -> Page:
        return Page([{"id": 1, "updated_at": stamp(1)}, {"id": 2, "updated_at": stamp(2)}], 2)

    with pytest.raises(CloposAnswerError, match="not listed by updated_at"):
        asyncio.run(read_changes(fetch, Reading(stamp(0)), NOW, 25))


@pytest.mark.parametrize("is_same", [True, False])
def test_a_receipt_that_stands_twice_on_the_last_page_stops_nothing(is_same: bool) -> None:
    """Its repeat is not counted in the total; where it says something else, nobody knows which of the two is true."""
    moving = MovingList(numbered(5))

    async def fetch(number: int) -> Page | None:
        page = await moving.fetch(number)
        assert page is not None
        more = [{**page.items[-1], "more": None if is_same else 1}] if number == 2 else []
        items = [{**item, "more": None} for item in page.items]
        return Page([*items, *more], page.total)

    if is_same:
        ids = [item["id"] for item in asyncio.run(read_changes(fetch, Reading(stamp(1)), NOW, 25))[0]]
        assert ids == [5, 4, 3, 2, 1]
        return
    with pytest.raises(CloposUnavailableError, match="a page holds 3 receipts, and 2 were to come"):
        asyncio.run(read_changes(fetch, Reading(stamp(1)), NOW, 25))


def test_a_repeat_on_the_last_page_is_none_of_equal_times_of_two_pages() -> None:
    moving = MovingList(dict.fromkeys(range(1, 6), 7))

    async def fetch(number: int) -> Page | None:
        page = await moving.fetch(number)
        assert page is not None
        return Page([*page.items, *(page.items[-1:] if number == 2 else [])], page.total)

    items, _ = asyncio.run(read_changes(fetch, Reading(stamp(1)), NOW, 25))
    assert [item["id"] for item in items] == [1, 2, 3, 4, 5]


def test_a_page_cut_short_is_not_taken_for_the_end() -> None:
    moving = MovingList(numbered(9))
    fetch = moving.fetch

    async def cut(number: int) -> Page | None:
        page = await fetch(number)
        assert page is not None
        return Page(page.items[:-1], page.total) if len(moving.asked) == 2 else page

    items, _ = asyncio.run(read_changes(cut, Reading(stamp(1)), NOW, 25))
    assert {item["id"] for item in items} == set(range(1, 10))
    assert moving.asked == [1, 2, 1, 2, 3]


changes = st.lists(st.sampled_from(["insert", "update", "delete"]), max_size=3)


@settings(max_examples=400, deadline=None)
@given(
    stamps=st.lists(st.integers(1, 12), max_size=40),
    size=st.integers(1, 5),
    most_answers=st.lists(st.integers(0, 25), max_size=8),
    between=st.lists(changes, max_size=40),
    seed=st.integers(0, 2**32),
    down_to=st.integers(1, 12),
    refuses=st.booleans(),
)
def test_nothing_is_missed(
    stamps: list[int],
    size: int,
    most_answers: list[int],
    between: list[list[str]],
    seed: int,
    down_to: int,
    refuses: bool,
) -> None:
    """Over several looks, each with its own bound, with inserts, updates and deletions before each answer.

    Times are few, so that groups are large; their order is another in each answer. A look may give up; the last ones
    are undisturbed, and then all must have been seen as it is, but for what is no more.
    """
    chance = random.Random(seed)
    clock = 20
    script = iter(between)
    new_ids = iter(range(1000, 9999))

    def act(moving: MovingList, _: int) -> None:
        nonlocal clock
        for change in next(script, []):
            clock += chance.randrange(2)
            if change == "insert" or not moving.changed:
                moving.changed[next(new_ids)] = clock
            elif change == "update":
                moving.changed[chance.choice(sorted(moving.changed))] = clock
            else:
                # Of those changed last: what is below has been read by nobody yet, and hides nothing.
                last = sorted(moving.changed, key=lambda i: -moving.changed[i])[:8]
                del moving.changed[chance.choice(last)]

    moving = MovingList(dict(enumerate(stamps)), size, random.Random(seed + 1), act)
    fetch = refusing_behind_the_last(moving) if refuses else moving.fetch
    reading = Reading(stamp(down_to))
    seen: set[tuple[int, str]] = set()

    def look(reading: Reading) -> Reading:
        moving.asked = []
        try:
            items, reading = asyncio.run(read_changes(fetch, reading, NOW, moving.most_answers))
        except (CloposUnavailableError, CloposRefusedError):
            return reading
        seen.update((int(str(item["id"])), str(item["updated_at"])) for item in items)
        return reading

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clopos_assets.late.reading.GROUP_PAGES", 10**6)
        for moving.most_answers in most_answers:
            reading = look(reading)
        moving.before_answer, moving.shuffle, moving.most_answers = lambda *_: None, None, 10**6
        reading = look(reading)
    assert reading.unread is None
    assert {(i, stamp(at)) for i, at in moving.changed.items() if at >= down_to} <= seen
