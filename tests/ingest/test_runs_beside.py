"""Runs on neighbouring shift dates at the same time: a receipt that moves between them is in one, and in no other."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from pathlib import Path
from threading import Barrier, BrokenBarrierError, Thread
from typing import Any

import pyarrow as pa
import pytest

from clopos_assets.ingest import operations, receipts
from clopos_assets.ingest.listing import list_stretch
from clopos_assets.lake import Lake, LakeError
from clopos_assets.tables import RECEIPTS, STOCK_OPERATIONS, Table
from tests.ingest.shop import Shop
from tests.ingest.test_filing import stands_in

FIRST, SECOND = "2026-01-19", "2026-01-20"
WAIT_SECONDS = 1.0
"""Longer than a run of this shop takes by far; one that is kept out is waited for so long."""


class Beside:
    """A run on the second date, over a receipt that moves there, beside one on the first that has listed it before."""

    def __init__(self, shop: Shop, root: Path) -> None:
        self._shop = shop
        self._run = Shop(root, shop.sandbox)
        self.bad: dict[str, str] | None = None
        self._thread = Thread(target=self._make)

    def begin(self) -> None:
        """Move the receipt, and begin the run; it is waited for, but not for long."""
        self._shop.world.pass_time(timedelta(minutes=1))
        self._shop.world.move_receipt(1, date.fromisoformat(SECOND))
        self._thread.start()
        self._thread.join(WAIT_SECONDS)

    def end(self) -> None:
        """Wait for the run."""
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _make(self) -> None:
        self.bad = self._run.make_receipts(SECOND).bad


@contextmanager
def before(name: str, is_it: Callable[..., bool], act: Callable[[], object], of: type = Lake) -> Iterator[None]:
    """Act once, before the first call of one of the lake's methods, or another class's, that is the one."""
    method = getattr(of, name)
    left = [act]

    def acting(owner: object, *args: object, **named: object) -> object:
        if left and is_it(*args):
            left.pop()()
        return method(owner, *args, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(of, name, acting)
        yield


def is_of_receipts(of: object, *_: object) -> bool:
    return of is RECEIPTS


def test_a_run_that_begins_while_another_writes_finds_what_that_one_has_written(shop: Shop, tmp_path: Path) -> None:
    beside = Beside(shop, tmp_path)
    with before("replace", is_of_receipts, beside.begin):
        made = shop.make_receipts(FIRST)
    beside.end()
    assert (made.bad, beside.bad) == ({}, {})
    assert shop.stands(1)["receipts"] == [SECOND]
    assert shop.stands(3)["receipts"] == [SECOND]


def test_a_receipt_filed_elsewhere_between_list_and_filing_is_not_taken_from_there(shop: Shop, tmp_path: Path) -> None:
    beside = Beside(shop, tmp_path)

    def is_of_lake(names: list[str], **_: object) -> bool:
        return list(names) == [RECEIPTS.name]

    with before("locked", is_of_lake, beside.begin):
        made = shop.make_receipts(FIRST)
    beside.end()
    assert beside.bad == {}
    assert list(made.bad) == [FIRST]
    assert "was filed under 2026-01-20 meanwhile, by another run: run this again" in made.bad[FIRST]
    assert shop.stands(1)["receipts"] == [SECOND]
    assert not shop.make_receipts(FIRST).bad
    assert shop.stands(1)["receipts"] == [SECOND]


def test_a_place_that_can_not_be_looked_at_stops_the_filing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.make(FIRST, SECOND)
    shop.world.move_receipt(1, date.fromisoformat(SECOND))
    read = Lake.read

    def failing(lake: Lake, table: Table, shift_date: str, columns: list[str] | None = None) -> pa.Table | None:
        if (shift_date, columns) == (FIRST, ["id"]):
            raise LakeError("the lake s3://bucket can't be read (SlowDown): run again later")
        return read(lake, table, shift_date, columns)

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "read", failing)
        made = shop.make_receipts(SECOND)
    assert made.bad == {SECOND: "the lake s3://bucket can't be read (SlowDown): run again later"}
    assert shop.stands(1)["receipts"] == [FIRST]
    assert not shop.make_receipts(SECOND).bad
    assert shop.stands(1)["receipts"] == [SECOND]


def test_what_failed_beside_a_date_that_others_hold_is_tried_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OUTSIDE_LOCK_SECONDS", "_BRIEFLY_SECONDS"):
        monkeypatch.setattr(receipts, name, 0.1)
    shop.make("2026-01-18", FIRST, SECOND)
    shop.world.update_receipt(1, created_at="2026-01-10 10:00:00")  # so that it is asked for by its id
    shop.answer("/receipts/1", '{"success": false, "error": "odd"}', 400, times=1)
    shop.world.move_receipt(3, date(2026, 1, 18))
    with shop.lake.locked(["2026-01-18"], seconds=1):
        made = shop.make_receipts(FIRST, SECOND)
    assert list(made.bad) == [SECOND]
    assert "being made by another run" in made.bad[SECOND]


def test_all_of_a_date_is_read_anew_only_where_somebody_asked_for_it(shop: Shop) -> None:
    shop.make(FIRST, SECOND)
    shop.world.move_receipt(1, date.fromisoformat(SECOND))
    shop.make_receipts(SECOND)
    shop.sandbox.requests.reset()
    made = shop.make_operations(SECOND, FIRST, refresh="all", asked_for=[SECOND])
    assert not made.bad
    assert shop.asked() == {"operations": 2}  # receipts 1 and 3, and not 2, which stays where it was
    assert shop.stands(1) == stands_in(SECOND)


def test_runs_of_two_dates_between_which_a_receipt_moves_do_not_wait_for_each_other(shop: Shop, tmp_path: Path) -> None:
    """Each holds its own date and has listed it when it comes to need the other's."""
    shop.make(FIRST, SECOND)
    shop.world.pass_time(timedelta(minutes=1))
    shop.world.move_receipt(1, date.fromisoformat(SECOND))
    both_have_listed = Barrier(2)
    listed = list_stretch

    async def meet(*args: Any) -> Any:
        answer = await listed(*args)
        with suppress(BrokenBarrierError):  # whoever lists again meets nobody
            await asyncio.to_thread(both_have_listed.wait, 5)
        return answer

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as threads:
        patch.setattr(receipts, "list_stretch", meet)
        runs = [threads.submit(Shop(tmp_path, shop.sandbox).make_receipts, day) for day in (FIRST, SECOND)]
        made = [run.result(timeout=120) for run in runs]
    assert [each.bad for each in made] == [{}, {}]
    assert shop.stands(1)["receipts"] == [SECOND]


