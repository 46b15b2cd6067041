"""The receipts that Clopos lists for a stretch of shift dates, read and put together over pages and venues."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property

import pyarrow.compute as pc

from clopos_assets.clopos.client import Clopos
from clopos_assets.ingest.answers import BadReceipt, Batch, Entry, read_batch
from clopos_assets.ingest.made import Progress, Scope
from clopos_assets.ingest.venues import venues_to_read


@dataclass
class Listed:
    """What a listing says of receipts created from `first` to `last`: entries by receipt id, what can't be filed, and
    what it cost. `venues` are those that were read, None: the token's own.

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

    def is_of(self, venue_id: int) -> bool:
        """Whether receipts of the venue would be in it. The token's own is that of those it holds; where it holds none,
        it may be any.
        """
        venues = self._own if self.venues is None else self.venues
        return venue_id in venues or (self.venues is None and not venues)

    @cached_property
    def _own(self) -> frozenset[int]:
        return frozenset(entry.venue_id for entry in self.entries.values())

    def take(self, batch: Batch) -> None:
        """Add what was read of one answer. A receipt that is listed in two ways can't be filed in either."""
        self.bad += batch.bad
        for entry in batch.entries:
            other = self.entries.setdefault(entry.receipt_id, entry)
            if (other.venue_id, other.version) != (entry.venue_id, entry.version):
                reason = (
                    f"venues {other.venue_id} and {entry.venue_id} both list it"
                    if other.venue_id != entry.venue_id
                    else "the listing holds it twice, with different content"
                )
                self.bad += [other.as_bad(reason), entry.as_bad(reason)]

    def leaves_out_as_deleted(self, entry: Entry) -> bool:
        """Whether a receipt that it does not hold is deleted, and would be in it if deleted ones were."""
        created_at, deleted_at = (entry.batch.receipts.column(name)[0].as_py() for name in ("created_at", "deleted_at"))
        return deleted_at is not None and self.first <= created_at.date() <= self.last

    @cached_property
    def leaves_operations_out(self) -> bool:
        """Whether it tells of no receipt's stock operations, not even that there are none."""
        return bool(self.entries) and all(entry.operations is None for entry in self.entries.values())


async def list_stretch(clopos: Clopos, scope: Scope, stretch: Sequence[str], progress: Progress) -> Listed:
    """List the days around consecutive shift dates, once for each venue of the scope. Raises CloposError."""
    first = date.fromisoformat(stretch[0]) - timedelta(days=scope.days_before)
    last = date.fromisoformat(stretch[-1]) + timedelta(days=scope.days_after)
    before, waited = clopos.requests, clopos.waited_seconds
    venues = await venues_to_read(scope, clopos.list_venues)
    listed = Listed(
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
                scope,
                asked_venue=venue_id,
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
            reason = "the listing holds it twice in one answer, with different content"
            listed.bad += [*batch.bad, *(entry.as_bad(reason) for entry in batch.entries)]
        for batch in listing.parts:
            listed.take(batch)
    listed.requests, listed.waited_seconds = clopos.requests - before, clopos.waited_seconds - waited
    return listed
