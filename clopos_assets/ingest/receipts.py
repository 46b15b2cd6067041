"""Making `receipts` and `receipt_products`: one listing of a stretch of days, and by id what left it."""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property
from typing import TypeVar

import pyarrow.compute as pc

from clopos_assets.clopos.client import Clopos
from clopos_assets.clopos.errors import CloposError
from clopos_assets.ingest.answers import BadReceipt, Batch, Entry, read_batch
from clopos_assets.ingest.filing import Filing, Plan
from clopos_assets.ingest.listed import stage_operations
from clopos_assets.ingest.made import (
    ASK_CLOPOS,
    LOCK_SECONDS,
    OUTSIDE_LOCK_SECONDS,
    Facts,
    HeldByOthersError,
    IngestError,
    Made,
    Progress,
    Scope,
    is_mass_removal,
    mass_removal_message,
    no_progress,
)
from clopos_assets.ingest.stored import Stored, refuse_other_venue
from clopos_assets.ingest.stretches import stretches_of
from clopos_assets.ingest.venues import venues_to_read
from clopos_assets.ingest.versions import Version, staged_as
from clopos_assets.lake import BusyError, Lake, LakeError
from clopos_assets.origin import sign
from clopos_assets.tables import RECEIPT_PRODUCTS, RECEIPTS, STOCK_OPERATIONS
from clopos_assets.tables.values import name_of

_BRIEFLY_SECONDS = 2.0
_MOST_TURNS = 3
"""Times that a stretch is listed: while its own dates are held; while those that other runs held are held too; and, if
these stay busy, once more without them, at the cost of the dates that need them."""
_NAMED = 10
ASKED_AT_ONCE = 16
"""Questions by id put at once; the client bounds what is in flight, and the quota what is sent."""
T = TypeVar("T")


@dataclass
class _Listed:
    """What the listing of a run says of receipts created from `first` to `last`: entries by receipt id, what can't be
    filed, and what it cost.

    `known_until` is, by venue, the latest `updated_at` of the first page that was read: whatever changed before it,
    the listing shows. Later pages prove less, for what changed meanwhile may stand on one that was read already.
    """

    first: date
    last: date
    entries: dict[int, Entry] = field(default_factory=dict)
    bad: list[BadReceipt] = field(default_factory=list)
    requests: int = 0
    waited_seconds: float = 0.0
    venues: frozenset[int] | None = None
    known_until: dict[str, str] = field(default_factory=dict)

    def leaves_out_as_deleted(self, entry: Entry) -> bool:
        """Whether a receipt that it does not hold is deleted, and would be in it if deleted ones were."""
        created_at, deleted_at = (entry.batch.receipts.column(name)[0].as_py() for name in ("created_at", "deleted_at"))
        return deleted_at is not None and self.first <= created_at.date() <= self.last

    @cached_property
    def leaves_operations_out(self) -> bool:
        """Whether it tells of no receipt's stock operations, not even that there are none."""
        return bool(self.entries) and all(entry.operations is None for entry in self.entries.values())


async def make_receipts(
    lake: Lake,
    clopos: Clopos,
    scope: Scope,
    shift_dates: Sequence[str],
    progress: Progress = no_progress,
) -> Made:
    """Make receipts and their lines for shift dates, listing each stretch of consecutive ones once.

    A shift date that can't be made is in `bad` of the result, with the reason, and leaves its partition as it was,
    but for receipts that move from or to another date; the others are written.
    """
    made = Made()
    left = stretches_of(shift_dates)
    beside: set[str] = set()
    part = Made()
    try:
        for turn in range(_MOST_TURNS):
            gives_way = turn < _MOST_TURNS - 1
            # All in one go, in order of date, so that two runs never wait for each other. In the end what is busy costs
            # only the dates that have to do with it.
            held = {*shift_dates, *beside} if gives_way else {*shift_dates}
            try:
                with lake.locked(held, seconds=OUTSIDE_LOCK_SECONDS if held > set(shift_dates) else LOCK_SECONDS):
                    while left:
                        await _make(lake, clopos, scope, left[0], progress, part, held, gives_way=gives_way)
                        made.update(part)
                        part = Made()
                        left.pop(0)
                break
            except HeldByOthersError as error:
                beside |= error.shift_dates
                part = Made()  # all of it comes again
            except BusyError:
                if not held > set(shift_dates):
                    raise
    except (CloposError, LakeError, IngestError) as error:
        # What was written of the stretch at hand is made; a date of a later one, be it that this took from it, is not.
        made.update(part)
        for stretch in left:
            for shift_date in stretch:
                if stretch is not left[0] or shift_date not in part.facts.get(RECEIPTS.name, {}):
                    made.fail(shift_date, str(error))
    return made