@pytest.mark.parametrize("other", ["new", "changed"])
def test_what_another_run_files_before_moved_operations_are_let_go_is_asked_for(
    shop: Shop, tmp_path: Path, other: str
) -> None:
    for receipt_id, shift_date in ((1, FIRST), (2, FIRST), (3, SECOND)):
        shop.sell(receipt_id, shift_date)
    shop.make(FIRST, SECOND)
    shop.world.pass_time(timedelta(minutes=1))
    shop.world.move_receipt(1, date.fromisoformat(SECOND))

    def file_another() -> None:
        if other == "new":
            shop.sell(4, FIRST)
        else:
            shop.world.update_receipt(2, guests=9)
            shop.deduct(2, id=77)
        with ThreadPoolExecutor() as threads:
            assert threads.submit(Shop(tmp_path, shop.sandbox).make_receipts, FIRST).result(60).bad == {}

    with before("let_go", lambda shift_date: shift_date == FIRST, file_another, of=operations._Making):
        shop.make(FIRST, SECOND)
    shop.make(FIRST, SECOND)
    if other == "new":
        assert shop.ids(STOCK_OPERATIONS, FIRST, "receipt_id") == [2, 4]
    else:
        assert 77 in (shop.ids(STOCK_OPERATIONS, FIRST) or [])
    assert shop.ids(STOCK_OPERATIONS, SECOND, "receipt_id") == [1, 3]
