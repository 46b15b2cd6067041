"""Where reading starts when nothing is remembered: at what the lake knows."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import pyarrow.compute as pc

from clopos_assets.ingest.venues import Noted, read_known_until
from clopos_assets.lake import Lake, LakeError
from clopos_assets.tables import RECEIPTS

LATE_STAMPS = timedelta(days=3)
"""How far a change may be dated back: by a till that was offline, or by clocks that do not agree."""


# Before any receipt. Of a time in the first days of year 1, LATE_STAMPS could not be taken away.
_EARLIEST = "1970-01-04 00:00:00"


def known_until(lake: Lake, venues: Iterable[str], settled: str, noted: Noted) -> dict[str, str]:
    """Up to when all changes of a venue are in the lake, whichever shift date they concern: a time, inclusive.

    That is three days before the earliest over the shift dates, each of which was last made at a time of its own: a
    change may be dated back. Empty while nothing is materialized. `settled` is the latest time that may be given.
    Times are the venue's, as the API writes them. `noted` is of every shift date.
    """
    named = list(venues)
    known: dict[str, str] = {}
    for shift_date, notes in noted:
        of_date = {} if isinstance(notes, LakeError) else _read_note(notes)
        rest = min(of_date.values()) if of_date else _last_change(lake, shift_date, settled)
        for venue in named:
            known[venue] = min(known.get(venue, settled), of_date.get(venue, rest))
    return {venue: str(datetime.fromisoformat(max(stamp, _EARLIEST)) - LATE_STAMPS) for venue, stamp in known.items()}


def _read_note(notes: Mapping[str, str]) -> dict[str, str]:
    try:
        return {venue: _read_stamp(stamp) for venue, stamp in read_known_until(notes).items()}
    except ValueError:
        return {}


def _read_stamp(text: str) -> str:
    """As the times of receipts are written, so that they compare as text."""
    stamp = datetime.fromisoformat(text)
    if stamp.tzinfo is not None:
        raise ValueError("a time with a zone")
    return str(stamp.replace(microsecond=0))


def _last_change(lake: Lake, shift_date: str, settled: str) -> str:
    """The last change of a receipt in the partition: its making was no earlier."""
    begin = f"{shift_date} 00:00:00"
    try:
        rows = lake.read(RECEIPTS, shift_date, ["updated_at"])
    except LakeError:
        return begin
    if rows is None:
        return begin
    # Times after that are of tills whose clocks are ahead.
    stamps = [str(stamp) for stamp in pc.unique(rows.column("updated_at")).to_pylist()]
    return max((stamp for stamp in stamps if stamp <= settled), default=begin)
