"""How runs are launched by those who name their dates themselves, and how they are stopped."""

from datetime import UTC, datetime, timedelta

import pytest

from clopos_assets.automation import JOB
from clopos_assets.tables import RECEIPTS
from tests.assets.conftest import Project, failure_of

DAYS = ["2026-01-19", "2026-01-20"]
NOW = datetime.now(UTC)
LATER = NOW.date() + timedelta(days=5)


@pytest.mark.parametrize(
    ("tags", "named"),
    [
        ({"dagster/partition": "2099-01-01"}, "no partition: 2099-01-01: "),
        ({"dagster/partition": "2026-1-19"}, "no partition: 2026-1-19: "),
        ({"dagster/partition": "2026-01-09"}, "2026-01-09 is before"),
        (
            {"dagster/asset_partition_range_start": str(NOW.date()), "dagster/asset_partition_range_end": str(LATER)},
            f" to {LATER}: a shift date is one, as YYYY-MM-DD, from CLOPOS_START_DATE on and once its shift has ended",
        ),
        ({}, "the run names no shift dates, or not only such as exist ("),
        (
            {"dagster/asset_partition_range_start": "2026-01-01", "dagster/asset_partition_range_end": DAYS[0]},
            "2026-01-01",
        ),
    ],
)
def test_dates_that_are_no_partitions_are_refused(project: Project, tags: dict[str, str], named: str) -> None:
    """As whoever launches runs by tags may name them."""
    job = project.definitions.resolve_job_def(JOB)
    result = job.execute_in_process(instance=project.instance, tags=tags, raise_on_error=False)
    reason = failure_of(result)
    assert named in reason
    assert reason.endswith("; launch shift_date_job for one of its partitions, or for a range of them")
    assert "\n" not in reason
    assert project.shop.lake.dates(RECEIPTS) == []
