"""The cost tables of one shift date in plain Python, told apart from the product on purpose.

Written from the data contract with the standard library alone: it imports nothing of `clopos_assets`, so that
an error in one cannot hide in the other. It is slow, and it trusts its input: answers that the product must
refuse are not its business.

API objects are what `json.loads(text, parse_float=Decimal)` gives. A row is a dict of column name → value, in
the contract's order, `shift_date` left out because it lives in the path.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

Json = Mapping[str, Any]
Row = dict[str, Any]
Tables = dict[str, list[Row]]

STEP = Decimal("0.000001")
EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)
RATIO_TOLERANCE = 1e-12
NOT_COMPARED = frozenset({"extra", "fetched_at", "shift_date"})
JSON_TEXT = frozenset({"meta", "properties", "customer", "modificators", "taxes", "product"})

KEYS = {
    "receipts": ("id",),
    "receipt_products": ("id",),
    "stock_operations": ("id",),
    "line_cogs": ("receipt_product_id",),
    "product_cogs": ("venue_id", "product_id"),
    "daily_cogs": ("venue_id",),
    "ingredient_usage": ("venue_id", "storage_id", "product_id"),
}


def exact(value: object) -> Decimal:
    """A JSON number or numeric string, rounded half-even to six decimals."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise TypeError(f"not a number: {value!r}")
    return Decimal(value).quantize(STEP, context=EXACT) + 0


def whole(value: object) -> int:
    """A JSON number or numeric string without decimals."""
    assert not isinstance(value, bool)
    assert isinstance(value, int | str | Decimal)
    return int(Decimal(value))


def flag(value: object) -> bool:
    """True or false, which 1 and 0 are too."""
    return value in (True, 1, "1")


