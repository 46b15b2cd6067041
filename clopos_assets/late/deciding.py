"""Which shift dates are to be made, given what was seen, what the lake has and what was asked for before.

A decision reads the lake and changes nothing in it, except that it notes receipts which the making of their shift
date would not list, so that it asks for them by id.

What is awaited of a receipt at a shift date is a text: its version (the one that the lake will have), `gone ` and
its version where it is to leave the date, `unreadable ` and a digest; of a run that left the date half made, named
`run <id>`, nothing but that it be made good; of a venue that the date was made without, named `venue <id>`, that it be
made for that one too.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from clopos_assets.ingest.made import RunState
from clopos_assets.ingest.stored import Stored
from clopos_assets.ingest.stretches import stretches_of
from clopos_assets.lake import BusyError, Lake, LakeError
from clopos_assets.late.sighting import Sighting
from clopos_assets.late.state import Asked, Awaited
from clopos_assets.tables import RECEIPTS

Standing = Literal["made", "busy", "unmade", "no partition"]

LONGEST_PAUSE_SECONDS = 6 * 3600
LONGEST_RUN_SECONDS = 24 * 3600
"""A run that has not ended by then is taken for dead: its process may be gone without a word."""

_GONE = "gone "
_RUN = "run "
_VENUE = "venue "


@dataclass(frozen=True)
class Surroundings:
    """What a decision looks at.

    `partitions` are the shift dates that exist now, `first_date` is the first that ever will.
    `run_state` tells of the run that was asked for by a run key. `behind` names, by shift date, the runs that
    changed it and ended before all its tables followed. `now` is unix seconds.
    """

    lake: Lake
    partitions: Collection[str]
    first_date: str
    run_state: Callable[[str], RunState]
    behind: Mapping[str, Collection[str]]
    now: float
    poll_seconds: int


@dataclass(frozen=True)
class Request:
    """A run to ask for: consecutive shift dates, and what is awaited of each."""

    run_key: str
    receipts: Mapping[str, Awaited]

    @property
    def shift_dates(self) -> list[str]:
        """Ascending."""
        return sorted(self.receipts)


def names_of(receipts: Mapping[str, Awaited]) -> tuple[list[str], list[str], list[str]]:
    """Of what is awaited by shift date: the receipts, by id, the ids of runs that left a date half made, and venues
    that a date was made without.
    """
    names = {name for versions in receipts.values() for name in versions}
    runs = {name for name in names if name.startswith(_RUN)}
    venues = {name for name in names if name.startswith(_VENUE)}
    of_runs, of_venues = (sorted(name.partition(" ")[2] for name in kind) for kind in (runs, venues))
    return sorted(names - runs - venues, key=lambda name: (len(name), name)), of_runs, of_venues


def await_venues(kept: Mapping[str, Awaited], lacking: Mapping[str, Collection[int]]) -> dict[str, Awaited]:
    """What was kept, and besides that the shift dates be made for the venues they lack."""
    both = {shift_date: dict(versions) for shift_date, versions in kept.items()}
    for shift_date, venue_ids in lacking.items():
        both.setdefault(shift_date, {}).update({f"{_VENUE}{venue_id}": "" for venue_id in venue_ids})
    return both


@dataclass
class Decision:
    """What to ask for, and what to remember; and, to be told, what is not asked for, by shift date and reason.

    `running` is being made or was asked for and has not ended, `paused` was asked for in vain and will be again,
    `unmade` has never been made, `outside` is no partition.
    """

    requests: list[Request] = field(default_factory=list)
    asked: dict[str, Asked] = field(default_factory=dict)
    kept: dict[str, Awaited] = field(default_factory=dict)
    running: dict[str, Awaited] = field(default_factory=dict)
    paused: dict[str, Awaited] = field(default_factory=dict)
    unmade: dict[str, Awaited] = field(default_factory=dict)
    outside: dict[str, Awaited] = field(default_factory=dict)


def decide(
    asked: Mapping[str, Asked],
    kept: Mapping[str, Awaited],
    sightings: Iterable[Sighting],
    around: Surroundings,
    begun: int,
) -> Decision:
    """Which runs to ask for now. `asked` and `kept` are from the look before; `begun` as in `State`."""
    seen = list(sightings)
    deciding = _Deciding(around)
    wanted = deciding.lake.missing(_gather(kept, seen, around))
    _note_unlisted(seen, wanted, around)
    deciding.see_to_asked(asked)
    deciding.see_to_wanted(wanted)
    deciding.ask(begun)
    return deciding.decision


class _Deciding:
    """One decision as it is made: what is `due` to be asked for now, and how often each date was before."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self.lake = _Lake(around)
        self.decision = Decision()
        self._due: dict[str, Awaited] = {}
        self._tries: dict[str, int] = {}

    def see_to_asked(self, asked: Mapping[str, Asked]) -> None:
        """What was asked for is over, goes on being awaited, or is due again."""
        decision = self.decision
        still_missing = self.lake.missing({shift_date: request.receipts for shift_date, request in asked.items()})
        judged = {day: _judge(request, still_missing.get(day, {}), self._around) for day, request in asked.items()}
        self.lake.look_at(shift_date for shift_date, verdict in judged.items() if verdict == "again")
        for shift_date, request in asked.items():
            still = still_missing.get(shift_date, {})
            match judged[shift_date]:
                case "over":
                    continue
                case "running":
                    decision.running[shift_date] = still or request.receipts
                case "paused":
                    decision.paused[shift_date] = still
                case "again":
                    standing = self.lake.standing(shift_date)
                    if standing == "made":
                        # Which runs have left it by now, what is wanted says.
                        self._due[shift_date] = {n: v for n, v in still.items() if not n.startswith(_RUN)}
                        self._tries[shift_date] = request.tries + 1
                        continue
                    if standing != "busy":
                        continue  # it was taken out of the lake or of the calendar since
                    decision.running[shift_date] = still
            decision.asked[shift_date] = request

    def see_to_wanted(self, wanted: Mapping[str, Awaited]) -> None:
        """What is wanted and was not asked for is due, or kept for later, or told only. After what was asked for."""
        decision = self.decision
        under_way = {name for shift_date in decision.running for name in decision.asked[shift_date].receipts}
        self.lake.look_at(shift_date for shift_date in wanted if shift_date not in decision.asked)
        for shift_date, all_versions in wanted.items():
            if shift_date in decision.asked:
                news = {n: v for n, v in all_versions.items() if decision.asked[shift_date].receipts.get(n) != v}
                if news:
                    decision.kept[shift_date] = news
                continue
            # A run of another date may have listed the receipt before it moved, and must not write it after a run of
            # this.
            held = {n: v for n, v in all_versions.items() if n in under_way and not n.startswith((_RUN, _VENUE))}
            if held:
                decision.kept[shift_date] = decision.running[shift_date] = held
            versions = {n: v for n, v in all_versions.items() if n not in held}
            if not versions:
                continue
            match self.lake.standing(shift_date):
                case "made":
                    self._due[shift_date] = self._due.get(shift_date, {}) | versions
                case "busy":
                    decision.kept[shift_date] = decision.running[shift_date] = all_versions
                case "unmade":
                    decision.unmade[shift_date] = versions
                case "no partition":
                    decision.outside[shift_date] = versions

    def ask(self, begun: int) -> None:
        """Ask for what is due, in runs of consecutive dates."""
        due, tries = self._due, self._tries
        for stretch in stretches_of(due):
            receipts = {shift_date: due[shift_date] for shift_date in stretch}
            # Dagster takes a run key once. What was asked for before may have to be made again, where the lake or this
            # memory is not what it was then; but not where a run ended well and wrote nothing, or the request was
            # repeated.
            run_key = _key({day: [begun, self.lake.stamp(day), tries.get(day, 0), receipts[day]] for day in stretch})
            self.decision.requests.append(Request(run_key, receipts))
            for shift_date in stretch:
                count = tries.get(shift_date, 0)
                not_before = int(self._around.now + _pause(count, self._around))
                self.decision.asked[shift_date] = Asked(run_key, count, not_before, receipts[shift_date])


