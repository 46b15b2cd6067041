"""Reading a paged list whole while it may be changing. Knows pages and ids, not HTTP."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Generic, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random

from clopos_assets.clopos.decode import encode_json
from clopos_assets.clopos.errors import CloposAnswerError, CloposRefusedError, CloposUnavailableError

T = TypeVar("T")
P = TypeVar("P")
Item = dict[str, object]

_RESTARTS = 5
_MOST_PAGES = 10_000
_LONGEST_NUMBER = 19
# The limits that the documents name are multiples of it.
_PAGES_BY = 50
# Reading so many pages takes seconds. During more, a busy brand's list may change every time.
_LONG = 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Page:
    """One answer of a list: its items in the order served, and how many match in all."""

    items: list[Item]
    total: int


@dataclass(frozen=True)
class Listing(Generic[T]):
    """A list read whole: every id once.

    `parts` are the converted pages in page order; `conflicts` holds, by id, all variants of an item that one answer
    gave with different content. Those count in `total` and are in no part.
    """

    parts: list[T]
    total: int
    restarts: int
    conflicts: dict[int, list[Item]]


class _ChangedError(Exception):
    """The list changed while it was read, or did not give what it promised: this reading is no good."""


class LongListChangedError(Exception):
    """A list of many pages changed while it was read: better to read it in parts than to begin it again."""


def read_page(envelope: Item, name: str) -> Page:
    """The page in an envelope. Raises CloposAnswerError where it is not one as documented."""
    items = read_objects(envelope, name)
    total = read_id(envelope.get("total"))
    if total is None or total < 0:
        raise CloposAnswerError(f"{name}: the answer has no whole number in total; Clopos has to mend this")
    return Page(items, total)


def may_be_one_of_many(first: Page) -> bool:
    """Whether a first page is full and is all, as it says: or `total` counts, against the documents, the page alone."""
    return first.total == len(first.items) > 0 and first.total % _PAGES_BY == 0


async def page_behind(asked: Awaitable[P]) -> P | None:
    """The page that was asked for behind what is said to be all: none is there, too, where it is refused."""
    try:
        return await asked
    except CloposRefusedError:
        return None


def one_of_many(first: Page) -> CloposAnswerError:
    """Where another page follows such a one."""
    return CloposAnswerError(
        f"the first {len(first.items)} receipts are all by the answer's total, and more follow; Clopos has to mend this"
    )


def read_id(value: object) -> int | None:
    """A whole number of 64 bits, which may come as 12.0 or as a numeric string; None where it is none of them."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _LONGEST_NUMBER:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not -(2**63) <= value < 2**63:
        return None
    whole = int(value)
    return whole if whole == value else None


def _identify(item: Item) -> int:
    """The item's id, or, where it has none that can be read, a stand-in of its own: what to make of such an item
    is for `convert` to say.
    """
    named = read_id(item.get("id"))
    return (
        named
        if named is not None
        else -int.from_bytes(blake2b(encode_json(item).encode(), digest_size=8).digest(), "big") - 1
    )


def read_objects(envelope: Item, name: str) -> list[Item]:
    """The objects in `data`. Raises CloposAnswerError where there is no list of objects."""
    data = envelope.get("data")
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise CloposAnswerError(f"{name}: data is not a list of objects; Clopos has to mend this")
    return data


async def read_by_days(list_days: Callable[[date, date], Awaitable[Listing[T]]], first: date, last: date) -> Listing[T]:
    """Read the list of some days, both inclusive, whole: where it is long and changes, as two of half as many days.

    New items are of the last day, so that the list of the days before it stands still. `list_days` raises
    LongListChangedError only for more than one day; an item may be in two parts where the list knows no days.
    """
    waiting = [(first, last)]
    read: list[Listing[T]] = []
    cuts = 0
    while waiting:
        start, end = waiting.pop()
        try:
            read.append(await list_days(start, end))
        except LongListChangedError as error:
            middle = start + (end - start) // 2
            _log.warning("%s; reading its days to %s, and those after it, each as a list", error, middle)
            waiting += [(middle + timedelta(days=1), end), (start, middle)]
            cuts += 1
    return Listing(
        parts=[part for listing in read for part in listing.parts],
        total=sum(listing.total for listing in read),
        restarts=sum(listing.restarts for listing in read) + cuts,
        conflicts={key: variants for listing in read for key, variants in listing.conflicts.items()},
    )


