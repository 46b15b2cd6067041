"""One look at what has changed: reading the list of each venue as far as time allows, and deciding what to ask for."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from clopos_assets.clopos.client import Clopos
from clopos_assets.clopos.errors import CloposError
from clopos_assets.clopos.listing import Item, Page
from clopos_assets.ingest import Scope
from clopos_assets.ingest.venues import MadeSince, Noted, dates_without, venue_notes, venues_to_read
from clopos_assets.late.beginning import known_until
from clopos_assets.late.budget import Budget
from clopos_assets.late.deciding import Decision, Surroundings, await_venues, decide
from clopos_assets.late.reading import Fetch, read_changes
from clopos_assets.late.sighting import Sighted
from clopos_assets.late.state import MOST_RECEIPTS, Reading, State

_MOST_FAILURES = 3
"""After so many venues that can't be read, and none that can, the others are left alone."""

MARGIN = timedelta(minutes=5)
"""How long a change may take from the time it bears to the list: it is written and seen a little later."""


@dataclass
class Look:
    """What a look found: the state to remember, the decision, and what it read.

    `failed` says, by venue, why its list could not be read; `is_full` that so much is awaited that nothing was read;
    `lacking`, by shift date, which venues it was made without, of those that this look saw for the first time, or of
    dates made since the last one;
    `starved` why no page came after the list of venues.
    """

    state: State
    decision: Decision
    sighted: Sighted
    pages: int
    failed: dict[str, str] = field(default_factory=dict)
    is_full: bool = False
    lacking: dict[str, list[int]] = field(default_factory=dict)
    starved: str = ""

    @property
    def unread(self) -> list[str]:
        """Venues of which more is to be read."""
        return [venue for venue, reading in self.state.read.items() if reading.unread is not None]


async def look(clopos: Clopos, scope: Scope, state: State, around: Surroundings, budget: Budget) -> Look:
    """Read what has changed since `state`, and decide. Something must be materialized.

    A venue whose list can't be read costs the others nothing, and is read from where it was by the next look. Shift
    dates that were made before a venue was added are asked for. Raises CloposError where no venue could be read; but
    where the list of venues came and took what quota or time there was, the next look reads those that are known.
    """
    state = _of_here(state, around)
    read = dict(state.read)
    lacking: dict[str, list[int]] = {}
    sighted = Sighted()
    failed: dict[str, str] = {}
    starved = ""
    is_full = state.receipts >= MOST_RECEIPTS
    made = None if is_full else MadeSince(around.lake, state.looked_at)
    if made is not None:
        known: Sequence[Item] = [{"id": int(venue)} for venue in state.read if venue] if state.is_starved else []
        venues = await venues_to_read(scope, lambda: _list_venues(clopos, budget, known))
        # One that is left out for a while is new when it comes back: shift dates may have been made without it.
        read = {venue: reading for venue, reading in read.items() if venue in {_name(venue_id) for venue_id in venues}}
        added = [venue_id for venue_id in venues if venue_id is not None and _name(venue_id) not in read]
        rest = [venue_id for venue_id in venues if venue_id is not None and venue_id not in added]
        # The notes of years take an object store half a minute: they are read when they are needed, and once.
        noted = functools.cache(functools.partial(venue_notes, around.lake))
        with budget.aside():
            without = dates_without(around.lake, added, noted()) if added else {}
            # A date may be made without a venue by a run that began before it was added, or whose settings are others.
            since = venue_notes(around.lake, made.shift_dates) if rest and made.shift_dates else []
            for shift_date, missing in dates_without(around.lake, rest, since).items():
                without[shift_date] = sorted([*without.get(shift_date, ()), *missing])
        lacking = {shift_date: missing for shift_date, missing in without.items() if shift_date in around.partitions}
        failed = await _read_all(clopos, scope, around, budget, venues, read, sighted, noted)
        if not (budget.answered or failed):
            if known or not isinstance(scope.venue_ids, str):
                raise budget.no_answer()
            starved = str(budget.no_answer())
    decision = decide(state.asked, await_venues(state.kept, lacking), sighted.receipts.values(), around, state.begun)
    state = msgspec.structs.replace(
        state, is_starved=bool(starved), read=read, asked=decision.asked, kept=decision.kept
    )
    if made is not None:  # only now: what raises before is looked at again
        made.remember()
        state = msgspec.structs.replace(state, looked_at=made.digest)
    return Look(state, decision, sighted, budget.answered, failed, is_full, lacking, starved)


