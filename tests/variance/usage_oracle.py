"""recipe_observed and usage_variance in plain Python, from the API's answers: fractions until the last step.

Written from the data contract with the standard library and the oracle of the cost tables alone. Nothing is
taken from an earlier table but what the lines and operations of the dates say. Slow, and it trusts its input.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from tests.oracle import Json, Row, exact, is_closed

Pair = tuple[int, int, int]
LARGEST = Fraction(10**12)


@dataclass(frozen=True)
class Answers:
    """What the API said of a shift date: its receipts, and the operations by receipt id."""

    receipts: Sequence[Json]
    operations: Mapping[int, Sequence[Json]]


@dataclass
class Deducted:
    """One ingredient of one line, or of a pair: sums over operations."""

    quantity: Fraction = Fraction(0)
    cost: Fraction = Fraction(0)
    last_operation: int = 0
    name: str | None = None

    def add(self, item: Json) -> None:
        self.quantity += Fraction(exact(item["quantity"]))
        self.cost += Fraction(exact(item["total_cost"]))
        if item["id"] > self.last_operation:
            self.last_operation, self.name = item["id"], (item.get("product") or {}).get("name")


def figure(value: Fraction) -> Decimal:
    """A decimal of six places, half to even."""
    return Decimal(f"{round(value * 10**6)}e-6")


def figure_or_none(value: Fraction | None) -> Decimal | None:
    return None if value is None else figure(value)


def units_sold(line: Json) -> Fraction:
    portion = exact(line["portion_size"]) if line.get("portion_size") is not None else Decimal(0)
    return Fraction(figure(Fraction(exact(line["count"])) * (Fraction(portion) or 1)))


def is_modified(line: Json) -> bool:
    chosen = line.get("modificators")
    if chosen is None:
        chosen = line.get("receipt_product_modificators")
    return isinstance(chosen, list) and bool(chosen)


def lines_sold(answers: Answers) -> Iterator[tuple[int, Json, list[Json]]]:
    """Venue, line and the line's own operations, of every line of a closed receipt."""
    for receipt in answers.receipts:
        if is_closed(receipt):
            items = answers.operations.get(receipt["id"], ())
            for line in receipt.get("receipt_products") or []:
                if line.get("deleted_at") is None:
                    yield (
                        receipt["venue_id"],
                        line,
                        [item for item in items if item.get("receipt_product_id") == line["id"]],
                    )


def by_ingredient(items: Iterable[Json]) -> dict[int, Deducted]:
    taken: dict[int, Deducted] = defaultdict(Deducted)
    for item in items:
        taken[item["product_id"]].add(item)
    return dict(taken)


def observe(answers: Answers) -> dict[Pair, Row]:
    """What a date alone says of each pair: the columns of recipe_observed that need no other date."""
    lines: dict[Pair, list[tuple[Json, Deducted]]] = defaultdict(list)
    for venue, line, items in lines_sold(answers):
        for ingredient, deducted in by_ingredient(items).items():
            lines[venue, line["product_id"], ingredient].append((line, deducted))
    rows = {}
    for pair, group in lines.items():
        plain = [(line, deducted) for line, deducted in group if not is_modified(line)]
        per_unit = [deducted.quantity / units_sold(line) for line, deducted in plain if units_sold(line)]
        counted = Counter(figure(value) for value in per_unit if abs(figure(value)) < LARGEST)
        most = max(counted.values(), default=0)
        deviating = sum(counted.values()) - most
        newest = max((line for line, _ in group), key=lambda line: line["id"])
        rows[pair] = {
            "product_name": newest.get("meta", {}).get("product", {}).get("name"),
            "ingredient_name": max((each for _, each in group), key=lambda each: each.last_operation).name,
            "quantity": figure(sum((deducted.quantity for _, deducted in group), Fraction(0))),
            "total_cost": figure(sum((deducted.cost for _, deducted in group), Fraction(0))),
            "lines": len(plain),
            "quantity_per_unit": min((value for value, times in counted.items() if times == most), default=None),
            "deviating_lines": deviating,
            "deviating_share": float(Fraction(deviating, len(plain))) if plain else None,
            "modified_lines": len(group) - len(plain),
        }
    return rows


def is_slip(now: Decimal | None, before: Decimal | None) -> bool:
    """A factor of 900 to 1,100 between the two, either way."""
    if not now or not before:
        return False
    factor = Fraction(now) / Fraction(before)
    return 900 <= factor <= 1100 or 900 <= 1 / factor <= 1100


