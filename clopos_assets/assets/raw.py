"""The raw assets: receipts with their lines from one listing, and the stock operations of each receipt."""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from clopos_assets.access import Access
from clopos_assets.assets.making import run_step
from clopos_assets.assets.raw_checks import raw_check_specs
from clopos_assets.assets.specs import spec_of
from clopos_assets.ingest import Refresh
from clopos_assets.line import Line


class RefreshConfig(dg.Config):
    """Which receipts are asked for their stock operations again."""

    refresh: Refresh = Field(
        "changed",
        description="all: read the stock operations of every receipt anew, at one request each; changed: of those that "
        "are new or have changed",
    )


def raw_assets(access: Access, partitions_def: dg.PartitionsDefinition[str], line: Line) -> list[dg.AssetsDefinition]:
    """The assets of the first two makers of the line."""
    receipts_maker, operations_maker = line.makers[:2]

    @dg.multi_asset(
        name="receipts",
        specs=[spec_of(table, access.lake, partitions_def) for table in receipts_maker.tables],
        check_specs=raw_check_specs(receipts_maker.tables, partitions_def),
        backfill_policy=dg.BackfillPolicy.single_run(),
        # One listing gives both tables; where one is selected, the other is made and recorded with it.
        can_subset=True,
    )
    def receipts(context: dg.AssetExecutionContext) -> Iterator[object]:
        yield from run_step(context, access, line, receipts_maker)

    @dg.multi_asset(
        name="stock_operations",
        specs=[spec_of(table, access.lake, partitions_def) for table in operations_maker.tables],
        check_specs=raw_check_specs(operations_maker.tables, partitions_def),
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,  # the check alone is asked for, too
    )
    def stock_operations(context: dg.AssetExecutionContext, config: RefreshConfig) -> Iterator[object]:
        context.log.debug(f"refresh: {config.refresh}")
        yield from run_step(context, access, line, operations_maker)

    return [receipts, stock_operations]
