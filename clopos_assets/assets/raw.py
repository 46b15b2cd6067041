"""The raw assets: receipts with their lines from one listing, and the stock operations of each receipt."""

import warnings
from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from clopos_assets.access import Access
from clopos_assets.assets.making import UNKNOWN_FIELDS_CHECK, run_step
from clopos_assets.assets.specs import spec_of
from clopos_assets.ingest import Refresh
from clopos_assets.ingest.venues import CHECK as VENUES_CHECK
from clopos_assets.line import Line
from clopos_assets.tables import RECEIPTS, STOCK_OPERATIONS, Table


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
        check_specs=[
            *(_check_spec(UNKNOWN_FIELDS_CHECK, table, partitions_def) for table in receipts_maker.tables),
            _check_spec(VENUES_CHECK, RECEIPTS, partitions_def),
        ],
        backfill_policy=dg.BackfillPolicy.single_run(),
        # One listing gives both tables; where one is selected, the other is made and recorded with it.
        can_subset=True,
    )
    def receipts(context: dg.AssetExecutionContext) -> Iterator[object]:
        yield from run_step(context, access, line, receipts_maker)

    @dg.multi_asset(
        name="stock_operations",
        specs=[spec_of(STOCK_OPERATIONS, access.lake, partitions_def)],
        check_specs=[_check_spec(UNKNOWN_FIELDS_CHECK, STOCK_OPERATIONS, partitions_def)],
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,  # the check alone is asked for, too
    )
    def stock_operations(context: dg.AssetExecutionContext, config: RefreshConfig) -> Iterator[object]:
        context.log.debug(f"refresh: {config.refresh}")
        yield from run_step(context, access, line, operations_maker)

    return [receipts, stock_operations]


_DESCRIPTIONS = {
    UNKNOWN_FIELDS_CHECK: "Every field of the API's answers is one that its documents name; others are kept in extra.",
    VENUES_CHECK: "The shift date was made for every venue, those included that were added since.",
}


def _check_spec(name: str, table: Table, partitions_def: dg.PartitionsDefinition[str]) -> dg.AssetCheckSpec:
    with warnings.catch_warnings():
        # Checks per partition are in preview, and there is no other way to say of which shift date one speaks;
        # the version of Dagster is pinned.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            name=name,
            asset=table.name,
            partitions_def=partitions_def,
            description=_DESCRIPTIONS[name],
        )
