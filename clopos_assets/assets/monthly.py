"""The copies by month in Dagster: a job of its own, for they are no tables and have no shift date, and its schedule."""

from datetime import datetime

import dagster as dg

from clopos_assets.access import Access
from clopos_assets.lake import LakeError
from clopos_assets.monthly import copy_months, has_copies
from clopos_assets.origin import check_origin
from clopos_assets.sharing import keep_apart

JOB = "monthly_compaction_job"
_HOURS = 2
"""After the shift's end, at which months are looked for."""


def monthly_compaction(access: Access) -> dg.Definitions:
    """The job, and a schedule that looks every day for months that have ended or changed since."""
    settings = access.settings

    @dg.op(description="Copies every month that has ended, of every table, as far as it changed since the last time.")
    def copy_changed_months(context: dg.OpExecutionContext) -> None:
        keep_apart(context.instance, access.lake)
        try:
            check_origin(access.lake, settings.brand)
            copied = copy_months(
                access.lake,
                datetime.now(settings.timezone).date(),
                lambda one: context.log.info(
                    f"{one.table} {one.month}: {one.shift_dates} shift dates, {one.rows} rows"
                ),
            )
        except LakeError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        finally:
            for told in access.lake.take_older():
                context.log.warning(told)
        context.add_output_metadata({"months": len(copied), "rows": sum(one.rows for one in copied)})

    @dg.job(
        name=JOB,
        executor_def=dg.in_process_executor,
        description="One object per table and month in `_monthly` of the lake, beside the tables, for reading much.",
    )
    def job() -> None:
        copy_changed_months()

    @dg.schedule(
        name="monthly_compaction_schedule",
        job=job,
        cron_schedule=settings.cron(_HOURS),
        execution_timezone=settings.timezone.key,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Copies months that have ended, or changed since; skips where the lake is a folder without copies.",
    )
    def monthly_compaction_schedule() -> dg.RunRequest | dg.SkipReason:
        if (idle := settings.why_idle()) is not None:
            return dg.SkipReason(idle)
        # Copies that are there are kept true: what is dropped or corrected in a table must not live on in them.
        try:
            is_wanted = access.lake.folder is None or has_copies(access.lake)
        except LakeError as error:
            return dg.SkipReason(f"whether there are copies can't be told: {error}")
        if not is_wanted:
            return dg.SkipReason(
                "the files of a folder are quick to read as they are: launch the job if you want copies"
            )
        return dg.RunRequest()

    return dg.Definitions(jobs=[job], schedules=[monthly_compaction_schedule])
