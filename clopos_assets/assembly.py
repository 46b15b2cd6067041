"""Putting the parts together: settings → access → line → assets → jobs, schedules and sensor → Definitions.

Apart from `definitions`, which reads the environment, so that tests and the demo build the same definitions on
settings of their own.
"""

import dagster as dg

from clopos_assets.access import Access
from clopos_assets.assets.checks import finding_checks
from clopos_assets.assets.derived import derived_assets
from clopos_assets.assets.monthly import monthly_compaction
from clopos_assets.assets.raw import raw_assets
from clopos_assets.automation import automate, shift_dates
from clopos_assets.ingest import Progress
from clopos_assets.line import line_of
from clopos_assets.settings import Settings


def build_definitions(settings: Settings, watch: Progress | None = None) -> dg.Definitions:
    """The project's definitions on these settings; `watch` is told of progress, besides the run's log."""
    access = Access(settings)
    partitions_def = shift_dates(settings)
    line = line_of(access, watch)
    assets = [
        *raw_assets(access, partitions_def, line),
        *derived_assets(access, partitions_def, line),
    ]
    # One process per run: its steps share the quota's window and the token, and start at once.
    made = dg.Definitions(
        assets=assets,
        asset_checks=[finding_checks(access, partitions_def)],
        executor=dg.in_process_executor,
    )
    return dg.Definitions.merge(made, automate(access, assets, partitions_def), monthly_compaction(access))