def _gather(kept: Mapping[str, Awaited], seen: Iterable[Sighting], around: Surroundings) -> dict[str, Awaited]:
    """All that is awaited and not asked for: kept from before, seen now, and left behind by runs."""
    now_seen = {sighting.name: sighting for sighting in seen}
    wanted: dict[str, Awaited] = {}

    def want(shift_date: str, name: str, version: str) -> None:
        wanted.setdefault(shift_date, {})[name] = version

    for shift_date, versions in kept.items():
        for name, version in versions.items():
            if name not in now_seen:  # what was seen later says it all
                want(shift_date, name, version)
    of_id = {sighting.receipt_id: sighting for sighting in now_seen.values() if sighting.receipt_id is not None}
    for sighting in now_seen.values():
        want(sighting.shift_date, sighting.name, sighting.version)
    for shift_date, ids in around.lake.find(RECEIPTS, "id", of_id).items():
        for receipt_id in ids:
            if of_id[receipt_id].shift_date != shift_date:
                # With the version: it may come back, and leave again.
                want(shift_date, str(receipt_id), _GONE + of_id[receipt_id].version)
    for shift_date, runs in around.behind.items():
        for run_id in runs:
            want(shift_date, f"{_RUN}{run_id}", "")
    return wanted


def _judge(request: Asked, still: Awaited, around: Surroundings) -> Literal["over", "running", "paused", "again"]:
    """How it stands with what was asked for, `still` being what is missing of it."""
    # What a dead run left is the affair of the run that was asked for; only its end tells whether it is made good.
    if not still and not any(name.startswith(_RUN) for name in request.receipts):
        return "over"
    state = around.run_state(request.run_key)
    if state == "running" and around.now < request.not_before + LONGEST_RUN_SECONDS:
        return "running"
    if not still:
        return "over"
    # A run lists after it was asked for: if a receipt is not there as it was seen, it has changed since, and is or
    # will be seen anew. What a dead run left is no matter of listing.
    if state == "succeeded" and not any(name.startswith(_RUN) for name in still):
        return "over"
    # If it is further ahead than any pause lasts, the clock has been set back since: it counts as due.
    is_due = not 0 < request.not_before - around.now <= _pause(request.tries, around)
    return "again" if is_due else "paused"


