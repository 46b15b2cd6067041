"""The made-up restaurant: reproducible, the same in any number of steps, and with every event it promises."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from clopos_assets.sandbox import History, HistoryOptions, World
from clopos_assets.sandbox.world import encode

from .conftest import MONTH

SMALL = replace(MONTH, receipts_per_day=12, venues=3)
END = datetime.fromisoformat("2026-01-11 03:30:00")
# Of what `test_the_history_is_the_one_it_always_was` plays.
DIGEST = "76a504b8e8056b3b61ad8065bc7187dbe494d4152fdc94bcbc48a917b8552b69"
PROGRAM = """
import hashlib, sys
from datetime import date, datetime
from clopos_assets.sandbox import History, HistoryOptions
from clopos_assets.sandbox.world import encode
history = History(HistoryOptions(start_date=date(2026, 1, 1), receipts_per_day=15))
history.advance(datetime.fromisoformat("2026-01-06 12:00:00"))
world = history.world
shown = [(world.get_receipt(each), world.operations(each)) for each in world.receipt_ids()]
sys.stdout.write(hashlib.sha256(encode(shown)).hexdigest())
"""


def everything(world: World) -> bytes:
    shown = [(world.get_receipt(each), world.operations(each)) for each in world.receipt_ids()]
    return encode([shown, sorted(world.deleted), world.now.isoformat(), world.venues, world.products])


def played(options: HistoryOptions, *steps: datetime) -> History:
    history = History(options)
    for step in steps:
        history.advance(step)
    return history


def all_receipts(history: History) -> list[dict[str, Any]]:
    return [history.world.get_receipt(each) for each in history.world.receipt_ids()]


def test_the_same_options_give_the_same_world() -> None:
    assert everything(played(SMALL, END).world) == everything(played(SMALL, END).world)


def test_another_seed_gives_another_world() -> None:
    other = replace(SMALL, seed=SMALL.seed + 1)
    assert everything(played(SMALL, END).world) != everything(played(other, END).world)


@pytest.mark.parametrize("minutes", [7, 60, 24 * 60, 59 * 60])
def test_many_steps_give_the_same_world_as_one(minutes: int) -> None:
    once = played(SMALL, END)
    steps = []
    moment = once._start
    while moment < END:
        moment = min(moment + timedelta(minutes=minutes), END)
        steps.append(moment)
    many = played(SMALL, *steps)
    assert len(steps) > 1
    assert everything(many.world) == everything(once.world)
    assert many.movements == once.movements


def test_hash_seeds_do_not_matter() -> None:
    digests = set()
    for seed in ("0", "1", "4242"):
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(run.stdout)
    assert len(digests) == 1


def test_the_history_is_the_one_it_always_was() -> None:
    """Another machine or Python must give these bytes; a deliberate change of the history changes the digest."""
    history = played(HistoryOptions(start_date=date(2026, 1, 1), receipts_per_day=10), END)
    assert hashlib.sha256(everything(history.world)).hexdigest() == DIGEST


def test_it_does_not_go_back() -> None:
    history = played(SMALL, END)
    with pytest.raises(ValueError, match="cannot go back"):
        history.advance(END - timedelta(seconds=1))
    history.advance(END)


def test_nothing_happens_after_the_clock(month: History) -> None:
    history = played(SMALL, END)
    now = str(END)
    for receipt in all_receipts(history):
        assert receipt["created_at"] <= now
        assert receipt["updated_at"] <= now
        assert (receipt["closed_at"] or "") <= now
    assert any(each["updated_at"] == each["closed_at"] for each in all_receipts(month))


def test_ids_are_unique_and_grow_with_creation(month: History) -> None:
    receipts = all_receipts(month)
    created = [each["created_at"] for each in receipts]
    assert created == sorted(created)
    lines = [line["id"] for each in receipts for line in each["receipt_products"]]
    assert lines == sorted(set(lines))
    operations = [
        (operation["operated_at"], operation["id"])
        for receipt_id in month.world.receipt_ids()
        for operation in month.world.operations(receipt_id)
    ]
    assert sorted(operations) == sorted(operations, key=lambda each: each[1])
    assert len({operation for _, operation in operations}) == len(operations)
    assert len({each["cid"] for each in receipts}) == len(receipts)


def test_open_receipts_have_no_operations_and_closed_ones_theirs(month: History) -> None:
    for receipt in all_receipts(month):
        operations = month.world.operations(receipt["id"])
        if receipt["status"] == 1:
            assert operations == []
            assert receipt["closed_at"] is None
            assert receipt["payment_methods"] == []
        else:
            assert {each["operated_at"] for each in operations} <= {receipt["closed_at"]}
            lines = {line["id"] for line in receipt["receipt_products"]}
            assert {each["receipt_product_id"] for each in operations} <= lines
            assert {each["receipt_id"] for each in operations} <= {receipt["id"]}


def test_the_month_has_every_event_it_promises(month: History) -> None:
    receipts = all_receipts(month)
    now = str(month.world.now)
    shift_ends = {each["id"]: _shift_end(each["shift_date"]) for each in receipts}
    seen = Counter[str]()
    for receipt in receipts:
        lines, created, closed = receipt["receipt_products"], receipt["created_at"], receipt["closed_at"]
        shift_end = shift_ends[receipt["id"]]
        operations = month.world.operations(receipt["id"])
        seen["ahead"] += created[:10] < receipt["shift_date"] and receipt["order_status"] == "SCHEDULED"
        seen["past midnight"] += closed is not None and receipt["shift_date"] < closed[:10] and closed < shift_end
        seen["late"] += closed is not None and closed >= shift_end
        seen["never closed"] += closed is None and shift_end < now
        seen["edited"] += closed is not None and receipt["updated_at"] > closed
        seen["fiscal"] += receipt["fiscal_id"] is not None
        seen["empty"] += not lines
        seen["return"] += any(line["count"] < 0 for line in lines)
        seen["negative quantity"] += any(each["quantity"] < 0 for each in operations)
        seen["gift"] += any(line["is_gift"] and line["total"] == 0 for line in lines)
        seen["line discount"] += any(line["discount_value"] for line in lines)
        seen["receipt discount"] += bool(receipt["discount_value"])
        seen["amount discount"] += receipt["discount_type"] == 2
        seen["service"] += bool(receipt["service_charge_value"])
        seen["delivery"] += bool(receipt["delivery_fee"])
        seen["inclusive"] += bool(receipt["i_tax"])
        seen["exclusive"] += bool(receipt["e_tax"])
        seen["split"] += len(receipt["payment_methods"]) == 2
        seen["debt"] += closed is not None and receipt["remaining"] != 0
        seen["modifier"] += any(line["modificators"] for line in lines)
        seen["half portion"] += any(line["portion_size"] != 1 for line in lines)
        seen["by weight"] += any(line["count"] != int(line["count"]) for line in lines)
        deducting = {each["receipt_product_id"] for each in operations}
        seen["undeducted"] += any(line["id"] not in deducting for line in lines)
        for line in lines:
            seen[line["meta"]["product"]["type"]] += 1
        for method in receipt["payment_methods"]:
            seen[f"method {method['id']}"] += 1
    expected = {
        "ahead", "past midnight", "late", "never closed", "edited", "fiscal", "empty", "return", "negative quantity",
        "gift", "line discount", "receipt discount", "amount discount", "service", "delivery", "inclusive",
        "exclusive", "split", "debt", "modifier", "half portion", "by weight", "undeducted", "DISH", "GOODS",
        "MODIFICATION", "PREPARATION", "TIMER", "method 1", "method 2", "method 3", "method 4", "method 5",
    }  # fmt: skip
    assert expected - {name for name, number in seen.items() if number} == set()
    assert month.world.deleted


def test_moves_change_the_shift_date_after_closing() -> None:
    options = replace(SMALL, move_rate=0.2)
    history = played(options, END)
    still = played(replace(options, move_rate=0.0, reopen_rate=0.0), END)
    before = {each["cid"]: each["shift_date"] for each in all_receipts(still)}
    moved = [
        each for each in all_receipts(history) if before.get(each["cid"], each["shift_date"]) != each["shift_date"]
    ]
    assert len(moved) > 10
    assert all(each["updated_at"] > each["closed_at"] for each in moved)
    assert min(each["shift_date"] for each in all_receipts(history)) == "2026-01-01"


def test_reopened_receipts_lose_their_operations_and_get_new_ones() -> None:
    history = History(replace(SMALL, reopen_rate=0.9, late_rate=0, never_closed_rate=0, move_rate=0, deletion_rate=0))
    moment = history._start
    opened_again: set[int] = set()
    closed_before: dict[int, str] = {}
    for _ in range(200):
        moment += timedelta(minutes=15)
        history.advance(moment)
        for receipt in all_receipts(history):
            if receipt["status"] == 2:
                closed_before.setdefault(receipt["id"], receipt["closed_at"])
            elif receipt["id"] in closed_before:
                opened_again.add(receipt["id"])
                assert history.world.operations(receipt["id"]) == []
    again = [history.world.receipt(each) for each in opened_again]
    closed_again = [each for each in again if each["status"] == 2]
    assert closed_again
    for receipt in closed_again:
        assert receipt["closed_at"] > closed_before[receipt["id"]]
        assert {each["operated_at"] for each in history.world.operations(receipt["id"])} <= {receipt["closed_at"]}


def test_a_clean_history_has_no_rare_event() -> None:
    history = played(MONTH.without_rare_events(), datetime.fromisoformat("2026-01-20 06:00:00"))
    assert history.world.deleted == set()
    before_today = [each for each in all_receipts(history) if each["shift_date"] < "2026-01-20"]
    assert len(before_today) > 1000
    for receipt in before_today:
        assert receipt["status"] == 2
        assert receipt["closed_at"] < _shift_end(receipt["shift_date"])
        assert receipt["updated_at"] == receipt["closed_at"]
        assert receipt["remaining"] == 0


def test_every_rate_can_be_switched_off() -> None:
    zero: dict[str, Any] = {name: 0.0 for name in vars_of(MONTH) if name.endswith("_rate")}
    history = played(replace(MONTH, **zero), END)
    for receipt in all_receipts(history):
        assert receipt["receipt_products"]
        assert receipt["total_discount"] == 0
        assert receipt["order_status"] != "SCHEDULED"
        assert all(line["count"] > 0 and not line["is_gift"] for line in receipt["receipt_products"])


def test_orders_ahead_stay_within_their_days() -> None:
    history = played(replace(SMALL, ahead_rate=0.5, order_ahead_days=4), END)
    spans = {
        (date.fromisoformat(each["shift_date"]) - date.fromisoformat(each["created_at"][:10])).days
        for each in all_receipts(history)
        if each["order_status"] in {"SCHEDULED", "COMPLETED"} and each["updated_at"] == each["created_at"]
    }
    assert max(spans) == 4


def test_venues_keep_their_hours(month: History) -> None:
    hours = {1: (10, 23), 2: (12, 26), 3: (8, 22), 4: (18, 29)}
    for receipt in all_receipts(month):
        if receipt["order_number"] is not None:
            continue
        # A moved receipt is filed a day off, so hours are counted from its own evening.
        created = datetime.fromisoformat(receipt["created_at"])
        hour = created.hour + (24 if created.hour < 6 else 0)
        opens, closes = hours[receipt["venue_id"]]
        assert opens <= hour < closes


def test_more_venues_than_profiles_have_names_of_their_own() -> None:
    history = History(replace(SMALL, venues=9))
    names = [each["name"] for each in history.world.venues]
    assert len(set(names)) == 9
    assert [each["is_main"] for each in history.world.venues] == [1, *[0] * 8]


@pytest.mark.parametrize(
    "options", [{"venues": 0}, {"receipts_per_day": -1}, {"late_rate": -0.1}, {"late_rate": 0.6, "move_rate": 0.6}]
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|needs"):
        HistoryOptions(start_date=date(2026, 1, 1), **options)


def vars_of(options: HistoryOptions) -> list[str]:
    return list(HistoryOptions.__dataclass_fields__) if options else []


def _shift_end(shift_date: str) -> str:
    return f"{date.fromisoformat(shift_date) + timedelta(days=1)} 06:00:00"
