"""Names of the tags that runs bear: Dagster's own, which it has in no public module, and this project's."""

from typing import Final

PARTITION: Final = "dagster/partition"
RANGE_START: Final = "dagster/asset_partition_range_start"
RANGE_END: Final = "dagster/asset_partition_range_end"
BACKFILL: Final = "dagster/backfill"
RUN_KEY: Final = "dagster/run_key"

REASON: Final = "clopos/reason"
"""Why a schedule asked for the run."""
LATE_RECEIPTS: Final = "clopos/late_receipts"
"""What the sensor asked for the run for."""
SHIFT_DATES: Final = "clopos/shift_dates"
"""The range once more, for the list of runs, which does not show Dagster's own tags."""
