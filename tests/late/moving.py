"""A list that is sorted by change and goes on changing while it is paged through."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from clopos_assets.clopos.listing import Item, Page


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
