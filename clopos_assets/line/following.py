"""Which shift dates have to follow a change of another, also when the run that made the change did not end.

A run marks a shift date in the lake before it changes receipts or stock operations of it, and takes its marks away
when every table that may follow has done so. Marks of a run that has died say what it left behind.
"""

from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from datetime import date, timedelta

from clopos_assets.ingest.made import LOCK_SECONDS, NOBODY, RunState, is_alive, life_of
from clopos_assets.lake import BusyError, Lake
from clopos_assets.line.maker import Maker, Run
from clopos_assets.tables import TABLES


class Following:
    """The marks of one lake, as the runs of this process see them."""

    def __init__(self, lake: Lake, standard_days: int) -> None:
        self._lake = lake
        self._standard_days = standard_days
        self._alive: dict[str, ExitStack] = {}
        self._begun: set[str] = set()

    def begin(self, run: Run, *, makes_all: bool, is_whole: bool, looks_back: bool) -> set[str]:
        """Say before each step that the run is alive: until it leaves, or its process ends. Gives the dates taken over.

        Once, before its first step, a run sees to the marks that others have left on its dates:

        - `makes_all`, a run of all tables: takes over every mark.
        - `is_whole`, one of all computed tables: takes over marks of nobody. Other marks it follows and leaves, for
          their owner may have died before its stock operations were read.
        - `looks_back`, one of some tables, among them any that look back: follows marks of nobody, and leaves them.
        - any other run: leaves them alone.
        """
        if run.run_id not in self._alive:
            alive = ExitStack()
            alive.enter_context(self._lake.locked([life_of(run.run_id)], seconds=LOCK_SECONDS))
            self._alive[run.run_id] = alive
        taken = set()
        if (is_whole or looks_back) and run.run_id not in self._begun:
            for shift_date, others in self._lake.marks().items():
                if is_whole and shift_date in run.asked and others - {run.run_id}:
                    self._take_over(shift_date, run.run_id, makes_all=makes_all)
                    taken.add(shift_date)
                elif shift_date in run.asked and NOBODY in others:
                    self._lake.mark(shift_date, run.run_id)
        self._begun.add(run.run_id)
        return taken

    def _take_over(self, shift_date: str, run_id: str, *, makes_all: bool) -> None:
        # Held, so that no other run is between its mark and the change that the mark is about.
        with self._lake.locked([shift_date], seconds=LOCK_SECONDS):
            others = self._lake.marks().get(shift_date, set()) - {run_id}
            self._lake.mark(shift_date, run_id)
            for other in others if makes_all else others & {NOBODY}:
                self._lake.unmark(shift_date, other)

    def touched(self, run: Run, maker: Maker) -> list[str]:
        """Made shift dates besides those asked for that the maker has to see to as well, ascending.

        They are those of which this run has changed an input, and for tables that look back those whose standards
        it has changed.
        """
        days = run.recorded(maker.inputs) if maker.inputs else set()
        if maker.looks_back:
            days |= self._after(self._marked_by(run.run_id))
        return self._made(maker, sorted(days - run.asked))

    def _made(self, maker: Maker, shift_dates: list[str]) -> list[str]:
        """Those of the shift dates of which the maker's tables are there.

        Where they look back, a date that another run is making for the first time is waited for: it may have read what
        this run has changed. What is of the date itself, both read and write under its lock.
        """
        made = set(self._lake.has_each(maker.tables, shift_dates))
        if maker.looks_back:
            others = [shift_date for shift_date in shift_dates if shift_date not in made]
            begun = self._lake.has_each([TABLES[name] for name in sorted(maker.inputs)], others)
            made.update(shift_date for shift_date in begun if self._is_made_at_last(maker, shift_date))
        return [shift_date for shift_date in shift_dates if shift_date in made]

    def _is_made_at_last(self, maker: Maker, shift_date: str) -> bool:
        try:
            with self._lake.locked([shift_date], seconds=LOCK_SECONDS):
                return all(self._lake.has(table, shift_date) for table in maker.tables)
        except BusyError:
            return True  # as far as anybody knows: its making will say that the date is held

    def end(self, run: Run, bad: Collection[str], *, is_whole: bool) -> None:
        """The run has nothing more to make, but of `bad` dates: take away the marks of what all have followed.

        A run of some tables leaves the others to whoever makes them next.
        """
        for shift_date in self._marked_by(run.run_id):
            if not ({shift_date} | self._after([shift_date])) & set(bad):
                if not is_whole:
                    self._lake.mark(shift_date, NOBODY)
                self._lake.unmark(shift_date, run.run_id)

    def leave(self, run: Run) -> None:
        """The run makes no more: what it has marked and not followed is left to others."""
        alive = self._alive.pop(run.run_id, None)
        if alive is not None:
            alive.close()
            self._lake.forget_lock(life_of(run.run_id))

    def _marked_by(self, run_id: str) -> list[str]:
        return [shift_date for shift_date, owners in self._lake.marks().items() if run_id in owners]

    def _after(self, shift_dates: Iterable[str]) -> set[str]:
        return days_after(shift_dates, self._standard_days)


def days_after(shift_dates: Iterable[str], standard_days: int) -> set[str]:
    """The dates whose standards rest on any of the shift dates."""
    return {
        (date.fromisoformat(shift_date) + timedelta(days=later)).isoformat()
        for shift_date in shift_dates
        for later in range(1, standard_days + 1)
    }


def left_behind(lake: Lake, state_of: Callable[[str], RunState]) -> dict[str, set[str]]:
    """Shift dates that were changed by runs that have ended or died before all tables had followed: date → run ids.

    What was left by a run that was asked for some tables only, and has made them, is not among them.
    """
    dead: dict[str, bool] = {}
    behind: dict[str, set[str]] = {}
    for shift_date, owners in lake.marks().items():
        for run_id in owners - {NOBODY}:
            if run_id not in dead:
                dead[run_id] = _is_dead(lake, run_id, state_of(run_id))
            if dead[run_id]:
                behind.setdefault(shift_date, set()).add(run_id)
    still = lake.marks()  # a run may have ended well while it was being looked for
    left = {shift_date: owners & still.get(shift_date, set()) for shift_date, owners in behind.items()}
    return {shift_date: owners for shift_date, owners in left.items() if owners}


def _is_dead(lake: Lake, run_id: str, state: RunState) -> bool:
    if is_alive(lake, run_id):
        # One that succeeded took its marks away before; here they are again, as from a copy of the lake of before.
        return state in ("succeeded", "failed")
    lake.forget_lock(life_of(run_id))
    return True
