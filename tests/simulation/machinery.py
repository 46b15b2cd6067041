"""The project at work on a lake, without Dagster: a queue of runs over the line of makers, and the sensor's ticks.

What Dagster would keep is kept here: which runs there are and how they stand, what a run has recorded, the cursor.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import Literal

from clopos_assets.access import Access
from clopos_assets.clopos.errors import CloposError
from clopos_assets.ingest import Made, Refresh, Scope
from clopos_assets.ingest.made import RunState
from clopos_assets.ingest.stretches import stretches_of
from clopos_assets.lake import LakeError
from clopos_assets.late.budget import Budget
from clopos_assets.late.deciding import Surroundings
from clopos_assets.late.look import Look, look
from clopos_assets.late.state import State, read_state, write_state
from clopos_assets.line import Line, Maker, Run, left_behind, line_of
from clopos_assets.settings import Settings
from clopos_assets.tables import RECEIPTS, TABLES, Table
from tests.simulation.brand import Brand, shift_date_of
from tests.simulation.crash import Killed, Reaper, was_killed

ALL_PAGES = 25
SECONDS = 30.0


class StageAccess(Access):
    """Access in the brand's time."""

    def __init__(self, settings: Settings, brand: Brand) -> None:
        super().__init__(settings)
        self._brand = brand

    @property
    def scope(self) -> Scope:
        zone = self.settings.timezone
        return replace(super().scope, clock=lambda: self._brand.world.now.replace(tzinfo=zone).astimezone(UTC))


Origin = Literal["night", "backfill", "sweep", "sensor", "hand"]


