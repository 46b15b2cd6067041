"""What the list says of each receipt: where it belongs and which version it has."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from hashlib import blake2b

from clopos_assets.clopos.decode import encode_json
from clopos_assets.clopos.listing import Item, read_id
from clopos_assets.ingest.answers import BadReceipt, Batch, read_batch
from clopos_assets.ingest.made import Scope

UNREADABLE = "unreadable "
"""Begins the version of a receipt that can't be read: no version in the lake is like it."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A receipt as it was seen. `receipt_id` is None where it can't be filed; `name` stands for it in any case.

    `is_listed` tells whether the making of its shift date lists it: others have to be asked for by id.
    """

    name: str
    receipt_id: int | None
    venue_id: int
    shift_date: str
    version: str
    is_listed: bool


@dataclass
class Sighted:
    """What one look saw: each receipt once, as it was seen last; and sentences on those that can't be read."""

    receipts: dict[str, Sighting] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)

    def take(
        self,
        items: Sequence[Item],
        scope: Scope,
        *,
        asked_venue: int | None,
        fetched_at: datetime,
        brings_operations: bool = False,
    ) -> None:
        """Add what was read of a venue, in the order in which it was read.

        `brings_operations` tells whether receipts hold their stock operations (v1).
        """

        def read(part: Sequence[Item]) -> Batch:
            return read_batch(
                part,
                scope,
                asked_venue=asked_venue,
                fetched_at=fetched_at,
                brings_operations=brings_operations,
            )

        batch = read(items)
        if batch.bad:
            # Which item is the bad one, only a reading of each alone can tell.
            for item in items:
                alone = read([item])
                self._add(alone, scope)
                for bad in alone.bad:
                    self._add_unreadable(bad, item)
        else:
            self._add(batch, scope)

    def _add(self, batch: Batch, scope: Scope) -> None:
        days = [created.date() for created in batch.receipts.column("created_at").to_pylist()]
        for entry in batch.entries:
            self.receipts[str(entry.receipt_id)] = Sighting(
                str(entry.receipt_id),
                entry.receipt_id,
                entry.venue_id,
                entry.shift_date,
                entry.version.hex(),
                _is_within(days[entry.row], entry.shift_date, scope),
            )

    def _add_unreadable(self, bad: BadReceipt, item: Item) -> None:
        self.unreadable.append(str(bad))
        if bad.first is not None and bad.first == bad.last:
            digest = blake2b(encode_json(item).encode(), digest_size=8).hexdigest()
            receipt_id = read_id(bad.receipt_id)
            name = f"? {digest}" if receipt_id is None else str(receipt_id)
            self.receipts[name] = Sighting(name, None, 0, bad.first, UNREADABLE + digest, is_listed=True)


def _is_within(day: date, shift_date: str, scope: Scope) -> bool:
    return -scope.days_before <= (day - date.fromisoformat(shift_date)).days <= scope.days_after
