"""Faults to plant in a clean history, one per check: what a till or a bookkeeper might have got wrong.

Each fault changes one receipt, line or operation of its own in the answers of the API, and is chosen so that
all else still adds up: a wrong figure in the middle of a stock's chain would open a gap at the next operation,
so such faults are planted where the chain ends or has a gap already.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

from tests.oracle import Row, exact

Json = dict[str, Any]


class Garden:
    """The answers of a clean history, to be changed; what was taken for one fault is not taken again.

    Faults are planted on shift dates `since` one, inclusive.
    """

    def __init__(self, receipts: list[Json], operations: dict[int, list[Json]], since: str) -> None:
        self.receipts = receipts
        self.operations = operations
        self._since = since
        self._taken: set[int] = set()
        chains: dict[int, list[Json]] = {}
        listed = (item for answer in operations.values() for item in answer)
        for item in sorted(listed, key=lambda item: (item["operated_at"], item["id"])):
            chains.setdefault(item["stock_id"], []).append(item)
        self._next = {
            item["id"]: after
            for chain in chains.values()
            for item, after in zip(chain, [*chain[1:], None], strict=True)
        }
        self._previous = {after["id"]: item for chain in chains.values() for item, after in pairwise(chain)}

    def plant(self, check: str) -> tuple[str, int]:
        """Plant the fault of a check; the kind and the id of what it is about."""
        return FAULTS[check](self)

    def receipt(self, fits: Callable[[Json], bool] = lambda receipt: True) -> Json:
        """A receipt of the place, with lines, that nothing was planted on."""
        for receipt in self._here():
            if receipt["receipt_products"] and fits(receipt):
                self._taken.add(receipt["id"])
                return receipt
        raise LookupError("the history has no receipt that fits")

    def line(self, fits: Callable[[Json, list[Json]], bool]) -> tuple[Json, list[Json]]:
        """A line and its operations."""
        for receipt in self._here():
            for line in receipt["receipt_products"]:
                own = [item for item in self.operations[receipt["id"]] if item["receipt_product_id"] == line["id"]]
                if fits(line, own):
                    self._taken.add(receipt["id"])
                    return line, own
        raise LookupError("the history has no line that fits")

    def operation(self, fits: Callable[[Json], bool], *, margin: Decimal = Decimal(0)) -> Json:
        """An operation of a line that was sold, and stays so, for at least so much more than it cost."""

        def has_margin(line: Json, own: list[Json]) -> bool:
            cost = sum((exact(item["total_cost"]) for item in own), Decimal(0))
            return exact(line["total"]) - cost > margin and any(map(fits, own))

        _, own = self.line(has_margin)
        return next(item for item in own if fits(item))

    def may_change(self, item: Json) -> bool:
        """Whether the stock after an operation may change without a word of the next one's."""
        after = self._next[item["id"]]
        return after is None or self.has_gap(after)

    def has_gap(self, item: Json) -> bool:
        """Whether the operation finds another stock than the one before it left."""
        previous = self._previous.get(item["id"])
        return previous is not None and previous["after_quantity"] != item["before_quantity"]

    def is_first(self, item: Json) -> bool:
        return item["id"] not in self._previous

    def _here(self) -> Iterator[Json]:
        for receipt in self.receipts:
            if receipt["shift_date"] >= self._since and receipt["id"] not in self._taken:
                yield receipt


def _add(item: Row, name: str, amount: object) -> None:
    item[name] = exact(item[name]) + exact(str(amount))


def _pay_less(garden: Garden) -> tuple[str, int]:
    receipt = garden.receipt(lambda receipt: bool(receipt["payment_methods"]))
    _add(receipt["payment_methods"][0], "amount", "-0.02")
    return "receipt", receipt["id"]


def _charge_without_collecting(garden: Garden) -> tuple[str, int]:
    receipt = garden.receipt()
    _add(receipt, "delivery_fee", 3)
    return "receipt", receipt["id"]


def _add_to_a_line(garden: Garden) -> tuple[str, int]:
    receipt = garden.receipt()
    _add(receipt["receipt_products"][0], "total", 1)
    return "receipt", receipt["id"]


def _lose_stock_in_a_sale(garden: Garden) -> tuple[str, int]:
    item = garden.operation(lambda item: garden.may_change(item) and item["after_quantity"] > 1)
    _add(item, "after_quantity", "-0.5")
    return "operation", item["id"]


