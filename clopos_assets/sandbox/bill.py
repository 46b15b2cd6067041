"""The money of a receipt: from planned lines to the fields that the API shows.

With every amount rounded half up to 0.01 the following hold exactly: line total = price x count x
portion_size - total_discount - receipt_discount; the receipt's `subtotal - total_discount` is the sum of its
line totals; `total = subtotal - total_discount + service_charge_value + delivery_fee + e_tax`; payments sum
to `total - remaining`. Where the documents are silent: a `discount_type` of 1 is a percentage and 2 an
amount; a gift is discounted whole.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import cache

from clopos_assets.sandbox.day import LinePlan, ReceiptPlan, Venue
from clopos_assets.sandbox.menu import Product
from clopos_assets.sandbox.world import CLOSED, OPEN, Json, stamp

_CENT = Decimal("0.01")
# id, name, share of receipts in percent, cumulative
_PAYMENTS = (
    (1, "Nağd", 42),
    (2, "Bank kartı", 86),
    (3, "Карта (терминал)", 93),
    (4, "Wolt", 97),
    (5, "Bonus balı", 100),
)


def plain(value: Decimal) -> Decimal | int:
    """The number as the API writes it: whole numbers without a point, fractions without trailing zeros."""
    whole = int(value)
    return whole if whole == value else value.normalize()


def to_cents(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, ROUND_HALF_UP)


@cache
def catalogue_price(product: Product, venue: Venue) -> Decimal:
    """The product's price in a venue, to 0.10."""
    price = product.price * venue.price_percent / 100
    return price.quantize(Decimal("0.1"), ROUND_HALF_UP)


@dataclass(slots=True)
class _Line:
    plan: LinePlan
    price: Decimal
    gross: Decimal
    own_discount: Decimal
    share: Decimal = Decimal(0)

    @property
    def subtotal(self) -> Decimal:
        return self.gross - self.own_discount

    @property
    def total(self) -> Decimal:
        return self.subtotal - self.share


def make_receipt(plan: ReceiptPlan) -> Json:
    """The opened receipt with its lines, nothing paid yet; the plan's ids must have been given."""
    venue = plan.venue
    lines = [_price_line(line, venue) for line in plan.lines]
    base = sum((line.subtotal for line in lines), Decimal(0))
    receipt_discount = _receipt_discount(plan, base)
    _share_out(receipt_discount, lines)
    gross = sum((line.gross for line in lines), Decimal(0))
    net = base - receipt_discount
    dine_in = plan.sale_type_id == 1
    service_percent = venue.service_percent if dine_in and net > 0 else 0
    service = to_cents(net * service_percent / 100)
    exclusive = to_cents((net + service) * venue.exclusive_tax / 100)
    inclusive = to_cents((net + service) * venue.inclusive_tax / (100 + venue.inclusive_tax))
    total = net + service + plan.delivery_fee + exclusive
    kind, value = (1, plan.discount_percent) if plan.discount_percent else (0, 0)
    if plan.discount_amount and receipt_discount:
        kind, value = 2, plan.discount_amount
    created_at = stamp(plan.created_at)
    return {
        "id": plan.receipt_id,
        "venue_id": venue.id,
        "cid": plan.cid,
        "customer_id": plan.customer_id,
        "sale_type_id": plan.sale_type_id,
        "source": plan.source,
        "guests": plan.guests,
        "status": OPEN,
        "order_status": plan.order_status,
        "order_number": plan.order_number,
        "lock": False,
        "total": plain(total),
        "subtotal": plain(gross),
        "discount_type": kind,
        "discount_value": value,
        "discount_rate": plain(to_cents(receipt_discount * 100 / base)) if receipt_discount else 0,
        "total_discount": plain(gross - net),
        "service_charge": service_percent,
        "service_charge_value": plain(service),
        "delivery_fee": plain(plan.delivery_fee),
        "remaining": plain(total),
        "i_tax": plain(inclusive),
        "e_tax": plain(exclusive),
        "total_tax": plain(inclusive + exclusive),
        "payment_methods": [],
        "fiscal_id": None,
        "loyalty_type": None,
        "loyalty_value": None,
        "address": plan.address,
        "description": plan.description,
        "created_at": created_at,
        "updated_at": created_at,
        "closed_at": None,
        "shift_date": plan.shift_date.isoformat(),
        "receipt_products": [
            _show_line(line, line_id, created_at, venue) for line, line_id in zip(lines, plan.line_ids, strict=True)
        ],
    }


