"""The nightly run leaves to others what they are about to make, however far they have come."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from clopos_assets.tags import PARTITION
from tests.late.conftest import Watched
from tests.late.test_missed import ZONE, nightly

NOT_ENDED = ("NOT_STARTED", "STARTING", "STARTED", "CANCELING")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    home = tmp_path / "home"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        yield instance


@dg.job
def some_job() -> None:
    """A run that makes a shift date."""


@pytest.mark.parametrize("status", NOT_ENDED)
def test_a_run_counts_until_it_has_ended(watched: Watched, instance: dg.DagsterInstance, status: str) -> None:
    instance.create_run_for_job(some_job, tags={PARTITION: "2026-01-21"}, status=dg.DagsterRunStatus[status])
    assert nightly("2026-01-23 06:00", instance) == ["2026-01-22"]


def test_the_age_of_a_run_is_told_by_the_clock_of_its_records(
    watched: Watched, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in UTC, and the shop is four hours ahead: a run of just now is younger than an hour."""
    now = datetime.now(ZONE)
    made, held, missed = ((now - timedelta(days=back)).date().isoformat() for back in (5, 4, 3))
    watched.shop.make(made)
    monkeypatch.setattr("clopos_assets.automation.LONGEST_RUN_SECONDS", 3600)
    instance.create_run_for_job(some_job, tags={PARTITION: held}, status=dg.DagsterRunStatus.STARTED)
    asked = nightly(now.replace(tzinfo=None).isoformat(), instance)
    assert [range_.split(" to ")[0] for range_ in asked[1:]] == [missed]