@dataclass
class Ordered:
    """A run that was asked for. `reasons` are those for which it failed."""

    run_id: str
    shift_dates: tuple[str, ...]
    origin: Origin
    refresh: Refresh = "changed"
    state: RunState = "running"  # as Dagster calls what has not ended: queued runs too
    recorded: dict[str, set[str]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


class Machinery:
    """One lake and all that works on it."""

    def __init__(self, access: StageAccess, brand: Brand, reaper: Reaper) -> None:
        self.access = access
        self.lake = access.lake
        self.brand = brand
        self.cursor = ""
        self.queue: list[Ordered] = []
        self.wanted: set[str] = set()
        self.counts: Counter[str] = Counter()
        self._reaper = reaper
        self._by_key: dict[tuple[Origin, str], Ordered] = {}
        self._by_id: dict[str, Ordered] = {}

    def ended(self) -> list[str]:
        """Shift dates that are partitions by now, ascending."""
        return [shift_date_of(offset) for offset in range(self.brand.today)]

    def made(self) -> list[str]:
        """Shift dates that are made, ascending."""
        return self.lake.dates(RECEIPTS)

    def order(
        self, shift_dates: Iterable[str], origin: Origin, *, run_key: str = "", refresh: Refresh = "changed"
    ) -> None:
        """Queue a run; nothing happens where its key was seen before."""
        if run_key and (origin, run_key) in self._by_key:
            return
        ordered = Ordered(f"run{len(self._by_id) + 1}", tuple(sorted(shift_dates)), origin, refresh)
        self._by_id[ordered.run_id] = ordered
        if run_key:
            self._by_key[origin, run_key] = ordered
        self.queue.append(ordered)
        self.wanted.update(ordered.shift_dates)

    def sweep(self, name: str) -> bool:
        """What the schedule asks for: of the last shift dates that have ended, those that are made."""
        made = [day for day in self.ended()[-self.access.settings.sweep_days :] if self.lake.has(RECEIPTS, day)]
        for stretch in stretches_of(made):
            self.order(stretch, "sweep", run_key=f"sweep {name} of {stretch[0]}")
        return bool(made)

    def tick(self, pages: int = ALL_PAGES, *, lost_after: int | None = None) -> Look | None:
        """One tick of the sensor: what it found, None where it found nothing out.

        With `lost_after` its process dies when so many of its runs are asked for, before its cursor is stored.
        """
        if not self.made():
            return None
        access, lake = self.access, self.lake
        state = read_state(self.cursor) if self.cursor else State()
        assert state is not None
        around = Surroundings(
            lake=lake,
            partitions=frozenset(self.ended()),
            first_date=access.settings.start_date.isoformat(),
            run_state=self._state_by_key,
            behind=left_behind(lake, lambda run_id: self._by_id[run_id].state if run_id in self._by_id else "none"),
            now=access.scope.clock().timestamp(),
            poll_seconds=access.settings.poll_seconds,
        )
        budget = Budget(pages, SECONDS)

        async def take() -> Look:
            async with access.clopos(on_wait=budget.on_wait) as clopos:
                return await look(clopos, access.scope, state, around, budget)

        try:
            seen = asyncio.run(take())
        except (CloposError, LakeError):
            self.counts["ticks that could not read"] += 1
            return None
        for request in seen.decision.requests[:lost_after]:
            self.order(request.shift_dates, "sensor", run_key=request.run_key)
        if lost_after is None:
            self.cursor = write_state(seen.state)
        return seen

    def _state_by_key(self, run_key: str) -> RunState:
        ordered = self._by_key.get(("sensor", run_key))
        return "none" if ordered is None else ordered.state

    def run_next(
        self, *, is_found_dead: bool = True, tables: Collection[Table] = tuple(TABLES.values())
    ) -> Ordered | None:
        """Execute the run that waits longest, or some tables of it. Where it is killed, Dagster may find that out."""
        if not self.queue:
            return None
        ordered = self.queue.pop(0)
        line = line_of(self.access)
        try:
            self._run(line, ordered, {table.name for table in tables})
        except BaseException as error:
            if not was_killed(error):
                raise
            self.counts["runs killed"] += 1
            _free(line)
            if is_found_dead:
                ordered.state = "failed"
        else:
            ordered.state = "failed" if ordered.reasons else "succeeded"
            self.counts[f"runs {ordered.state}"] += 1
        return ordered

    def _run(self, line: Line, ordered: Ordered, planned: set[str]) -> None:
        def recorded(tables: Collection[str]) -> set[str]:
            return {day for name in tables for day in ordered.recorded.get(name, ())}

        run = Run(ordered.run_id, frozenset(ordered.shift_dates), recorded, ordered.refresh)
        failed: set[str] = set()
        for maker in line.makers:
            if not maker.names <= planned:
                continue
            if maker.needs & failed or not self._step(line, run, maker, planned, ordered):
                failed |= maker.names

    def _step(self, line: Line, run: Run, maker: Maker, planned: set[str], ordered: Ordered) -> bool:
        """One step as Dagster makes it; whether it succeeded."""
        try:
            made = line.step(run, maker, planned)
        except LakeError as error:
            ordered.reasons.setdefault("", str(error))
            return False
        good = [day for day in ordered.shift_dates if day not in made.bad]
        for name, facts in made.facts.items():
            self._record(ordered, made, {name}, [day for day in facts if day not in good or name not in maker.names])
        self._record(ordered, made, maker.names, good)
        if not made.bad:
            return True
        for then, came, days in line.carry_on(run, maker, made, planned):
            self._record(ordered, came, then.names, days)
        ordered.reasons.update(made.bad)
        return False

    def _record(self, ordered: Ordered, made: Made, names: Collection[str], days: Sequence[str]) -> None:
        if self._reaper.is_due():
            self._reaper.kill()
        for name in names:
            ordered.recorded.setdefault(name, set()).update(day for day in days if day in made.facts.get(name, {}))


def _free(line: Line) -> None:
    """What the system does for a dead process: its locks are free. Their files stay."""
    for alive in line._following._alive.values():
        alive.close()


__all__ = ["ALL_PAGES", "Killed", "Machinery", "Ordered", "StageAccess"]
