from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pytest

from clopos_assets.sandbox import History, HistoryOptions, LimitOptions, Sandbox, World

from .asking import Asker

MONTH = HistoryOptions(
    start_date=date(2026, 1, 1),
    seed=7,
    venues=4,
    receipts_per_day=30,
    late_rate=0.02,
    never_closed_rate=0.01,
    edit_rate=0.05,
    move_rate=0.02,
    deletion_rate=0.02,
    reopen_rate=0.02,
    empty_rate=0.01,
    return_rate=0.02,
    gift_rate=0.03,
    debt_rate=0.02,
    ahead_rate=0.03,
    keep_movements=True,
)


@pytest.fixture(scope="session")
def month() -> History:
    """A month of four venues with every rare event happening often. Not to be advanced."""
    history = History(MONTH)
    history.advance(datetime.fromisoformat("2026-02-04 06:00:00"))
    return history


@pytest.fixture(scope="session")
def month_asker(month: History) -> Iterator[Asker]:
    """The month, served without limits; for reading only."""
    with Sandbox(month, limits=LimitOptions.unlimited()) as sandbox, Asker(sandbox) as asker:
        yield asker


@pytest.fixture
def vendor_world() -> World:
    """The receipt of the vendor's v2 pages."""
    return World.from_json(Path(__file__).with_name("vendor_examples.json").read_bytes())


@pytest.fixture
def asker(vendor_world: World) -> Iterator[Asker]:
    """The vendor's receipt, served; the world may be changed through `asker.sandbox`."""
    with Sandbox(vendor_world) as sandbox, Asker(sandbox) as asker:
        yield asker
