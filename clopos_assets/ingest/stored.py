"""What a partition of receipts holds already, as far as its next making has to know."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from clopos_assets.ingest.answers import Entry
from clopos_assets.ingest.made import IngestError
from clopos_assets.ingest.venues import read_known_until, read_venues
from clopos_assets.ingest.versions import Versions, read_versions
from clopos_assets.lake import Lake
from clopos_assets.tables import RECEIPT_PRODUCTS, RECEIPTS

PERSONAL_DATA = "personal_data"
"""The note in a file that says how its personal data are stored, as JSON: see `Handled`."""


class Handled(msgspec.Struct, frozen=True):
    """How a partition's personal data are stored, as `Privacy.mark` says it; receipts in `other` are stored in
    another way, because they were not read since.
    """

    mark: str = "keep"
    other: frozenset[int] = frozenset()

    @classmethod
    def read(cls, notes: Mapping[str, str]) -> "Handled":
        """What a partition's notes say; one without is from before there was a choice, or has none to tell of."""
        try:
            return msgspec.json.decode(notes.get(PERSONAL_DATA, "{}"), type=cls)
        except msgspec.DecodeError:
            return cls("unknown")

    def write(self) -> dict[str, str]:
        """The note to file with a partition."""
        return {PERSONAL_DATA: msgspec.json.encode(self, order="sorted").decode()}


@dataclass
class Stored:
    """What a partition holds: venue by receipt id, and versions. `known_until` says up to which `updated_at` it is
    known to be true, by venue as far as that was noted. `is_older`: a file does not have the declared shape.
    `read_for` are the venues whose listings it was made from, as far as noted. `lacks_lines`: somebody has removed the
    file of lines.

    A receipt has a version only where the file of receipts and that of lines agree on it: a crash between the
    two leaves receipts without, which count as changed, and `stray` lines of receipts that are not there.
    """

    venues: dict[int, int]
    versions: Versions
    exists: bool
    stray: set[int] = field(default_factory=set)
    known_until: Mapping[str, str] = field(default_factory=dict)
    handled: Handled = field(default_factory=Handled)
    is_older: bool = False
    read_for: frozenset[int] = frozenset()
    lacks_lines: bool = False

    def stored_otherwise(self, mark: str) -> set[int]:
        """Receipts whose personal data are not stored in the way of the mark, or that lack columns."""
        return set(self.venues) if self.is_older or self.handled.mark != mark else set(self.handled.other)

    @classmethod
    def load(cls, lake: Lake, shift_date: str) -> "Stored":
        """Read a partition's ids and versions; an empty one while it is not materialized."""
        receipts = lake.partition(RECEIPTS, shift_date, ["id", "venue_id"])
        if receipts is None:
            return cls({}, {}, exists=False)
        lines = lake.partition(RECEIPT_PRODUCTS, shift_date, [])
        ids, venues = (receipts.rows.column(name).to_pylist() for name in ("id", "venue_id"))
        stored = dict(zip(ids, venues, strict=True))
        of_lines = {} if lines is None else read_versions(lines.notes)
        return cls(
            stored,
            {i: version for i, version in read_versions(receipts.notes).items() if of_lines.get(i) == version},
            exists=True,
            stray=of_lines.keys() - stored.keys(),
            known_until=read_known_until(receipts.notes),
            handled=Handled.read(receipts.notes),
            is_older=not receipts.has_shape or lines is None or not lines.has_shape,
            read_for=read_venues(receipts.notes),
            lacks_lines=lines is None,
        )


def refuse_other_venue(entry: Entry, shift_date: str, venue_id: int) -> None:
    """Refuse to take a receipt that stands under a shift date as that venue's for one of its own venue.

    Ids are the brand's: one of them would be lost. Raises IngestError.
    """
    if entry.venue_id != venue_id:
        raise IngestError(
            f"receipt {entry.receipt_id} stands under {shift_date} as one of venue {venue_id}, and Clopos lists it for "
            f"venue {entry.venue_id}: ask Clopos which is right; if it is the latter, remove the file of receipts of "
            f"{shift_date} and make that date again; where venues number their receipts each for itself, give each a "
            "lake of its own (CLOPOS_LAKE)"
        )


def newer_there(lake: Lake, shift_date: str, entries: Mapping[int, Entry]) -> set[int]:
    """Receipts that stand in a date outside the range by a newer answer of the API than these entries.

    While this run read its list, another may have filed what changed meanwhile. Raises IngestError where one
    stands there as another venue's.
    """
    columns = ["id", "venue_id", "updated_at", "fetched_at"]
    rows = lake.read(RECEIPTS, shift_date, columns) if entries else None
    newer: set[int] = set()
    for row in [] if rows is None else rows.to_pylist():
        if row["id"] not in entries:
            continue
        refuse_other_venue(entries[row["id"]], shift_date, row["venue_id"])
        updated_at, fetched_at = entries[row["id"]].times
        is_older = updated_at is not None and row["updated_at"] is not None and row["updated_at"] < updated_at
        # Clocks of two machines may differ: what the API itself says is newer, is.
        if row["fetched_at"] > fetched_at and not is_older:
            newer.add(row["id"])
    return newer
