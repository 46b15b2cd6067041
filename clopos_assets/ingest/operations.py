"""Making `stock_operations`: one request per closed receipt whose operations the lake does not have yet.

Under v1 receipts bring their operations along, and only those that don't are asked for, by id.
"""

import asyncio
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from decimal import Decimal
from typing import Literal

import pyarrow.compute as pc

from clopos_assets.clopos.client import Clopos
from clopos_assets.clopos.errors import CloposAnswerError, CloposError, CloposRefusedError, CloposUnavailableError
from clopos_assets.clopos.stock import read_stock_operations
from clopos_assets.ingest.asking import ASKED_AT_ONCE, ask_receipt
from clopos_assets.ingest.brought import staged_operations, unstage_operations
from clopos_assets.ingest.day import POSTING_TIME, ClosedReceipt, Day, personal_in, read_operations
from clopos_assets.ingest.filing import Filing
from clopos_assets.ingest.made import (
    ASK_CLOPOS,
    LOCK_SECONDS,
    OUTSIDE_LOCK_SECONDS,
    Facts,
    IngestError,
    Made,
    Progress,
    Scope,
    is_alive,
    no_progress,
)
from clopos_assets.ingest.plan import Plan
from clopos_assets.ingest.stored import Handled, Stored
from clopos_assets.ingest.versions import read_versions, write_untold, write_versions
from clopos_assets.lake import Lake, LakeError
from clopos_assets.tables import RECEIPTS, STOCK_OPERATIONS, ContractError
from clopos_assets.tables.rows import Row, unknown_fields
from clopos_assets.tables.values import RowError

Refresh = Literal["changed", "all"]

_STAGED: dict[Refresh, str] = {"changed": "stock_operations.changed", "all": "stock_operations.all"}
_REFRESHED = "refreshed"
"""Stands beside the kept answers of a refresh for the shift dates that it has done, and names its run."""
STAGED_SECONDS = 24 * 3600.0
"""How long answers of an unfinished run are worth keeping."""
FAILURES_BORNE = 5
"""So many receipts of a shift date may get no answer, or a refusal, before no more are asked in this run."""


async def make_stock_operations(
    lake: Lake,
    clopos: Clopos,
    scope: Scope,
    shift_dates: Sequence[str],
    refresh: Refresh = "changed",
    progress: Progress = no_progress,
    *,
    asked_for: Collection[str] | None = None,
) -> Made:
    """Make the stock operations of shift dates whose receipts are in the lake.

    Asks for receipts that are new or changed since their operations were read, and for those closed less
    than 24 hours ago with lines but no operation; where `refresh` is "all", for all closed ones of the dates that were
    `asked_for`, by default each: others are there because they follow. A shift date that can't be made is in `bad` of
    the result and keeps its partition, and the answers that did come wait for the next run: those of a refresh only
    where it was killed or got no answers any more. One that has ended is followed by another that asks for all anew.
    """
    made = Made()
    days = sorted({*shift_dates, *_outside(lake, shift_dates)})
    making = _Making(
        lake, clopos, scope, refresh, progress, made, frozenset(shift_dates if asked_for is None else asked_for)
    )
    if len(days) > 1:
        making.count(days)
    # Destinations first: operations that moved away stay here until they stand there.
    for shift_date in days:
        await making.make(shift_date)
    for shift_date in sorted(making.kept):
        making.let_go(shift_date)
    if refresh == "all":
        making.end_refresh()
    return made


