"""Making `stock_operations`: one request per closed receipt whose operations the lake does not have yet."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from clopos_assets.clopos.client import Clopos, read_stock_operations
from clopos_assets.clopos.errors import CloposAnswerError, CloposError, CloposRefused, CloposUnavailable
from clopos_assets.ingest.answers import Entry
from clopos_assets.ingest.filing import Filing, Plan, Stored, is_mass_removal, mass_removal_message
from clopos_assets.ingest.made import (
    LOCK_SECONDS,
    OUTSIDE_LOCK_SECONDS,
    Facts,
    IngestError,
    Made,
    Progress,
    Scope,
    no_progress,
)
from clopos_assets.ingest.receipts import ASKED_AT_ONCE, ask_receipt
from clopos_assets.ingest.versions import Version, read_versions, write_versions
from clopos_assets.lake import Lake, LakeError
from clopos_assets.tables import RECEIPT_PRODUCTS, RECEIPTS, STOCK_OPERATIONS, ContractError
from clopos_assets.tables.rows import Row, RowError, RowReader, unknown_fields

Refresh = Literal["changed", "all"]

POSTING_TIME = timedelta(hours=24)
"""How long after closing an empty answer may still be filled: until then it is asked for again."""
STAGED_SECONDS = 24 * 3600.0
"""How long answers of an unfinished run are worth keeping."""
FAILURES_BORNE = 5
"""So many receipts of a shift date may fail before the API is taken to be down and no more are asked for."""

_READER = RowReader(STOCK_OPERATIONS, given=("venue_id",))


@dataclass(frozen=True, slots=True)
class _Receipt:
    receipt_id: int
    venue_id: int
    closed_at: datetime | None
    has_lines: bool
    version: Version

    @property
    def staged_as(self) -> str:
        return f"{self.receipt_id}.{self.version.hex()}.json"


@dataclass
class _Day:
    """A shift date while its operations are made."""

    shift_date: str
    closed: dict[int, _Receipt]
    ids: set[int]
    stored: pa.Table | None
    versions: dict[int, Version]
    rows: list[Row] = field(default_factory=list)
    asked: set[int] = field(default_factory=set)
    failed: dict[int, str] = field(default_factory=dict)
    requests: int = 0
    answered: int = 0
    waited_seconds: float = 0.0
    left: int = 0

    @property
    def orphans(self) -> set[int]:
        """Receipts whose operations stand here though they themselves do not, any more."""
        return self.versions.keys() - self.ids


async def make_stock_operations(
    lake: Lake,
    clopos: Clopos,
    scope: Scope,
    shift_dates: Sequence[str],
    refresh: Refresh = "changed",
    progress: Progress = no_progress,
) -> Made:
    """Make the stock operations of shift dates whose receipts are in the lake.

    Asks for receipts that are new or changed since their operations were read, and for those closed less
    than 24 hours ago with lines but no operation; for all closed ones where `refresh` is "all". A shift date
    that can't be made is in `bad` of the result and keeps its partition, and the answers that did come wait
    for the next run.
    """
    made = Made()
    with ExitStack() as held:
        held.enter_context(lake.locked(shift_dates, seconds=LOCK_SECONDS))
        try:
            also = _outside(lake, shift_dates)
            held.enter_context(lake.locked(also, seconds=OUTSIDE_LOCK_SECONDS))
        except LakeError as error:
            for shift_date in shift_dates:
                made.fail(shift_date, str(error))
            return made
        days = sorted({*shift_dates, *also})
        making = _Making(lake, clopos, scope, refresh, progress, made, locked=set(days))
        # Destinations first: operations that moved away stay here until they stand there.
        for shift_date in days:
            await making.make(shift_date)
        for shift_date in days:
            making.let_go(shift_date)
    return made


def _outside(lake: Lake, shift_dates: Sequence[str]) -> set[str]:
    """Made dates outside the range between which and the range operations have to move, after their receipts."""
    gone: set[int] = set()
    new: set[int] = set()
    for shift_date in shift_dates:
        have = read_versions(lake, STOCK_OPERATIONS, shift_date).keys()
        receipts = Stored.load(lake, shift_date).venues.keys()
        gone |= have - receipts
        new |= receipts - have
    destinations = lake.find(RECEIPTS, "id", gone).keys()
    sources = lake.find(STOCK_OPERATIONS, "receipt_id", new).keys()
    return {
        shift_date
        for shift_date in {*destinations, *sources} - set(shift_dates)
        if lake.has(STOCK_OPERATIONS, shift_date)
    }


class _Making:
    def __init__(
        self,
        lake: Lake,
        clopos: Clopos,
        scope: Scope,
        refresh: Refresh,
        progress: Progress,
        made: Made,
        locked: set[str],
    ) -> None:
        self._lake = lake
        self._clopos = clopos
        self._scope = scope
        self._refresh = refresh
        self._progress = progress
        self._made = made
        self._locked = locked
        self._staged_in = f"stock_operations.{refresh}"
        self._down: str | None = None

    async def make(self, shift_date: str) -> None:
        """Read what is missing and write the partition, orphans included."""
        try:
            if self._down is not None:
                raise IngestError(self._down)
            day = self._load(shift_date)
            staged = self._staged(day)
            needed = self._needed(day)
            await self._ask(day, needed, staged)
            if day.failed:
                raise IngestError(_failure(day))
            self._write(day, keep_orphans=True)
            self._record(day)
            costs: Facts = {
                "requests": day.requests,
                "requests_spared": max(0, len(day.closed) - day.answered),
                "waited_seconds": day.waited_seconds,
            }
            self._made.add(STOCK_OPERATIONS, shift_date, costs)
            self._lake.unstage(self._staged_in, shift_date)
        except (IngestError, LakeError, ContractError, CloposError) as error:
            self._made.fail(shift_date, str(error))

    def let_go(self, shift_date: str) -> None:
        """Drop the operations of receipts that moved away, now that they stand where they moved to."""
        if shift_date in self._made.bad:
            return
        try:
            day = self._load(shift_date)
            if day.orphans:
                missing = [d for d in self._lake.find(RECEIPTS, "id", day.orphans) if d in self._made.bad]
                if missing:
                    raise IngestError(f"receipts moved from here to {missing[0]}, which was not made")
                self._write(day, keep_orphans=False)
                self._record(day)
        except (IngestError, LakeError, ContractError) as error:
            self._made.fail(shift_date, str(error))

    def _load(self, shift_date: str) -> _Day:
        receipts = self._lake.read(RECEIPTS, shift_date, ["id", "venue_id", "status", "deleted_at", "closed_at"])
        lines = self._lake.read(RECEIPT_PRODUCTS, shift_date, ["receipt_id"])
        if receipts is None or lines is None:
            raise IngestError(
                f"the receipts of shift date {shift_date} are not materialized: materialize receipts first"
            )
        versions = read_versions(self._lake, RECEIPTS, shift_date)
        with_lines = set(lines.column("receipt_id").to_pylist())
        closed = {
            row["id"]: _Receipt(
                row["id"],
                row["venue_id"],
                row["closed_at"],
                row["id"] in with_lines,
                versions.get(row["id"], b""),
            )
            for row in receipts.to_pylist()
            if row["status"] == 2 and row["deleted_at"] is None
        }
        return _Day(
            shift_date,
            closed,
            set(receipts.column("id").to_pylist()),
            self._lake.read(STOCK_OPERATIONS, shift_date),
            read_versions(self._lake, STOCK_OPERATIONS, shift_date),
        )

    def _needed(self, day: _Day) -> list[_Receipt]:
        if self._refresh == "all" or day.stored is None:
            return list(day.closed.values())
        deducted = set(day.stored.column("receipt_id").to_pylist())
        since = self._scope.local_now() - POSTING_TIME
        return [
            receipt
            for receipt in day.closed.values()
            if not receipt.version
            or day.versions.get(receipt.receipt_id) != receipt.version
            or (
                receipt.has_lines
                and receipt.receipt_id not in deducted
                and receipt.closed_at is not None
                and receipt.closed_at > since
            )
        ]

    def _staged(self, day: _Day) -> dict[str, bytes]:
        return self._lake.staged(self._staged_in, day.shift_date, newer_than=time.time() - STAGED_SECONDS)

    async def _ask(self, day: _Day, needed: Sequence[_Receipt], staged: dict[str, bytes]) -> None:
        before, waited = self._clopos.requests, self._clopos.waited_seconds
        waiting: Iterator[_Receipt] = iter(needed)
        done = 0

        async def work() -> None:
            nonlocal done
            for receipt in waiting:  # shared: each worker takes the next one
                if self._down is not None or len(day.failed) > FAILURES_BORNE:
                    return
                try:
                    await self._ask_one(day, receipt, staged.get(receipt.staged_as))
                except (CloposRefused, LakeError) as error:
                    self._down = str(error)  # so would every other receipt end
                except (CloposUnavailable, CloposAnswerError, IngestError) as error:
                    day.failed[receipt.receipt_id] = str(error)
                done += 1
                self._progress(f"stock operations of {day.shift_date}", done, len(needed))

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(len(needed), ASKED_AT_ONCE)):
                workers.create_task(work())
        day.requests = self._clopos.requests - before
        day.waited_seconds = self._clopos.waited_seconds - waited
        if self._down is not None:
            raise IngestError(self._down)
        if len(day.failed) > FAILURES_BORNE:
            self._down = f"not asked for, after too many failures: {_failure(day)}"

    async def _ask_one(self, day: _Day, receipt: _Receipt, kept: bytes | None) -> None:
        if kept is not None:
            rows = _read(read_stock_operations(kept), receipt)
            if rows or not self._may_still_post(receipt):
                self._take(day, receipt, rows)
                return
        header = self._scope.venue_header(receipt.venue_id)
        answer = await self._clopos.get_stock_operations(receipt.receipt_id, header)
        if answer is None:
            await self._ask_whether_gone(day, receipt, header)
            return
        day.answered += 1
        rows = _read(answer.items, receipt)
        self._lake.stage(self._staged_in, day.shift_date, receipt.staged_as, answer.body)
        self._take(day, receipt, rows)

    async def _ask_whether_gone(self, day: _Day, receipt: _Receipt, header: int | None) -> None:
        """The operations answered 404: file what the receipt says of itself, which may be that it is gone."""
        found = await ask_receipt(self._clopos, self._scope, receipt.receipt_id, receipt.venue_id)
        if found is not None and found.version == receipt.version:
            self._take(day, receipt, [])  # it stands as listed; it just deducted nothing
            return
        plan = Plan(day.shift_date, Stored.load(self._lake, day.shift_date))
        elsewhere: list[Entry] = []
        if found is not None and found.shift_date == day.shift_date:
            plan.entries[receipt.receipt_id] = found
        else:
            plan.leaving[receipt.receipt_id] = None if found is None else found.shift_date
            elsewhere = [] if found is None else [found]
            day.left += 1
            if not self._scope.allow_mass_removal and is_mass_removal(day.left, len(plan.stored.venues)):
                raise IngestError(mass_removal_message(day.shift_date, day.left, len(plan.stored.venues)))
        filing = Filing(
            self._lake,
            {day.shift_date: plan},
            self._made,
            allow_mass_removal=self._scope.allow_mass_removal,
        )
        filing.carry_out(self._locked, elsewhere)
        fresh = self._load(day.shift_date)
        day.ids = fresh.ids
        again = fresh.closed.get(receipt.receipt_id)
        if again is None:
            day.closed.pop(receipt.receipt_id, None)
            return
        day.closed[receipt.receipt_id] = again
        answer = await self._clopos.get_stock_operations(receipt.receipt_id, header)
        self._take(day, again, [] if answer is None else _read(answer.items, again))

    def _may_still_post(self, receipt: _Receipt) -> bool:
        since = self._scope.local_now() - POSTING_TIME
        return receipt.has_lines and receipt.closed_at is not None and receipt.closed_at > since

    @staticmethod
    def _take(day: _Day, receipt: _Receipt, rows: list[Row]) -> None:
        day.rows += rows
        day.asked.add(receipt.receipt_id)

    def _write(self, day: _Day, *, keep_orphans: bool) -> None:
        wanted = day.closed.keys() - day.asked | (day.orphans if keep_orphans else set())
        fresh = _READER.to_arrow(day.rows, self._scope.clock())
        versions = {i: receipt.version for i, receipt in day.closed.items()}
        versions |= {i: day.versions[i] for i in day.orphans} if keep_orphans else {}
        if day.stored is None:
            rows = fresh
        else:
            known = day.stored.filter(pc.is_in(day.stored.column("receipt_id"), value_set=_ids(wanted)))
            rows = pa.concat_tables([known, _keep_times(day, fresh)])
            if versions == day.versions and _same(rows, day.stored):
                return
        self._lake.replace(STOCK_OPERATIONS, day.shift_date, rows, write_versions(versions))

    def _record(self, day: _Day) -> None:
        rows = self._lake.read(STOCK_OPERATIONS, day.shift_date, ["total_cost", "extra"])
        assert rows is not None  # written by this run, or found unchanged
        self._made.add(
            STOCK_OPERATIONS,
            day.shift_date,
            {
                "rows": rows.num_rows,
                "total_cost": pc.sum(rows.column("total_cost")).as_py() or Decimal(0),
                "unknown_fields": unknown_fields(rows.column("extra")),
                "closed_receipts": len(day.closed),
            },
        )


def _read(items: Sequence[dict[str, object]], receipt: _Receipt) -> list[Row]:
    """The operations of one answer as rows. Raises IngestError that names receipt and field."""
    rows: dict[object, Row] = {}
    for item in items:
        try:
            row = _READER.read(item, receipt.venue_id)
            if row[1] != receipt.receipt_id:
                raise RowError(f"it belongs to receipt {row[1]}")
            if rows.setdefault(row[0], row) != row:
                raise RowError("it stands twice in one answer, with different content")
        except RowError as error:
            raise IngestError(f"receipt {receipt.receipt_id}: stock operation {item.get('id')}: {error}") from None
    return list(rows.values())


def _failure(day: _Day) -> str:
    named = sorted(day.failed)
    shown = ", ".join(str(receipt_id) for receipt_id in named[:10]) + (" …" if len(named) > 10 else "")
    return (
        f"stock operations of {len(named)} of {len(day.closed)} closed receipts could not be read "
        f"(receipt {shown}): {day.failed[named[0]]}; what was read is kept for the next run"
    )


def _ids(receipt_ids: set[int]) -> pa.Array:
    return pa.array(receipt_ids, type=pa.int64())


def _keep_times(day: _Day, fresh: pa.Table) -> pa.Table:
    """Rows that were read again and found the same keep the instant at which they were first read."""
    assert day.stored is not None
    before = day.stored.filter(pc.is_in(day.stored.column("receipt_id"), value_set=_ids(day.asked)))
    known = {tuple(row.values())[:-1]: row["fetched_at"] for row in before.to_pylist()}
    if not known:
        return fresh
    times = [known.get(tuple(row.values())[:-1], row["fetched_at"]) for row in fresh.to_pylist()]
    at = fresh.schema.get_field_index("fetched_at")
    return fresh.set_column(at, fresh.schema.field(at), pa.array(times, type=fresh.schema.field(at).type))


def _same(rows: pa.Table, stored: pa.Table) -> bool:
    return bool(rows.num_rows == stored.num_rows and rows.sort_by("id").equals(stored.sort_by("id")))