def _pause(tries: int, around: Surroundings) -> int:
    """How many seconds are waited after so many tries before the last."""
    longest: int = around.poll_seconds << min(tries, 20)
    return min(longest, LONGEST_PAUSE_SECONDS)


def _note_unlisted(seen: Iterable[Sighting], wanted: Mapping[str, Awaited], around: Surroundings) -> None:
    """Let receipts wait in the lake that the making of their shift date would not list, made already or not.

    Before the lake is asked whether the date is made: a making that begins in between finds the note.
    """
    for sighting in seen:
        if (
            sighting.receipt_id is not None
            and not sighting.is_listed
            and sighting.shift_date >= around.first_date
            and sighting.name in wanted.get(sighting.shift_date, {})
            and around.lake.waiting(sighting.shift_date).get(sighting.receipt_id) != sighting.venue_id
        ):
            around.lake.wait_for(sighting.shift_date, sighting.receipt_id, sighting.venue_id)


class _Lake:
    """What the lake says during one decision; each partition is read once."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._stored: dict[str, Stored | None] = {}
        self._standings: dict[str, Standing] = {}
        self._stamps: dict[str, str | None] = {}

    def missing(self, wanted: Mapping[str, Awaited]) -> dict[str, Awaited]:
        """What of it is not so in the lake."""
        self._load([day for day, names in wanted.items() if not all(name.startswith(_RUN) for name in names)])
        missing = {
            shift_date: {
                name: version for name, version in versions.items() if not self._is_so(shift_date, name, version)
            }
            for shift_date, versions in wanted.items()
        }
        return {shift_date: versions for shift_date, versions in missing.items() if versions}

    def _is_so(self, shift_date: str, name: str, version: str) -> bool:
        if name.startswith(_RUN):
            # Whichever run has left it by now: one that made good for another may have died on it, too.
            return not self._around.behind.get(shift_date)
        stored = self._stored[shift_date]
        if stored is None:
            return False
        if name.startswith(_VENUE):
            return int(name.removeprefix(_VENUE)) in stored.read_for
        if not name.removeprefix("-").isdecimal():
            return False
        if version.startswith(_GONE):
            return int(name) not in stored.venues
        return stored.versions.get(int(name), b"").hex() == version

    def _load(self, shift_dates: Iterable[str]) -> None:
        """Read dates that were not yet: all at once, for of years, one by one takes an object store a minute."""
        lake = self._around.lake
        new = [shift_date for shift_date in shift_dates if shift_date not in self._stored]
        for shift_date, stored in lake.each_date(lambda day: Stored.load(lake, day), new):
            # Of one that can't be read, its making says what is wrong with it.
            self._stored[shift_date] = None if isinstance(stored, LakeError) else stored

    def look_at(self, shift_dates: Iterable[str]) -> None:
        """Find out whether shift dates can be asked for, if that is not known; all at once, as they are read."""
        new = [shift_date for shift_date in shift_dates if shift_date not in self._standings]
        for shift_date, standing in self._around.lake.each_date(self._look, new):
            if isinstance(standing, LakeError):
                raise standing
            self._standings[shift_date] = standing

    def standing(self, shift_date: str) -> Standing:
        """Whether a shift date can be asked for."""
        self.look_at([shift_date])
        return self._standings[shift_date]

    def stamp(self, shift_date: str) -> str | None:
        """Of a shift date that stands made: a text that is another when its receipts were written since."""
        return self._stamps[shift_date]

    def _look(self, shift_date: str) -> Standing:
        if shift_date not in self._around.partitions:
            return "no partition"
        try:
            with self._around.lake.locked([shift_date], seconds=0):
                # Under lock: a making that has just ended is seen, one that is under way is not overlooked.
                stamp = self._stamps[shift_date] = self._around.lake.stamp(RECEIPTS, shift_date)
                return "unmade" if stamp is None else "made"
        except BusyError:
            return "busy"


def _key(content: object) -> str:
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()
