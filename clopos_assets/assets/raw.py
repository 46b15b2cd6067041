"""The raw assets: receipts with their lines from one listing, and the stock operations of each receipt."""

import asyncio
import time
import warnings
from collections.abc import Iterator, Sequence

import dagster as dg

from clopos_assets.access import Access
from clopos_assets.assets.making import UNKNOWN_FIELDS_CHECK, Maker, run_step
from clopos_assets.assets.specs import spec_of
from clopos_assets.clopos.client import Clopos
from clopos_assets.ingest import Made, Progress, Refresh, make_receipts, make_stock_operations
from clopos_assets.sharing import priority_of, store_of
from clopos_assets.tables import RECEIPT_PRODUCTS, RECEIPTS, STOCK_OPERATIONS, Table

TALK_EVERY_SECONDS = 15.0


class RefreshConfig(dg.Config):
    """Which receipts are asked for their stock operations again."""

    refresh: Refresh = "changed"


def raw_makers(access: Access, watch: Progress | None) -> tuple[Maker, Maker]:
    """The makers of the raw tables, in order. `watch` is told of progress besides the run's log."""

    def receipts(context: dg.AssetExecutionContext, shift_dates: Sequence[str]) -> Made:
        talk = Talk(context, access, watch)

        async def read() -> Made:
            async with _client(context, access, talk) as clopos:
                return await make_receipts(access.lake, clopos, access.scope, shift_dates, talk.progress)

        return asyncio.run(read())

    def stock_operations(context: dg.AssetExecutionContext, shift_dates: Sequence[str]) -> Made:
        talk = Talk(context, access, watch)

        async def read() -> Made:
            async with _client(context, access, talk) as clopos:
                return await make_stock_operations(
                    access.lake, clopos, access.scope, shift_dates, _refresh_of(context), talk.progress
                )

        return asyncio.run(read())

    return Maker((RECEIPTS, RECEIPT_PRODUCTS), receipts), Maker((STOCK_OPERATIONS,), stock_operations)


def raw_assets(
    access: Access, partitions_def: dg.PartitionsDefinition[str], line: Sequence[Maker]
) -> list[dg.AssetsDefinition]:
    """The assets of the first two makers of the line."""
    receipts_maker, operations_maker = line[0], line[1]

    @dg.multi_asset(
        name="receipts",
        specs=[spec_of(table, access.lake, partitions_def) for table in receipts_maker.tables],
        check_specs=[_check_spec(table, partitions_def) for table in receipts_maker.tables],
        backfill_policy=dg.BackfillPolicy.single_run(),
        # One listing gives both tables; where one is selected, the other is made and recorded with it.
        can_subset=True,
    )
    def receipts(context: dg.AssetExecutionContext) -> Iterator[object]:
        yield from run_step(context, access.lake, line, receipts_maker)

    @dg.multi_asset(
        name="stock_operations",
        specs=[spec_of(STOCK_OPERATIONS, access.lake, partitions_def)],
        check_specs=[_check_spec(STOCK_OPERATIONS, partitions_def)],
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def stock_operations(context: dg.AssetExecutionContext, config: RefreshConfig) -> Iterator[object]:
        context.log.debug(f"refresh: {config.refresh}")
        yield from run_step(context, access.lake, line, operations_maker)

    return [receipts, stock_operations]


def _client(context: dg.AssetExecutionContext, access: Access, talk: "Talk") -> Clopos:
    """The run's client: it shares the quota with all of the instance, and a backfill gives way to the rest."""
    return access.clopos(
        store_of(context.instance, access.lake.root),
        priority_of(context.run.tags, len(context.partition_keys)),
        talk.wait,
        run_id=context.run.run_id,
    )


def _check_spec(table: Table, partitions_def: dg.PartitionsDefinition[str]) -> dg.AssetCheckSpec:
    with warnings.catch_warnings():
        # Checks per partition are in preview, and there is no other way to say of which shift date one speaks;
        # the version of Dagster is pinned.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            name=UNKNOWN_FIELDS_CHECK,
            asset=table.name,
            partitions_def=partitions_def,
            description="Every field of the API's answers is one that its documents name; others are kept in extra.",
        )


def _refresh_of(context: dg.AssetExecutionContext) -> Refresh:
    """The run's config, which the step before may need too, when it carries the good dates on."""
    ops = context.run.run_config.get("ops", {}) if isinstance(context.run.run_config, dict) else {}
    refresh = ops.get("stock_operations", {}).get("config", {}).get("refresh", "changed")
    return "all" if refresh == "all" else "changed"


class Talk:
    """Progress and waits in the run's log, every quarter of a minute at most, with an estimate of what is left."""

    def __init__(self, context: dg.AssetExecutionContext, access: Access, watch: Progress | None) -> None:
        self._log = context.log
        self._access = access
        self._watch = watch
        self._begun = self._talked = self._told = time.monotonic()
        self._what = ""

    def progress(self, what: str, done: int, of: int) -> None:
        """One more is done, of so many in the whole run; `of` is 0 where nobody knows."""
        if self._watch is not None:
            self._watch(what, done, of)
        now = time.monotonic()
        if what != self._what:
            self._what, self._begun = what, now
        if now - self._talked >= TALK_EVERY_SECONDS and done:
            self._talked = now
            left = f" of {of}, about {(now - self._begun) / done * (of - done):.0f} s left" if of else ""
            waited = self._access.waited_seconds
            self._log.info(f"{what}: {done}{left}; {waited:.0f} s waited for quota so far")

    def wait(self, seconds: float, reason: str) -> None:
        """A request waits, for the quota or for its next try; many may wait for the same."""
        now = time.monotonic()
        if now - self._told >= TALK_EVERY_SECONDS:
            self._told = now
            self._log.info(f"waiting {seconds:.0f} s: {reason}")