def _of_here(state: State, around: Surroundings) -> State:
    """The state, as far as it holds here: what was read for another lake does not, nor that nothing was to be done for
    dates that were before the first one then.
    """
    lake = around.lake.uri()
    if state.lake not in ("", lake):
        state = State(begun=int(around.now))
    read = {} if around.first_date < state.first_date else state.read
    return msgspec.structs.replace(state, lake=lake, first_date=around.first_date, read=read)


async def _read_all(
    clopos: Clopos,
    scope: Scope,
    around: Surroundings,
    budget: Budget,
    venues: Sequence[int | None],
    read: dict[str, Reading],
    sighted: Sighted,
    noted: Callable[[], Noted],
) -> dict[str, str]:
    """Read the venues as far as the budget goes; `read` and `sighted` are brought up to date. Which failed, and why.
    `noted` reads the notes of all shift dates.

    Raises CloposError where some failed and none could be read.
    """
    settled = _settled(scope)
    by_name = {_name(venue_id): venue_id for venue_id in venues}
    _step_back(read, settled, scope.zone)
    new = [venue for venue in by_name if venue not in read]
    with budget.aside():
        known = known_until(around.lake, new, settled, noted()) if new else {}
    # In the order of the last reading: where there is not time for all venues, each has its turn. First where something
    # was left unread: that takes more than what the others leave over.
    order = [*known, *sorted((v for v in read if v in by_name), key=lambda venue: read[venue].unread is None)]
    for venue, stamp in known.items():
        read[venue] = Reading(stamp)
    errors: dict[str, CloposError] = {}
    done = 0
    for venue in order:
        if budget.spent or (not done and len(errors) >= _MOST_FAILURES):
            break
        before = read.pop(venue)
        read[venue] = before  # it has had its turn
        fetched_at = scope.clock()
        pages = budget.answered
        try:
            items, read[venue] = await read_changes(
                _fetch(clopos, budget, by_name[venue]), before, settled, budget.pages - budget.answered
            )
        except CloposError as error:
            errors[venue] = error
            continue
        done += budget.answered > pages
        sighted.take(
            items,
            scope,
            asked_venue=by_name[venue],
            fetched_at=fetched_at,
            brings_operations=clopos.receipts_hold_operations,
        )
    if errors and not done:
        raise next(iter(errors.values()))
    return {venue: str(error) for venue, error in errors.items()}


def _settled(scope: Scope) -> str:
    """The local time up to which every change is in the list by now: the earlier of the margin ago on the clock and in
    truth, for an hour may be left out or come twice.
    """
    return str(min(scope.local_now() - MARGIN, scope.local_now(MARGIN)).replace(microsecond=0))


def _step_back(read: dict[str, Reading], settled: str, zone: ZoneInfo) -> None:
    """Where clocks go back, read on from before the hour that comes twice, and nowhere from after what is settled."""
    for venue, reading in list(read.items()):
        since = before_repeats(reading.newest, zone)
        if since > settled:
            # A clock or somebody's hand set it ahead: nobody knows from where on it was not read.
            del read[venue]
        else:
            read[venue] = Reading(since, reading.unread)


def _fetch(clopos: Clopos, budget: Budget, venue_id: int | None) -> Fetch:
    async def fetch(number: int) -> Page | None:
        return await budget.page(lambda: clopos.list_last_changed(number, venue_id))

    return fetch


def before_repeats(stamp: str, zone: ZoneInfo) -> str:
    """The local time, or where clocks go back and its minute comes twice, as much earlier as they go back.

    What changes in the second hour bears times of the first, and so may stand below what was read in that.
    """
    time = datetime.fromisoformat(stamp).replace(tzinfo=zone)
    apart = time.replace(fold=1).timestamp() - time.timestamp()  # negative in an hour that clocks leave out
    return str(time.replace(tzinfo=None) - timedelta(seconds=max(0, apart)))


async def _list_venues(clopos: Clopos, budget: Budget, known: Sequence[Item]) -> Sequence[Item]:
    listed = known or await budget.in_time(clopos.list_venues)
    if listed is None:
        raise budget.no_answer()
    return listed


def _name(venue_id: int | None) -> str:
    return "" if venue_id is None else str(venue_id)