async def _make(
    lake: Lake,
    clopos: Clopos,
    scope: Scope,
    stretch: Sequence[str],
    progress: Progress,
    made: Made,
    held: set[str],
    *,
    gives_way: bool,
) -> None:
    """List a stretch and file what is listed; the run holds it, and others. Raises HeldByOthersError as `Filing`."""
    listed = await _list(clopos, scope, stretch, progress)
    if scope.brand is not None:
        sign(lake, scope.brand)  # now that Clopos has answered for it, and before anything is written
    plans, elsewhere = await _plan_all(lake, clopos, scope, stretch, listed, made)
    if clopos.receipts_hold_operations:
        stage_operations(lake, _brought(plans.values(), elsewhere))
    Filing(lake, plans, made, scope, _BRIEFLY_SECONDS, gives_way=gives_way).carry_out(held, elsewhere)


async def _list(clopos: Clopos, scope: Scope, stretch: Sequence[str], progress: Progress) -> _Listed:
    first = date.fromisoformat(stretch[0]) - timedelta(days=scope.days_before)
    last = date.fromisoformat(stretch[-1]) + timedelta(days=scope.days_after)
    before, waited = clopos.requests, clopos.waited_seconds
    venues = await venues_to_read(scope, clopos.list_venues)
    listed = _Listed(
        first, last, venues=None if scope.venue_ids is None else frozenset(v for v in venues if v is not None)
    )
    seen = 0
    for venue_id in venues:

        def convert(items: list[dict[str, object]], venue_id: int | None = venue_id) -> Batch:
            nonlocal seen
            seen += len(items)
            progress("receipts listed", seen, 0)
            batch = read_batch(
                items,
                asked_venue=venue_id,
                window=(scope.days_before, scope.days_after),
                privacy=scope.privacy,
                fetched_at=scope.clock(),
                brings_operations=clopos.receipts_hold_operations,
            )
            stamps = batch.receipts.column("updated_at")
            # A till whose clock is ahead says nothing of what will have been seen by then.
            latest = pc.max(stamps.filter(pc.less_equal(stamps, scope.local_now()))).as_py()
            listed.known_until.setdefault("" if venue_id is None else str(venue_id), str(latest or ""))
            return batch

        listing = await clopos.list_receipts(created_from=first, created_to=last, venue_id=venue_id, convert=convert)
        for variants in listing.conflicts.values():
            batch = convert(variants)
            listed.bad += batch.bad
            listed.bad += [
                BadReceipt(
                    entry.receipt_id,
                    entry.shift_date,
                    entry.shift_date,
                    "the listing holds it twice in one answer, with different content",
                )
                for entry in batch.entries
            ]
        for batch in listing.parts:
            listed.bad += batch.bad
            for entry in batch.entries:
                other = listed.entries.setdefault(entry.receipt_id, entry)
                if (other.venue_id, other.version) != (entry.venue_id, entry.version):
                    reason = (
                        f"venues {other.venue_id} and {entry.venue_id} both list it"
                        if other.venue_id != entry.venue_id
                        else "the listing holds it twice, with different content"
                    )
                    listed.bad += [BadReceipt(e.receipt_id, e.shift_date, e.shift_date, reason) for e in (other, entry)]
    listed.requests, listed.waited_seconds = clopos.requests - before, clopos.waited_seconds - waited
    return listed


