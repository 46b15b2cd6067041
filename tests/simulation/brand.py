"""The brand of a history: what it sells, what that takes from stock, and what it changes afterwards.

Receipts add up, with a few exceptions that give findings. Stocks are shared by all receipts of a venue, so that one
receipt changes what the ledger says of others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from clopos_assets.sandbox import World
from clopos_assets.sandbox.world import CLOSED, OPEN, stamp

Json = dict[str, Any]

FIRST_DAY = date(2026, 3, 2)
SHIFT_END = time(6)
_RECIPES: dict[int, tuple[tuple[int, str], ...]] = {
    7: ((501, "0.2"), (502, "0.05")),
    8: ((503, "0.004"),),
    9: (),  # sold as it is bought, and nobody keeps stock of it
}
_NAMES = {7: "Plov", 8: "Çay", 9: "Paxlava", 501: "Düyü", 502: "Yağ", 503: "Çay yarpağı"}
_PRICES = {7: Decimal("12.50"), 8: Decimal(3), 9: Decimal("4.20")}
_COSTS = {501: Decimal("3.2"), 502: Decimal("14.5"), 503: Decimal("21.75")}


def shift_date_of(offset: int) -> str:
    """The shift date so many days after the first."""
    return (FIRST_DAY + timedelta(days=offset)).isoformat()


@dataclass
class _Stock:
    quantity: Decimal
    cost: Decimal


class Brand:
    """A world and its stocks. Every change is stamped with the world's clock, unless it says otherwise."""

    def __init__(self, venues: int) -> None:
        listed = [{"id": i, "name": f"Filial {i}", "is_main": int(i == 1), "media": []} for i in range(1, venues + 1)]
        self.world = World(listed, now=datetime.combine(FIRST_DAY, time(10)))
        self.deleted: set[int] = set()
        self._stocks = {
            (venue, ingredient): _Stock(Decimal(40), cost)
            for venue in range(1, venues + 1)
            for ingredient, cost in _COSTS.items()
        }
        self._next_operation = 1

    @property
    def today(self) -> int:
        """The shift that is on, as days after the first."""
        return ((self.world.now - timedelta(hours=SHIFT_END.hour)).date() - FIRST_DAY).days

    def receipts(self) -> list[Json]:
        """All receipts that the API knows."""
        return [self.world.receipt(receipt_id) for receipt_id in self.world.receipt_ids()]

    def operations(self) -> dict[int, list[Json]]:
        """The stock operations of all receipts."""
        return {receipt_id: self.world.operations(receipt_id) for receipt_id in self.world.receipt_ids()}

    def is_there(self, receipt_id: int) -> bool:
        return receipt_id in self.world.receipt_ids()

    def is_open(self, receipt_id: int) -> bool:
        return self.is_there(receipt_id) and self.world.receipt(receipt_id)["status"] == OPEN

    def is_closed(self, receipt_id: int) -> bool:
        return self.is_there(receipt_id) and self.world.receipt(receipt_id)["status"] == CLOSED

    def sell(self, receipt_id: int, venue: int, offset: int, products: Sequence[int], *, created: int) -> None:
        """Open a receipt of a shift date, created `created` days after its shift date's day, at this time of day."""
        day = FIRST_DAY + timedelta(days=offset + created)
        created_at = min(datetime.combine(day, self.world.now.time()), self.world.now)
        lines = [
            self._line(receipt_id * 10 + number, product, 1 + number % 2) for number, product in enumerate(products)
        ]
        self.world.put_receipt(
            {
                "id": receipt_id,
                "venue_id": venue,
                "cid": f"receipt-{receipt_id}",
                "status": OPEN,
                "order_status": "NEW",
                "payment_methods": [],
                "created_at": stamp(created_at),
                "updated_at": stamp(self.world.now),
                "closed_at": None,
                "shift_date": shift_date_of(offset),
                "receipt_products": lines,
                **_totals(lines),
            }
        )

    def close(self, receipt_id: int) -> None:
        """Close an open receipt: it is paid, and its products are taken from stock."""
        operations = self._deduct(receipt_id, self.world.now)
        self.world.close_receipt(receipt_id, operations=operations)

    def edit_header(self, receipt_id: int, number: int) -> None:
        """Fields that integrations write after closing; now and then one that stops adding up."""
        fields: Json = {"order_status": f"READY {number}"}
        if number % 5 == 0:
            fields["payment_methods"] = [{"id": 1, "name": "Nağd", "amount": Decimal(number)}]
        self.world.update_receipt(receipt_id, **fields)

    def edit_lines(self, receipt_id: int, number: int) -> None:
        """Change how much was sold; what a closed receipt took from stock is booked anew, now or when it closed."""
        receipt = self.world.receipt(receipt_id)
        lines = receipt["receipt_products"]
        if number % 3 == 0 or not lines:
            lines = [*lines, self._line(receipt_id * 10 + len(lines), 7 + number % 3, 1)][:9]
        elif number % 3 == 1 and len(lines) > 1:
            lines = lines[:-1]
        lines = [
            self._line(line["id"], line["product_id"], line["count"] + (number if n == 0 else 0))
            for n, line in enumerate(lines)
        ]
        self.world.update_receipt(receipt_id, receipt_products=lines, **_totals(lines))
        if receipt["status"] == CLOSED:
            self._restore(receipt_id)
            at = datetime.fromisoformat(receipt["closed_at"]) if number % 2 else self.world.now
            self.world.put_operations(receipt_id, self._deduct(receipt_id, at))

    def rebook(self, receipt_id: int, number: int) -> None:
        """Book a closed receipt's deductions anew, some hours or days before; stock and costs differ from then."""
        self._restore(receipt_id)
        at = self.world.now - timedelta(hours=7 * number)
        operations = self._deduct(receipt_id, at)
        if number % 4 == 0 and operations:
            operations[0] |= {"total_cost": Decimal(0)}
        self.world.put_operations(receipt_id, operations)
        self.world.update_receipt(receipt_id, order_number=f"{number}")

    def move(self, receipt_id: int, offset: int) -> None:
        self.world.move_receipt(receipt_id, date.fromisoformat(shift_date_of(offset)))

    def reopen(self, receipt_id: int) -> None:
        self._restore(receipt_id)
        self.world.reopen_receipt(receipt_id)

    def delete(self, receipt_id: int) -> None:
        self._restore(receipt_id)
        self.world.delete_receipt(receipt_id)
        self.deleted.add(receipt_id)

    def last_stamp(self) -> datetime | None:
        """When a receipt was changed last, by what receipts say; what they say of the future does not count."""
        stamps = (datetime.fromisoformat(receipt["updated_at"]) for receipt in self.receipts())
        return max((moment for moment in stamps if moment <= self.world.now), default=None)

    def stamp_as(self, receipt_id: int, moment: datetime) -> None:
        """Let the receipt say that it was changed at another time, as by a till whose clock is wrong."""
        self.world.update_receipt(receipt_id, updated_at=stamp(moment))

    def receive(self, number: int) -> None:
        """A delivery that the API does not show: every stock grows and changes its cost."""
        for stock in self._stocks.values():
            stock.quantity += number
            stock.cost += Decimal(number % 7) / 4

    def is_far(self, receipt: Json, before: int, after: int) -> bool:
        """Whether the receipt was created on a day that a listing for its shift date does not show."""
        days = (date.fromisoformat(receipt["created_at"][:10]) - date.fromisoformat(receipt["shift_date"])).days
        return not -before <= days <= after

    def _line(self, line_id: int, product: int, count: int | Decimal) -> Json:
        total = _PRICES[product] * count
        return {
            "id": line_id,
            "cid": f"line-{line_id}",
            "product_id": product,
            "count": count,
            "portion_size": 1,
            "price": _PRICES[product],
            "subtotal": total,
            "total": total,
            "is_gift": False,
            "modificators": [],
            "meta": {"product": {"name": _NAMES[product], "type": "DISH"}},
        }

    def _deduct(self, receipt_id: int, at: datetime) -> list[Json]:
        receipt = self.world.receipt(receipt_id)
        venue = receipt["venue_id"]
        operations = []
        for line in receipt["receipt_products"]:
            for ingredient, per_unit in _RECIPES[line["product_id"]]:
                stock = self._stocks[venue, ingredient]
                quantity = Decimal(per_unit) * line["count"]
                before, stock.quantity = stock.quantity, stock.quantity - quantity
                operations.append(
                    {
                        "id": self._next_operation,
                        "receipt_id": receipt_id,
                        "receipt_product_id": line["id"],
                        "product_id": ingredient,
                        "stock_id": 10 * ingredient + venue,
                        "storage_id": venue,
                        "quantity": quantity,
                        "before_quantity": before,
                        "after_quantity": stock.quantity,
                        "cost": stock.cost,
                        "before_cost": stock.cost,
                        "total_cost": quantity * stock.cost,
                        "operated_at": stamp(at),
                        "product": {"id": ingredient, "name": _NAMES[ingredient]},
                        "stock": {"id": 10 * ingredient + venue, "storage": {"id": venue, "name": f"Anbar {venue}"}},
                    }
                )
                self._next_operation += 1
        return operations

    def _restore(self, receipt_id: int) -> None:
        venue = self.world.receipt(receipt_id)["venue_id"]
        for operation in self.world.operations(receipt_id):
            self._stocks[venue, operation["product_id"]].quantity += operation["quantity"]


def _totals(lines: Sequence[Json]) -> Json:
    total = sum((line["total"] for line in lines), Decimal(0))
    amounts = dict.fromkeys(("total_discount", "service_charge_value", "delivery_fee", "i_tax", "e_tax"), 0)
    return {"total": total, "subtotal": total, "remaining": total, **amounts}
