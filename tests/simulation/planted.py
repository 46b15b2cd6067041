"""Bugs to be planted in the product, one at a time: mistakes that are easily made in following late changes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any
from unittest.mock import patch

import pyarrow as pa

from clopos_assets.clopos.listing import Item
from clopos_assets.ingest import receipts as ingest_receipts
from clopos_assets.ingest.answers import Entry
from clopos_assets.ingest.day import ClosedReceipt, Day
from clopos_assets.ingest.filing import Filing
from clopos_assets.ingest.plan import Plan
from clopos_assets.ingest.venues import Noted
from clopos_assets.lake import Lake
from clopos_assets.late import deciding, look
from clopos_assets.late.deciding import Decision
from clopos_assets.late.reading import Fetch, read_changes
from clopos_assets.late.state import Asked, Awaited, Reading
from clopos_assets.ledger.index import OTHER_OPERATIONS, Index
from clopos_assets.line.following import Following

_ABOVE_EQUALS = "!"  # sorts after the same text without it


def _skip_equal_stamps() -> AbstractContextManager[object]:
    async def read(fetch: Fetch, reading: Reading, settled: str, pages: int) -> tuple[list[Item], Reading]:
        above = replace_newest(reading, reading.newest + _ABOVE_EQUALS)
        items, then = await read_changes(fetch, above, settled, pages)
        return items, replace_newest(then, then.newest.rstrip(_ABOVE_EQUALS))

    return patch.object(look, "read_changes", read)


def replace_newest(reading: Reading, newest: str) -> Reading:
    """The same reading, but for how far it came."""
    return Reading(newest, reading.unread)


def _start_at_the_present() -> AbstractContextManager[object]:
    def known_until(_lake: Lake, venues: Iterable[str], settled: str, _noted: Noted) -> dict[str, str]:
        return dict.fromkeys(venues, settled)

    return patch.object(look, "known_until", known_until)


def _drop_what_a_page_skipped() -> AbstractContextManager[object]:
    async def ask(*_: object, **__: object) -> Entry | None:
        return None

    return patch.object(ingest_receipts, "ask_receipt", ask)


def _key_without_content() -> AbstractContextManager[object]:
    def key(content: Mapping[str, object]) -> str:
        return " ".join(sorted(content))

    return patch.object(deciding, "_key", key)


def _forget_what_was_asked() -> AbstractContextManager[object]:

    def forgetful(asked: Mapping[str, Asked], kept: Mapping[str, Awaited], *rest: Any) -> Decision:
        return replace(deciding.decide(asked, kept, *rest), asked={}, kept={})

    return patch.object(look, "decide", forgetful)


def _keep_operations() -> AbstractContextManager[object]:
    def needed(day: Day, since: datetime, mark: str) -> list[ClosedReceipt]:
        deducted = set() if day.stored is None else set(day.stored.column("receipt_id").to_pylist())
        return [
            receipt
            for receipt in day.closed.values()
            if receipt.receipt_id not in day.versions
            or (receipt.receipt_id not in deducted and receipt.may_still_post(since))
        ]

    return patch.object(Day, "needed", needed)


def _write_the_source_first() -> AbstractContextManager[object]:
    def write_in_turn(filing: Filing, plans: Sequence[Plan]) -> None:
        for plan in sorted(plans, key=lambda plan: (not plan.leaving, plan.shift_date)):
            filing._write(plan, keep_leaving=False)

    return patch.object(Filing, "_write_in_turn", write_in_turn)


def _look_inside_one_partition() -> AbstractContextManager[object]:
    def neighbours(_index: Index, _shift_date: str, _operations: pa.Table) -> pa.Table:
        return OTHER_OPERATIONS.empty_table()

    return patch.object(Index, "neighbours", neighbours)


def _let_none_wait() -> AbstractContextManager[object]:
    def wait_for(_lake: Lake, _shift_date: str, _receipt_id: int, _venue_id: int) -> None:
        return None

    return patch.object(Lake, "wait_for", wait_for)


def _leave_no_marks() -> AbstractContextManager[object]:
    def mark(_lake: Lake, _shift_date: str, _owner: str) -> None:
        return None

    return patch.object(Lake, "mark", mark)


def _forget_the_days_after() -> AbstractContextManager[object]:
    def after(_following: Following, _shift_dates: Iterable[str]) -> set[str]:
        return set()

    return patch.object(Following, "_after", after)


BUGS: Mapping[str, Callable[[], AbstractContextManager[object]]] = {
    "a cursor that skips equal stamps": _skip_equal_stamps,
    "a sensor that starts at the present": _start_at_the_present,
    "dropping what a page skipped": _drop_what_a_page_skipped,
    "a run key without content": _key_without_content,
    "a cursor moved before the run succeeded": _forget_what_was_asked,
    "operations kept though the receipt changed": _keep_operations,
    "a move that writes the source first": _write_the_source_first,
    "a ledger that looks inside one partition only": _look_inside_one_partition,
    "nothing waits for a shift date": _let_none_wait,
    "a dead run leaves no word": _leave_no_marks,
    "standards of later days stay": _forget_the_days_after,
}


@contextmanager
def planted(bug: str) -> Iterator[None]:
    """The product with the bug of that name in it; as it is where there is no name."""
    with BUGS[bug]() if bug else nullcontext():
        yield