async def read_listing(
    fetch: Callable[[int], Awaitable[Page]],
    convert: Callable[[list[Item]], T],
    *,
    name: str,
    concurrency: int,
    pause_seconds: float,
    can_be_cut: bool = False,
) -> Listing[T]:
    """Read all pages of a list sorted so that new items come last.

    `fetch` reads a page by its 1-based number. `convert` gets each page's items that no page before had; what it
    made of a reading that has to start again is dropped. Whole means: the same total on every page and as many
    ids. A row deleted and another inserted between the same two answers keep the total and cannot be seen so.

    Raises CloposUnavailableError after five restarts, LongListChangedError instead of any for a list of more than
    twenty pages that `can_be_cut`, and what `fetch` and `convert` raise.
    """
    reading: _Reading[T] | None = None

    def is_worth_another(error: BaseException) -> bool:
        if isinstance(error, _ChangedError) and can_be_cut and reading is not None and reading.pages > _LONG:
            raise LongListChangedError(f"{name}: {error}") from None
        return isinstance(error, _ChangedError)

    def announce(state: RetryCallState) -> None:
        _log.warning("%s: %s; reading the list again from its first page", name, _reason(state))

    def give_up(state: RetryCallState) -> None:
        raise CloposUnavailableError(
            f"{name}: the list was read {state.attempt_number} times and is never whole, the last time: "
            f"{_reason(state)}; run again later"
        ) from None

    restarts = -1
    async for attempt in AsyncRetrying(
        sleep=asyncio.sleep,
        stop=stop_after_attempt(_RESTARTS + 1),
        wait=wait_random(0.5 * pause_seconds, 1.5 * pause_seconds),
        retry=retry_if_exception(is_worth_another),
        before_sleep=announce,
        retry_error_callback=give_up,
    ):
        with attempt:
            restarts += 1
            reading = _Reading(convert)
            await reading.run(fetch, concurrency)
    assert reading is not None, "the tries end with a reading or an exception"
    return Listing(
        parts=[reading.parts[number] for number in sorted(reading.parts)],
        total=reading.total,
        restarts=restarts,
        conflicts=reading.conflicts,
    )


@dataclass
class _Reading(Generic[T]):
    """One try at the whole list. Keeps a digest of each item, not the item."""

    convert: Callable[[list[Item]], T]
    total: int = 0
    pages: int = 0
    parts: dict[int, T] = field(default_factory=dict)
    conflicts: dict[int, list[Item]] = field(default_factory=dict)
    digests: dict[int, bytes] = field(default_factory=dict)
    surplus: int = 0

    async def run(self, fetch: Callable[[int], Awaitable[Page]], concurrency: int) -> None:
        first = await fetch(1)
        self.total = first.total
        size = len(first.items)
        self.take(1, first)
        if size == 0:
            if self.total > 0:
                raise _ChangedError(f"the first page is empty and {self.total} items are promised")
            return
        # By the size that came: a larger one than the server likes may be cut down without a word.
        pages = self.pages = max(-(-self.total // size), 1)
        if pages > _MOST_PAGES:
            raise CloposAnswerError(
                f"{self.total:,} items in pages of {size} are too many for one list; ask for fewer days at once"
            )
        await self._take_concurrently(fetch, pages, concurrency)
        if may_be_one_of_many(first):
            behind = await page_behind(fetch(2))
            if behind is not None and self.take(2, behind):
                raise one_of_many(first)
        # Rows that moved while the pages were read, or pages that were cut down: go on as long as it helps.
        number = pages
        while len(self.digests) < self.total:
            number += 1
            behind = await page_behind(fetch(number))
            if behind is None or not self.take(number, behind):
                break
        self.check()

    async def _take_concurrently(self, fetch: Callable[[int], Awaitable[Page]], pages: int, concurrency: int) -> None:
        # Highest first: a deletion moves rows to lower pages, which are read later, so that it repeats rows
        # rather than hides them.
        numbers = iter(range(pages, 1, -1))

        async def work(numbers: Iterator[int]) -> None:
            for number in numbers:
                try:
                    page = await fetch(number)
                except CloposRefusedError as error:  # of a list that has become shorter there may be no such page
                    raise _ChangedError(f"page {number} of {pages} is refused ({error})") from None
                self.take(number, page)

        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(concurrency, pages - 1)):
                    group.create_task(work(numbers))
        except BaseExceptionGroup as failures:
            failure = failures.exceptions[0]
        if failure is not None:
            raise failure

    def take(self, number: int, page: Page) -> bool:
        """Whether the page brought an id that no page before had."""
        if page.total != self.total:
            raise _ChangedError(f"the total went from {self.total} to {page.total}")
        variants: dict[int, dict[bytes, Item]] = {}
        for item in page.items:
            variants.setdefault(_identify(item), {})[_digest(item)] = item
        self.surplus += len(page.items) - len(variants)
        fresh: list[Item] = []
        is_news = False
        for key, contents in variants.items():
            digest = b"".join(sorted(contents))
            if key in self.digests:
                if self.digests[key] != digest:
                    raise _ChangedError(f"item {key} differs between two pages")
                continue
            self.digests[key] = digest
            is_news = True
            if len(contents) > 1:
                self.conflicts[key] = list(contents.values())
            else:
                fresh.extend(contents.values())
        self.parts[number] = self.convert(fresh)
        return is_news

    def check(self) -> None:
        """Whole: as many ids as promised; the total may also count rows that one answer gave more than once."""
        if self.total not in (len(self.digests), len(self.digests) + self.surplus):
            raise _ChangedError(f"{len(self.digests)} of {self.total} items came")


def _digest(item: Item) -> bytes:
    return blake2b(encode_json(item).encode(), digest_size=16).digest()


def _reason(state: RetryCallState) -> object:
    return state.outcome.exception() if state.outcome is not None else ""
