"""When things are made: the calendar of shift dates, the job over it, and the nightly schedule."""

from collections.abc import Sequence

import dagster as dg

from clopos_assets.settings import Settings

JOB = "shift_date_job"


def shift_dates(settings: Settings) -> dg.DailyPartitionsDefinition:
    """One partition per shift date, from CLOPOS_START_DATE on; it begins to exist when its shift ends."""
    return dg.DailyPartitionsDefinition(
        start_date=settings.start_date.isoformat(),
        timezone=settings.timezone.key,
        hour_offset=settings.shift_end.hour,
        minute_offset=settings.shift_end.minute,
    )


def automate(
    settings: Settings, assets: Sequence[dg.AssetsDefinition], partitions_def: dg.DailyPartitionsDefinition
) -> dg.Definitions:
    """The job over all partitioned tables, and what starts it by itself."""
    job = dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.assets(*assets),
        description="Every table of a shift date, or of a range of them in a single run.",
    )

    @dg.schedule(
        name="nightly_shift_schedule",
        job=job,
        cron_schedule=f"{settings.shift_end.minute} {settings.shift_end.hour} * * *",
        execution_timezone=settings.timezone.key,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Makes the shift date whose shift has just ended; skips while there are no credentials.",
    )
    def nightly_shift_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        missing = settings.missing_credentials()
        if missing:
            return dg.SkipReason(f"no credentials: {', '.join(missing)} not set")
        ended = partitions_def.get_partition_keys(current_time=context.scheduled_execution_time)
        if not ended:
            return dg.SkipReason(f"no shift has ended since CLOPOS_START_DATE, {settings.start_date}")
        return dg.RunRequest(run_key=ended[-1], partition_key=ended[-1])

    return dg.Definitions(jobs=[job], schedules=[nightly_shift_schedule])
