"""Playing a history: each event in turn, then quiet until nothing is left to do, then judgement."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from clopos_assets.late.look import Look
from clopos_assets.sandbox import Hooks, LimitOptions, Limits, make_app
from clopos_assets.sandbox.requests import RequestLog
from clopos_assets.settings import Settings
from tests.simulation.brand import FIRST_DAY, SHIFT_END, Brand, shift_date_of
from tests.simulation.crash import Reaper, reaping
from tests.simulation.events import Event
from tests.simulation.faults import ROUTES, Faults
from tests.simulation.judging import Judge
from tests.simulation.machinery import ALL_PAGES, Machinery, StageAccess
from tests.simulation.memory import remembering
from tests.simulation.server import Server
from tests.simulation.spending import Spending

STANDARD_DAYS = 3
MOST_ROUNDS = 30
"""Ticks after which the sensor has to ask for nothing; each is seven hours after the one before."""
ROUND = timedelta(hours=7)
MOST_RUNS = 60


@dataclass
class Outcome:
    """What came of a history: the kinds of events that did happen, what is wrong at its end, and figures.

    `broke`: the program did, and nobody looked at what it had made.
    """

    happened: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    broke: bool = False


class Stage:
    """A brand, its API, and a project that follows it. For one history."""

    def __init__(self, root: Path, server: Server, venues: int) -> None:
        self.brand = Brand(venues)
        self.faults = Faults()
        self.reaper = Reaper()
        self.requests = RequestLog()
        server.app = make_app(
            self.brand.world,
            Limits(LimitOptions.unlimited()),
            hooks=Hooks(answer_instead=self.faults.answer),
            log=self.requests,
        )
        self._url = server.url
        self._root = root
        self.machinery = self.machinery_at("lake")
        self.judge = Judge(self.brand, self.machinery, STANDARD_DAYS)
        self.spending = Spending(self.machinery.lake, self.requests)
        self._outcome = Outcome()
        self._nights = 0
        self._dated_back: set[int] = set()

    def machinery_at(self, name: str) -> Machinery:
        """A project with a lake of its own."""
        credentials = self.brand.world.credentials
        settings = Settings.read(
            client_id=credentials.client_id,
            client_secret=credentials.client_secret,
            brand=credentials.brand,
            integrator_id=credentials.integrator_id,
            base_url=self._url,
            lake=self._root / name,
            venue_ids="all",
            start_date=FIRST_DAY,
            requests_per_window=10**9,
            allow_mass_removal=True,
            standard_days=STANDARD_DAYS,
            sweep_days=60,
        )
        return Machinery(StageAccess(settings, self.brand), self.brand, self.reaper)

    def play(self, events: Iterable[Event]) -> Outcome:
        """What came of the events."""
        with reaping(self.reaper), remembering():
            for event in events:
                self.brand.world.pass_time(timedelta(minutes=event.minutes))
                if self._outcome.wrong:
                    break
                if getattr(self, f"_{event.kind.replace(' ', '_')}")(event):
                    self._outcome.happened.append(event.kind)
            if not self._outcome.wrong:
                self._settle()
        self._outcome.counts.update(self.machinery.counts)
        self._outcome.counts.update({f"fault: {name}": hits for name, hits in self.faults.hits.items()})
        self._outcome.counts.update(self.spending.counts)
        return self._outcome

    # At the brand.

    def _sale(self, event: Event) -> bool:
        self._open_sale(event)
        (receipt_id,) = event.receipts
        self.brand.close(receipt_id)
        if event.how == "a day ahead":
            self.brand.stamp_as(receipt_id, self.brand.world.now + timedelta(days=1))
        elif event.how == "late by hours":
            self.brand.stamp_as(receipt_id, self.brand.world.now - timedelta(hours=5))
            self._dated_back.add(receipt_id)
        return True

    def _open_sale(self, event: Event) -> bool:
        self.brand.sell(event.receipts[0], event.venue, event.day, event.products, created=event.created)
        return True

    def _late_closing(self, event: Event) -> bool:
        is_open = self.brand.is_open(event.receipts[0])
        if is_open:
            self.brand.close(event.receipts[0])
        return is_open

    def _edit(self, event: Event) -> bool:
        return self._edit_all(event, timedelta(0))

    def _equal_stamps(self, event: Event) -> bool:
        last = self.brand.last_stamp()
        happened = self._edit_all(event, timedelta(0))
        if event.how == "as the last" and last is not None:
            for receipt_id in filter(self.brand.is_there, event.receipts):
                self.brand.stamp_as(receipt_id, last)
        return happened

    def _burst(self, event: Event) -> bool:
        return self._edit_all(event, timedelta(seconds=1))

    def _edit_all(self, event: Event, pause: timedelta) -> bool:
        there = [receipt_id for receipt_id in event.receipts if self.brand.is_there(receipt_id)]
        for receipt_id in there:
            self.brand.edit_header(receipt_id, event.number)
            self.brand.world.pass_time(pause)
        return bool(there)

    def _edit_of_lines(self, event: Event) -> bool:
        is_there = self.brand.is_there(event.receipts[0])
        if is_there:
            self.brand.edit_lines(event.receipts[0], event.number)
        return is_there

    def _rebooking(self, event: Event) -> bool:
        is_closed = self.brand.is_closed(event.receipts[0])
        if is_closed:
            self.brand.rebook(event.receipts[0], event.number)
        return is_closed

    def _move(self, event: Event) -> bool:
        (receipt_id,) = event.receipts
        can_move = self.brand.is_there(receipt_id) and self.brand.world.receipt(receipt_id)[
            "shift_date"
        ] != shift_date_of(event.day)
        if can_move:
            self.brand.move(receipt_id, event.day)
        return can_move

    def _far_move(self, event: Event) -> bool:
        if not self.machinery.cursor:
            return False  # nobody could know of it: no listing shows it, and the sensor is not at work yet
        return self._sale(event) if event.how == "sale" else self._move(event)

    def _deletion(self, event: Event) -> bool:
        is_there = self.brand.is_there(event.receipts[0])
        if is_there:
            self.brand.delete(event.receipts[0])
        return is_there

    def _reopening(self, event: Event) -> bool:
        is_closed = self.brand.is_closed(event.receipts[0])
        if is_closed:
            self.brand.reopen(event.receipts[0])
        return is_closed

    # At the project.

    def _fault(self, event: Event) -> bool:
        route = ROUTES[event.venue]
        if event.how == "deleted meanwhile":
            self.faults.arm_meanwhile(self.brand.delete, spared=event.day)
        elif event.how == "edited meanwhile":
            self.faults.arm_meanwhile(lambda i: self.brand.edit_lines(i, event.number), spared=event.day)
        else:
            route = "operations" if event.how == "absent" else route
            self.faults.arm(event.how, route, spared=event.day, times=event.number)
        return True

    def _kill(self, event: Event) -> bool:
        if not self.machinery.queue:
            self.machinery.order(self.machinery.made() or self.machinery.ended(), "hand")
        self.reaper.arm(event.number, before=event.how == "before")
        happened = self._run_next(is_found_dead=event.day == 0)
        self.reaper.disarm()
        return happened

    def _tick(self, event: Event) -> bool:
        with self.faults.held():  # they are for runs
            self._look(event.number)
        return True

    def _broken_tick(self, event: Event) -> bool:
        self.faults.arm("500", "list", spared=event.day, times=2)
        self._look(event.number)
        self.faults.end()
        return True

    def _lost_tick(self, event: Event) -> bool:
        with self.faults.held():
            self.machinery.tick(event.number, lost_after=event.day)
        return True

    def _run(self, event: Event) -> bool:
        happened = [self._run_next() for _ in range(min(event.number, len(self.machinery.queue)))]
        return any(happened)

    def _sweep(self, event: Event) -> bool:
        return self.machinery.sweep(f"{self.brand.world.now} {len(self._outcome.happened)}")

    def _backfill(self, event: Event) -> bool:
        days = [day for day in map(shift_date_of, range(event.day, event.until + 1)) if day in self.machinery.ended()]
        if event.how == "descending":
            for day in reversed(days):
                self.machinery.order([day], "backfill")
        elif days:
            self.machinery.order(days, "backfill")
        return bool(days)

    def _night(self, event: Event) -> bool:
        self.brand.receive(event.number)
        ended = self.brand.today
        morning = datetime.combine(FIRST_DAY + timedelta(days=ended + 1), SHIFT_END)
        self.brand.world.now = morning + timedelta(minutes=1)
        self.machinery.order([shift_date_of(ended)], "night", run_key=shift_date_of(ended))
        return True

    def _look(self, pages: int) -> Look | None:
        seen = self.machinery.tick(pages)
        if seen is not None:
            self._outcome.wrong += self.judge.overlooked(seen, pages, self._dated_back)
        return seen

    def _run_next(self, *, is_found_dead: bool = True) -> bool:
        if not self.machinery.queue:
            return False
        before = self.judge.standing()
        self.spending.begin(self.machinery.queue[0])
        ordered = self.machinery.run_next(is_found_dead=is_found_dead)
        assert ordered is not None
        self.spending.end(ordered)
        self._outcome.wrong += self.judge.lost(before)
        return True

    # When all is quiet.

    def _settle(self) -> None:
        self.faults.end()
        self.reaper.disarm()
        self._run_all()
        unmade = [day for day in sorted(self.machinery.wanted) if day not in self.machinery.made()]
        if unmade:
            self.machinery.order(unmade, "hand")
        self._run_all()
        if not self.machinery.made():
            return
        if not self._rest():
            return
        wrong = self._outcome.wrong
        is_lied_to = "absent" in self.faults.hits
        if not self._dated_back and not is_lied_to:
            wrong += self.judge.compare_seen()
        if is_lied_to:  # a change that no listing shows
            self.machinery.order(self.machinery.made(), "hand", refresh="all")
            self._run_all()
        if not wrong:
            self.machinery.sweep("at the end")
            self._run_all()
            if self._rest():
                wrong += self.judge.compare_all(self.machinery_at("at once"))
                wrong += self.judge.compare_again(self.requests)

    def _rest(self) -> bool:
        """Tick and run until the sensor asks for nothing and waits for nothing."""
        for _ in range(MOST_ROUNDS):
            self.brand.world.pass_time(ROUND)
            seen = self._look(ALL_PAGES)
            if seen is not None and not seen.decision.requests and not seen.state.asked and seen.pages < ALL_PAGES:
                return True
            self._run_all()
        self._outcome.wrong.append(f"the sensor asks on and on; the last it awaits: {seen and seen.state.asked}")
        return False

    def _run_all(self) -> None:
        for _ in range(MOST_RUNS):
            if not self._run_next():
                return
        self._outcome.wrong.append("runs without end")