def settle(plan: ReceiptPlan, total: Decimal | int) -> Json:
    """The fields that closing sets: who paid what, and what stays owed."""
    due = Decimal(total)
    remaining = to_cents(due * 3 / 10) if plan.debt else Decimal(0)
    paid = due - remaining
    first = next(number for number, (_, _, share) in enumerate(_PAYMENTS) if plan.payment < share)
    parts = [(first, paid)]
    if plan.split and paid > 1:
        half = to_cents(paid * 4 / 10)
        parts = [(first, paid - half), ((first + 1) % len(_PAYMENTS), half)]
    methods = [
        {"id": _PAYMENTS[number][0], "name": _PAYMENTS[number][1], "amount": plain(amount)}
        for number, amount in parts
        if amount
    ]
    return {"status": CLOSED, "payment_methods": methods, "remaining": plain(remaining)}


def _price_line(plan: LinePlan, venue: Venue) -> _Line:
    price = catalogue_price(plan.product, venue) + sum((each.price for each in plan.modifiers), Decimal(0))
    gross = to_cents(price * plan.count * plan.portion)
    discount = gross if plan.gift else to_cents(gross * plan.discount / 100)
    return _Line(plan, price, gross, discount)


def _receipt_discount(plan: ReceiptPlan, base: Decimal) -> Decimal:
    if base <= 0:
        return Decimal(0)
    if plan.discount_percent:
        return to_cents(base * plan.discount_percent / 100)
    # A fixed amount is given only where it stays below a fifth of the bill.
    return Decimal(plan.discount_amount) if plan.discount_amount * 5 < base else Decimal(0)


def _share_out(discount: Decimal, lines: list[_Line]) -> None:
    """Spreads the receipt's discount over its lines by value; the rounding goes to the dearest line."""
    base = sum((line.subtotal for line in lines), Decimal(0))
    if not discount or not base:
        return
    for line in lines:
        line.share = to_cents(discount * line.subtotal / base)
    dearest = max(lines, key=lambda line: line.subtotal)
    dearest.share += discount - sum((line.share for line in lines), Decimal(0))


def _show_line(line: _Line, line_id: int, created_at: str, venue: Venue) -> Json:
    plan = line.plan
    product = plan.product
    return {
        "id": line_id,
        "cid": plan.cid,
        "product_id": product.id,
        "count": plain(plan.count),
        "portion_size": plain(plan.portion),
        "total": plain(line.total),
        "price": plain(line.price),
        "subtotal": plain(line.subtotal),
        "is_gift": plan.gift,
        "discount_type": 1 if plan.discount and not plan.gift else 0,
        "discount_value": 0 if plan.gift else plan.discount,
        "discount_rate": 0 if plan.gift else plan.discount,
        "total_discount": plain(line.own_discount),
        "receipt_discount": plain(line.share),
        "loyalty_type": None,
        "loyalty_value": None,
        "meta": {
            "product": {
                "name": product.name,
                "type": product.type,
                "price": plain(catalogue_price(product, venue)),
                "barcode": product.barcode,
            }
        },
        "modificators": [
            {
                "id": each.id,
                "modificator_group_id": each.group_id,
                "name": each.name,
                "count": 1,
                "price": plain(each.price),
                "modificator_group": {"id": each.group_id, "name": each.group_name},
            }
            for each in plan.modifiers
        ],
        "created_at": created_at,
        "updated_at": created_at,
    }
