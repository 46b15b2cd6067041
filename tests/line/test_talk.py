"""What a run tells of its progress: an estimate that counts the time of what was done first."""

from types import SimpleNamespace
from typing import cast

import pytest

from clopos_assets.access import Access
from clopos_assets.line.maker import Run
from clopos_assets.line.raw import Talk


def test_the_first_ones_time_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    said: list[str] = []
    monkeypatch.setattr("clopos_assets.line.raw.time", SimpleNamespace(monotonic=lambda: now))
    run, access = SimpleNamespace(say=said.append), SimpleNamespace(waited_seconds=7.0)
    talk = Talk(cast("Run", run), cast("Access", access), None)
    for what, done, of, took in (
        ("pages", 1, 2, 4),
        ("pages", 2, 2, 16),
        ("receipts", 1, 50, 20),
        ("receipts", 3, 50, 40),
    ):
        now += took
        talk.progress(what, done, of)
    assert said == [
        "pages: 2 of 2, about 0 s left; 7 s waited for quota so far",
        "receipts: 1 of 50, about 980 s left; 7 s waited for quota so far",
        "receipts: 3 of 50, about 940 s left; 7 s waited for quota so far",
    ]
