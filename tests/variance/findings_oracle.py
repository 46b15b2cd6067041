"""The fifteen checks in plain Python, told apart from the product on purpose: what `variance_findings` must hold.

Written from the data contract with the standard library alone. It takes tables as `tests.oracle` gives them,
lists of rows by table name, and leaves out the message. Figures are fractions until they are stored.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

Row = dict[str, Any]
Tables = Mapping[str, Sequence[Row]]

# In the contract's order.
SEVERITIES = {
    "payments_match_total": "WARN",
    "receipt_adds_up": "INFO",
    "lines_add_up": "INFO",
    "quantity_adds_up": "ERROR",
    "cost_adds_up": "ERROR",
    "operation_has_line": "ERROR",
    "line_has_deduction": "WARN",
    "deduction_has_cost": "WARN",
    "stock_is_not_negative": "WARN",
    "stock_is_continuous": "INFO",
    "cost_is_steady": "WARN",
    "sold_above_cost": "WARN",
    "closed_within_shift": "INFO",
    "receipt_is_closed": "WARN",
    "reported_cost_matches": "WARN",
}
IDS = ("receipt_id", "receipt_product_id", "stock_operation_id", "stock_id", "product_id")
STEADY = Fraction(1, 4)


@dataclass(frozen=True)
class Limits:
    """What is still well, as the settings say it."""

    money: Fraction = Fraction(1, 100)
    quantity: Fraction = Fraction(1, 1_000_000)
    cost_unit: Fraction = Fraction(1, 100)
    shift_end: time = time(6)
    standard_days: int = 28


def stored(figure: Fraction | None) -> Decimal | None:
    """As a decimal of six places, halves to even."""
    return None if figure is None else Decimal(round(figure * 10**6)) / 10**6


def ledger_rows(days: Mapping[str, Tables]) -> dict[str, list[Row]]:
    """Of the ledger what the checks read: shift date → a row per operation, over all shift dates at once."""
    chains: dict[int, list[tuple[str, Row]]] = defaultdict(list)
    for day, tables in days.items():
        for operation in tables["stock_operations"]:
            chains[operation["stock_id"]].append((day, operation))
    ledger: dict[str, list[Row]] = {day: [] for day in days}
    for chain in chains.values():
        chain.sort(key=lambda filed: (filed[1]["operated_at"], filed[1]["id"]))
        previous: Row | None = None
        for day, operation in chain:
            ledger[day].append(_ledger_row(operation, previous))
            previous = operation
    return ledger


def _ledger_row(operation: Row, previous: Row | None) -> Row:
    names = "receipt_id venue_id storage_id stock_id product_id product_name quantity before_quantity after_quantity"
    row = {name: operation[name] for name in f"{names} cost before_cost operated_at".split()}
    row |= {"stock_operation_id": operation["id"], "previous_operation_id": None, "previous_after_quantity": None}
    row |= {"previous_cost": None, "unexplained_quantity": None, "unexplained_value": None}
    if previous is None:
        return row
    left, cost = previous["after_quantity"], previous["cost"]
    row |= {"previous_operation_id": previous["id"], "previous_after_quantity": left, "previous_cost": cost}
    row["unexplained_quantity"] = operation["before_quantity"] - left
    if operation["before_cost"] is not None:
        now = Fraction(operation["before_quantity"]) * Fraction(operation["before_cost"])
        row["unexplained_value"] = stored(now - Fraction(left) * Fraction(cost))
    return row


def history_findings(days: Mapping[str, Tables], limits: Limits, since: str = "") -> dict[str, list[Row]]:
    """The findings of every shift date `since` one, inclusive, from its raw tables and `line_cogs`."""
    ledger = ledger_rows(days)
    return {
        day: Day(day, {**tables, "stock_ledger": ledger[day]}, _window(days, day, limits), limits).findings()
        for day, tables in days.items()
        if day >= since
    }


def _window(days: Mapping[str, Tables], day: str, limits: Limits) -> list[Tables]:
    first = date.fromisoformat(day) - timedelta(days=limits.standard_days)
    return [tables for earlier, tables in days.items() if first.isoformat() <= earlier < day]


class Day:
    """One shift date and the window before it."""

    def __init__(self, shift_date: str, tables: Tables, window: Sequence[Tables], limits: Limits) -> None:
        self.shift_date = shift_date
        self.limits = limits
        ended = date.fromisoformat(shift_date) + timedelta(days=1)
        self.ended_at = datetime.combine(ended, limits.shift_end)
        self.receipts = {row["id"]: row for row in tables["receipts"]}
        self.closed = {row["id"]: row for row in tables["receipts"] if row["status"] == 2 and row["deleted_at"] is None}
        self.all_lines = {(row["receipt_id"], row["id"]) for row in tables["receipt_products"]}
        self.lines = tables["line_cogs"]
        self.operations = [row for row in tables["stock_operations"] if row["receipt_id"] in self.closed]
        self.ledger = tables["stock_ledger"]
        self.standards = _standards(window)
        self.deducting = {key for day in (*window, tables) for key in _deducting(day["line_cogs"])}

    def findings(self) -> list[Row]:
        """All findings, in no order."""
        return [*self._receipts(), *self._formulas(), *self._operations(), *self._lines(), *self._gaps()]

    def _receipts(self) -> Iterator[Row]:
        deducted: dict[int, Fraction] = defaultdict(Fraction)
        for operation in self.operations:
            deducted[operation["receipt_id"]] += Fraction(operation["total_cost"])
        for receipt in self.receipts.values():
            if receipt["status"] != 2 and receipt["deleted_at"] is None:
                yield _finding("receipt_is_closed", _of_receipt(receipt), at_risk=Fraction(receipt["total"]))
        for key, receipt in self.closed.items():
            of = _of_receipt(receipt)
            due = _sum(receipt, "total", "-remaining")
            amounts = [payment["amount"] for payment in receipt["payment_methods"] or ()]
            paid = None if None in amounts else sum(map(Fraction, amounts), Fraction(0))
            if self._is_off(due, paid):
                yield _compared("payments_match_total", of, due, paid)
            if receipt["closed_at"] is not None and receipt["closed_at"] >= self.ended_at:
                yield _finding("closed_within_shift", of, at_risk=Fraction(receipt["total"]))
            reported = receipt["total_cost"]
            if reported and self._is_off(Fraction(reported), deducted[key]):
                yield _compared("reported_cost_matches", of, Fraction(reported), deducted[key])

    def _formulas(self) -> Iterator[Row]:
        sold: dict[int, Fraction] = {}
        for line in self.lines:
            sold[line["receipt_id"]] = sold.get(line["receipt_id"], Fraction(0)) + Fraction(line["net_sales"])
        tests: dict[tuple[str, int], list[tuple[Row, Fraction | None, Fraction]]] = defaultdict(list)
        for key, receipt in self.closed.items():
            parts = ("subtotal", "-total_discount", "service_charge_value", "delivery_fee", "e_tax")
            whole = (receipt, _sum(receipt, *parts), Fraction(receipt["total"]))
            tests["receipt_adds_up", receipt["venue_id"]].append(whole)
            if key in sold:
                net = (receipt, _sum(receipt, "subtotal", "-total_discount"), sold[key])
                tests["lines_add_up", receipt["venue_id"]].append(net)
        for (check, venue), tested in tests.items():
            off = [each for each in tested if self._is_off(*each[1:])]
            if len(off) > Fraction(len(tested), 5):
                yield _finding(check, {"venue_id": venue}, entity=f"venue {venue} on {self.shift_date}")
            else:
                yield from (_compared(check, _of_receipt(each), *figures) for each, *figures in off)

    def _operations(self) -> Iterator[Row]:
        limits = self.limits
        for row in self.operations:
            of = _of_operation(row)
            quantity, cost, booked = (Fraction(row[name]) for name in ("quantity", "cost", "total_cost"))
            after, left = Fraction(row["after_quantity"]), Fraction(row["before_quantity"]) - quantity
            standard = self.standards.get((row["venue_id"], row["product_id"]))
            if abs(after - left) > limits.quantity:
                yield _compared("quantity_adds_up", of, left, after, at_risk=(after - left) * cost)
            if abs(booked - quantity * cost) > max(limits.money, abs(quantity) * limits.cost_unit / 2):
                yield _compared("cost_adds_up", of, quantity * cost, booked)
            if (row["receipt_id"], row["receipt_product_id"]) not in self.all_lines:
                yield _finding("operation_has_line", of, at_risk=booked)
            if quantity and not booked:
                at_risk = None if standard is None else quantity * standard
                yield _finding("deduction_has_cost", of, at_risk=at_risk)
            if after < -limits.quantity:
                yield _compared("stock_is_not_negative", of, Fraction(0), after, at_risk=after * cost)
            if standard is not None and abs(cost - standard) > STEADY * abs(standard):
                yield _compared("cost_is_steady", of, standard, cost, at_risk=(cost - standard) * quantity)

    def _lines(self) -> Iterator[Row]:
        for line in self.lines:
            net_sales, cogs = Fraction(line["net_sales"]), Fraction(line["cogs"])
            names = ("venue_id", "receipt_id", "receipt_product_id", "product_id")
            of = {name: line[name] for name in names}
            is_bare = line["deductions"] == 0 and line["units_sold"] != 0
            if is_bare and (line["venue_id"], line["product_id"]) in self.deducting:
                yield _compared("line_has_deduction", of, Fraction(1), Fraction(0), at_risk=net_sales)
            is_sale = not line["is_gift"] and not line["is_return"] and net_sales > 0
            if is_sale and cogs - net_sales > self.limits.money:
                yield _compared("sold_above_cost", of, net_sales, cogs)

    def _gaps(self) -> Iterator[Row]:
        on_line = {row["id"]: row["receipt_product_id"] for row in self.operations}
        for row in self.ledger:
            left, found = row["previous_after_quantity"], row["before_quantity"]
            if left is not None and abs(Fraction(found) - Fraction(left)) > self.limits.quantity:
                key = row["stock_operation_id"]
                of = _of_operation({**row, "id": key, "receipt_product_id": on_line[key]})
                finding = _compared("stock_is_continuous", of, Fraction(left), Fraction(found))
                value = row["unexplained_value"]
                yield finding | {"amount_at_risk": None if value is None else abs(value)}

    def _is_off(self, expected: Fraction | None, actual: Fraction | None) -> bool:
        return expected is not None and actual is not None and abs(actual - expected) > self.limits.money


def _standards(window: Iterable[Tables]) -> dict[tuple[int, int], Fraction]:
    """Σ total_cost / Σ quantity per venue and ingredient, where Σ quantity > 0."""
    sums: dict[tuple[int, int], list[Fraction]] = defaultdict(lambda: [Fraction(0), Fraction(0)])
    for tables in window:
        closed = {row["id"] for row in tables["receipts"] if row["status"] == 2 and row["deleted_at"] is None}
        for row in tables["stock_operations"]:
            if row["receipt_id"] in closed:
                entry = sums[row["venue_id"], row["product_id"]]
                entry[0] += Fraction(row["total_cost"])
                entry[1] += Fraction(row["quantity"])
    return {key: total_cost / quantity for key, (total_cost, quantity) in sums.items() if quantity > 0}


def _deducting(lines: Iterable[Row]) -> Iterator[tuple[int, int]]:
    return ((line["venue_id"], line["product_id"]) for line in lines if line["deductions"])


def _sum(row: Row, *names: str) -> Fraction | None:
    """The columns' sum, those with a minus taken off; None where one is unknown."""
    total = Fraction(0)
    for name in names:
        value = row[name.removeprefix("-")]
        if value is None:
            return None
        total += -Fraction(value) if name.startswith("-") else Fraction(value)
    return total


