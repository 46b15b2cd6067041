"""Each fault of the API by its name that passes, over real HTTP and the line: the result is exact."""

from pathlib import Path

import pytest

from clopos_assets.sandbox import Fault
from tests.faults.restaurant import SLOW, TOKENS, Truth, seconds_of


@pytest.mark.parametrize("fault", Fault, ids=str)
def test_what_happens_a_few_times_leaves_no_trace(truth: Truth, fault: Fault, tmp_path: Path) -> None:
    faults = truth.sandbox.faults
    # A token that is refused as soon as it was issued is final, and each one here refuses all that are under way.
    times = 1 if fault in TOKENS | SLOW else 2
    for path in ("/auth", "/venues", "/receipts"):
        faults.plan(fault, path, times=times, seconds=seconds_of(fault))
    faults.plan(fault, truth.operations, times=times, spared=5, seconds=seconds_of(fault))
    site = truth.site(tmp_path, fault)
    assert site.make() == {}
    assert site.rows() == truth.rows
    assert site.asked() == truth.asked
    met = times * (4 if truth.version == "v2" else 3)
    # A token is issued more often where tokens end.
    assert faults.met == {fault.value: met}