async def _plan_all(
    lake: Lake, clopos: Clopos, scope: Scope, stretch: Sequence[str], listed: _Listed, made: Made
) -> tuple[dict[str, Plan], list[tuple[str, Entry]]]:
    plans: dict[str, Plan] = {}
    elsewhere: list[tuple[str, Entry]] = []
    pages, odd = divmod(listed.requests, len(stretch))
    for number, shift_date in enumerate(stretch):
        wrong = [bad for bad in listed.bad if bad.concerns(shift_date)]
        if wrong:
            others = [name_of(bad.receipt_id) for bad in wrong[1:]]
            shown = ", ".join(others[:_NAMED]) + (" …" if len(others) > _NAMED else "")
            more = f" (and {len(others)} more: {shown})" if others else ""
            made.fail(shift_date, f"{wrong[0]}{more}{ASK_CLOPOS}")
            continue
        # The stretch shares one listing: each date bears its part, so that sums over dates are true.
        facts: Facts = {
            "list_requests": pages + (number < odd),
            "waited_seconds": listed.waited_seconds / len(stretch),
        }
        try:
            plan, strangers = await _plan(lake, clopos, scope, shift_date, listed, facts)
        except (CloposError, IngestError, LakeError) as error:
            made.fail(shift_date, str(error))
            continue
        plans[shift_date] = plan
        elsewhere += [(shift_date, entry) for entry in strangers]
    return plans, elsewhere


async def _plan(
    lake: Lake, clopos: Clopos, scope: Scope, shift_date: str, listed: _Listed, facts: Facts
) -> tuple[Plan, list[Entry]]:
    """What the listing, and the API by id, say of one shift date; and receipts found to have another one."""
    stored = Stored.load(lake, shift_date)
    known_until = {venue: latest for venue, latest in listed.known_until.items() if latest}
    plan = Plan(shift_date, stored, facts=facts, known_until=known_until, venues=listed.venues or frozenset())
    elsewhere: list[Entry] = []
    # A venue that is not read now says nothing about its receipts: they stay as they are, and wait on.
    waiting = {
        receipt_id: venue_id
        for receipt_id, venue_id in lake.waiting(shift_date).items()
        if listed.venues is None or venue_id in listed.venues
    }
    for receipt_id, entry in listed.entries.items():
        if entry.shift_date == shift_date:
            plan.entries[receipt_id] = entry
            continue
        if receipt_id in stored.venues:
            refuse_other_venue(entry, shift_date, stored.venues[receipt_id])
            plan.leaving[receipt_id] = entry.shift_date
        if receipt_id in stored.venues or receipt_id in waiting:
            elsewhere.append(entry)
    left = {} if stored.exists else _left_of(lake, shift_date)
    missing = {
        receipt_id: venue_id
        for receipt_id, venue_id in stored.venues.items()
        if receipt_id not in listed.entries and (listed.venues is None or venue_id in listed.venues)
    }
    asked = missing | {
        i: venue
        for i, venue in (left | waiting).items()
        # One that waits for another venue than lists it is not the same receipt, unless it is no more.
        if i not in listed.entries or (i in waiting and listed.entries[i].venue_id != venue)
    }
    before, waited = clopos.requests, clopos.waited_seconds
    for part in _parts(sorted(asked.items()), ASKED_AT_ONCE):
        for receipt_id, found in zip(
            [receipt_id for receipt_id, _ in part],
            await ask_all(
                ask_receipt(
                    clopos, scope, *one, stored.versions.get(one[0]), listed_without=listed.leaves_operations_out
                )
                for one in part
            ),
            strict=True,
        ):
            if found is not None and receipt_id in listed.entries:
                refuse_other_venue(listed.entries[receipt_id], found.shift_date, found.venue_id)
            if found is not None and listed.leaves_out_as_deleted(found):
                found = None  # as a run that does not know of it would have it
            if found is not None and found.shift_date == shift_date:
                plan.entries[receipt_id] = found
                continue
            if receipt_id in stored.venues:
                plan.leaving[receipt_id] = None if found is None else found.shift_date
            if found is not None:
                elsewhere.append(found)
        if not scope.allow_mass_removal and is_mass_removal(len(plan.leaving), len(stored.venues)):
            raise IngestError(mass_removal_message(shift_date, len(plan.leaving), len(stored.venues)))
    plan.guard(allow_mass_removal=scope.allow_mass_removal)
    plan.settled = waiting
    facts["by_id_requests"] = clopos.requests - before
    facts["requests"] = int(facts["list_requests"]) + clopos.requests - before
    facts["waited_seconds"] = float(facts["waited_seconds"]) + clopos.waited_seconds - waited
    return plan, elsewhere


