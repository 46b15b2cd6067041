"""Reading a list newest first, down to a time, while it changes and within a bound of pages and seconds.

The list moves while it is read. New and changed items come in at its top and push the others down; a deleted one
lets those below it move up by one. Pages are places in the list, so a push repeats items on the next page and a
deletion hides some, which is what this module is about. Knows pages and times, not what is in them.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby

from clopos_assets.clopos.decode import encode_json
from clopos_assets.clopos.errors import CloposAnswerError, CloposRefusedError, CloposUnavailableError
from clopos_assets.clopos.listing import Item, Page, may_be_one_of_many, one_of_many, page_behind, read_id
from clopos_assets.late.state import Reading, Unread
from clopos_assets.tables.values import RowError, read_time

Fetch = Callable[[int], Awaitable[Page | None]]
"""Gives a page by its 1-based number, or None where there is no time for another."""

_WALKS = 3
GROUP_PAGES = 10
"""How many pages of receipts with one and the same time are read before reading may stop among them."""


class _ChangedError(Exception):
    """The list changed in a way that may have hidden an item: what was read does not count."""


@dataclass(frozen=True, slots=True)
class _Served:
    """One item as it was served: at which place, on which answer, and how long the list was then."""

    item: Item
    stamp: str | None
    position: int
    answer: int
    total: int


@dataclass
class _Walk:
    """One way through the list. `rest` is the place where it was broken off; None: it came down to the time."""

    size: int
    served: list[_Served] = field(default_factory=list)
    rest: tuple[int, int] | None = None

    def items(self) -> list[Item]:
        return [one.item for one in self.served]


async def read_changes(fetch: Fetch, reading: Reading, settled: str, pages: int) -> tuple[list[Item], Reading]:
    """What was changed since `reading`, as far as `fetch` gives pages, and how far it is read then.

    The newest comes first, down to `reading.newest`, inclusive; then what was left unread earlier, for which half of
    the `pages` that there are is kept: while it lasts, a newest part that takes more is read anew the next time. Of two
    readings of one item the later stands later. `settled` is the time up to which every change can be trusted to be
    in the list, as the API writes times: what is later, or from a till whose clock is ahead, is read again next time,
    down to the last change before it.

    Raises CloposAnswerError where the list is not in order, CloposUnavailableError where it changes too fast.
    """
    unread = reading.unread
    head = await _walk(fetch if unread is None else _at_most(max(1, pages // 2), fetch), (0, 0), reading.newest, 0)
    stamps = [one.stamp for one in head.served if one.stamp is not None]
    # What is below the rest is unread in any case.
    least = settled if stamps and head.rest is not None else reading.newest
    newest = next((stamp for stamp in stamps if stamp <= settled), least)
    if unread is None:
        if not stamps:
            return head.items(), Reading(newest)
        return head.items(), Reading(newest, Unread(*head.rest, reading.newest) if head.rest else None)
    if head.rest is not None:
        newest = reading.newest
    if head.size == 0:
        return [], reading
    tail = await _walk(fetch, (unread.position, unread.total), unread.down_to, head.size)
    rest = Unread(*tail.rest, unread.down_to) if tail.rest else None
    return [*head.items(), *tail.items()], Reading(newest, rest)


def _at_most(pages: int, fetch: Fetch) -> Fetch:
    left = pages

    async def fetch_if_left(number: int) -> Page | None:
        nonlocal left
        left -= 1
        return await fetch(number) if left >= 0 else None

    return fetch_if_left


async def _walk(fetch: Fetch, start: tuple[int, int], down_to: str, size: int) -> _Walk:
    """Walk from a place down to a time; again, a few times, where the list changed so that it may not be whole.

    `size` is that of the pages, 0 where the first one is to tell.
    """
    reason = ""
    for _ in range(_WALKS):
        walk = _Walk(size)
        try:
            await _go(fetch, walk, start, down_to)
            if walk.rest is not None:
                _cut_at_a_border(walk, start)
            _check(walk.served)
        except _ChangedError as error:
            reason = str(error)
            continue
        return walk
    raise CloposUnavailableError(
        f"the receipts changed last were listed {_WALKS} times, and each time the list changed meanwhile ({reason})"
    )


async def _go(fetch: Fetch, walk: _Walk, start: tuple[int, int], down_to: str) -> None:
    """Collect what is served from a place on. A place is the next unread position, and the total it was seen under.

    Between two answers an item at some position moves by (items that came to the top) − (items above it that were
    deleted), and the total by (items that came in) − (items deleted): where the total fell by k, nothing moved up by
    more than k, but where items came in below, with a time of yesterday, while as many above were deleted, which no
    total tells. So unread items begin no higher than k before the position. Where the total grew, they may only have
    moved down; the position stays where it is all the same, for an item that came in may have come in below it.
    """
    position, total = start
    answer = 0
    least_refused: int | None = None
    while True:
        number = position // walk.size + 1 if walk.size else 1
        try:
            page = await fetch(number)
        except CloposRefusedError:
            # The list may end above by now, where the page before has what is unread, and tells the total.
            if number == 1 or (least_refused is not None and number >= least_refused):
                raise
            least_refused = number
            position = (number - 1) * walk.size - 1
            continue
        answer += 1
        if page is None:
            walk.rest = position, total
            return
        if walk.size == 0:
            # By the size that came: a larger one than the server likes may be cut down without a word.
            walk.size = max(len(page.items), 1)
        first = position // walk.size * walk.size
        position = max(0, position + min(0, page.total - total))
        total = page.total
        awaited = min(walk.size, max(0, total - first))
        if len(page.items) > awaited and first + awaited == total:
            page = _without_repeats(page)
        if len(page.items) != awaited:
            raise _ChangedError(f"a page holds {len(page.items)} receipts, and {awaited} were to come")
        _check_order(page.items)
        if position < first:
            continue  # what is unread may have moved to the page before
        for place, item in enumerate(page.items[position - first :], start=position):
            stamp = read_stamp(item)
            if stamp is not None and stamp < down_to:
                return
            walk.served.append(_Served(item, stamp, place, answer, total))
        position = max(position, first + len(page.items))
        if position >= total:
            if first == 0 and may_be_one_of_many(page):
                await _look_behind(fetch, page)
            return


def _without_repeats(page: Page) -> Page:
    """The page with each of its items once: the last one may hold some again, which the total does not count."""
    return replace(page, items=list({encode_json(item): item for item in page.items}.values()))


async def _look_behind(fetch: Fetch, page: Page) -> None:
    """Raises CloposAnswerError where more follows a page that is said to be all, and _ChangedError if it is news."""
    behind = await page_behind(fetch(2))
    known = {read_id(item.get("id")) for item in page.items}
    # One that knows no second page may give the first again.
    if behind is not None and any(read_id(item.get("id")) not in known for item in behind.items):
        if behind.total != page.total:
            raise _ChangedError("more receipts came in")
        raise one_of_many(page)


def read_stamp(item: Item) -> str | None:
    """When an item was last changed, as text that sorts by time; None where it does not say."""
    try:
        return str(read_time(item.get("updated_at")))
    except RowError:
        return None


def _check_order(items: Iterable[Item]) -> None:
    """A server that does not sort as asked would end the reading too early, and nobody would see."""
    stamps = [stamp for stamp in map(read_stamp, items) if stamp is not None]
    if stamps != sorted(stamps, reverse=True):
        raise CloposAnswerError("the receipts are not listed by updated_at as asked for; Clopos has to mend this")


def _groups(served: Iterable[_Served]) -> Iterator[list[_Served]]:
    """Items that follow each other with equal times."""
    for _, group in groupby(served, key=lambda one: one.stamp):
        yield list(group)


def _cut_at_a_border(walk: _Walk, start: tuple[int, int]) -> None:
    """Break off before a group of equal times, not inside: which of them are left could not be told later.

    A part that is one group is left whole for the next look, unless it is so long that it might never be got over.
    """
    groups = list(_groups(walk.served))
    if not groups or groups[-1][0].stamp is None:
        return
    first = groups[-1][0]
    if len(groups) > 1:
        walk.served = walk.served[: -len(groups[-1])]
        walk.rest = first.position, first.total
    elif groups[-1][-1].answer < GROUP_PAGES:
        walk.served = []
        walk.rest = start


def _check(served: Iterable[_Served]) -> None:
    """See to it that groups of equal times that cross from one answer to the next were served whole.

    How equal times follow each other is not documented, and may differ between two answers: one item may be served
    twice and another not at all. A group was whole if what it repeats is explained by items that came in, each of
    which repeats one. Raises _ChangedError.
    """
    for group in _groups(served):
        if group[0].stamp is None or group[0].answer == group[-1].answer:
            continue
        totals = [one.total for one in group]
        repeated = len(group) - len({_identify(one) for one in group})
        if totals != sorted(totals) or repeated > totals[-1] - totals[0]:
            raise _ChangedError(f"several receipts were changed at {group[0].stamp}")


def _identify(one: _Served) -> object:
    named = read_id(one.item.get("id"))
    return named if named is not None else (one.answer, one.position)
