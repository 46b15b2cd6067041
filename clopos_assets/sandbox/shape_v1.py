"""A receipt as v1 shows it: the fields of the page "Get receipt by ID" (v1), in its order.

The world knows receipts in v2's words. What v1 says besides is worked out from them: sums from the lines, payments
and operations, staff and tills from the venue.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import NAMESPACE_OID, uuid5
from zoneinfo import ZoneInfo

from clopos_assets.sandbox.bill import plain
from clopos_assets.sandbox.world import CLOSED, Json

_CASH: Final = 1
_SALE_TYPES: Final = {1: "Zalda", 2: "Çatdırılma", 3: "Özün apar"}
_TERMINAL_VERSION: Final = "4.18.2"


def is_of_v1(receipt: Json) -> bool:
    """Whether a receipt was entered in v1's own words, and is sent as it was: v2 knows no `meta` of a receipt."""
    return "meta" in receipt


def shape_receipt(
    receipt: Json, *, terminal_id: int | None, zone: str, operations: Sequence[Json], shows_operations: bool
) -> Json:
    """The receipt as v1 sends it, from one whose lines have their products with stations.

    `operations` are what it took from stock, shown where `shows_operations`.
    """
    held = {"stock_operations": list(operations)} if shows_operations else {}
    venue_id, closed = int(receipt["venue_id"]), receipt.get("status") == CLOSED
    staff = venue_id * 100
    lines: Sequence[Json] = receipt.get("receipt_products") or []
    gifts = [line for line in lines if line.get("is_gift")]
    said = receipt.get
    shaped = {
        "id": receipt["id"],
        "venue_id": receipt["venue_id"],
        "cash_shift_cid": str(uuid5(NAMESPACE_OID, f"{venue_id} {said('shift_date')}")),
        "cid": said("cid"),
        "user_id": staff + 1,
        "open_by_user_id": staff + 1,
        "close_by_user_id": staff + 2 if closed else None,
        "courier_id": staff + 9 if said("address") else None,
        "seller_id": None,
        "terminal_id": terminal_id,
        "source": said("source"),
        "closed_terminal_id": terminal_id if closed else None,
        "service_notification_id": None,
        "table_id": int(receipt["id"]) % 20 + 1,
        "hall_id": venue_id,
        "customer_id": said("customer_id"),
        "sale_type_id": said("sale_type_id"),
        "is_returns": any(_number(line.get("count")) < 0 for line in lines),
        "guests": said("guests"),
        "status": said("status"),
        "lock": said("lock"),
        "inventory_status": int(bool(operations)),
        "report_status": 3 if closed else 0,
        "meta": _make_meta(receipt, zone, closed=closed),
        "suspicion": 0,
        "printed": closed,
        "total": said("total"),
        "subtotal": said("subtotal"),
        "original_subtotal": said("subtotal"),
        "gift_total": _sum(_number(line.get("price")) * _number(line.get("count")) for line in gifts),
        "totalCost": _sum(_number(each.get("total_cost")) for each in operations),
        "payment_methods": said("payment_methods"),
        "fiscal_id": said("fiscal_id"),
        "by_cash": _paid(receipt, in_cash=True),
        "by_card": _paid(receipt, in_cash=False),
        "remaining": said("remaining"),
        "discount_type": said("discount_type"),
        "discount_value": said("discount_value"),
        "discount_rate": said("discount_rate"),
        "rps_discount": _sum(_number(line.get("total_discount")) for line in lines),
        "service_charge": said("service_charge"),
        "service_charge_value": said("service_charge_value"),
        "i_tax": said("i_tax"),
        "delivery_fee": said("delivery_fee"),
        "e_tax": said("e_tax"),
        "total_tax": said("total_tax"),
        "description": said("description"),
        "address": said("address"),
        "terminal_version": _TERMINAL_VERSION,
        "loyalty_type": said("loyalty_type"),
        "loyalty_value": said("loyalty_value"),
        "order_status": said("order_status"),
        "order_number": said("order_number"),
        "created_at": said("created_at"),
        "updated_at": said("updated_at"),
        "terminal_updated_at": said("updated_at"),
        "closed_at": said("closed_at"),
        "shift_date": said("shift_date"),
        "deleted_at": said("deleted_at"),
        "gift_count": len(gifts),
        "total_discount": said("total_discount"),
        "properties": {"daily_id": int(receipt["id"]) % 1000, "monthly_id": receipt["id"]},
        "receipt_products": [_shape_line(line, receipt, operations) for line in lines],
        **held,
        "customer": {"id": said("customer_id")} if said("customer_id") else None,
    }
    return shaped | {name: value for name, value in receipt.items() if name not in shaped}


