"""What servers say of a page behind the last one: nothing, the last one again, more than they promised, or no."""

import asyncio

import pytest

from clopos_assets.clopos.errors import CloposAnswerError, CloposRefusedError, CloposUnavailableError
from clopos_assets.clopos.listing import Page
from clopos_assets.late.reading import read_changes
from clopos_assets.late.state import Reading, Unread
from tests.late.moving import MovingList, refusing_behind_the_last, stamp
from tests.late.test_reading import NOW, numbered


@pytest.mark.parametrize("count", [50, 51, 100])
def test_a_total_of_the_page_alone_hides_nothing(count: int) -> None:
    moving = MovingList(numbered(count), size=50)

    async def fetch(number: int) -> Page | None:
        page = await moving.fetch(number)
        assert page is not None
        return Page(page.items, len(page.items))

    if count == 50:
        assert len(asyncio.run(read_changes(fetch, Reading(stamp(0)), NOW, 25))[0]) == 50
        assert moving.asked == [1, 2]
        return
    kind = CloposAnswerError if count == 100 else CloposUnavailableError
    with pytest.raises(kind, match=r"more follow|more receipts came in"):
        asyncio.run(read_changes(fetch, Reading(stamp(0)), NOW, 25))


def test_a_server_that_gives_the_last_page_for_any_after_it_hides_nothing() -> None:
    moving = MovingList(numbered(50), size=50)
    items, _ = asyncio.run(read_changes(lambda _: moving.fetch(1), Reading(stamp(0)), NOW, 25))
    assert len(items) == 50


def test_a_server_that_refuses_a_page_after_the_last_hides_nothing() -> None:
    moving = MovingList(numbered(50), size=50)

    async def fetch(number: int) -> Page | None:
        if number > 1:
            raise CloposRefusedError("GET /x: no such page")
        return await moving.fetch(number)

    assert len(asyncio.run(read_changes(fetch, Reading(stamp(0)), NOW, 25))[0]) == 50


@pytest.mark.parametrize("gone", [1, 2, 5])
def test_a_page_that_vanishes_while_the_list_is_read_hides_nothing(gone: int) -> None:
    def delete(moving: MovingList, answer: int) -> None:
        if answer == 3:
            for receipt_id in range(9, 9 - gone, -1):
                del moving.changed[receipt_id]

    moving = MovingList(numbered(10), before_answer=delete)
    moving.changed |= {8: 8, 9: 8}  # equal times
    items, after = asyncio.run(read_changes(refusing_behind_the_last(moving), Reading(stamp(0)), NOW, 25))
    assert set(moving.changed) <= {int(str(item["id"])) for item in items}
    assert after == Reading(stamp(10))


@pytest.mark.parametrize("gone", [0, 1, 4, 7])
def test_what_was_left_unread_is_found_where_its_page_is_no_more(gone: int) -> None:
    moving = MovingList(numbered(10))
    fetch = refusing_behind_the_last(moving)
    for receipt_id in range(10, 10 - gone, -1):
        del moving.changed[receipt_id]
    items, after = asyncio.run(read_changes(fetch, Reading(stamp(10), Unread(9, 10, stamp(0))), NOW, 25))
    assert 1 in {int(str(item["id"])) for item in items}
    assert after.unread is None


def test_a_page_that_is_always_refused_is_told() -> None:
    moving = MovingList(numbered(10))

    async def fetch(number: int) -> Page | None:
        if number > 2:
            raise CloposRefusedError("GET /x: nothing behind page 2", "page")
        return await moving.fetch(number)

    with pytest.raises(CloposRefusedError, match="nothing behind page 2"):
        asyncio.run(read_changes(fetch, Reading(stamp(0)), NOW, 25))
    assert moving.asked == [1, 2, 2]
