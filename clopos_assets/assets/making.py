"""One step of a run, for Dagster: which dates it was asked for, and what came of it, as events and checks.

What is made, and of which other dates, is the affair of `line`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

import dagster as dg

from clopos_assets.access import Access
from clopos_assets.assets.alone import look_at
from clopos_assets.assets.asked import asked_dates, tell_unmade
from clopos_assets.assets.checks import judge, untold, with_findings
from clopos_assets.assets.events import changed_dates, planned_checks, planned_tables
from clopos_assets.assets.raw_checks import UNKNOWN_FIELDS_CHECK, tell_all, tell_each
from clopos_assets.clopos.errors import CloposError
from clopos_assets.findings import CHECKS, Check
from clopos_assets.ingest import Refresh
from clopos_assets.ingest.made import Facts, Made
from clopos_assets.ingest.stretches import all_in_words
from clopos_assets.ingest.venues import VENUES_CHECK
from clopos_assets.interrupts import insist
from clopos_assets.lake import LakeError
from clopos_assets.line import Line, Maker, Run
from clopos_assets.origin import bring_forward
from clopos_assets.settings import SettingsError
from clopos_assets.sharing import keep_apart, priority_of, store_of
from clopos_assets.tables import VARIANCE_FINDINGS

_NAMED_REASONS = 5
_MARKDOWN = frozenset({"changes", "venues", "worst"})
"""Figures that are tables of ours. What else is text may hold names from an answer: it is shown as it is."""


def run_step(
    context: dg.AssetExecutionContext, access: Access, line: Line, step: Maker
) -> Iterator[dg.MaterializeResult[object] | dg.AssetCheckEvaluation | dg.AssetCheckResult]:
    """Make the step's tables for the run's shift dates, and for others that have to follow; where only its checks are
    asked for, tell them by what is made.

    Raises dagster.Failure, one line, where a shift date was not made.
    """
    asked = asked_dates(context, context.assets_def.partitions_def)
    if context.selected_asset_keys:
        yield from insist(_make(context, access, line, step, asked))
    else:
        yield from insist(_tell(context, access, step, asked))


def _tell(
    context: dg.AssetExecutionContext, access: Access, step: Maker, asked: Sequence[str]
) -> Iterator[dg.AssetCheckEvaluation | dg.AssetCheckResult]:
    """The step's checks of what is made, where its tables are not to be made."""
    keep_apart(context.instance, access.lake)
    with_venues = any(key.name == VENUES_CHECK for key in context.selected_asset_check_keys)
    try:
        seen = look_at(access, step.tables, asked, store_of(context.instance, access.lake), with_venues=with_venues)
    except (SettingsError, LakeError, CloposError) as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    days = [day for day in asked if all(day in seen.facts.get(name, {}) for name in step.names)]
    tell_unmade(context, step.tables[0].name, asked, days)
    if days:
        yield from tell_all(context, step.tables, seen, days)


def _make(
    context: dg.AssetExecutionContext, access: Access, line: Line, step: Maker, asked: Sequence[str]
) -> Iterator[dg.MaterializeResult[object] | dg.AssetCheckEvaluation | dg.AssetCheckResult]:
    run = _run_of(context, access)
    planned = planned_tables(context.instance, run.run_id)
    keep_apart(context.instance, access.lake)
    try:
        told = bring_forward(access.lake, access.settings.brand)
        if told:
            context.log.warning(told)
        made = line.step(run, step, planned)
    except (SettingsError, LakeError, CloposError) as error:
        yield from _as_found(context, access, line, step, asked)
        raise dg.Failure(str(error), allow_retries=False) from None
    for told in access.lake.take_older():
        context.log.warning(told)
    good = [day for day in asked if day not in made.bad]
    selected = {key.to_user_string() for key in context.selected_asset_keys}
    _record_others(context, made, good, step)
    # Dates to or from which a receipt has moved. Which venues are missing there, what was made does not tell.
    besides = [day for day in made.facts.get(step.tables[0].name, {}) if day not in asked and day not in made.bad]
    of_lake = {key for key in context.selected_asset_check_keys if key.name == UNKNOWN_FIELDS_CHECK}
    yield from tell_each(context, step.tables, made, besides, of_lake)
    if made.bad:
        _record(context, made, good, step.names)
        planned_to_tell = planned_checks(context.instance, run.run_id)
        yield from tell_each(context, step.tables, made, good, planned_to_tell)
        stopped = ""
        try:
            yield from _judge(context, access, step, made)
            for maker, then, days in line.carry_on(run, step, made, planned):
                for name in maker.names:
                    _record(context, then, days, {name})
                if days:
                    good = [day for day in days if day in asked and day not in then.bad]
                    yield from tell_each(context, maker.tables, then, good, planned_to_tell)
                    yield from _judge(context, access, maker, then)
        except (LakeError, dg.Failure) as error:
            stopped = f"; of the others not all tables could be made: {error}"
        yield from _as_found(context, access, line, step, [day for day in asked if day in made.bad])
        for reason, days in _reasons_of(made.bad)[_NAMED_REASONS:]:
            context.log.error(f"{all_in_words(days)}: {reason}")
        raise dg.Failure(describe_failures(made.bad, asked) + stopped, allow_retries=False)
    _record(context, made, asked, step.names - selected)
    for table in step.tables:
        if table.name in selected:
            for shift_date in asked:
                context.add_asset_metadata(
                    _metadata(made.facts[table.name][shift_date]),
                    asset_key=table.name,
                    partition_key=shift_date,
                )
            yield dg.MaterializeResult(asset_key=table.name)
    yield from tell_all(context, step.tables, made, asked)
    if VARIANCE_FINDINGS in step.tables:
        yield from _judge(context, access, step, made, untold(planned_checks(context.instance, run.run_id)))


