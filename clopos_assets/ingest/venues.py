"""Which venues are read, and for which of them a shift date was made: a venue that was added since is missing there."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from hashlib import blake2b

import msgspec
import pyarrow.compute as pc

from clopos_assets.clopos.errors import CloposAnswerError
from clopos_assets.clopos.listing import Item, read_id
from clopos_assets.ingest.made import Scope
from clopos_assets.lake import DamagedError, Lake, LakeError
from clopos_assets.tables import RECEIPTS

NOTE = "venues"
"""The note in a receipts file that says, as a JSON list of ids, which venues' listings it was made from."""
VENUES_CHECK = "venues_are_complete"
"""Name of the check on `receipts` that says whether a shift date was made for all venues."""
KNOWN_UNTIL = "known_until"
"""The note in a receipts file that says, as JSON, venue → the `updated_at` up to which the file is known to be true."""


async def venues_to_read(scope: Scope, list_venues: Callable[[], Awaitable[Sequence[Item]]]) -> Sequence[int | None]:
    """The venues of the scope, ascending where the API names them; None is the token's own.

    Raises CloposAnswerError where the API names none.
    """
    if scope.venue_ids is None:
        return [None]
    if not isinstance(scope.venue_ids, str):
        return list(scope.venue_ids)
    ids = [read_id(venue.get("id")) for venue in await list_venues()]
    named = sorted({venue_id for venue_id in ids if venue_id is not None})
    if not named or None in ids:
        raise CloposAnswerError("GET /v2/venues names no venues by id: name them in CLOPOS_VENUE_IDS")
    return named


def read_venues(notes: Mapping[str, str]) -> frozenset[int]:
    """The venues that a partition's notes name; none where it was made for the token's own."""
    try:
        return msgspec.json.decode(notes.get(NOTE, "[]"), type=frozenset[int])
    except msgspec.DecodeError:
        return frozenset()


def write_venues(venue_ids: Iterable[int]) -> dict[str, str]:
    """The note to file with a partition."""
    named = sorted(venue_ids)
    return {NOTE: msgspec.json.encode(named).decode()} if named else {}


def read_known_until(notes: Mapping[str, str]) -> dict[str, str]:
    """Venue → the `updated_at` up to which a partition is known to be true; of others that was not noted."""
    try:
        return msgspec.json.decode(notes.get(KNOWN_UNTIL, "{}"), type=dict[str, str])
    except msgspec.DecodeError:
        return {}


def write_known_until(known: Mapping[str, str]) -> dict[str, str]:
    """The note to file with a partition."""
    return {KNOWN_UNTIL: msgspec.json.encode(known, order="sorted").decode()} if known else {}


_STAMPS: dict[str, tuple[str, dict[str, str]]] = {}
"""By lake, the stamps of the receipts that this process has looked at last, and their digest."""


class MadeSince:
    """The shift dates of a lake that were made since those of a `digest` were looked at; all where this process does
    not know which those are. What was looked at counts for whoever keeps the new digest, and for nobody else.
    """

    def __init__(self, lake: Lake, digest: str) -> None:
        stamps = lake.stamps(RECEIPTS)
        self.digest = blake2b(msgspec.json.encode(stamps, order="sorted"), digest_size=8).hexdigest()
        known, before = _STAMPS.get(lake.uri(), ("", {}))
        if digest == self.digest:
            before = stamps
        elif digest != known:
            before = {}
        self.shift_dates = {day for day, stamp in stamps.items() if before.get(day) != stamp}
        self._uri, self._stamps = lake.uri(), stamps

    def remember(self) -> None:
        """They have been looked at."""
        _STAMPS[self._uri] = self.digest, self._stamps


Noted = list[tuple[str, dict[str, str] | LakeError]]
"""Shift dates with what their receipts note of venues, or why that can't be read."""


def venue_notes(lake: Lake, shift_dates: Collection[str] | None = None) -> Noted:
    """What the made ones of some shift dates, or of all, note of venues: each a request in an object store."""

    def of_venues(notes: dict[str, str] | LakeError) -> dict[str, str] | LakeError:
        if isinstance(notes, LakeError):
            return notes
        return {name: note for name, note in notes.items() if name in (NOTE, KNOWN_UNTIL)}  # what else is, is much more

    made = [day for day in lake.dates(RECEIPTS) if shift_dates is None or day in shift_dates]
    return [(day, of_venues(notes)) for day, notes in lake.notes_each(RECEIPTS, made)]


def dates_without(lake: Lake, venue_ids: Collection[int], noted: Noted) -> dict[str, list[int]]:
    """Shift dates that were made, by their notes, without some of the venues: date → those venues.

    Raises LakeError where notes can't be read although there is no damage.
    """
    made_for: dict[str, Collection[int]] = {}
    unnamed: dict[str, Mapping[str, str]] = {}
    for shift_date, notes in noted:
        if isinstance(notes, DamagedError):
            continue  # its making says what is wrong with it
        if isinstance(notes, LakeError):
            raise notes  # which may pass: then it is to be looked at
        made_for[shift_date] = read_venues(notes)
        if not made_for[shift_date]:
            unnamed[shift_date] = notes
    made_for |= _infer_venues(lake, unnamed)
    missing = {shift_date: sorted(set(venue_ids).difference(venues)) for shift_date, venues in made_for.items()}
    return {shift_date: venues for shift_date, venues in missing.items() if venues}


def _infer_venues(lake: Lake, notes: Mapping[str, Mapping[str, str]]) -> dict[str, set[int]]:
    """Of partitions without the note: venues whose listing was noted otherwise, or whose receipts they have."""
    inferred: dict[str, set[int]] = {}
    for shift_date, rows in lake.read_each(RECEIPTS, list(notes), ["venue_id"]):
        if isinstance(rows, DamagedError):
            inferred[shift_date] = set()
            continue
        if isinstance(rows, LakeError):
            raise rows
        held = set() if rows is None else set(pc.unique(rows.column(0)).to_pylist())
        listed = map(read_id, read_known_until(notes[shift_date]))
        inferred[shift_date] = held | {venue_id for venue_id in listed if venue_id is not None}
    return inferred
