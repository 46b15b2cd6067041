"""Making `receipts` and `receipt_products`: per shift date a plan of what its stretch lists, and of what left by id."""

from collections.abc import Iterable, Iterator, Sequence

from clopos_assets.clopos.client import Clopos
from clopos_assets.clopos.errors import CloposError
from clopos_assets.ingest.answers import Entry
from clopos_assets.ingest.asking import ASKED_AT_ONCE, ask_all, ask_receipt, in_parts
from clopos_assets.ingest.brought import stage_operations
from clopos_assets.ingest.filing import Filing
from clopos_assets.ingest.listing import Listed, list_stretch
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
    no_progress,
)
from clopos_assets.ingest.plan import Plan
from clopos_assets.ingest.stored import Stored, refuse_other_venue
from clopos_assets.ingest.stretches import stretches_of
from clopos_assets.ingest.versions import staged_as
from clopos_assets.lake import BusyError, Lake, LakeError
from clopos_assets.origin import sign
from clopos_assets.tables import RECEIPT_PRODUCTS, RECEIPTS, STOCK_OPERATIONS
from clopos_assets.tables.values import name_of

_BRIEFLY_SECONDS = 2.0
_MOST_TURNS = 3
"""Times that a stretch is listed: while its own dates are held; while those that other runs held are held too; and, if
these stay busy, once more without them, at the cost of the dates that need them."""
_NAMED = 10


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
    listed = await list_stretch(clopos, scope, stretch, progress)
    if scope.brand is not None:
        sign(lake, scope.brand)  # now that Clopos has answered for it, and before anything is written
    plans, elsewhere = await _plan_all(lake, clopos, scope, stretch, listed, made)
    if clopos.receipts_hold_operations:
        stage_operations(lake, _brought(plans.values(), elsewhere))
    Filing(lake, plans, made, scope, _BRIEFLY_SECONDS, gives_way=gives_way).carry_out(held, elsewhere)


async def _plan_all(
    lake: Lake, clopos: Clopos, scope: Scope, stretch: Sequence[str], listed: Listed, made: Made
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
    lake: Lake, clopos: Clopos, scope: Scope, shift_date: str, listed: Listed, facts: Facts
) -> tuple[Plan, list[Entry]]:
    """What the listing, and the API by id, say of one shift date; and receipts found to have another one."""
    stored = Stored.load(lake, shift_date)
    known_until = {venue: latest for venue, latest in listed.known_until.items() if latest}
    plan = Plan(shift_date, stored, facts=facts, known_until=known_until, venues=listed.venues or frozenset())
    elsewhere: list[Entry] = []
    # A venue that is not read now says nothing about its receipts: they stay as they are, and wait on.
    waiting = {i: venue for i, venue in lake.waiting(shift_date).items() if listed.is_of(venue)}
    for receipt_id, entry in listed.entries.items():
        if entry.shift_date == shift_date:
            plan.entries[receipt_id] = entry
            continue
        if receipt_id in stored.venues:
            refuse_other_venue(entry, shift_date, stored.venues[receipt_id])
            plan.leaving[receipt_id] = entry.shift_date
        if receipt_id in stored.venues or receipt_id in waiting:
            elsewhere.append(entry)
    missing = {i: v for i, v in stored.venues.items() if i not in listed.entries and listed.is_of(v)}
    left = {} if stored.exists else _left_of(lake, shift_date)
    asked = missing | {
        i: venue
        for i, venue in (left | waiting).items()
        # One that waits for another venue than lists it is not the same receipt, unless it is no more.
        if i not in listed.entries or (i in waiting and listed.entries[i].venue_id != venue)
    }
    before, waited = clopos.requests, clopos.waited_seconds
    for part in in_parts(sorted(asked.items()), ASKED_AT_ONCE):
        answers = await ask_all(
            ask_receipt(clopos, scope, *one, stored.versions.get(one[0]), listed_without=listed.leaves_operations_out)
            for one in part
        )
        for (receipt_id, _), found in zip(part, answers, strict=True):
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
        plan.refuse_mass_removal(allow=scope.allow_mass_removal)  # before all of them are asked for
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
