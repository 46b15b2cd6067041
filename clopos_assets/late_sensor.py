"""The sensor `late_closed_receipts`: Dagster's side of a look at what has changed after its shift ended."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import cache, partial

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from clopos_assets.access import Access
from clopos_assets.clopos.errors import CloposError
from clopos_assets.ingest.made import RunState
from clopos_assets.ingest.stretches import in_words
from clopos_assets.ingest.venues import VENUES_CHECK
from clopos_assets.lake import LakeError
from clopos_assets.late.budget import Budget
from clopos_assets.late.deciding import Request, Surroundings, names_of
from clopos_assets.late.look import Look, look
from clopos_assets.late.state import Awaited, State, read_state, write_state
from clopos_assets.line import days_after, left_behind
from clopos_assets.origin import check_origin
from clopos_assets.sharing import keep_apart, store_of
from clopos_assets.tables import FINDING_HISTORY, RECEIPTS, RECIPE_OBSERVED
from clopos_assets.tags import LATE_RECEIPTS, RANGE_END, RANGE_START, RUN_KEY, SHIFT_DATES
from clopos_assets.targets import Target, targets_of

SENSOR = "late_closed_receipts"
PAGES_PER_TICK = 25
SECONDS_PER_TICK = 30.0
"""Dagster ends a tick after 60 s, and keeps nothing of it."""

_NAMED = 10
_MOST_RUNS = 10
"""Runs of one run key that are looked at: one, and those by which somebody has tried it again."""
_UNREAD = "nothing could be read, the next tick tries again"
_LONGEST_MESSAGE = 1_000
_FAILED = {DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}


def late_sensor(access: Access, job_name: str, partitions_def: dg.DailyPartitionsDefinition) -> dg.SensorDefinition:
    """The sensor that asks for runs of the job; it shares quota and token with the assets of its process."""
    settings = access.settings

    @dg.sensor(
        name=SENSOR,
        job_name=job_name,
        minimum_interval_seconds=settings.poll_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts runs for dates whose receipts were closed late, edited or moved since they were made, "
        "that a failed run left unfinished, or that lack a venue added since.",
    )
    def late_closed_receipts(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        if (idle := settings.why_idle()) is not None:
            return dg.SkipReason(idle)
        keep_apart(context.instance, access.lake)
        try:
            is_empty = not access.lake.dates(RECEIPTS)
        except LakeError as error:
            return dg.SkipReason(_shorten(f"{_UNREAD}: {error}"))
        try:  # its runs would refuse a lake that is not this brand's, and what it notes would stay there
            check_origin(access.lake, settings.brand)
        except LakeError as error:
            return dg.SkipReason(_shorten(str(error)))
        if is_empty:
            return dg.SkipReason(
                "nothing is materialized: first fills are backfills of shift_date_job, or nightly_shift_schedule"
            )
        state = read_state(context.cursor) if context.cursor else None
        if context.cursor and state is None:
            context.log.warning("the cursor is not one of this sensor's: starting from what the lake knows")
        now = access.scope.clock().timestamp()
        remembered = state or State(begun=int(now))
        budget = Budget(PAGES_PER_TICK, SECONDS_PER_TICK)
        store = store_of(context.instance, access.lake)

        async def take(around: Surroundings) -> Look:
            async with access.clopos(store, on_wait=budget.on_wait) as clopos:
                return await look(clopos, access.scope, remembered, around, budget)

        try:
            around = Surroundings(
                lake=access.lake,
                partitions=frozenset(partitions_def.get_partition_keys()),
                first_date=settings.start_date.isoformat(),
                run_state=cache(partial(run_state, context.instance)),  # many dates wait for one run
                behind=left_behind_by_runs(access, context.instance),
                now=now,
                poll_seconds=settings.poll_seconds,
            )
            seen = asyncio.run(take(around))
        except (CloposError, LakeError) as error:
            return dg.SkipReason(_shorten(f"{_UNREAD}: {error}"))
        for text in seen.sighted.unreadable[:_NAMED]:
            context.log.warning(f"can't be read: {text}")
        targets = targets_of(context.instance, RECEIPTS.name, seen.lacking)
        said = describe(seen)
        if seen.decision.requests:
            context.log.info(said)
        return dg.SensorResult(
            run_requests=[_run_request(request) for request in seen.decision.requests],
            skip_reason=None if seen.decision.requests else _shorten(said),
            cursor=write_state(seen.state),
            asset_events=[_incomplete(*one, targets.get(one[0])) for one in seen.lacking.items()],
        )

    return late_closed_receipts


def run_state(instance: dg.DagsterInstance, run_key: str) -> RunState:
    """How the runs of a run key stand: one that succeeded counts, then one that has not ended."""
    runs = instance.get_runs(RunsFilter(tags={RUN_KEY: run_key}), limit=_MOST_RUNS)
    return _state_of({run.status for run in runs})


def _state_of(statuses: Collection[DagsterRunStatus]) -> RunState:
    if not statuses:
        return "none"
    if DagsterRunStatus.SUCCESS in statuses:
        return "succeeded"
    return "failed" if all(status in _FAILED for status in statuses) else "running"


def left_behind_by_runs(access: Access, instance: dg.DagsterInstance) -> dict[str, set[str]]:
    """Shift dates that were changed by runs which failed or died before every table had followed: date → run ids."""
    canceled: set[str] = set()

    def state_of(run_id: str) -> RunState:
        run = instance.get_run_by_id(run_id)
        if run is not None and run.status == DagsterRunStatus.CANCELED:
            canceled.add(run_id)
        return _state_of([] if run is None else [run.status])

    left = left_behind(access.lake, state_of)
    # Who cancels a first fill wants it to end; what was whole before has to become whole again: the date itself, or
    # one whose standards rest on it by now.
    whole = set(access.lake.dates(FINDING_HISTORY)) if canceled else set()
    for shift_date, run_ids in left.items():
        if run_ids & canceled and shift_date not in whole:
            resting = whole & days_after([shift_date], access.settings.standard_days)
            if not resting or not access.lake.has(RECIPE_OBSERVED, shift_date):
                run_ids.difference_update(canceled)
    return {shift_date: run_ids for shift_date, run_ids in left.items() if run_ids}


def _run_request(request: Request) -> dg.RunRequest:
    dates = request.shift_dates
    tags = {LATE_RECEIPTS: _awaited(request.receipts)}
    if len(dates) == 1:
        return dg.RunRequest(run_key=request.run_key, partition_key=dates[0], tags=tags)
    tags |= {SHIFT_DATES: f"{dates[0]} to {dates[-1]}", RANGE_START: dates[0], RANGE_END: dates[-1]}
    return dg.RunRequest(run_key=request.run_key, tags=tags)


def _incomplete(shift_date: str, venue_ids: Sequence[int], target: Target | None) -> dg.AssetCheckEvaluation:
    """What is to be seen of a shift date until it is made for all venues."""
    named = ", ".join(map(str, venue_ids))
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(RECEIPTS.name),
        check_name=VENUES_CHECK,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        partition=shift_date,
        metadata={"missing_venues": named},
        target_materialization_data=target,
        description=f"Made before {_count(len(venue_ids), 'venue')} came: {named}. The sensor asks for the shift date; "
        "until it is made again, it has none of their sales.",
    )


def describe(seen: Look) -> str:
    """What a look found and what comes of it, for those who read the ticks."""
    decision = seen.decision
    parts = []
    if seen.is_full:
        parts.append(f"{seen.state.receipts} receipts are awaited: nothing more is read until their runs are through")
    elif seen.starved:
        parts.append(f"only the list of venues could be read, the next tick goes without it: {seen.starved}")
    else:
        parts.append(f"{_count(seen.pages, 'page')} read, {_count(len(seen.sighted.receipts), 'receipt')} seen")
    found = decision.requests or decision.asked or decision.kept or decision.unmade or decision.outside
    if not (found or seen.starved or seen.unread):
        since = min((reading.newest for reading in seen.state.read.values()), default="")
        parts.append(f"nothing changed since {since} that the lake does not have")
    asked = {day: versions for request in decision.requests for day, versions in request.receipts.items()}
    for dates, what in (
        (asked, "asked for"),
        (decision.running, "being made, or asked for and not ended yet"),
        (decision.paused, "not made by the run that was asked for: to be asked for again"),
        (decision.unmade, "not made yet: nothing is asked for"),
        (decision.outside, "no partition yet, or before CLOPOS_START_DATE"),
    ):
        if dates:
            parts.append(f"{in_words(sorted(dates))} {what} ({_awaited(dates)})")
    if seen.lacking:
        added = ", ".join(map(str, sorted({venue for venues in seen.lacking.values() for venue in venues})))
        parts.append(f"{in_words(sorted(seen.lacking))} made before these venues were added: {added}")
    if seen.unread:
        parts.append("more is to be read on the next tick")
    parts += [f"venue {venue or 'of the token'} could not be read: {why}" for venue, why in seen.failed.items()]
    if seen.sighted.unreadable:
        parts.append(f"{_count(len(seen.sighted.unreadable), 'receipt')} can't be read: {seen.sighted.unreadable[0]}")
    return "; ".join(parts)


def _awaited(receipts: Mapping[str, Awaited]) -> str:
    return "; ".join(
        f"{_count(len(names), what)}: {', '.join(names[:_NAMED])}{', …' if len(names) > _NAMED else ''}"
        for what, names in zip(("receipt", "unfinished run", "added venue"), names_of(receipts), strict=True)
        if names
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]} …"
