"""The checks of raw tables: that the API's fields are documented, and that a shift date was made for every venue.

Those of the findings are in `checks`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import dagster as dg

from clopos_assets.assets.specs import check_spec_of
from clopos_assets.findings import show_message
from clopos_assets.ingest.made import Facts, Made
from clopos_assets.ingest.stretches import in_words
from clopos_assets.ingest.venues import VENUES_CHECK
from clopos_assets.tables import RECEIPTS, Table
from clopos_assets.targets import targets_of

UNKNOWN_FIELDS_CHECK = "fields_are_documented"
_NAMED = 5
_DESCRIPTIONS = {
    UNKNOWN_FIELDS_CHECK: "Every field of the API's answers is one that its documents name; others are kept in extra.",
    VENUES_CHECK: "The shift date was made for every venue, those included that were added since.",
}


def raw_check_specs(tables: Sequence[Table], partitions_def: dg.PartitionsDefinition[str]) -> list[dg.AssetCheckSpec]:
    """The checks of some raw tables, as Dagster plans them."""
    named = [(UNKNOWN_FIELDS_CHECK, table) for table in tables]
    named += [(VENUES_CHECK, RECEIPTS)] if RECEIPTS in tables else []
    return [check_spec_of(name, table.name, partitions_def, _DESCRIPTIONS[name]) for name, table in named]


def tell_all(
    context: dg.AssetExecutionContext, tables: Sequence[Table], made: Made, shift_dates: Sequence[str]
) -> Iterator[dg.AssetCheckEvaluation | dg.AssetCheckResult]:
    """Those of the checks that are selected: the results of the step, and of a range each shift date by itself."""
    selected = context.selected_asset_check_keys
    if not context.has_partition_key:  # of a single date the result itself speaks
        yield from tell_each(context, tables, made, shift_dates, selected)
    for table in tables:
        for name, judge_all in _OF_RAW.items():
            if dg.AssetCheckKey(dg.AssetKey(table.name), name) in selected:
                said, metadata = judge_all({day: made.facts[table.name][day] for day in shift_dates})
                yield dg.AssetCheckResult(
                    asset_key=table.name,
                    check_name=name,
                    passed=not said,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata=metadata,
                    description=said or None,
                )


def tell_each(
    context: dg.AssetExecutionContext,
    tables: Sequence[Table],
    made: Made,
    shift_dates: Sequence[str],
    keys: Collection[dg.AssetCheckKey],
) -> Iterator[dg.AssetCheckEvaluation]:
    """Those of the checks that are among the keys, of each shift date by itself."""
    for table in tables:
        key_of = {name: dg.AssetCheckKey(dg.AssetKey(table.name), name) for name in _OF_RAW}
        told = [(key, _OF_RAW[name]) for name, key in key_of.items() if key in keys]
        targets = targets_of(context.instance, table.name, shift_dates) if told else {}
        for key, judge_all in told:
            for shift_date in shift_dates:
                said, metadata = judge_all({shift_date: made.facts[table.name][shift_date]})
                yield dg.AssetCheckEvaluation(
                    asset_key=key.asset_key,
                    check_name=key.name,
                    passed=not said,
                    severity=dg.AssetCheckSeverity.WARN,
                    partition=shift_date,
                    metadata=metadata,
                    description=said or None,
                    target_materialization_data=targets.get(shift_date),
                )


def _documented(facts: Mapping[str, Facts]) -> tuple[str, dict[str, int | str]]:
    """What there is to say, if anything, of fields in the API's answers that its documents do not name."""
    fields = _listed(facts, "unknown_fields")
    named: dict[str, int | str] = {"kept_in_extra": ", ".join(sorted(fields))} if fields else {}
    said = f"Clopos' documents do not name {_in_words(fields, len(facts))}: kept in extra." if fields else ""
    return said, {"unknown_fields": len(fields), **named}


def _complete(facts: Mapping[str, Facts]) -> tuple[str, dict[str, int | str]]:
    """Where what is made was not made for all venues; of what was made without some, the sensor tells too."""
    listed = {name: _listed(facts, name) for name in ("venues", "missing_venues")}
    missing = listed["missing_venues"]
    said = f"Made without venue {_in_words(missing, len(facts))}: make it again for all of them." if missing else ""
    return said, {name: ", ".join(sorted(venues, key=int)) for name, venues in listed.items() if venues}


def _listed(facts: Mapping[str, Facts], name: str) -> dict[str, list[str]]:
    """What the figure of that name lists, and on which shift dates."""
    found: dict[str, list[str]] = {}
    for shift_date, of_date in facts.items():
        for each in str(of_date.get(name, "")).split(", "):
            if each:
                found.setdefault(each, []).append(shift_date)
    return found


def _in_words(listed: Mapping[str, list[str]], dates: int) -> str:
    """The first of what is listed, as Markdown, with the shift dates that have it where others of them may not."""
    parts = [
        f"{show_message(each)} ({in_words(days)})" if dates > 1 else show_message(each)
        for each, days in list(listed.items())[:_NAMED]
    ]
    more = [f"{len(listed) - _NAMED} more"] if len(listed) > _NAMED else []
    return ", ".join(parts + more)


_OF_RAW: Mapping[str, Callable[[Mapping[str, Facts]], tuple[str, dict[str, int | str]]]] = {
    UNKNOWN_FIELDS_CHECK: _documented,
    VENUES_CHECK: _complete,
}
"""How each check of raw tables is judged: by what there is to say, which is nothing where all is well."""
