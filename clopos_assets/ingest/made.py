"""What every making shares: its scope, how it tells of progress, and what it reports per shift date."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from clopos_assets.lake import BusyError, Lake
from clopos_assets.tables import Table
from clopos_assets.tables.privacy import Privacy

Facts = dict[str, int | float | str | Decimal]
"""Figures of one partition, by name; texts where they are not figures."""
Progress = Callable[[str, int, int], None]
"""Called with what is being read, how many of it are done, and how many there are."""

LOCK_SECONDS = 3600.0
"""How long a run waits for another that makes the same shift date: longer than one date usually takes."""
OUTSIDE_LOCK_SECONDS = 900.0
"""The same for a date outside the run's range: its stock operations take minutes. Shorter, because the holder may in
turn wait for this run.
"""

NOBODY = "nobody"
"""Owner of the marks that a run of some tables leaves: who makes the other tables next has to follow its changes."""
RunState = Literal["none", "running", "succeeded", "failed"]
"""How a run stands, as whoever runs it says; `none` where nobody knows of it."""


def life_of(run_id: str) -> str:
    """The name under which a run holds a lock of the lake for as long as it lives."""
    return f"run {run_id}"


def is_alive(lake: Lake, run_id: str) -> bool:
    """Whether a run holds its lock: a killed process can't say that it has ended, but holds it no more."""
    try:
        with lake.locked([life_of(run_id)], seconds=0):
            return False
    except BusyError:
        return True


ASK_CLOPOS = ": run this again, and ask Clopos about it if it stays"
"""What to do about an answer that makes no sense."""


class IngestError(Exception):
    """A shift date can't be made from what the API said. The message says whether running again helps."""


class HeldByOthersError(Exception):
    """Other runs hold dates outside that are needed, and may in turn wait for this run's; nothing is written yet."""

    def __init__(self, shift_dates: set[str]) -> None:
        super().__init__(f"other runs hold some of {', '.join(sorted(shift_dates))}")
        self.shift_dates = shift_dates


def no_progress(_what: str, _done: int, _of: int) -> None:
    """For those who don't watch."""


@dataclass(frozen=True)
class Scope:
    """What is read: venues (None: the token's own, "all": every venue of the brand) and the listing's window.

    The list filters on `created_at`; a shift date is sought in the days from `days_before` before it to
    `days_after` after it, both inclusive. `brand` is who signs the lake, None: nobody. `run_id` names who is making, in
    the marks of what is about to change. `clock` gives now, with a time zone.
    """

    venue_ids: str | tuple[int, ...] | None
    days_before: int
    days_after: int
    zone: ZoneInfo
    allow_mass_removal: bool = False
    privacy: Privacy = field(default_factory=Privacy)
    brand: str | None = None
    run_id: str = NOBODY
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def local_now(self, before: timedelta = timedelta(0)) -> datetime:
        """Now, or so long before, as the API reports times: in the venues' zone, without it.

        So long in truth: on the day on which summer time begins or ends, clocks show an hour more or less.
        """
        return (self.clock() - before).astimezone(self.zone).replace(tzinfo=None)


@dataclass
class Made:
    """What a making did: facts per table and shift date, and the shift dates that failed, with the reason.

    Dates outside the range that was asked for stand here too, where a receipt moved from or to them.
    """

    facts: dict[str, dict[str, Facts]] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)

    def add(self, table: Table, shift_date: str, facts: Mapping[str, int | float | str | Decimal]) -> None:
        """Record a finished partition; a later write of the same partition adds to its facts."""
        self.facts.setdefault(table.name, {}).setdefault(shift_date, {}).update(facts)

    def update(self, other: "Made") -> None:
        """Record what another making did."""
        for name, by_date in other.facts.items():
            for shift_date, facts in by_date.items():
                self.facts.setdefault(name, {}).setdefault(shift_date, {}).update(facts)
        for shift_date, reason in other.bad.items():
            self.fail(shift_date, reason)

    def besides(self, asked: Collection[str]) -> "Made":
        """The facts of other shift dates than those asked for."""
        rest = {name: {d: f for d, f in by_date.items() if d not in asked} for name, by_date in self.facts.items()}
        return Made({name: by_date for name, by_date in rest.items() if by_date})

    def fail(self, shift_date: str, reason: str) -> None:
        """Record a shift date that failed; the first reason stands."""
        self.bad.setdefault(shift_date, reason)