def _run_of(context: dg.AssetExecutionContext, access: Access) -> Run:
    run_id = context.run.run_id
    return Run(
        run_id,
        frozenset(context.partition_keys),
        recorded=lambda tables: changed_dates(context.instance, run_id, tables),
        refresh=_refresh_of(context),
        store=store_of(context.instance, access.lake),
        priority=priority_of(context.run.tags, len(context.partition_keys)),
        say=context.log.info,
        warn=context.log.warning,
    )


def _refresh_of(context: dg.AssetExecutionContext) -> Refresh:
    """The run's config, which the step before may need too, when it carries the good dates on."""
    ops = context.run.run_config.get("ops", {}) if isinstance(context.run.run_config, dict) else {}
    refresh = ops.get("stock_operations", {}).get("config", {}).get("refresh", "changed")
    return "all" if refresh == "all" else "changed"


def _as_found(
    context: dg.AssetExecutionContext, access: Access, line: Line, step: Maker, shift_dates: Sequence[str]
) -> Iterator[dg.AssetCheckEvaluation]:
    """The checks of shift dates that the run fails to make, as they were found before: without a word, Dagster would
    show those that it was to tell of as failed. Which venues are missing, the lake alone can't tell."""
    planned = planned_checks(context.instance, context.run.run_id)
    unasked = untold(planned)
    checks = [check for check in CHECKS if check not in unasked]
    to_come = [maker for maker in line.makers[line.makers.index(step) :] if maker.tables[0].group == "raw"]
    # Why it can't be told is what the run fails for.
    with suppress(dg.Failure):
        yield from judge(access, context.instance, with_findings(access, shift_dates) if checks else [], checks)
    with suppress(LakeError):
        of_lake = {key for key in planned if key.name == UNKNOWN_FIELDS_CHECK}
        for table in (table for maker in to_come for table in maker.tables):
            seen = look_at(access, [table], shift_dates, None, with_venues=False)
            yield from tell_each(context, [table], seen, list(seen.facts.get(table.name, ())), of_lake)


def _judge(
    context: dg.AssetExecutionContext, access: Access, maker: Maker, made: Made, checks: Sequence[Check] = CHECKS
) -> Iterator[dg.AssetCheckEvaluation]:
    """Checks of what was found out, where the step that would speak of it does not come: the run fails, or the tables
    that they are about are not among its own."""
    if VARIANCE_FINDINGS in maker.tables and checks:
        days = [day for day in made.facts.get(VARIANCE_FINDINGS.name, {}) if day not in made.bad]
        yield from judge(access, context.instance, days, checks)


def describe_failures(bad: Mapping[str, str], asked: Collection[str]) -> str:
    """One line: how many shift dates were not made, of those asked for and besides, which, and why.

    Of many reasons the first are in it, the others in the run's log.
    """
    reasons = _reasons_of(bad)
    parts = [f"{all_in_words(days)}: {reason}" for reason, days in reasons[:_NAMED_REASONS]]
    others = [day for _, days in reasons[_NAMED_REASONS:] for day in days]
    if others:
        parts.append(f"for other reasons, which the log has: {all_in_words(others)}")
    besides = len(bad.keys() - set(asked))
    counts = [f"{len(bad) - besides} of {len(asked)} shift dates"] if len(bad) > besides else []
    counts += [f"{besides} besides the {len(asked)} asked for"] if besides else []
    return f"{' and '.join(counts)} not made. {'; '.join(parts)}"


def _reasons_of(bad: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    by_reason: dict[str, list[str]] = {}
    for shift_date, reason in sorted(bad.items()):
        by_reason.setdefault(reason, []).append(shift_date)
    return list(by_reason.items())


def _record_others(context: dg.AssetExecutionContext, made: Made, good: Sequence[str], step: Maker) -> None:
    """Events for what the step had to change besides its own tables of the run's good dates."""
    for name, facts in made.facts.items():
        others = [day for day in facts if day not in good or name not in step.names]
        _record(context, made, others, {name})


def _record(context: dg.AssetExecutionContext, made: Made, days: Sequence[str], names: set[str]) -> None:
    for name in names:
        for shift_date in days:
            facts = made.facts.get(name, {}).get(shift_date)
            if facts is not None:
                context.log_event(
                    dg.AssetMaterialization(asset_key=name, partition=shift_date, metadata=_metadata(facts))
                )


def _metadata(facts: Facts) -> dict[str, dg.MetadataValue[Any]]:
    """Facts as the UI shows and plots them. A plotted amount is a float: the exact one is in the table."""
    shown: dict[str, dg.MetadataValue[Any]] = {}
    for name, value in facts.items():
        if name == "rows":
            shown["dagster/partition_row_count"] = dg.MetadataValue.int(int(value))
        elif isinstance(value, int):
            shown[name] = dg.MetadataValue.int(value)
        elif isinstance(value, Decimal):
            shown[name] = dg.MetadataValue.float(float(value))
        elif isinstance(value, float):
            shown[name] = dg.MetadataValue.float(round(value, 4))
        elif value:
            shown[name] = _text(name, value)
    return shown


def _text(name: str, value: str) -> dg.MetadataValue[Any]:
    return dg.MetadataValue.md(value) if name in _MARKDOWN and "\n" in value else dg.MetadataValue.text(value)
