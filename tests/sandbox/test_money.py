"""Money and stock add up over a generated month, worked anew from what the API answers and from the movements."""

from dataclasses import replace
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from clopos_assets.sandbox import History
from clopos_assets.sandbox.stock import Movement

from .asking import Asker
from .conftest import MONTH


@pytest.fixture(scope="module")
def receipts(month_asker: Asker) -> list[dict[str, Any]]:
    """All receipts with lines, as served."""
    found = []
    for venue in (1, 2, 3, 4):
        for page in range(1, 100):
            query = f"/v2/receipts?with[0]=receipt_products.modificators&limit=200&sort[0]=id&sort[1]=1&page={page}"
            rows = month_asker.get(query, venue=venue).json["data"]
            if not rows:
                break
            found += rows
    return found


@pytest.fixture(scope="module")
def operations(receipts: list[dict[str, Any]], month: History) -> list[dict[str, Any]]:
    """All stock operations, as encoded, in the order they were made."""
    found = [each for receipt in receipts for each in month.world.operations(receipt["id"])]
    return sorted(found, key=lambda each: int(each["id"]))


def test_every_receipt_adds_up(receipts: list[dict[str, Any]]) -> None:
    assert len(receipts) > 3000
    for receipt in receipts:
        paid = sum((each["amount"] for each in receipt["payment_methods"]), Decimal(0))
        assert paid == receipt["total"] - receipt["remaining"], receipt["id"]
        net = receipt["subtotal"] - receipt["total_discount"]
        extra = receipt["service_charge_value"] + receipt["delivery_fee"] + receipt["e_tax"]
        assert receipt["total"] == net + extra, receipt["id"]
        assert sum((line["total"] for line in receipt["receipt_products"]), Decimal(0)) == net, receipt["id"]
        assert receipt["total_tax"] == receipt["i_tax"] + receipt["e_tax"]
        shares = sum((line["receipt_discount"] for line in receipt["receipt_products"]), Decimal(0))
        own = sum((line["total_discount"] for line in receipt["receipt_products"]), Decimal(0))
        assert receipt["total_discount"] == own + shares


def test_every_line_adds_up(receipts: list[dict[str, Any]]) -> None:
    for receipt in receipts:
        for line in receipt["receipt_products"]:
            gross = _cents(Decimal(line["price"] * line["count"] * line["portion_size"]))
            assert line["subtotal"] == gross - line["total_discount"]
            assert line["total"] == line["subtotal"] - line["receipt_discount"]
            extras = sum(each["price"] * each["count"] for each in line["modificators"])
            assert line["price"] == line["meta"]["product"]["price"] + extras
            if line["is_gift"]:
                assert line["total"] == 0
            elif line["count"] > 0:
                assert line["total"] > 0


def test_amounts_are_whole_cents(receipts: list[dict[str, Any]]) -> None:
    for receipt in receipts:
        for name in ("total", "subtotal", "total_discount", "i_tax", "e_tax", "service_charge_value", "remaining"):
            assert receipt[name] == _cents(Decimal(receipt[name]))


def test_every_operation_adds_up(operations: list[dict[str, Any]]) -> None:
    assert len(operations) > 20000
    for each in operations:
        assert each["after_quantity"] == each["before_quantity"] - each["quantity"]
        assert each["after_quantity"] >= 0
        assert each["before_quantity"] > 0 or each["quantity"] < 0
        assert each["before_cost"] == each["cost"] > 0
        assert each["cost"] == _cents(Decimal(each["cost"]))
        assert abs(each["quantity"] * each["cost"] - each["total_cost"]) <= Decimal("0.0000005")
        assert each["quantity"] != 0
        for name in ("quantity", "before_quantity", "after_quantity", "cost", "total_cost"):
            assert Decimal(each[name]) == Decimal(each[name]).quantize(Decimal("0.000001"))
        assert each["total_cost"] != 0


def test_moving_average_cost_recomputed() -> None:
    """Replays deliveries, waste and counts between the deductions, from the definition alone.

    Without deletions and reopenings, so that the API shows every deduction there was.
    """
    history = History(replace(MONTH, deletion_rate=0, reopen_rate=0))
    history.advance(datetime.fromisoformat("2026-01-25 06:00:00"))
    moves: dict[int, list[Movement]] = {}
    for move in history.movements:
        moves.setdefault(move.stock_id, []).append(move)
    assert {move.kind for move in history.movements} == {"opening", "delivery", "waste", "count"}
    quantity: dict[int, Decimal] = {}
    cost: dict[int, Decimal] = {}
    shown = [each for number in history.world.receipt_ids() for each in history.world.operations(number)]
    for each in sorted(shown, key=lambda each: int(each["id"])):
        stock = each["stock_id"]
        waiting = moves[stock]
        while waiting and str(waiting[0].at) <= each["operated_at"]:
            if str(waiting[0].at) == each["operated_at"] and quantity[stock] == each["before_quantity"]:
                break  # bought in the same second for a later line
            move = waiting.pop(0)
            had, unit = quantity.get(stock, Decimal(0)), cost.get(stock, Decimal(0))
            quantity[stock] = had + move.quantity
            if move.kind in {"opening", "delivery"}:
                cost[stock] = _cents((had * unit + move.quantity * move.price) / quantity[stock])
        assert each["before_quantity"] == quantity[stock], each
        assert each["cost"] == cost[stock], each
        quantity[stock] = each["after_quantity"]
    assert len(shown) > 20000


