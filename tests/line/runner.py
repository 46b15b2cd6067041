"""A run through the line as Dagster makes it, without Dagster: what the run records is kept in memory."""

from collections.abc import Collection, Sequence

from clopos_assets.clopos.store import Store
from clopos_assets.line import Line, Maker, Run
from clopos_assets.tables import TABLES

Recorded = set[tuple[str, str]]
"""Table and shift date of what a run has made."""


def in_order(makers: Sequence[Maker]) -> list[Maker]:
    """Makers as Dagster takes their steps: all whose inputs are made, by name, then those that can be made then."""
    ordered: list[Maker] = []
    left = list(makers)
    while left:
        to_make = {name for maker in left for name in maker.names}
        ready = [maker for maker in left if not maker.needs & to_make]
        ordered += sorted(ready, key=lambda maker: min(maker.names))
        left = [maker for maker in left if maker not in ready]
    return ordered


def run_through(
    line: Line,
    run_id: str,
    shift_dates: Collection[str],
    planned: Collection[str] = tuple(TABLES),
    *,
    store: Store | None = None,
    recorded: Recorded | None = None,
) -> dict[str, str]:
    """One run to its end, without the steps after one that failed: the shift dates that did, and why.

    `recorded` is filled as the run goes on, for those who want to know how far a run came that died.
    """
    done = recorded if recorded is not None else set()
    run = Run(
        run_id,
        frozenset(shift_dates),
        recorded=lambda tables: {day for name, day in done if name in tables},
        store=store,
    )
    bad: dict[str, str] = {}
    failed: set[str] = set()
    for maker in in_order([maker for maker in line.makers if maker.names & set(planned)]):
        if maker.needs & failed:
            failed |= maker.names
            continue
        made = line.step(run, maker, planned)
        done |= {(name, day) for name, facts in made.facts.items() for day in facts if day not in made.bad}
        if made.bad:
            for _, then, days in line.carry_on(run, maker, made, planned):
                done |= {(name, day) for name, facts in then.facts.items() for day in days if day in facts}
            bad |= made.bad
            failed |= maker.names
    return bad
