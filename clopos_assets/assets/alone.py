"""What the lake itself says of raw tables, where their checks are asked for and the tables are not."""

from collections.abc import Collection, Sequence

from clopos_assets.access import Access
from clopos_assets.clopos.store import Store
from clopos_assets.ingest.made import Made
from clopos_assets.ingest.venues import dates_without, read_venues, venue_notes, venues_to_read
from clopos_assets.interrupts import run_to_end
from clopos_assets.tables import Table
from clopos_assets.tables.rows import unknown_fields


def look_at(
    access: Access, tables: Collection[Table], shift_dates: Sequence[str], store: Store | None, *, with_venues: bool
) -> Made:
    """Facts of the shift dates that are made, as their checks need them; nothing is asked for or written.

    But which venues there are, if that is wanted and the settings say all of them. Raises LakeError, SettingsError
    and CloposError.
    """
    seen = Made()
    venues = _venues(access, store) if with_venues else []
    lacking = dates_without(access.lake, venues, venue_notes(access.lake, shift_dates)) if venues else {}
    for table in tables:
        for shift_date in shift_dates:
            stored = access.lake.partition(table, shift_date, ["extra"])
            if stored is not None:
                facts = {
                    "unknown_fields": unknown_fields(table, stored.rows.column("extra")),
                    "venues": _listed(read_venues(stored.notes)),
                    "missing_venues": _listed(lacking.get(shift_date, ())),
                }
                seen.add(table, shift_date, facts)
    return seen


def _listed(venue_ids: Collection[int]) -> str:
    return ", ".join(map(str, sorted(venue_ids)))


def _venues(access: Access, store: Store | None) -> list[int]:
    async def ask() -> list[int]:
        async with access.clopos(store) as clopos:
            return [venue for venue in await venues_to_read(access.scope, clopos.list_venues) if venue is not None]

    return run_to_end(ask())
