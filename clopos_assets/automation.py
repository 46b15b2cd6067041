"""When things are made: the calendar of shift dates, the job over it, what starts it by the clock, and the sensor."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from clopos_assets.access import Access
from clopos_assets.ingest.stretches import stretches_of
from clopos_assets.lake import LakeError
from clopos_assets.late.deciding import LONGEST_RUN_SECONDS
from clopos_assets.late_sensor import late_sensor
from clopos_assets.settings import Settings
from clopos_assets.tables import RECEIPTS
from clopos_assets.tags import PARTITION, RANGE_END, RANGE_START, REASON, SHIFT_DATES

JOB = "shift_date_job"
_Choose = Callable[[dg.ScheduleEvaluationContext, Access, Sequence[str]], list[dg.RunRequest] | dg.SkipReason]
"""Which runs to ask for, of the shift dates that have ended."""
_SWEEP_HOURS = 1
"""After the shift's end."""
_NOT_ENDED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def shift_dates(settings: Settings) -> dg.DailyPartitionsDefinition:
    """One partition per shift date, from CLOPOS_START_DATE on; it begins to exist when its shift ends."""
    return dg.DailyPartitionsDefinition(
        start_date=settings.start_date.isoformat(),
        timezone=settings.timezone.key,
        hour_offset=settings.shift_end.hour,
        minute_offset=settings.shift_end.minute,
    )


def automate(
    access: Access,
    assets: Sequence[dg.AssetsDefinition],
    partitions_def: dg.DailyPartitionsDefinition,
) -> dg.Definitions:
    """The job over all partitioned tables, and what starts it by itself."""
    settings = access.settings

    def ask(context: dg.ScheduleEvaluationContext, choose: _Choose) -> list[dg.RunRequest] | dg.SkipReason:
        if (idle := settings.why_idle()) is not None:
            return dg.SkipReason(idle)
        return choose(context, access, partitions_def.get_partition_keys(current_time=context.scheduled_execution_time))

    job = dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.assets(*assets),
        description="Every table of a shift date, or of a range of them in a single run. Costs a request per closed "
        "receipt that is new or changed, and one per 200 listed, of 300 a minute; under v1 one per 100 listed.",
    )

    @dg.schedule(
        name="nightly_shift_schedule",
        job=job,
        cron_schedule=settings.cron(),
        execution_timezone=settings.timezone.key,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Makes the shift date whose shift has just ended, and those of the last CLOPOS_SWEEP_DAYS that "
        "should have been made and were not. Skips while there are no credentials.",
    )
    def nightly_shift_schedule(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        return ask(context, _runs_of_the_night)

    @dg.schedule(
        name="trailing_sweep_schedule",
        job=job,
        cron_schedule=settings.cron(_SWEEP_HOURS),
        execution_timezone=settings.timezone.key,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Makes those of the last CLOPOS_SWEEP_DAYS shift dates again that are made: deleted receipts are "
        "found in no other way. Costs their list pages, and what has changed.",
    )
    def trailing_sweep_schedule(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        return ask(context, _runs_of_the_sweep)

    return dg.Definitions(
        jobs=[job],
        schedules=[nightly_shift_schedule, trailing_sweep_schedule],
        sensors=[late_sensor(access, JOB, partitions_def)],
    )


def _runs_of_the_night(
    context: dg.ScheduleEvaluationContext, access: Access, ended: Sequence[str]
) -> list[dg.RunRequest] | dg.SkipReason:
    """Of the shift date that has just ended, and of those before it that were missed."""
    settings, at = access.settings, context.scheduled_execution_time
    if not ended:
        return dg.SkipReason(f"no shift has ended since CLOPOS_START_DATE, {settings.start_date}")
    try:
        missed = _missed(access, ended[-settings.sweep_days - 2 : -1])
    except LakeError as error:
        context.log.warning(f"which shift dates were missed can't be told: {error}")
        missed = set()
    if missed:
        is_under_way = _is_under_way(context, at)
        missed = {shift_date for shift_date in missed if not is_under_way(shift_date)}
    return [
        dg.RunRequest(run_key=ended[-1], partition_key=ended[-1]),
        *(_range_request(f"missed by {at.isoformat()}", stretch) for stretch in stretches_of(missed)),
    ]


def _runs_of_the_sweep(
    context: dg.ScheduleEvaluationContext, access: Access, ended: Sequence[str]
) -> list[dg.RunRequest] | dg.SkipReason:
    """Of the last shift dates as far as they are made: one, or one for each of their stretches."""
    settings = access.settings
    try:
        made = access.lake.has_each([RECEIPTS], ended[-settings.sweep_days :])
    except LakeError as error:
        return dg.SkipReason(f"which shift dates are made can't be told: {error}")
    if not made:
        return dg.SkipReason(f"none of the last {settings.sweep_days} shift dates is made: there is nothing to sweep")
    reason = f"sweep of {context.scheduled_execution_time:%Y-%m-%d %H:%M}"
    return [_range_request(reason, stretch) for stretch in stretches_of(made)]


def _range_request(reason: str, stretch: Sequence[str]) -> dg.RunRequest:
    """One run for shift dates that follow each other."""
    dates = f"{stretch[0]} to {stretch[-1]}"
    tags = {REASON: reason, SHIFT_DATES: dates, RANGE_START: stretch[0], RANGE_END: stretch[-1]}
    return dg.RunRequest(run_key=f"{reason}: {dates}", tags=tags)


def _missed(access: Access, recent: Sequence[str]) -> set[str]:
    """Which of some shift dates are not made though an earlier one of them is: Clopos was down, or Dagster was.

    Where none is made, nobody has begun yet: first fills of the past are backfills.
    """
    made = access.lake.has_each([RECEIPTS], recent)
    return {shift_date for shift_date in recent if shift_date > made[0]} - set(made) if made else set()


def _is_under_way(context: dg.ScheduleEvaluationContext, at: datetime) -> Callable[[str], bool]:
    """Whether some run is to make a shift date and has not ended yet.

    One that is older than any run takes has died with its machine, which not every launcher finds out. The instance may
    have runs of other projects, of which partitions may be called anything: days compare as texts.
    """
    try:
        instance = context.instance
    except dg.DagsterInvariantViolationError:  # the tick is tried out on its own: nothing runs beside it
        return lambda _: False
    youngest = at.astimezone(UTC) - timedelta(seconds=LONGEST_RUN_SECONDS)  # Dagster drops the zone
    recent = dg.RunsFilter(statuses=_NOT_ENDED, created_after=youngest)
    tags = [run.tags for run in instance.get_runs(recent)]
    ranges = [(of_run.get(RANGE_START), of_run.get(RANGE_END)) for of_run in tags]
    ranges += [(of_run.get(PARTITION), of_run.get(PARTITION)) for of_run in tags]
    return lambda shift_date: any(first and last and first <= shift_date <= last for first, last in ranges)
