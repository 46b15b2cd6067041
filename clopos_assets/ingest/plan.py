"""The plan of a partition of receipts: what enters it and what leaves, and what of that is refused."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from clopos_assets.ingest.answers import Entry
from clopos_assets.ingest.changes import Change
from clopos_assets.ingest.made import Facts, IngestError
from clopos_assets.ingest.stored import Stored, refuse_other_venue

_MASS_REMOVAL_RECEIPTS, _MASS_REMOVAL_SHARE = 5, 0.05
"""More than both at once leave a partition only where that is allowed."""


@dataclass
class Plan:
    """What is to become of a partition: entries that enter or are refreshed, and receipts that leave.

    `leaving` maps a receipt to the shift date the API says it has now, None where it is no more; `coming` a receipt
    that enters to the date it stood in. What is stored and not named here stays as it is. `known_until` is what the
    listing behind the plan says of itself, by venue; `settled` are the notes of waiting receipts that it takes care of,
    id and venue; `venues` are those that it names.
    """

    shift_date: str
    stored: Stored
    entries: dict[int, Entry] = field(default_factory=dict)
    leaving: dict[int, str | None] = field(default_factory=dict)
    coming: dict[int, str] = field(default_factory=dict)
    known_until: Mapping[str, str] = field(default_factory=dict)
    venues: frozenset[int] = frozenset()
    changes: list[Change] = field(default_factory=list)
    settled: dict[int, int] = field(default_factory=dict)
    facts: Facts = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def copy(self) -> "Plan":
        """The same plan, to be added to."""
        return replace(
            self,
            entries=dict(self.entries),
            leaving=dict(self.leaving),
            coming={},
            changes=[],
            counts=Counter(),
        )

    def refuse_other_venues(self) -> None:
        """Refuse to put a receipt in the place of another venue's. Raises IngestError."""
        for receipt_id in self.entries.keys() & self.stored.venues.keys():
            refuse_other_venue(self.entries[receipt_id], self.shift_date, self.stored.venues[receipt_id])

    def guard(self, *, allow_mass_removal: bool) -> None:
        """Refuse to let a large part of the partition leave at once, or to keep receipts without their lines.

        Raises IngestError.
        """
        kept = self.stored.venues.keys() - self.entries.keys() - self.leaving.keys()
        if self.stored.lacks_lines and kept:
            raise IngestError(
                f"receipt_products of shift date {self.shift_date} is missing, and the lines of {len(kept)} receipts "
                "with it: make that shift date again, for all its venues"
            )
        self.refuse_mass_removal(allow=allow_mass_removal)

    def refuse_mass_removal(self, *, allow: bool) -> None:
        """Raise IngestError where more leave than may, as far as is known: a wrong brand or venue looks like that."""
        leaving, stored = len(self.leaving), len(self.stored.venues)
        if not allow and leaving > _MASS_REMOVAL_RECEIPTS and leaving > _MASS_REMOVAL_SHARE * stored:
            raise IngestError(
                f"{leaving} or more of the {stored} receipts of shift date {self.shift_date} would leave at once: "
                "check CLOPOS_BRAND and CLOPOS_VENUE_IDS, or set CLOPOS_ALLOW_MASS_REMOVAL=true and run again if they "
                "are right"
            )
