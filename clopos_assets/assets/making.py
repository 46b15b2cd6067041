"""One step of a run: making its tables for the shift dates of the run, and telling Dagster what came of it.

In a range one bad shift date must not cost the others. A step that fails keeps the steps after it from coming,
so a step with bad dates first carries the good ones through those tables itself, records them, and then fails
and names the bad ones.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import dagster as dg

from clopos_assets.ingest.made import Facts, Made
from clopos_assets.lake import Lake
from clopos_assets.settings import SettingsError
from clopos_assets.tables import Table

UNKNOWN_FIELDS_CHECK = "fields_are_documented"
_NAMED_REASONS = 5


@dataclass(frozen=True)
class Maker:
    """Makes some tables for shift dates: the plain function behind one step.

    `judge` gives the checks that a later step would evaluate, for a run in which that step does not come.
    """

    tables: tuple[Table, ...]
    make: Callable[[dg.AssetExecutionContext, Sequence[str]], Made]
    judge: Callable[[Sequence[str]], Iterator[dg.AssetCheckEvaluation]] | None = None

    @property
    def names(self) -> set[str]:
        """The tables made."""
        return {table.name for table in self.tables}

    @property
    def inputs(self) -> set[str]:
        """The tables they are made from."""
        return {name for table in self.tables for name in table.inputs}


def run_step(
    context: dg.AssetExecutionContext, lake: Lake, line: Sequence[Maker], step: Maker
) -> Iterator[dg.MaterializeResult[object] | dg.AssetCheckEvaluation | dg.AssetCheckResult]:
    """Make the step's tables for the run's shift dates and whatever dates outside moves have touched.

    `line` is every maker in order. Raises dagster.Failure, one line, where a shift date was not made.
    """
    asked = list(context.partition_keys)
    touched = _touched_outside(context, lake, step, set(asked))
    try:
        made = step.make(context, [*asked, *touched])
    except SettingsError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    good = [day for day in asked if day not in made.bad]
    selected = {key.to_user_string() for key in context.selected_asset_keys}
    _record_others(context, made, good, step)
    if made.bad:
        _record(context, made, good, step.names)
        for check in _unknown_fields(context, step, made, good):
            if isinstance(check, dg.AssetCheckEvaluation):
                yield check
        if step.judge is not None:
            yield from step.judge([day for day in made.facts.get(step.tables[0].name, {}) if day not in made.bad])
        yield from _finish_good(context, lake, _kept_from_coming(line, step), made, asked)
        raise dg.Failure(describe_failures(made.bad, len(asked)), allow_retries=False)
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
    yield from _unknown_fields(context, step, made, asked)


def describe_failures(bad: Mapping[str, str], asked: int) -> str:
    """One line: how many shift dates were not made, which, and why."""
    by_reason: dict[str, list[str]] = {}
    for shift_date, reason in sorted(bad.items()):
        by_reason.setdefault(reason, []).append(shift_date)
    parts = [f"{_dates(days)}: {reason}" for reason, days in by_reason.items()]
    more = f"; and {len(parts) - _NAMED_REASONS} more reasons" if len(parts) > _NAMED_REASONS else ""
    return f"{len(bad)} of {asked} shift dates not made. {'; '.join(parts[:_NAMED_REASONS])}{more}"


def _dates(days: Sequence[str]) -> str:
    return ", ".join(days) if len(days) <= 3 else f"{days[0]} … {days[-1]} ({len(days)} dates)"


def _touched_outside(context: dg.AssetExecutionContext, lake: Lake, step: Maker, asked: set[str]) -> list[str]:
    """Dates outside the run's range whose inputs an earlier step of this run has changed."""
    changed = changed_dates(context.instance, context.run.run_id, step.inputs) if step.inputs else set()
    return sorted(day for day in changed - asked if all(lake.has(table, day) for table in step.tables))


def changed_dates(instance: dg.DagsterInstance, run_id: str, tables: Collection[str]) -> set[str]:
    """The shift dates of which a run has materialized any of the tables so far."""
    return {
        event.asset_materialization.partition
        for event in _events(instance, run_id, dg.DagsterEventType.ASSET_MATERIALIZATION)
        if event.asset_materialization is not None
        and event.asset_materialization.partition is not None
        and event.asset_materialization.asset_key.to_user_string() in tables
    }