def _of_receipt(receipt: Row) -> Row:
    return {"venue_id": receipt["venue_id"], "receipt_id": receipt["id"]}


def _of_operation(operation: Row) -> Row:
    names = ("venue_id", "receipt_id", "receipt_product_id", "stock_id", "product_id")
    return {name: operation[name] for name in names} | {"stock_operation_id": operation["id"]}


def _compared(
    check: str, of: Row, expected: Fraction | None, actual: Fraction | None, *, at_risk: Fraction | None = None
) -> Row:
    """A finding with figures; what is at risk is the difference unless it is given."""
    bound, is_now = stored(expected), stored(actual)
    assert bound is not None
    assert is_now is not None
    difference = is_now - bound
    row = _finding(check, of, at_risk=Fraction(difference) if at_risk is None else at_risk)
    return row | {"expected": bound, "actual": is_now, "difference": difference}


def _finding(check: str, of: Row, *, at_risk: Fraction | None = None, entity: str | None = None) -> Row:
    kinds = (("stock_operation_id", "operation"), ("receipt_product_id", "line"), ("receipt_id", "receipt"))
    if entity is None:
        entity = next(f"{kind} {of[name]}" for name, kind in kinds if of.get(name) is not None)
    return {
        "finding_id": hashlib.md5(f"{check} of {entity}".encode()).hexdigest(),
        "check_name": check,
        "severity": SEVERITIES[check],
        "venue_id": of["venue_id"],
        **{name: of.get(name) for name in IDS},
        "expected": None,
        "actual": None,
        "difference": None,
        "amount_at_risk": None if at_risk is None else stored(abs(at_risk)),
    }
