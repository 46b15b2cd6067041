"""Whose a lake is and which version wrote it: a note in the lake, the check of it, and its first writing.

One lake holds one brand: receipts of two would make one another leave. A lake is read by the version that wrote it
and by newer ones; what they do with partitions of another shape is in `tables.shape`.
"""

import msgspec

from clopos_assets.lake import Lake, LakeError
from clopos_assets.tables import TABLES

SCHEMA_VERSION = 3
"""Raised with every change of a table's declaration. 1: lakes without the note; 2: the note, and how personal data
are stored; 3: what `stock_gaps` can't tell is NULL, and versions of receipts go by the names of columns."""
NOTE = "_lake/origin.json"


class Origin(msgspec.Struct, frozen=True):
    """What the note says; `brand` is None while no run has met the brand at Clopos since the note was written.

    `schema_version` is None where there are tables and no note: version 1 wrote none, and somebody may have removed it.
    """

    brand: str | None
    schema_version: int | None


def read_origin(lake: Lake) -> Origin | None:
    """What wrote the lake; None where nothing is written yet. Raises LakeError for a note that can't be read."""
    note = lake.kept(NOTE)
    if note is None:
        is_empty = not any(lake.dates(table) for table in TABLES.values())
        return None if is_empty else Origin(None, None)
    try:
        return msgspec.json.decode(note, type=Origin)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise LakeError(
            f"{lake.uri()}/{NOTE} is damaged: remove it if the lake is this brand's, and run again"
        ) from None


def check_origin(lake: Lake, brand: str | None) -> Origin | None:
    """`read_origin`, for those who are about to read or write. `brand` is None where no credentials are set.

    Raises LakeError, one line, where the lake is another brand's or was written by a newer version.
    """
    origin = read_origin(lake)
    if origin is None:
        return None
    if origin.schema_version is not None and origin.schema_version > SCHEMA_VERSION:
        raise LakeError(
            f"the lake {lake.uri()} was written by a newer version of this package (schema {origin.schema_version}, "
            f"and this one knows {SCHEMA_VERSION}): install that version, or set CLOPOS_LAKE to another lake"
        )
    if origin.brand is not None and brand is not None and origin.brand.casefold() != brand.casefold():
        raise LakeError(
            f"the lake {lake.uri()} holds the brand {origin.brand!r}, and CLOPOS_BRAND is {brand!r}: set CLOPOS_LAKE "
            "to a lake of its own for each brand"
        )
    return origin


def bring_forward(lake: Lake, brand: str | None) -> str | None:
    """`check_origin` at the start of a run, and note that this version writes from now on.

    Gives what is to be told, where an older version wrote the lake so far, or may have.
    """
    origin = check_origin(lake, brand)
    if origin is None or origin.schema_version == SCHEMA_VERSION:
        return None
    _write(lake, Origin(origin.brand, SCHEMA_VERSION))
    if origin.schema_version is None:
        return (
            f"the lake {lake.uri()} has no note of which version of this package wrote it, and gets one: it is read as "
            "it is, and what an older version wrote gets the new shape when its shift date is made again"
        )
    return (
        f"the lake {lake.uri()} was written by an older version of this package (schema {origin.schema_version}, now "
        f"{SCHEMA_VERSION}): it is read as it is, and a partition gets the new shape when its shift date is made again"
    )


def sign(lake: Lake, brand: str) -> None:
    """Note whose the lake is, before the first write; Clopos has answered for the brand. Raises as `check_origin`."""
    origin = check_origin(lake, brand)
    if origin is None or origin.brand is None:
        _write(lake, Origin(brand, SCHEMA_VERSION))


def _write(lake: Lake, origin: Origin) -> None:
    lake.keep(NOTE, msgspec.json.encode(origin))
