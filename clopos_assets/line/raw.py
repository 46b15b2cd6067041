"""The makers of the raw tables: receipts with their lines from one listing, then each receipt's stock operations."""

import time
from collections.abc import Sequence
from dataclasses import replace

from clopos_assets.access import Access
from clopos_assets.ingest import Made, Progress, make_receipts, make_stock_operations
from clopos_assets.ingest.made import Facts
from clopos_assets.interrupts import run_to_end
from clopos_assets.line.maker import Maker, Run
from clopos_assets.tables import RECEIPT_PRODUCTS, RECEIPTS, STOCK_OPERATIONS

TALK_EVERY_SECONDS = 15.0


def raw_makers(access: Access, watch: Progress | None) -> tuple[Maker, Maker]:
    """The makers of the raw tables, in order. `watch` is told of progress besides the run's log."""

    def receipts(run: Run, shift_dates: Sequence[str]) -> Made:
        talk = Talk(run, access, watch)

        async def read() -> Made:
            async with access.clopos(run.store, run.priority, talk.wait, run_id=run.run_id) as clopos:
                scope = replace(access.scope, run_id=run.run_id)
                return await make_receipts(access.lake, clopos, scope, shift_dates, talk.progress)

        return run_to_end(read())

    def stock_operations(run: Run, shift_dates: Sequence[str]) -> Made:
        talk = Talk(run, access, watch)

        async def read() -> Made:
            async with access.clopos(run.store, run.priority, talk.wait, run_id=run.run_id) as clopos:
                scope = replace(access.scope, run_id=run.run_id)
                return await make_stock_operations(
                    access.lake, clopos, scope, shift_dates, run.refresh, talk.progress, asked_for=run.asked
                )

        made = run_to_end(read())
        for shift_date, facts in made.facts.get(STOCK_OPERATIONS.name, {}).items():
            if facts.get("receipts_without_operations"):
                run.warn(_describe_untold(shift_date, facts))
        return made

    return Maker((RECEIPTS, RECEIPT_PRODUCTS), receipts), Maker((STOCK_OPERATIONS,), stock_operations)


def _describe_untold(shift_date: str, facts: Facts) -> str:
    return (
        f"shift date {shift_date}: of {facts['receipts_without_operations']} of {facts['closed_receipts']} closed "
        "receipts Clopos tells no stock operations, neither in the list nor by id; their cost is unknown, not zero: "
        "daily_cogs.undeducted_sales holds their sales"
    )


class Talk:
    """Progress and waits in the run's log, every quarter of a minute at most, with an estimate of what is left."""

    def __init__(self, run: Run, access: Access, watch: Progress | None) -> None:
        self._say = run.say
        self._access = access
        self._watch = watch
        self._begun = self._last = self._talked = self._told = time.monotonic()
        self._what = ""

    def progress(self, what: str, done: int, of: int) -> None:
        """One more is done, of so many in the whole run; `of` is 0 where nobody knows."""
        if self._watch is not None:
            self._watch(what, done, of)
        now = time.monotonic()
        if what != self._what:
            self._what, self._begun = what, self._last  # what is done first has taken its time, too
        self._last = now
        if now - self._talked >= TALK_EVERY_SECONDS and done:
            self._talked = now
            left = f" of {of}, about {(now - self._begun) / done * (of - done):.0f} s left" if of else ""
            waited = self._access.waited_seconds
            self._say(f"{what}: {done}{left}; {waited:.0f} s waited for quota so far")

    def wait(self, seconds: float, reason: str) -> None:
        """A request waits, for the quota or for its next try; many may wait for the same."""
        now = time.monotonic()
        if now - self._told >= TALK_EVERY_SECONDS:
            self._told = now
            self._say(f"waiting {seconds:.0f} s: {reason}")