def _outside(lake: Lake, shift_dates: Sequence[str]) -> set[str]:
    """Made dates outside the range between which and the range operations have to move, after their receipts."""
    gone: set[int] = set()
    new: set[int] = set()
    for shift_date in shift_dates:
        with suppress(LakeError):  # told when the date itself is made
            have = read_versions(lake.notes(STOCK_OPERATIONS, shift_date)).keys()
            rows = lake.read(RECEIPTS, shift_date, ["id"])
            receipts = set() if rows is None else set(rows.column("id").to_pylist())
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
        asked_for: frozenset[str],
    ) -> None:
        self._lake = lake
        self._clopos = clopos
        self._scope = scope
        self._refresh = refresh
        self._progress = progress
        self._made = made
        self._asked_for = asked_for
        self._staged_in = _STAGED[refresh]
        self._down: str | None = None
        self._to_ask = 0
        self._asked = 0
        # Shift dates in which operations stand whose receipts have left.
        self.kept: set[str] = set()

    def count(self, shift_dates: Sequence[str]) -> None:
        """Find out how many receipts are to be asked for, so that progress can say how far the run is."""
        for shift_date in shift_dates:
            with suppress(IngestError, LakeError):  # told when the date itself is made
                staged = self._staged(shift_date) if self._is_to_refresh(shift_date) else {}
                self._to_ask += len(self._needed(Day.load(self._lake, shift_date, ["receipt_id", "extra"]), staged))

    def _needed(self, day: Day, staged: Mapping[str, bytes]) -> list[ClosedReceipt]:
        if self._is_to_refresh(day.shift_date) and not self._is_refreshed(staged):
            return list(day.closed.values())
        return day.needed(self._scope.local_now(POSTING_TIME), self._scope.privacy.mark)

    def _is_refreshed(self, staged: Mapping[str, bytes]) -> bool:
        """Whether a refresh that did not end has done the date. One still under way was asked for before this one."""
        return _REFRESHED in staged and not self._is_by_another_still_alive(staged)

    def _is_by_another_still_alive(self, staged: Mapping[str, bytes]) -> bool:
        owner = staged.get(_REFRESHED, b"").decode(errors="replace")
        return owner not in ("", self._scope.run_id) and is_alive(self._lake, owner)

    def _is_to_refresh(self, shift_date: str) -> bool:
        return self._refresh == "all" and shift_date in self._asked_for

    def _locked(self, shift_date: str) -> AbstractContextManager[None]:
        seconds = LOCK_SECONDS if shift_date in self._asked_for else OUTSIDE_LOCK_SECONDS
        return self._lake.locked([shift_date], seconds=seconds)

    async def make(self, shift_date: str) -> None:
        """Read what is missing and write the partition, orphans included."""
        try:
            if self._down is not None:
                raise IngestError(self._down)
            with self._locked(shift_date):
                day = Day.load(self._lake, shift_date)
                staged = self._staged(shift_date)
                needed = self._needed(day, staged)
                self._to_ask = max(self._to_ask, len(needed))
                await self._ask(day, needed, staged, self._brought(day))
                await self._settle_absent(day)
                if day.failed:
                    raise IngestError(day.describe_failure())
                self._write(day, keep_orphans=True)
                if day.orphans:
                    self.kept.add(shift_date)
                self._record(day)
                costs: Facts = {
                    "requests": day.requests,
                    "requests_spared": max(0, len(day.closed) - day.answered),
                    "waited_seconds": day.waited_seconds,
                }
                self._made.add(STOCK_OPERATIONS, shift_date, costs)
                for kept in _STAGED.values():  # answers to an earlier question are not those to the next
                    self._lake.unstage(kept, shift_date)
                unstage_operations(self._lake, shift_date)
                if self._is_to_refresh(shift_date):
                    self._lake.stage(self._staged_in, shift_date, _REFRESHED, self._scope.run_id.encode())
        except (IngestError, LakeError, ContractError, CloposError) as error:
            self._made.fail(shift_date, str(error))

    def let_go(self, shift_date: str) -> None:
        """Drop the operations of receipts that moved away, now that they stand where they moved to."""
        if shift_date in self._made.bad:
            return
        try:
            with self._locked(shift_date):
                day = Day.load(self._lake, shift_date)
                if day.orphans:
                    missing = [d for d in self._lake.find(RECEIPTS, "id", day.orphans) if d in self._made.bad]
                    if missing:
                        raise IngestError(f"receipts moved from here to {missing[0]}, which was not made")
                    self._write(day, keep_orphans=False)
                    self._record(day)
        except (IngestError, LakeError, ContractError) as error:
            self._made.fail(shift_date, str(error))

    def end_refresh(self) -> None:
        """Nothing was left undone for want of answers: whoever refreshes the next time wants new ones."""
        if self._down is not None:
            return
        for shift_date in sorted(self._asked_for):
            try:
                if not self._is_by_another_still_alive(self._staged(shift_date)):
                    self._lake.unstage(self._staged_in, shift_date)
            except LakeError as error:
                self._made.fail(shift_date, str(error))

    def _staged(self, shift_date: str) -> dict[str, bytes]:
        """Answers kept by a run that did not finish; those older than the partition are answered already."""
        return self._lake.staged(self._staged_in, shift_date, newer_than=self._newer_than(shift_date))

    def _brought(self, day: Day) -> dict[str, bytes]:
        """Operations that the receipts of the listing brought along, where they are a field of the receipt.

        They wait in the form in which the receipts are stored; in another than is to be stored now, they are no use.
        """
        if not self._clopos.receipts_hold_operations or day.listed_as != self._scope.privacy.mark:
            return {}
        return staged_operations(self._lake, day.shift_date, newer_than=self._newer_than(day.shift_date))

    def _newer_than(self, shift_date: str) -> float:
        now, written_at = time.time(), self._lake.written_at(STOCK_OPERATIONS, shift_date) or 0
        # A file that was written by a clock that is ahead says nothing of what came before it.
        return max(now - STAGED_SECONDS, written_at if written_at <= now else 0)

    async def _ask(
        self, day: Day, needed: Sequence[ClosedReceipt], staged: dict[str, bytes], brought: dict[str, bytes]
    ) -> None:
        before, waited = self._clopos.requests, self._clopos.waited_seconds
        waiting: Iterator[ClosedReceipt] = iter(needed)
        unanswered = 0

        async def work() -> None:
            nonlocal unanswered
            for receipt in waiting:  # shared: each worker takes the next one
                if self._down is not None or unanswered > FAILURES_BORNE:
                    return
                try:
                    if not self._take_brought(day, receipt, brought.get(receipt.staged_as)):
                        await self._ask_one(day, receipt, staged.get(receipt.staged_as))
                except LakeError as error:
                    self._down = str(error)  # so would every other receipt end
                except (CloposError, IngestError) as error:
                    day.failed[receipt.receipt_id] = str(error)
                    # An answer that can't be read says nothing of the next one; no answer does.
                    unanswered += isinstance(error, CloposRefusedError | CloposUnavailableError)
                self._asked += 1
                self._progress("receipts asked for stock operations", self._asked, self._to_ask)

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(len(needed), ASKED_AT_ONCE)):
                workers.create_task(work())
        day.requests = self._clopos.requests - before
        day.waited_seconds = self._clopos.waited_seconds - waited
        if self._down is not None:
            raise IngestError(self._down)
        if unanswered > FAILURES_BORNE:
            self._down = f"not asked for, after too many failures on {day.shift_date}: run again later"

    def _take_brought(self, day: Day, receipt: ClosedReceipt, answer: bytes | None) -> bool:
        """Whether the receipt itself told of its operations: as it changes, so does its version, so this is final."""
        if answer is not None:
            # What can't be read is asked for by id, where the reason will be told.
            with suppress(CloposAnswerError, IngestError):
                day.take(receipt, self._read(read_stock_operations(answer), receipt))
                return True
        return False

    def _read(self, items: Sequence[Mapping[str, object]] | None, receipt: ClosedReceipt) -> list[Row] | None:
        if items is not None and self._clopos.receipts_hold_operations:
            # Within its receipt an operation need not say whose it is.
            whose = {"receipt_id": receipt.receipt_id}
            items = [{**item, **whose} if item.get("receipt_id") is None else item for item in items]
        return read_operations(items, receipt)

    def _to_store(
        self, items: Sequence[dict[str, object]] | None, receipt: ClosedReceipt
    ) -> list[Mapping[str, object]] | None:
        try:
            return None if items is None else [self._scope.privacy.stored(item) for item in items]
        except RowError as error:
            raise IngestError(f"receipt {receipt.receipt_id}: its stock operations: {error}{ASK_CLOPOS}") from None

    async def _ask_one(self, day: Day, receipt: ClosedReceipt, kept: bytes | None) -> None:
        if kept is not None:
            # A kept answer that a crash has damaged is no answer: it is asked for again.
            with suppress(CloposAnswerError, IngestError):
                rows = self._read(self._to_store(read_stock_operations(kept), receipt), receipt)
                if rows or not receipt.may_still_post(self._scope.local_now(POSTING_TIME)):
                    day.take(receipt, rows)
                    return
        answer = await self._clopos.get_stock_operations(receipt.receipt_id, receipt.venue_id)
        if answer is None:
            day.absent.append(receipt)
            return
        day.answered += 1
        items = self._to_store(answer.items, receipt)
        rows = self._read(items, receipt)
        # An answer waits as it came, or not at all.
        if all(item is came for item, came in zip(items or (), answer.items or (), strict=True)):
            self._lake.stage(self._staged_in, day.shift_date, receipt.staged_as, answer.body)
        day.take(receipt, rows)

    async def _settle_absent(self, day: Day) -> None:
        """Operations answered 404: file what the receipts say of themselves, which may be that they are gone."""
        if not day.absent:
            return
        before = self._clopos.requests
        plan = Plan(day.shift_date, Stored.load(self._lake, day.shift_date))
        for receipt in day.absent:
            found = await ask_receipt(self._clopos, self._scope, receipt.receipt_id, receipt.venue_id, receipt.version)
            if found is None:
                plan.leaving[receipt.receipt_id] = None
                plan.refuse_mass_removal(allow=self._scope.allow_mass_removal)  # before all of them are asked for
            elif found.version == receipt.version and not self._clopos.receipts_hold_operations:
                day.take(receipt, [])  # it stands as listed; it just deducted nothing
            elif found.shift_date == day.shift_date:
                plan.entries[receipt.receipt_id] = found
            else:
                raise IngestError(
                    f"receipt {receipt.receipt_id} moved to {found.shift_date} while it was read: run both dates again"
                )
        plan.guard(allow_mass_removal=self._scope.allow_mass_removal)
        if plan.entries or plan.leaving:
            plans = {day.shift_date: plan}
            filing = Filing(self._lake, plans, self._made, self._scope, OUTSIDE_LOCK_SECONDS, gives_way=False)
            filing.carry_out({day.shift_date}, [])
            now = Day.load(self._lake, day.shift_date)
            day.ids, day.closed = now.ids, now.closed
            for receipt_id in plan.entries.keys() & day.closed.keys():
                again = day.closed[receipt_id]
                answer = await self._clopos.get_stock_operations(receipt_id, again.venue_id)
                day.answered += 1
                items = None if answer is None else self._to_store(answer.items, again)
                day.take(again, self._nothing if answer is None else self._read(items, again))
        day.requests += self._clopos.requests - before

    @property
    def _nothing(self) -> list[Row] | None:
        """What 404 says of a receipt that is there: no deductions, or, where it should hold them itself, nothing."""
        return None if self._clopos.receipts_hold_operations else []

    def _write(self, day: Day, *, keep_orphans: bool) -> None:
        rows, versions = day.assemble(self._scope.clock(), keep_orphans=keep_orphans)
        untold = day.still_untold
        handled = Handled(self._scope.privacy.mark) if personal_in(rows) else Handled()
        if (
            day.stored is None
            or (versions, untold, handled) != (day.versions, day.untold_before, day.handled)
            or rows.sort_by("id") != day.stored.sort_by("id")
            or day.is_older
        ):
            notes = write_versions(versions) | write_untold(untold)
            if handled != Handled():
                notes |= handled.write()
            self._lake.mark(day.shift_date, self._scope.run_id)
            self._lake.replace(STOCK_OPERATIONS, day.shift_date, rows, notes)

    def _record(self, day: Day) -> None:
        rows = self._lake.read(STOCK_OPERATIONS, day.shift_date, ["total_cost", "extra"])
        assert rows is not None  # written by this run, or found unchanged
        facts: Facts = {
            "rows": rows.num_rows,
            "total_cost": pc.sum(rows.column("total_cost")).as_py() or Decimal(0),
            "unknown_fields": unknown_fields(STOCK_OPERATIONS, rows.column("extra")),
            "closed_receipts": len(day.closed),
        }
        if self._clopos.receipts_hold_operations:
            facts["receipts_without_operations"] = len(day.still_untold)
        self._made.add(STOCK_OPERATIONS, day.shift_date, facts)