def _events(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> Iterator[dg.EventLogEntry]:
    cursor = None
    more = True
    while more:  # as many pages as the run has events
        page = instance.get_records_for_run(run_id, of_type=kind, cursor=cursor)
        yield from (record.event_log_entry for record in page.records)
        more, cursor = page.has_more and bool(page.records), page.cursor


def _finish_good(
    context: dg.AssetExecutionContext, lake: Lake, later: Iterable[tuple[Maker, bool]], made: Made, asked: Sequence[str]
) -> Iterator[dg.AssetCheckEvaluation]:
    """Carry the dates that did not fail, and those that moves have touched, through later makers of this run."""
    planned = {
        event.dagster_event.asset_key.to_user_string()
        for event in _events(context.instance, context.run.run_id, dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
        if event.dagster_event is not None and event.dagster_event.asset_key is not None
    }
    good = {day for day in asked if day not in made.bad}
    touched = sorted({day for facts in made.facts.values() for day in facts} - good)
    for maker, is_kept_from_coming in later:
        days = [day for day in asked if day not in made.bad]
        days += [day for day in touched if all(lake.has(table, day) for table in maker.tables)]
        if days and maker.names <= planned:
            then = maker.make(context, days)
            if not is_kept_from_coming:
                continue  # its own step will say how it went
            for name in maker.names:
                _record(context, then, [*then.facts.get(name, {})], {name})
            if maker.judge is not None:
                yield from maker.judge([day for day in days if day not in then.bad])
            for shift_date, reason in then.bad.items():
                made.fail(shift_date, reason)


def _kept_from_coming(line: Sequence[Maker], failed: Maker) -> list[tuple[Maker, bool]]:
    """The makers, in order, whose steps Dagster does not start once this one has failed (True), and those whose
    steps may come later but whose tables are needed for that (False).
    """
    later = line[line.index(failed) + 1 :]
    reached = set(failed.names)
    for maker in later:
        if reached & maker.inputs:
            reached |= maker.names
    needed: set[str] = set()
    for maker in reversed(later):
        if maker.names & (reached | needed):
            needed |= maker.inputs
    return [(maker, bool(maker.names & reached)) for maker in later if maker.names & (reached | needed)]


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
        elif isinstance(value, Decimal | float):
            shown[name] = dg.MetadataValue.float(float(value))
        else:
            shown[name] = dg.MetadataValue.md(value) if "\n" in value else dg.MetadataValue.text(value)
    return shown


def _unknown_fields(
    context: dg.AssetExecutionContext, step: Maker, made: Made, shift_dates: Sequence[str]
) -> Iterator[dg.AssetCheckEvaluation | dg.AssetCheckResult]:
    """Report by name the fields that the API's documents do not have, per shift date."""
    for table in step.tables:
        key = dg.AssetCheckKey(dg.AssetKey(table.name), UNKNOWN_FIELDS_CHECK)
        if key not in context.selected_asset_check_keys:
            continue
        by_date = {day: str(made.facts[table.name][day]["unknown_fields"]) for day in shift_dates}
        if not context.has_partition_key:  # of a single date the result itself speaks
            for shift_date, fields in by_date.items():
                yield dg.AssetCheckEvaluation(
                    asset_key=key.asset_key,
                    check_name=key.name,
                    passed=not fields,
                    severity=dg.AssetCheckSeverity.WARN,
                    partition=shift_date,
                    metadata=_named(fields),
                )
        every = ", ".join(sorted({field for fields in by_date.values() for field in fields.split(", ") if field}))
        yield dg.AssetCheckResult(
            asset_key=table.name,
            check_name=key.name,
            passed=not every,
            severity=dg.AssetCheckSeverity.WARN,
            metadata=_named(every),
        )


def _named(fields: str) -> dict[str, int | str]:
    count = len(fields.split(", ")) if fields else 0
    return {"unknown_fields": count} | ({"kept_in_extra": fields} if fields else {})
