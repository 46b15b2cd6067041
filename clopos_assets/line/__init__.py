"""The line that a shift date goes through, from Clopos to the last variance table: a maker per step, in order.

Plain Python over access, ingest, SQL and ledger; no Dagster. `maker` says what a maker is, `raw` and `derived` have
them, `steps` runs them, `following` knows which other shift dates have to follow a change, and `figures` what a
partition says of itself.
"""

from clopos_assets.access import Access
from clopos_assets.ingest import Progress
from clopos_assets.line.derived import derived_makers
from clopos_assets.line.following import days_after, left_behind
from clopos_assets.line.maker import Maker, Run
from clopos_assets.line.raw import raw_makers
from clopos_assets.line.steps import Line

__all__ = ["Line", "Maker", "Run", "days_after", "left_behind", "line_of"]


def line_of(access: Access, watch: Progress | None = None) -> Line:
    """The line of a project; `watch` is told of progress besides the log of the run."""
    makers = (*raw_makers(access, watch), *derived_makers(access))
    return Line(access.lake, makers, access.rules.standard_days)
