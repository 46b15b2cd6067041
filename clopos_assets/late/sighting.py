"""What the list says of each receipt: where it belongs and which version it has."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from hashlib import blake2b

from clopos_assets.clopos.decode import encode_json
from clopos_assets.clopos.listing import Item, read_id
from clopos_assets.ingest.answers import BadReceipt, Batch, read_batch
from clopos_assets.tables.privacy import Privacy

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
        *,
        asked_venue: int | None,
        window: tuple[int, int],
        privacy: Privacy,
        fetched_at: datetime,
        brings_operations: bool = False,
    ) -> None:
        """Add what was read of a venue, in the order in which it was read.

        `window` is the days of creation before and after a shift date that its making lists; `brings_operations` tells
        whether receipts hold their stock operations (v1).
        """

        def read(part: Sequence[Item]) -> Batch:
            return read_batch(
                part,
                asked_venue=asked_venue,
                window=window,
                privacy=privacy,
                fetched_at=fetched_at,
                brings_operations=brings_operations,
            )

        batch = read(items)
        if batch.bad:
            # Which item is the bad one, only a reading of each alone can tell.
            for item in items:
                alone = read([item])
                self._add(alone, window)
                for bad in alone.bad:
                    self._add_unreadable(bad, item)
        else:
            self._add(batch, window)

    def _add(self, batch: Batch, window: tuple[int, int]) -> None:
        days = [created.date() for created in batch.receipts.column("created_at").to_pylist()]
        for entry in batch.entries:
            self.receipts[str(entry.receipt_id)] = Sighting(
                str(entry.receipt_id),
                entry.receipt_id,
                entry.venue_id,
                entry.shift_date,
                entry.version.hex(),
                _is_within(days[entry.row], entry.shift_date, window),
            )

    def _add_unreadable(self, bad: BadReceipt, item: Item) -> None:
        self.unreadable.append(str(bad))
        if bad.first is not None and bad.first == bad.last:
            digest = blake2b(encode_json(item).encode(), digest_size=8).hexdigest()
            receipt_id = read_id(bad.receipt_id)
            name = f"? {digest}" if receipt_id is None else str(receipt_id)
            self.receipts[name] = Sighting(name, None, 0, bad.first, UNREADABLE + digest, is_listed=True)


def _is_within(day: date, shift_date: str, window: tuple[int, int]) -> bool:
    before, after = (timedelta(days=number) for number in window)
    return -before <= day - date.fromisoformat(shift_date) <= after
