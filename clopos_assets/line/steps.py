"""The steps of a run over the line: what each makes, and how the good dates get on when a step has bad ones.

In a range one bad shift date must not cost the others. Whoever runs the line does not start the steps after one
that failed, so a step with bad dates first carries the good ones through those tables.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from clopos_assets.ingest import Made
from clopos_assets.lake import Lake
from clopos_assets.line.following import Following
from clopos_assets.line.maker import Maker, Run

_MOST_ROUNDS = 4
"""Of a step: one for the dates that there are, and one for each time that other runs have made some meanwhile."""


@dataclass
class _Course:
    """How far a run has come.

    `to_come` are the makers whose steps may still come; whoever runs the line decides which step is the last one, and
    need not keep to the order of the makers. Of shift dates, `bad` are those that get no further tables, `failed` also
    those that failed in a step and get them all the same, and `taken` those that earlier runs had left something to do
    on. `is_broken` says that a step ended in an error of its own.
    """

    to_come: list[Maker]
    bad: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    is_broken: bool = False


class Line:
    """The makers in order, inputs before what is made from them, over one lake."""

    def __init__(self, lake: Lake, makers: Sequence[Maker], standard_days: int) -> None:
        self.lake = lake
        self.makers = tuple(makers)
        self._following = Following(lake, standard_days)
        self._courses: dict[str, _Course] = {}

    def step(self, run: Run, maker: Maker, planned: Collection[str]) -> Made:
        """Make the maker's tables of the run's shift dates, and of others that have to follow.

        `planned` are the names of all tables that the run is to make. Where dates were bad, `carry_on` comes next.
        """
        course = self._courses.setdefault(
            run.run_id, _Course([each for each in self.makers if each.names & set(planned)])
        )
        try:
            looks_back = any(each.looks_back for each in self.makers if each.names & set(planned))
            makes_all = all(each.names <= set(planned) for each in self.makers)
            is_whole = self._is_whole(planned)
            course.taken |= self._following.begin(run, makes_all=makes_all, is_whole=is_whole, looks_back=looks_back)
            made, _ = self._make(run, maker)
        except BaseException as error:
            course.is_broken = True
            is_over = not isinstance(error, Exception)  # the process is told to end
            self._pass(run, planned, course.to_come if is_over else self._stopped_by(maker, planned))
            raise
        if not made.bad:
            self._pass(run, planned, [maker])
        return made

    def carry_on(
        self, run: Run, failed: Maker, made: Made, planned: Collection[str]
    ) -> Iterator[tuple[Maker, Made, list[str]]]:
        """After a step with bad dates: make what would not come any more of the dates that are good.

        Gives maker, what it made, and which shift dates of it the run has not recorded; they have to be recorded
        before the next is asked for. Dates that turn out bad on the way are added to `made`.
        """
        # A bad date from or to which a receipt has moved in the first step was changed all the same, and goes on. In a
        # later one it lacks what that step is to make of it, whatever else it did to the date.
        moved = set() if failed.needs else {day for facts in made.facts.values() for day in facts}
        course = self._courses[run.run_id]
        bad = (made.bad.keys() - moved) | course.bad
        course.failed |= made.bad.keys()
        good = replace(run, asked=run.asked - made.bad.keys())
        try:
            for maker, is_kept_from_coming in self._kept_from_coming(failed, planned):
                if not maker.names <= set(planned):
                    continue
                then, days = self._make(good, maker, but=bad)
                if not days:
                    continue
                fresh = {day for facts in then.facts.values() for day in facts}
                # Of the dates asked for, a step that does come will say how they went.
                yield maker, then, sorted(fresh if is_kept_from_coming else fresh - run.asked)
                for shift_date, reason in then.bad.items():
                    bad.add(shift_date)
                    made.fail(shift_date, reason)
            course.bad |= bad
        except BaseException:
            course.is_broken = True
            raise
        finally:
            self._pass(run, planned, self._stopped_by(failed, planned))

    def _pass(self, run: Run, planned: Collection[str], makers: Collection[Maker]) -> None:
        """The steps of some makers have been, or will not come. After the last of them, others see to what is left."""
        course = self._courses[run.run_id]
        course.to_come = [maker for maker in course.to_come if maker not in makers]
        if course.to_come:
            return
        del self._courses[run.run_id]
        try:
            if not course.is_broken:
                # Carried on or not: what an earlier run had left to do there, be it to ask for, is not done.
                left = course.taken & course.failed
                self._following.end(run, course.bad | left, is_whole=self._is_whole(planned))
        finally:
            self._following.leave(run)

    def _stopped_by(self, failed: Maker, planned: Collection[str]) -> list[Maker]:
        """A maker whose step has failed, and those whose steps are not started for that."""
        return [failed, *(maker for maker, is_kept in self._kept_from_coming(failed, planned) if is_kept)]

    def _make(self, run: Run, maker: Maker, but: Collection[str] = ()) -> tuple[Made, set[str]]:
        """Make the maker's tables of the dates asked for and of those that follow, but of some; and which those are.

        Another run may have made a date for the first time while this one was at those that it looks back on.
        """
        made, done = Made(), set(but)
        for _ in range(_MOST_ROUNDS if maker.looks_back else 1):
            days = [day for day in (*sorted(run.asked), *self._following.touched(run, maker)) if day not in done]
            if not days:
                break
            made.update(maker.make(run, days))
            done.update(days)
        return made, done - set(but)

    def _is_whole(self, planned: Collection[str]) -> bool:
        """Whether the run makes everything that is computed, so that nothing is left for others to follow."""
        return {table.name for maker in self.makers for table in maker.tables if table.group != "raw"} <= set(planned)

    def _kept_from_coming(self, failed: Maker, planned: Collection[str]) -> list[tuple[Maker, bool]]:
        """The makers, in order, whose steps are not started once this one has failed (True), and those whose
        steps may come later but whose tables are needed for that (False).
        """
        reached = set(failed.names)
        for maker in self.makers:
            if reached & maker.needs and maker.names & set(planned):
                reached |= maker.names
        needed = set(reached)
        for maker in reversed(self.makers):
            if maker.names & needed:
                needed |= maker.needs
        made = self._needs_of(failed) | failed.names
        return [
            (maker, bool(maker.names & reached))
            for maker in self.makers
            if maker.names & needed and not maker.names & made
        ]

    def _needs_of(self, of: Maker) -> set[str]:
        """All tables that were made before the maker's, near and far."""
        needs = set(of.needs)
        for maker in reversed(self.makers):
            if maker.names & needs:
                needs |= maker.needs
        return needs