def _shape_line(line: Json, receipt: Json, operations: Sequence[Json]) -> Json:
    said = line.get
    closed = receipt.get("status") == CLOSED
    taken = (each for each in operations if each.get("receipt_product_id") == line["id"])
    shaped = {
        "id": line["id"],
        "cid": said("cid"),
        "product_id": said("product_id"),
        "receipt_id": receipt["id"],
        "product_hash": uuid5(NAMESPACE_OID, f"{said('product_id')} {said('modificators')}").hex,
        "meta": _make_line_meta(line),
        "count": said("count"),
        "portion_size": said("portion_size"),
        "total": said("total"),
        "price": said("price"),
        "cost": _sum(_number(each.get("total_cost")) for each in taken),
        "is_gift": said("is_gift"),
        "preprint_count": 0,
        "station_printed_count": int(closed),
        "station_aborted_count": 0,
        "seller_id": None,
        "loyalty_type": said("loyalty_type"),
        "loyalty_value": said("loyalty_value"),
        "discount_rate": said("discount_rate"),
        "discount_value": said("discount_value"),
        "discount_type": said("discount_type"),
        "total_discount": said("total_discount"),
        "subtotal": said("subtotal"),
        "receipt_discount": said("receipt_discount"),
        "created_at": said("created_at"),
        "updated_at": said("updated_at"),
        "terminal_updated_at": said("updated_at"),
        "deleted_at": said("deleted_at"),
        "receipt_product_modificators": said("modificators"),
        "taxes": [],
    }
    return shaped | {name: value for name, value in line.items() if name not in {*shaped, "modificators", "product"}}


def _make_meta(receipt: Json, zone: str, *, closed: bool) -> Json:
    updated = datetime.fromisoformat(str(receipt["updated_at"])).replace(tzinfo=ZoneInfo(zone))
    return {
        "preprint_count": int(closed),
        "sale_type": {"name": _SALE_TYPES.get(receipt.get("sale_type_id") or 0)},
        "user": {"name": f"Kassir {receipt['venue_id']}"},
        "terminal_updated_at": int(updated.timestamp() * 1000),
        "availiableDeposit": receipt.get("total"),
        "check_close_event": {"checked": closed, "operated_at": receipt.get("closed_at"), "fails": []},
    }


def _make_line_meta(line: Json) -> Json:
    meta: Json = line.get("meta") or {}
    product = meta.get("product")
    if not isinstance(product, Mapping):
        return meta
    added: Json = {
        "giftable": False,
        "modifier_name": "not found",
        "discountable": True,
        "sold_by_weight": _number(line.get("count")) % 1 != 0,
        "priceWithoutTaxes": product.get("price"),
        "taxes": [],
        "station": (line.get("product") or {}).get("station"),
    }
    return {**meta, "product": {**added, **product}}


def _paid(receipt: Json, *, in_cash: bool) -> Decimal | int:
    payments = receipt.get("payment_methods") or []
    return _sum(_number(each.get("amount")) for each in payments if (each.get("id") == _CASH) is in_cash)


def _sum(numbers: Iterable[Decimal]) -> Decimal | int:
    return plain(sum(numbers, Decimal(0)))


def _number(value: object) -> Decimal:
    return Decimal(0) if value is None else Decimal(str(value))
