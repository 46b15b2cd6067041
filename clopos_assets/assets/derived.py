"""The assets computed from the raw ones: one per table, from one factory."""

from collections.abc import Iterator

import dagster as dg

from clopos_assets.access import Access
from clopos_assets.assets.making import run_step
from clopos_assets.assets.specs import spec_of
from clopos_assets.line import Line, Maker


def derived_assets(
    access: Access, partitions_def: dg.PartitionsDefinition[str], line: Line
) -> list[dg.AssetsDefinition]:
    """The assets of the makers of derived tables."""
    return [_asset(access, partitions_def, line, maker) for maker in line.makers if maker.tables[0].group != "raw"]


def _asset(
    access: Access, partitions_def: dg.PartitionsDefinition[str], line: Line, maker: Maker
) -> dg.AssetsDefinition:
    table = maker.tables[0]

    @dg.multi_asset(
        name=table.name,
        specs=[spec_of(table, access.lake, partitions_def)],
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def derived(context: dg.AssetExecutionContext) -> Iterator[object]:
        yield from run_step(context, access, line, maker)

    return derived
