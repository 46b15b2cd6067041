"""Which shift dates a run was asked for, and what is said of those for which there is nothing to tell."""

import re
from collections.abc import Collection, Sequence

import dagster as dg

from clopos_assets.ingest.stretches import in_words
from clopos_assets.tags import PARTITION

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_LAUNCH = (
    "a shift date is one, as YYYY-MM-DD, from CLOPOS_START_DATE on and once its shift has ended; launch shift_date_job "
    "for one of its partitions, or for a range of them"
)


def asked_dates(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, partitions_def: dg.PartitionsDefinition[str] | None
) -> list[str]:
    """The run's shift dates. Raises dagster.Failure where it names none, or some that are no partitions.

    Dagster looks at them where runs are launched by its command line or its pages, and not where by tags.
    """
    try:
        asked = list(context.partition_keys)
    except Exception as error:  # Dagster raises one of many classes here, some of them private
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise dg.Failure(
            f"the run names no shift dates, or not only such as exist ({reason}): {_LAUNCH}", allow_retries=False
        ) from None
    if not asked:  # Dagster takes it for a run of nothing that went well
        raise dg.Failure(
            "the run's range holds no shift date, for it ends before it begins: name the earlier date first",
            allow_retries=False,
        )
    assert partitions_def is not None  # each asset has them
    first, last = partitions_def.get_first_partition_key(), partitions_def.get_last_partition_key()
    is_any = first is not None and last is not None
    # As the tag has it: Dagster reads 2026-1-5 as a date, and files checks under what it read.
    named = [context.run.tags[PARTITION]] if PARTITION in context.run.tags else asked
    wrong = [day for day in named if not (is_any and _DATE.fullmatch(day) and str(first) <= day <= str(last))]
    if wrong:
        raise dg.Failure(
            f"no partition: {in_words(wrong) if all(map(_DATE.fullmatch, wrong)) else ', '.join(wrong)}: {_LAUNCH}",
            allow_retries=False,
        )
    return asked


def tell_unmade(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, table: str, asked: Sequence[str], made: Collection[str]
) -> None:
    """Say of which shift dates a check has nothing to tell."""
    unmade = [day for day in asked if day not in made]
    if unmade:
        context.log.info(f"{table} of {in_words(unmade)} is not made: there is nothing to check")