def _left_of(lake: Lake, shift_date: str) -> dict[int, int]:
    """Receipts of a shift date whose own file somebody has removed, as far as its other files name them: id → venue.

    Not all of them need to be in the listing.
    """
    left: dict[int, int] = {}
    for table in (RECEIPT_PRODUCTS, STOCK_OPERATIONS):
        rows = lake.read(table, shift_date, ["receipt_id", "venue_id"])
        if rows is not None:
            left |= dict(zip(*(column.to_pylist() for column in rows.columns), strict=True))
    return left


def _brought(plans: Iterable[Plan], elsewhere: Iterable[tuple[str, Entry]]) -> Iterator[tuple[str, str, bytes]]:
    """The operations that receipts brought along: shift date, staged name, packed."""
    for entry in [*(e for plan in plans for e in plan.entries.values()), *(e for _, e in elsewhere)]:
        if entry.operations is not None:
            yield entry.shift_date, staged_as(entry.receipt_id, entry.version), entry.operations


async def ask_all(questions: Iterable[Coroutine[object, object, T]]) -> list[T]:
    """All answers, in order; where one raises, the others end before it is raised here."""
    answers = await asyncio.gather(*questions, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in answers if not isinstance(answer, BaseException)]


def _parts(items: Sequence[tuple[int, int]], size: int) -> Iterable[Sequence[tuple[int, int]]]:
    return (items[start : start + size] for start in range(0, len(items), size))


async def ask_receipt(
    clopos: Clopos,
    scope: Scope,
    receipt_id: int,
    venue_id: int,
    stored: Version | None,
    *,
    listed_without: bool = False,
) -> Entry | None:
    """What the API says of one receipt by its id: its entry, or None where it is no more.

    `stored` is the version that the lake has of it. A list may leave out the operations that the answer by id holds
    (`listed_without`, where it is seen to do so): they are then no part of the version, or it would change with the way
    in which the receipt was read. Raises IngestError where the receipt can't be read.
    """
    # Always by its own venue: under another it would answer 404, as if it were no more.
    fetched_at = scope.clock()
    item = await clopos.get_receipt(receipt_id, venue_id)
    if item is None:
        return None

    def read(*, brings_operations: bool) -> Entry:
        batch = read_batch(
            [item],
            asked_venue=venue_id,
            window=(scope.days_before, scope.days_after),
            privacy=scope.privacy,
            fetched_at=fetched_at,
            brings_operations=brings_operations,
        )
        if batch.bad:
            raise IngestError(f"{batch.bad[0]}{ASK_CLOPOS}")
        return batch.entries[0]

    entry = read(brings_operations=clopos.receipts_hold_operations)
    if entry.receipt_id != receipt_id:
        raise IngestError(f"receipt {receipt_id} was asked for, and receipt {entry.receipt_id} answered")
    if entry.batch.receipts.column("deleted_at")[0].is_valid and not clopos.shows_deleted:
        return None
    if entry.operations is not None:
        as_listed = read(brings_operations=False)
        if listed_without or as_listed.version == stored:
            return replace(as_listed, operations=entry.operations)
    return entry
