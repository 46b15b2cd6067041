"""Mixtures of all faults while receipts change late; `python -m tests.faults --seeds N` plays more."""

import logging

import pytest

from tests.faults.mixtures import play

pytestmark = pytest.mark.usefixtures("memory")
CI_SEEDS = range(4)
"""So many are enough to notice, and few enough to wait for."""


@pytest.mark.parametrize("seed", CI_SEEDS)
def test_exact_or_one_line_and_the_next_run_finishes(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    played = play(seed)
    assert played.wrong == []
    assert played.exact > 0
    assert played.met  # how many is a matter of which request comes first
