"""What happens in a history, as an explicit list made from a seed; and what kinds of events there are.

An event says all that it needs, so that others can be left out of the list: one whose receipt is not there, or not in
the right state, then does not happen.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from random import Random

AT_THE_BRAND = (
    "sale",
    "open sale",
    "late closing",
    "edit",
    "edit of lines",
    "move",
    "far move",
    "deletion",
    "reopening",
    "rebooking",
    "equal stamps",
    "burst",
)
AT_THE_PROJECT = (
    "fault",
    "kill",
    "tick",
    "broken tick",
    "lost tick",
    "run",
    "sweep",
    "backfill",
    "night",
)
KINDS = (*AT_THE_BRAND, *AT_THE_PROJECT)
PAIRS = tuple((first, then) for first in KINDS for then in KINDS)
"""Every kind followed by every kind."""

PAIRS_PER_HISTORY = 5
"""How many pairs of neighbours a seed says outright; the others come by chance."""
FREE_EVENTS = 16
MOST_NIGHTS = 6
_WEIGHTS = {"run": 4.0, "sale": 0.5, "open sale": 0.7, "night": 1.5, "sweep": 0.3, "backfill": 0.3}
_SUIT_EACH_OTHER = {
    "move": ("kill",),
    "far move": ("kill", "tick"),
    "edit": ("tick",),
    "late closing": ("tick",),
    "tick": ("run", "fault", "equal stamps"),
    "fault": ("run",),
}
"""What often comes after a kind, because little comes of either alone."""
_BEFORE, _AFTER = 2, 1
"""The days of creation around a shift date that a listing shows."""


@dataclass(frozen=True)
class Event:
    """One event, `minutes` after the one before it.

    `receipts` are those that it is about. `day` and `until` are shift dates, as days after the first. `how` and
    `number` say what is particular, each kind in its own way: see `stage`.
    """

    kind: str
    minutes: int = 0
    receipts: tuple[int, ...] = ()
    venue: int = 1
    day: int = 0
    until: int = 0
    created: int = 0
    products: tuple[int, ...] = ()
    how: str = ""
    number: int = 0

    def __str__(self) -> str:
        said = {field.name: getattr(self, field.name) for field in fields(self)[1:]}
        told = [f"{field.name}={said[field.name]!r}" for field in fields(self)[1:] if said[field.name] != field.default]
        return f"Event({', '.join([repr(self.kind), *told])})"


@dataclass
class _Known:
    """What the author of a history knows of a receipt."""

    is_open: bool
    day: int
    created: int


class Author:
    """Writes the history of a seed. `today` is the shift that is on."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._random = Random(f"history {seed}")
        self.venues = self._random.choice((1, 1, 2))
        self._receipts: dict[int, _Known] = {}
        self._today = 0
        self._nights = 0
        self._next = 1
        self._events: list[Event] = []

    def write(self) -> list[Event]:
        """The events."""
        for kind in ("sale", "sale", "open sale", "sale", "night", "run"):
            self._add(kind)
        first = self._seed * PAIRS_PER_HISTORY
        said = [PAIRS[(first + number) % len(PAIRS)] for number in range(PAIRS_PER_HISTORY)]
        places = sorted(self._random.randrange(FREE_EVENTS) for _ in said)
        weights = [_WEIGHTS.get(kind, 1.0) for kind in KINDS]
        for place in range(FREE_EVENTS):
            suited = _SUIT_EACH_OTHER.get(self._events[-1].kind, ())
            if suited and self._random.random() < 0.4:
                self._add(self._random.choice(suited))
            else:
                self._add(self._random.choices(KINDS, weights)[0])
            for pair in [pair for pair, at in zip(said, places, strict=True) if at == place]:
                self._say(pair)
        return self._events

    def _say(self, pair: tuple[str, str]) -> None:
        """Add a pair of neighbours, and before it what makes it possible."""
        states = [receipt.is_open for receipt in self._receipts.values()]
        if "late closing" in pair and sum(states) < 2:
            self._add("open sale")
        if {"reopening", "rebooking"} & set(pair) and states.count(False) < 2:
            self._add("sale")
        if "far move" in pair:
            self._add("tick")
        while len(self._receipts) < 2:
            self._add("sale")
        for kind in pair:
            self._add(kind, is_said=True)

    def _add(self, kind: str, *, is_said: bool = False) -> None:
        if kind == "night" and self._nights >= MOST_NIGHTS and not is_said:
            return
        write: Callable[[], Event | None] = getattr(self, f"_{kind.replace(' ', '_')}")
        event = write()
        if event is not None:
            self._events.append(event)

    def _minutes(self) -> int:
        """Often none at all: then stamps are equal."""
        return self._random.choice((0, 0, 1, 7, 40, 150))

    def _pick(self, *, is_open: bool | None = None, most: int = 1) -> tuple[int, ...]:
        known = [i for i, receipt in self._receipts.items() if is_open is None or receipt.is_open == is_open]
        return tuple(sorted(self._random.sample(known, min(most, len(known)))))

    def _sell(self, kind: str, day: int, *, created: int = 0, how: str = "") -> Event:
        receipt_id = self._next
        self._next += 1
        products = tuple(self._random.choices((7, 7, 8, 9), k=self._random.choice((0, 1, 1, 2, 3))))
        venue = self._random.randint(1, self.venues)
        self._receipts[receipt_id] = _Known(kind == "open sale", day, day + created)
        return Event(kind, self._minutes(), (receipt_id,), venue, day, created=created, products=products, how=how)

    def _sale(self) -> Event:
        # Now and then a till whose clock is wrong, or that was offline for long.
        how = self._random.choice(("",) * 9 + ("a day ahead", "late by hours"))
        back = self._random.choice((0, 0, 0, 1))
        return self._sell("sale", max(0, self._today - back), how=how)

    def _open_sale(self) -> Event:
        return self._sell("open sale", self._today)

    def _late_closing(self) -> Event | None:
        picked = self._pick(is_open=True)
        if not picked:
            return None
        self._receipts[picked[0]].is_open = False
        return Event("late closing", self._minutes(), picked)

    def _edit(self) -> Event | None:
        picked = self._pick()
        return Event("edit", self._minutes(), picked, number=self._random.randrange(100)) if picked else None

    def _edit_of_lines(self) -> Event | None:
        picked = self._pick()
        return Event("edit of lines", self._minutes(), picked, number=self._random.randrange(5)) if picked else None

    def _rebooking(self) -> Event | None:
        picked = self._pick(is_open=False)
        return Event("rebooking", self._minutes(), picked, number=self._random.randrange(1, 9)) if picked else None

    def _move(self) -> Event | None:
        picked = self._pick()
        if not picked:
            return None
        known = self._receipts[picked[0]]
        days = [day for day in range(-1, self._today + 2) if -_BEFORE <= known.created - day <= _AFTER]
        days = [day for day in days if day != known.day]
        if not days:
            return None
        known.day = self._random.choice(days)
        return Event("move", self._minutes(), picked, day=known.day)

    def _far_move(self) -> Event | None:
        if self._random.random() < 0.4:
            day = self._random.choice([*range(self._today - 1), self._today + 3])
            return self._sell("far move", day, created=self._today - day, how="sale")
        picked = self._pick()
        if not picked:
            return None
        known = self._receipts[picked[0]]
        days = [day for day in range(self._today + 1) if not -_BEFORE <= known.created - day <= _AFTER]
        known.day = self._random.choice(days or [known.created + 3])
        return Event("far move", self._minutes(), picked, day=known.day)

    def _deletion(self) -> Event | None:
        picked = self._pick()
        for receipt_id in picked:
            del self._receipts[receipt_id]
        return Event("deletion", self._minutes(), picked) if picked else None

    def _reopening(self) -> Event | None:
        picked = self._pick(is_open=False)
        for receipt_id in picked:
            self._receipts[receipt_id].is_open = True
        return Event("reopening", self._minutes(), picked) if picked else None

    def _equal_stamps(self) -> Event | None:
        picked = self._pick(most=4)
        if not picked:
            return None
        # With the stamp of the present, or with that of whatever was changed last.
        how = self._random.choice(("", "as the last", "as the last"))
        return Event("equal stamps", self._minutes() if how else 0, picked, how=how, number=self._random.randrange(100))

    def _burst(self) -> Event | None:
        picked = self._pick(most=12)
        return Event("burst", self._minutes(), picked, number=self._random.randrange(100)) if picked else None

    def _fault(self) -> Event:
        how = self._random.choice(
            ("429", "500", "502", "cut off") * 2 + ("absent", "edited meanwhile", "deleted meanwhile")
        )
        route = self._random.choices((0, 1, 2), (6, 1, 3))[0]
        spared = self._random.choice((0, 0, 0, 1, 2))
        return Event("fault", how=how, venue=route, number=self._random.choice((1, 2, 2, 4, 8)), day=spared)

    def _kill(self) -> Event:
        how = self._random.choice(("before", "after"))
        found = self._random.choice((0, 0, 1))
        late = min(int(self._random.expovariate(1 / 12)) + 1, 60)
        return Event("kill", how=how, number=self._random.choice((late, self._random.randint(1, 7))), day=found)

    def _tick(self) -> Event:
        return Event("tick", self._random.choice((0, 7, 7, 40)), number=self._random.choice((1, 2, 3, 25, 25, 25)))

    def _broken_tick(self) -> Event:
        return Event("broken tick", self._minutes(), number=25, day=self._random.randrange(3))

    def _lost_tick(self) -> Event:
        return Event("lost tick", self._minutes(), number=25, day=self._random.randrange(3))

    def _run(self) -> Event:
        return Event("run", self._random.choice((0, 1, 7)), number=self._random.choice((1, 2, 9, 9)))

    def _sweep(self) -> Event:
        return Event("sweep")

    def _backfill(self) -> Event | None:
        if self._today < 1:
            return None
        day = self._random.randrange(self._today)
        until = self._random.randrange(day, self._today)
        return Event("backfill", day=day, until=until, how=self._random.choice(("range", "descending", "range")))

    def _night(self) -> Event:
        self._today += 1
        self._nights += 1
        return Event("night", number=self._random.randrange(20))


def history_of(seed: int) -> list[Event]:
    """The history of a seed."""
    return Author(seed).write()


def venues_of(seed: int) -> int:
    """How many venues its brand has."""
    return Author(seed).venues
