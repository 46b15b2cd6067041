"""Lists in memory that change while they are paged through, of numbered rows, and their reading."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

from clopos_assets.clopos.errors import CloposRefusedError
from clopos_assets.clopos.listing import (
    Item,
    Listing,
    Page,
    read_by_days,
    read_listing,
)


@dataclass
class Source:
    """A list by ascending id; `change` runs before each page is served, with the number of the answer."""

    rows: list[Item]
    size: Callable[[int], int] = lambda answer: 2
    change: Callable[["Source", int], None] = lambda source, answer: None
    asked: list[int] = field(default_factory=list)
    total: Callable[[int], int] = lambda count: count

    async def fetch(self, number: int) -> Page:
        await asyncio.sleep(0)
        answer = len(self.asked)
        self.asked.append(number)
        self.change(self, answer)
        size = self.size(answer)
        return Page(self.rows[(number - 1) * size : number * size], self.total(len(self.rows)))


def rows_of(*ids: int) -> list[Item]:
    return [{"id": number, "total": number} for number in ids]


@dataclass
class Calendar:
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
        return Page(rows_of(*ids[(number - 1) * 2 : number * 2]), len(ids))

    def read(self) -> Listing[list[object]]:
        """The list of all days."""

        async def list_days(first: date, last: date) -> Listing[list[object]]:
            return await read_listing(
                lambda number: self.fetch(first, last, number),
                ids_of,
                name=f"{first} to {last}",
                concurrency=2,
                pause_seconds=0.0,
                can_be_cut=first < last,
            )

        return asyncio.run(read_by_days(list_days, min(self.by_day), max(self.by_day)))


def calendar_of(days: int, of_each: int) -> dict[date, list[int]]:
    first = date(2026, 1, 1)
    return {first + timedelta(days=day): list(range(1 + day * of_each, 1 + (day + 1) * of_each)) for day in range(days)}


def ids_of(items: list[Item]) -> list[object]:
    return [item["id"] for item in items]


def read(source: Source, concurrency: int = 1) -> Listing[list[object]]:
    return read_by(source.fetch, concurrency)


def read_by(fetch: Callable[[int], Awaitable[Page]], concurrency: int = 1) -> Listing[list[object]]:
    return asyncio.run(read_listing(fetch, ids_of, name="the list", concurrency=concurrency, pause_seconds=0.0))


def lose_the_last(source: Source, answer: int) -> None:
    if answer == 1:
        source.rows.pop()


def refusing_behind_the_last(source: Source, most: int = 100) -> Callable[[int], Awaitable[Page]]:
    """As some servers do, which say in a refusal alone that there is no such page."""

    async def fetch(number: int) -> Page:
        if len(source.asked) >= most:
            raise CloposRefusedError("GET /x: no leave")
        page = await source.fetch(number)
        if not page.items:
            raise CloposRefusedError("GET /x: no such page", "page")
        return page

    return fetch


def delete_first(source: Source, answer: int) -> None:
    if answer == 1:
        source.rows = source.rows[1:]
