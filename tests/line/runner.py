"""A run through the line as Dagster makes it, without Dagster: what the run records is kept in memory."""

from collections.abc import Collection

from clopos_assets.clopos.store import Store
from clopos_assets.line import Line, Run
from clopos_assets.tables import TABLES

Recorded = set[tuple[str, str]]
"""Table and shift date of what a run has made."""


def run_through(
    line: Line,
    run_id: str,
    shift_dates: Collection[str],
    planned: Collection[str] = tuple(TABLES),
    *,
    store: Store | None = None,
    recorded: Recorded | None = None,
) -> dict[str, str]:
    """One run to its end, or to the step that failed: the shift dates that did, and why.

    `recorded` is filled as the run goes on, for those who want to know how far a run came that died.
    """
    done = recorded if recorded is not None else set()
    run = Run(
        run_id,
        frozenset(shift_dates),
        recorded=lambda tables: {day for name, day in done if name in tables},
        store=store,
    )
    for maker in line.makers:
        if not maker.names & set(planned):
            continue
        made = line.step(run, maker, planned)
        done |= {(name, day) for name, facts in made.facts.items() for day in facts if day not in made.bad}
        if made.bad:
            for _, then, days in line.carry_on(run, maker, made, planned):
                done |= {(name, day) for name, facts in then.facts.items() for day in days if day in facts}
            return made.bad
    return {}
