"""A list that is sorted by change and goes on changing while it is paged through."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from clopos_assets.clopos.errors import CloposRefusedError
from clopos_assets.clopos.listing import Item, Page
from clopos_assets.late.reading import Fetch


def stamp(second: int) -> str:
    """A time of an afternoon, by its number of seconds."""
    return f"2026-01-20 {12 + second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"


@dataclass
class MovingList:
    """Receipts by id with the second of their last change; equal ones are served in an order that changes."""

    changed: dict[int, int]
    size: int = 3
    shuffle: random.Random | None = None
    before_answer: Callable[["MovingList", int], None] = lambda moving, answer: None
    most_answers: int = 10_000
    asked: list[int] = field(default_factory=list)

    async def fetch(self, number: int) -> Page | None:
        if len(self.asked) >= self.most_answers:
            return None
        self.asked.append(number)
        self.before_answer(self, len(self.asked))
        ids = sorted(self.changed)
        if self.shuffle is not None:
            self.shuffle.shuffle(ids)
        ids.sort(key=lambda i: -self.changed[i])
        part = ids[(number - 1) * self.size : number * self.size]
        return Page([self.item(i) for i in part], len(ids))

    def item(self, receipt_id: int) -> Item:
        return {"id": receipt_id, "updated_at": stamp(self.changed[receipt_id])}


def refusing_behind_the_last(moving: MovingList) -> Fetch:
    """As some servers do, which say in a refusal alone that there is no such page."""

    async def fetch(number: int) -> Page | None:
        page = await moving.fetch(number)
        if page is not None and number > 1 and not page.items:
            raise CloposRefusedError("GET /x: no such page", "page")
        return page

    return fetch