def text(value: object) -> str:
    """Text as it is; all else in words of JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def moment(value: object) -> datetime:
    """A time without zone, as the API reports it."""
    return datetime.fromisoformat(str(value))


def whatever(value: object) -> object:
    """A structure that is kept as JSON text: compared by what it says, not by how it is spelt."""
    return value


def payments(value: object) -> object:
    """The payments, each with its three documented fields."""
    assert isinstance(value, list)
    return [
        {"id": _read(p, "id", whole), "name": _read(p, "name", text), "amount": _read(p, "amount", exact)}
        for p in value
    ]


Reader = Callable[[object], object]


def _read(item: Json, path: str, reader: Reader) -> object:
    value: object = item
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return None if value is None else reader(value)


def _fields(reader: Reader, names: str) -> list[tuple[str, str, Reader]]:
    """Columns of one kind; `column=path` where the API calls it otherwise."""
    pairs = [name.partition("=") for name in names.split()]
    return [(column, path or column, reader) for column, _, path in pairs]


_RECEIPT = [
    *_fields(whole, "id venue_id"),
    *_fields(text, "cid cash_shift_cid"),
    *_fields(whole, "customer_id user_id open_by_user_id close_by_user_id courier_id seller_id terminal_id"),
    *_fields(whole, "closed_terminal_id service_notification_id table_id hall_id sale_type_id"),
    *_fields(text, "source order_status order_number fiscal_id loyalty_type address description terminal_version"),
    *_fields(whole, "status guests discount_type inventory_status report_status suspicion gift_count"),
    *_fields(flag, "lock printed is_returns"),
    *_fields(exact, "total subtotal original_subtotal gift_total total_cost=totalCost total_discount discount_value"),
    *_fields(exact, "discount_rate rps_discount service_charge service_charge_value delivery_fee remaining i_tax"),
    *_fields(exact, "e_tax total_tax by_cash by_card loyalty_value"),
    *_fields(payments, "payment_methods"),
    *_fields(whatever, "meta properties customer"),
    *_fields(moment, "created_at updated_at terminal_updated_at closed_at deleted_at"),
]
_LINE = [
    *_fields(whole, "id receipt_id venue_id product_id seller_id"),
    *_fields(text, "cid product_hash product_name=meta.product.name product_type=meta.product.type"),
    *_fields(text, "product_barcode=meta.product.barcode"),
    *_fields(flag, "is_gift"),
    *_fields(whole, "discount_type preprint_count station_printed_count station_aborted_count"),
    *_fields(text, "loyalty_type"),
    *_fields(exact, "count portion_size price product_price=meta.product.price cost subtotal total discount_value"),
    *_fields(exact, "discount_rate total_discount receipt_discount loyalty_value"),
    *_fields(whatever, "modificators taxes product meta"),
    *_fields(moment, "created_at updated_at terminal_updated_at deleted_at"),
]
_OPERATION = [
    *_fields(whole, "id receipt_id receipt_product_id venue_id product_id stock_id storage_id operation_id"),
    *_fields(text, "product_name=product.name storage_name=stock.storage.name"),
    *_fields(exact, "quantity before_quantity after_quantity cost before_cost total_cost"),
    *_fields(moment, "operated_at"),
]


def _row(item: Json, fields: Iterable[tuple[str, str, Reader]]) -> Row:
    return {column: _read(item, path, reader) for column, path, reader in fields}


def shift_dates(receipts: Iterable[Json]) -> dict[str, list[Json]]:
    """Receipts by the shift date they carry, ascending."""
    days: dict[str, list[Json]] = defaultdict(list)
    for receipt in receipts:
        days[receipt["shift_date"]].append(receipt)
    return dict(sorted(days.items()))


def is_closed(receipt: Json) -> bool:
    """Closed means status 2 and not deleted."""
    return whole(receipt["status"]) == 2 and receipt.get("deleted_at") is None


def raw_tables(receipts: Sequence[Json], operations: Mapping[int, Sequence[Json]]) -> Tables:
    """The raw tables of one shift date, without `extra` and `fetched_at`.

    `operations` are the answers by receipt id; those of receipts that are not closed are left out.
    """
    lines = []
    deductions = []
    for receipt in receipts:
        place = {"receipt_id": receipt["id"], "venue_id": receipt["venue_id"]}
        for line in receipt.get("receipt_products") or []:
            chosen = line.get("modificators")
            if chosen is None:
                chosen = line.get("receipt_product_modificators")
            lines.append(_row({**line, **place, "modificators": chosen}, _LINE))
        if is_closed(receipt):
            answer = operations.get(receipt["id"], ())
            deductions += [_row({**item, "venue_id": receipt["venue_id"]}, _OPERATION) for item in answer]
    tables = {
        "receipts": [_row(receipt, _RECEIPT) for receipt in receipts],
        "receipt_products": lines,
        "stock_operations": deductions,
    }
    return {name: _in_order(name, rows) for name, rows in tables.items()}


def lake_tables(receipts: Iterable[Json], operations: Mapping[int, Sequence[Json]]) -> dict[str, Tables]:
    """All raw and cost tables of a whole history: shift date → table → rows."""
    return {
        day: {**raw_tables(rows, operations), **cost_tables(rows, operations)}
        for day, rows in shift_dates(receipts).items()
    }


def cost_tables(receipts: Sequence[Json], operations: Mapping[int, Sequence[Json]]) -> Tables:
    """The four cost tables of one shift date, from its receipts and their operations by receipt id."""
    closed = [receipt for receipt in receipts if is_closed(receipt)]
    deducted = [(receipt, item) for receipt in closed for item in operations.get(receipt["id"], ())]
    lines = [
        _line_cogs(receipt, line, operations.get(receipt["id"], ())) for receipt in closed for line in _lines(receipt)
    ]
    tables = {
        "line_cogs": lines,
        "product_cogs": _product_cogs(lines),
        "daily_cogs": [
            _daily_cogs(venue, [receipt for receipt in closed if receipt["venue_id"] == venue], lines, operations)
            for venue in {receipt["venue_id"] for receipt in closed}
        ],
        "ingredient_usage": _ingredient_usage(deducted),
    }
    return {name: _in_order(name, rows) for name, rows in tables.items()}


def _lines(receipt: Json) -> list[Json]:
    lines: list[Json] = receipt.get("receipt_products") or []
    return [line for line in lines if line.get("deleted_at") is None]


def _total(values: Iterable[Decimal]) -> Decimal:
    result = STEP - STEP
    for value in values:
        result = EXACT.add(result, value)
    return result


def _ratio(dividend: Decimal, divisor: Decimal) -> float | None:
    return float(EXACT.divide(dividend, divisor)) if divisor else None


def _percentage(part: Decimal, of: Decimal) -> float | None:
    return _ratio(EXACT.multiply(Decimal(100), part), of)


def _line_cogs(receipt: Json, line: Json, answer: Sequence[Json]) -> Row:
    own = [item for item in answer if item.get("receipt_product_id") == line["id"]]
    portion = exact(line["portion_size"]) if line.get("portion_size") is not None else Decimal(0)
    units = EXACT.multiply(exact(line["count"]), portion or Decimal(1)).quantize(STEP, context=EXACT)
    net_sales = exact(line["total"])
    cogs = _total(exact(item["total_cost"]) for item in own)
    return {
        "receipt_product_id": line["id"],
        "receipt_id": receipt["id"],
        "venue_id": receipt["venue_id"],
        "sale_type_id": _read(receipt, "sale_type_id", whole),
        "product_id": line["product_id"],
        "product_name": _read(line, "meta.product.name", text),
        "product_type": _read(line, "meta.product.type", text),
        "is_gift": flag(line.get("is_gift")),
        "is_return": flag(receipt.get("is_returns")) or units < 0,
        "deductions": len(own),
        "units_sold": units,
        "net_sales": net_sales,
        "cogs": cogs,
        "gross_profit": EXACT.subtract(net_sales, cogs),
    }


def _product_cogs(lines: Iterable[Row]) -> list[Row]:
    groups: dict[tuple[int, int], list[Row]] = defaultdict(list)
    for line in lines:
        groups[line["venue_id"], line["product_id"]].append(line)
    rows = []
    for (venue, product), group in groups.items():
        latest = max(group, key=lambda line: line["receipt_product_id"])
        units = _total(line["units_sold"] for line in group)
        net_sales = _total(line["net_sales"] for line in group)
        cogs = _total(line["cogs"] for line in group)
        rows.append(
            {
                "venue_id": venue,
                "product_id": product,
                "product_name": latest["product_name"],
                "product_type": latest["product_type"],
                "lines": len(group),
                "units_sold": units,
                "net_sales": net_sales,
                "cogs": cogs,
                "gross_profit": EXACT.subtract(net_sales, cogs),
                "food_cost_pct": _percentage(cogs, net_sales),
                "unit_cost": _ratio(cogs, units),
            }
        )
    return rows


def _daily_cogs(
    venue: int, closed: Sequence[Json], lines: Iterable[Row], operations: Mapping[int, Sequence[Json]]
) -> Row:
    sold = [line for line in lines if line["venue_id"] == venue]
    bare = [line for line in sold if line["units_sold"] != 0 and line["deductions"] == 0]
    answers = [(receipt, item) for receipt in closed for item in operations.get(receipt["id"], ())]
    unassigned = _total(
        exact(item["total_cost"])
        for receipt, item in answers
        if item.get("receipt_product_id") not in {line["id"] for line in _lines(receipt)}
    )
    net_sales = _total(line["net_sales"] for line in sold)
    cogs = EXACT.add(_total(line["cogs"] for line in sold), unassigned)
    tax = _total(exact(receipt.get("i_tax") or 0) for receipt in closed)
    return {
        "venue_id": venue,
        "receipts": len(closed),
        "lines": len(sold),
        "net_sales": net_sales,
        "cogs": cogs,
        "gross_profit": EXACT.subtract(net_sales, cogs),
        "food_cost_pct": _percentage(cogs, net_sales),
        "gift_cogs": _total(line["cogs"] for line in sold if line["is_gift"]),
        "undeducted_lines": len(bare),
        "undeducted_sales": _total(line["net_sales"] for line in bare),
        "unassigned_cogs": unassigned,
        "estimated_cogs": _total(
            exact(item["total_cost"]) for _, item in answers if exact(item["before_quantity"]) <= 0
        ),
        "receipts_total": _total(exact(receipt["total"]) for receipt in closed),
        "inclusive_tax": tax,
        "food_cost_pct_excl_tax": _percentage(cogs, EXACT.subtract(net_sales, tax)),
    }


def _ingredient_usage(deducted: Iterable[tuple[Json, Json]]) -> list[Row]:
    groups: dict[tuple[int, int, int], list[tuple[Json, Json]]] = defaultdict(list)
    for receipt, item in deducted:
        groups[receipt["venue_id"], item["storage_id"], item["product_id"]].append((receipt, item))
    rows = []
    for (venue, storage, product), group in groups.items():
        _, latest = max(group, key=lambda pair: pair[1]["id"])
        quantity = _total(exact(item["quantity"]) for _, item in group)
        total_cost = _total(exact(item["total_cost"]) for _, item in group)
        rows.append(
            {
                "venue_id": venue,
                "storage_id": storage,
                "product_id": product,
                "product_name": _read(latest, "product.name", text),
                "storage_name": _read(latest, "stock.storage.name", text),
                "operations": len(group),
                "receipts": len({receipt["id"] for receipt, _ in group}),
                "quantity": quantity,
                "total_cost": total_cost,
                "unit_cost": _ratio(total_cost, quantity),
            }
        )
    return rows


def _in_order(table: str, rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: [row[name] for name in KEYS[table]])


def differences(table: str, got: Iterable[Mapping[str, Any]], expected: Iterable[Row], *, most: int = 10) -> list[str]:
    """What is not as expected, the first `most` of it, one line each: table, key, column, got, expected.

    The columns compared are those of the expected rows. Decimals must be decimals and equal; ratios (floats)
    agree within 1e-12 relative; JSON text is compared by what it says. Order of rows is free.
    """
    found: list[str] = []
    got_rows, wanted_rows = _by_key(table, got, "got", found), _by_key(table, expected, "expected", found)
    for key in sorted({*got_rows, *wanted_rows}):
        name = f"{table}[{', '.join(f'{part} {value}' for part, value in zip(KEYS[table], key, strict=True))}]"
        if key not in got_rows:
            found.append(f"{name}: missing, expected {dict(wanted_rows[key])}")
        elif key not in wanted_rows:
            found.append(f"{name}: not expected, got {dict(got_rows[key])}")
        else:
            row, wanted = got_rows[key], wanted_rows[key]
            found += [f"{name}: column {extra} is not expected" for extra in row.keys() - wanted.keys() - NOT_COMPARED]
            found += [
                f"{name} {column}: got {row.get(column)!r}, expected {value!r}"
                for column, value in wanted.items()
                if column not in row or not _agree(column, row[column], value)
            ]
    return found[:most]


def _by_key(
    table: str, rows: Iterable[Mapping[str, Any]], side: str, found: list[str]
) -> dict[tuple[int, ...], Mapping[str, Any]]:
    keyed: dict[tuple[int, ...], Mapping[str, Any]] = {}
    for row in rows:
        key = tuple(row[name] for name in KEYS[table])
        if key in keyed:
            found.append(f"{table}{list(key)}: {side} more than once")
        keyed[key] = row
    return keyed


def _agree(column: str, got: object, wanted: object) -> bool:
    if column in JSON_TEXT and isinstance(got, str):
        return _say_the_same(json.loads(got, parse_float=Decimal), wanted)
    if isinstance(wanted, float):
        return isinstance(got, float) and math.isclose(got, wanted, rel_tol=RATIO_TOLERANCE, abs_tol=0)
    return type(got) is type(wanted) and got == wanted


def _say_the_same(got: object, wanted: object) -> bool:
    """Equality of JSON: 1 and 1.0 are one number, true and 1 are not one answer."""
    if isinstance(wanted, Mapping):
        if not isinstance(got, Mapping) or got.keys() != wanted.keys():
            return False
        return all(_say_the_same(got[key], value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(got, list) and len(got) == len(wanted) and all(map(_say_the_same, got, wanted))
    return isinstance(got, bool) == isinstance(wanted, bool) and got == wanted