@pytest.mark.parametrize("unit", ["0.0001", "0.05", "0.1"])
def test_unit_costs_are_kept_in_whole_cost_units(unit: str) -> None:
    step = Decimal(unit)
    history = History(replace(MONTH, cost_unit=step, venues=1, receipts_per_day=20))
    history.advance(datetime.fromisoformat("2026-01-15 06:00:00"))
    shown = [each for number in history.world.receipt_ids() for each in history.world.operations(number)]
    assert len(shown) > 1000
    for each in shown:
        assert each["cost"] % step == 0
        assert each["cost"] >= step
        assert abs(each["quantity"] * each["cost"] - each["total_cost"]) <= Decimal("0.0000005")


def test_stock_is_conserved_through_deletions_and_reopenings(operations: list[dict[str, Any]], month: History) -> None:
    """What came in, less what the API still shows as taken, is what is there: deleted receipts gave theirs back."""
    assert {"restored"} < {move.kind for move in month.movements}
    expected: dict[int, Decimal] = {}
    for move in month.movements:
        if move.kind != "restored":
            expected[move.stock_id] = expected.get(move.stock_id, Decimal(0)) + move.quantity
    for each in operations:
        expected[each["stock_id"]] -= each["quantity"]
    there = {stock.id: stock.quantity for room in month.stock_rooms for stock in room.stocks.values()}
    assert there == expected


def test_food_cost_looks_like_a_restaurants(receipts: list[dict[str, Any]], operations: list[dict[str, Any]]) -> None:
    venue_of = {each["id"]: each["venue_id"] for each in receipts}
    for venue in (1, 2, 3, 4):
        sales = sum(
            line["total"]
            for receipt in receipts
            if receipt["venue_id"] == venue and receipt["status"] == 2
            for line in receipt["receipt_products"]
        )
        cost = sum(each["total_cost"] for each in operations if venue_of[each["receipt_id"]] == venue)
        assert Decimal(25) <= 100 * cost / sales <= Decimal(38)


def test_no_line_sells_below_its_cost(receipts: list[dict[str, Any]], operations: list[dict[str, Any]]) -> None:
    cost: dict[int, Decimal] = {}
    for each in operations:
        line_id = each["receipt_product_id"]
        cost[line_id] = cost.get(line_id, Decimal(0)) + each["total_cost"]
    for receipt in receipts:
        for line in receipt["receipt_products"]:
            if not line["is_gift"] and line["total"] > 0:
                assert cost.get(line["id"], 0) <= line["total"]


def test_a_product_deducts_always_or_never(receipts: list[dict[str, Any]], operations: list[dict[str, Any]]) -> None:
    deducting = {each["receipt_product_id"] for each in operations}
    habits: dict[int, set[bool]] = {}
    for receipt in receipts:
        if receipt["status"] == 2:
            for line in receipt["receipt_products"]:
                habits.setdefault(line["product_id"], set()).add(line["id"] in deducting)
    assert all(len(each) == 1 for each in habits.values())
    assert {False} in habits.values()


def test_costs_stay_within_a_quarter_of_their_average(operations: list[dict[str, Any]]) -> None:
    totals: dict[tuple[int, int], list[Decimal]] = {}
    for each in operations:
        sums = totals.setdefault((each["stock_id"], each["product_id"]), [Decimal(0), Decimal(0)])
        sums[0] += each["total_cost"]
        sums[1] += each["quantity"]
    for each in operations:
        spent, used = totals[each["stock_id"], each["product_id"]]
        assert abs(each["cost"] - spent / used) <= spent / used / 5


def test_modifiers_change_what_is_deducted(receipts: list[dict[str, Any]], operations: list[dict[str, Any]]) -> None:
    per_line: dict[int, dict[int, Decimal]] = {}
    for each in operations:
        per_line.setdefault(each["receipt_product_id"], {})[each["product_id"]] = each["quantity"]
    cheese = [
        (line, per_line[line["id"]])
        for receipt in receipts
        if receipt["status"] == 2
        for line in receipt["receipt_products"]
        if any(each["name"] == "Əlavə pendir" for each in line["modificators"])
    ]
    assert cheese
    for line, taken in cheese:
        assert taken[117] == Decimal("0.040") * line["count"] * line["portion_size"]


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)
