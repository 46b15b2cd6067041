"""Asking Clopos for single receipts by their ids."""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from clopos_assets.clopos.client import Clopos
from clopos_assets.ingest.answers import Entry, read_batch
from clopos_assets.ingest.made import ASK_CLOPOS, IngestError, Scope
from clopos_assets.ingest.versions import Version

ASKED_AT_ONCE = 16
"""Questions put at once; the client bounds what is in flight, and the quota what is sent."""
T = TypeVar("T")


async def ask_all(questions: Iterable[Coroutine[object, object, T]]) -> list[T]:
    """All answers, in order; where one raises, the others end before it is raised here."""
    answers = await asyncio.gather(*questions, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in answers if not isinstance(answer, BaseException)]


def in_parts(items: Sequence[tuple[int, int]], size: int) -> Iterable[Sequence[tuple[int, int]]]:
    """The items, so many at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))


async def ask_receipt(
    clopos: Clopos,
    scope: Scope,
    receipt_id: int,
    venue_id: int,
    stored: Version | None,
    *,
    listed_without: bool = False,
) -> Entry | None:
    """What the API says of one receipt by its id: its entry, or None where it is no more.

    `stored` is the version that the lake has of it. A list may leave out the operations that the answer by id holds
    (`listed_without`, where it is seen to do so): they are then no part of the version, or it would change with the way
    in which the receipt was read. Raises IngestError where the receipt can't be read.
    """
    # Always by its own venue: under another it would answer 404, as if it were no more.
    fetched_at = scope.clock()
    item = await clopos.get_receipt(receipt_id, venue_id)
    if item is None:
        return None

    def read(*, brings_operations: bool) -> Entry:
        batch = read_batch(
            [item],
            scope,
            asked_venue=venue_id,
            fetched_at=fetched_at,
            brings_operations=brings_operations,
        )
        if batch.bad:
            raise IngestError(f"{batch.bad[0]}{ASK_CLOPOS}")
        return batch.entries[0]

    entry = read(brings_operations=clopos.receipts_hold_operations)
    if entry.receipt_id != receipt_id:
        raise IngestError(f"receipt {receipt_id} was asked for, and receipt {entry.receipt_id} answered")
    if entry.batch.receipts.column("deleted_at")[0].is_valid and not clopos.shows_deleted:
        return None
    if entry.operations is not None:
        as_listed = read(brings_operations=False)
        if listed_without or as_listed.version == stored:
            return replace(as_listed, operations=entry.operations)
    return entry
