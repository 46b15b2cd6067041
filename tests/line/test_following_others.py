"""What a run of some tables has left to whoever comes is not the affair of a run of other dates."""

import pytest

from clopos_assets.ingest.made import NOBODY
from tests.line.conftest import DiedError, Runs
from tests.line.test_following import DAYS, RAW_TABLES, change_cost, dying_when_it_writes


def test_a_date_left_to_whoever_comes_is_not_taken_over_by_a_run_of_another(runs: Runs) -> None:
    runs.make(*DAYS)
    runs.shop.world.update_receipt(3, order_status="READY")  # which no ledger tells of
    runs.make(DAYS[1], planned=RAW_TABLES)
    change_cost(runs, 11)  # of the last
    with dying_when_it_writes("finding_history"), pytest.raises(DiedError):
        runs.make(DAYS[5])
    assert runs.shop.lake.marks()[DAYS[1]] == {NOBODY}
    assert runs.behind() == {DAYS[5]: {"run-3"}}