def recipe_observed(shift_date: date, made: Mapping[date, Answers], standard_days: int = 28) -> list[Row]:
    """The table's rows of a made shift date, by key."""
    history: dict[Pair, list[tuple[date, Decimal]]] = defaultdict(list)
    for day in window(shift_date, made, standard_days):
        for pair, row in observe(made[day]).items():
            if row["quantity_per_unit"] is not None:
                history[pair].append((day, row["quantity_per_unit"]))
    rows = []
    for pair, row in sorted(observe(made[shift_date]).items()):
        earlier = list(history[pair])
        now = row["quantity_per_unit"]
        seen = earlier + ([(shift_date, now)] if now is not None else [])
        changes = [day for (_, one), (day, other) in pairwise(seen) if one != other]
        before = earlier[-1][1] if earlier else None
        rows.append(
            {
                **dict(zip(("venue_id", "product_id", "ingredient_id"), pair, strict=True)),
                **row,
                "previous_quantity_per_unit": before,
                "changed_on": changes[-1] if changes else None,
                "is_thousandfold": is_slip(now, before),
            }
        )
    return rows


def window(shift_date: date, made: Iterable[date], standard_days: int) -> list[date]:
    """The made dates among the calendar days before the shift date."""
    first = shift_date - timedelta(days=standard_days)
    return sorted(day for day in made if first <= day < shift_date)


def usage_variance(shift_date: date, made: Mapping[date, Answers], standard_days: int = 28) -> list[Row]:
    """The table's rows of a made shift date, by key."""
    days = window(shift_date, made, standard_days)
    today, _, units_today = sums([made[shift_date]])
    in_window, ingredients, units = sums([made[day] for day in days])
    rows = []
    for pair in sorted(today.keys() | in_window.keys()):
        venue, product, ingredient = pair
        if (venue, product) not in units_today:
            continue
        sold, deducted = units_today[venue, product], today.get(pair, Deducted())
        of_pair = in_window.get(pair, Deducted()).quantity
        sold_then = units.get((venue, product), Fraction(0))
        standard_quantity = of_pair / sold_then if sold_then > 0 else None
        taken = ingredients.get((venue, ingredient), Deducted())
        standard_cost = taken.cost / taken.quantity if taken.quantity > 0 else None
        price = usage = None
        if standard_cost is not None:
            price = deducted.cost - standard_cost * deducted.quantity
            if standard_quantity is not None:
                usage = standard_cost * (deducted.quantity - standard_quantity * sold)
        closed = [any(is_closed(each) and each["venue_id"] == venue for each in made[day].receipts) for day in days]
        rows.append(
            {
                "venue_id": venue,
                "product_id": product,
                "ingredient_id": ingredient,
                "units_sold": figure(sold),
                "quantity": figure(deducted.quantity),
                "cost": figure(deducted.cost),
                "standard_days": sum(closed),
                "standard_quantity": None if standard_quantity is None else float(standard_quantity),
                "standard_cost": None if standard_cost is None else float(standard_cost),
                "price_variance": figure_or_none(price),
                "usage_variance": figure_or_none(usage),
                "total_variance": None if price is None or usage is None else figure(price) + figure(usage),
            }
        )
    return rows


def sums(
    dates: Iterable[Answers],
) -> tuple[dict[Pair, Deducted], dict[tuple[int, int], Deducted], dict[tuple[int, int], Fraction]]:
    """Over dates: deducted by pair; by venue and ingredient, lines or not; units sold by venue and product."""
    pairs: dict[Pair, Deducted] = defaultdict(Deducted)
    ingredients: dict[tuple[int, int], Deducted] = defaultdict(Deducted)
    units: dict[tuple[int, int], Fraction] = defaultdict(Fraction)
    for answers in dates:
        for venue, line, items in lines_sold(answers):
            units[venue, line["product_id"]] += units_sold(line)
            for item in items:
                pairs[venue, line["product_id"], item["product_id"]].add(item)
        for receipt in filter(is_closed, answers.receipts):
            for item in answers.operations.get(receipt["id"], ()):
                ingredients[receipt["venue_id"], item["product_id"]].add(item)
    return dict(pairs), dict(ingredients), dict(units)


def differences(got: Sequence[Mapping[str, Any]], expected: Sequence[Row], *, most: int = 10) -> list[str]:
    """What is not as expected, one line each; both sides by key. Ratios agree within 1e-12 relative."""
    if [key_of(row) for row in got] != [key_of(row) for row in expected]:
        missing = {key_of(row) for row in expected} - {key_of(row) for row in got}
        extra = {key_of(row) for row in got} - {key_of(row) for row in expected}
        return [f"keys: missing {sorted(missing)[:most]}, extra {sorted(extra)[:most]}, or in another order"]
    found = [
        f"{key_of(wanted)} {name}: got {row[name]!r}, expected {value!r}"
        for row, wanted in zip(got, expected, strict=True)
        for name, value in wanted.items()
        if not agree(row[name], value)
    ]
    return found[:most]


def key_of(row: Mapping[str, Any]) -> Pair:
    return row["venue_id"], row["product_id"], row["ingredient_id"]


def agree(got: Any, wanted: Any) -> bool:
    if isinstance(wanted, float) and isinstance(got, float):
        return abs(got - wanted) <= 1e-12 * abs(wanted)
    return type(got) is type(wanted) and bool(got == wanted)