def _book_too_much(garden: Garden) -> tuple[str, int]:
    item = garden.operation(lambda item: abs(item["quantity"]) < 2, margin=Decimal("0.5"))
    _add(item, "total_cost", "0.011")
    return "operation", item["id"]


def _lose_the_line(garden: Garden) -> tuple[str, int]:
    _, own = garden.line(lambda line, own: len(own) > 1)
    own[0]["receipt_product_id"] = 999_999_999
    return "operation", own[0]["id"]


def _forget_the_deduction(garden: Garden) -> tuple[str, int]:
    line, _ = garden.line(lambda line, own: len(own) >= 1 and all(map(garden.may_change, own)))
    for answer in garden.operations.values():
        answer[:] = [item for item in answer if item["receipt_product_id"] != line["id"]]
    return "line", line["id"]


def _deduct_for_nothing(garden: Garden) -> tuple[str, int]:
    # So little that its cost and none are within the tolerance of each other.
    item = garden.operation(lambda item: 0 < exact(item["total_cost"]) <= Decimal("0.01"))
    item["total_cost"] = 0
    return "operation", item["id"]


def _sell_what_is_not_there(garden: Garden) -> tuple[str, int]:
    item = garden.operation(lambda item: garden.has_gap(item) and garden.may_change(item))
    item["before_quantity"] = exact(item["quantity"]) - 2
    item["after_quantity"] = -2
    return "operation", item["id"]


def _deliver_unseen(garden: Garden) -> tuple[str, int]:
    item = garden.operation(
        lambda item: not garden.is_first(item) and not garden.has_gap(item) and garden.may_change(item)
    )
    _add(item, "before_quantity", 7)
    _add(item, "after_quantity", 7)
    return "operation", item["id"]


def _pay_too_dear(garden: Garden) -> tuple[str, int]:
    item = garden.operation(lambda item: exact(item["cost"]) > 1, margin=Decimal(3))
    item["cost"] = exact(item["cost"]) * Decimal("1.6")
    item["total_cost"] = exact(item["cost"] * exact(item["quantity"]))
    return "operation", item["id"]


def _sell_too_cheap(garden: Garden) -> tuple[str, int]:
    line, own = garden.line(lambda line, own: exact(line["total"]) > 2 and bool(own) and not line["is_gift"])
    receipt = next(each for each in garden.receipts if line in each["receipt_products"])
    cost = sum((exact(item["total_cost"]) for item in own), Decimal(0))
    given = exact(line["total"]) - cost / 2
    for item, name, sign in (
        (line, "total", -1),
        (receipt, "total", -1),
        (receipt, "total_discount", 1),
        (receipt["payment_methods"][0], "amount", -1),
    ):
        _add(item, name, sign * given)
    return "line", line["id"]


def _close_late(garden: Garden) -> tuple[str, int]:
    receipt = garden.receipt()
    receipt["closed_at"] = "2030-01-01 00:00:00"
    return "receipt", receipt["id"]


def _never_close(garden: Garden) -> tuple[str, int]:
    receipt = garden.receipt()
    opened = {**receipt, "id": 999_999_999, "status": 1, "closed_at": None, "payment_methods": []}
    garden.receipts.append({**opened, "remaining": receipt["total"], "receipt_products": []})
    return "receipt", 999_999_999


def _report_another_cost(garden: Garden) -> tuple[str, int]:
    receipt = garden.receipt()
    costs = [exact(item["total_cost"]) for item in garden.operations[receipt["id"]]]
    receipt["totalCost"] = sum(costs, Decimal("0.02"))
    return "receipt", receipt["id"]


# The narrower the choice, the earlier: so that all find their place together.
FAULTS: dict[str, Callable[[Garden], tuple[str, int]]] = {
    "line_has_deduction": _forget_the_deduction,
    "stock_is_not_negative": _sell_what_is_not_there,
    "stock_is_continuous": _deliver_unseen,
    "quantity_adds_up": _lose_stock_in_a_sale,
    "deduction_has_cost": _deduct_for_nothing,
    "cost_is_steady": _pay_too_dear,
    "cost_adds_up": _book_too_much,
    "operation_has_line": _lose_the_line,
    "sold_above_cost": _sell_too_cheap,
    "payments_match_total": _pay_less,
    "receipt_adds_up": _charge_without_collecting,
    "lines_add_up": _add_to_a_line,
    "closed_within_shift": _close_late,
    "receipt_is_closed": _never_close,
    "reported_cost_matches": _report_another_cost,
}
