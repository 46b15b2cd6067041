"""Stocks of the made-up venues: how much of what is where, and what a unit of it costs on moving average.

A stock is one product in one storage of one venue. Deliveries, waste, counts and returned stock move it
without leaving a trace in the API; only `before_quantity` of the next deduction shows them.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal

from clopos_assets.sandbox.chance import seeded
from clopos_assets.sandbox.menu import BAR, KITCHEN, Ingredient, expected_usage, ingredients

QUANTITY_STEP = Decimal("0.001")
_FIRST_STOCK_ID = 5001
_STORAGE_NAMES = {KITCHEN: ("Mətbəx anbarı", "Кухонный склад"), BAR: ("Bar anbarı", "Склад бара")}
_DAYS_KEPT = 4


@dataclass(slots=True)
class Stock:
    """One product in one storage of one venue; `cost` is the moving average per unit, in whole cost units."""

    id: int
    product: Ingredient
    storage_id: int
    storage_name: str
    par: Decimal
    quantity: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Movement:
    """A change of stock that the API does not show: `opening`, `delivery`, `waste`, `count` or `restored`.

    `quantity` is what was added (negative: taken away), `price` the unit price paid or the stock's own cost.
    """

    at: datetime
    kind: str
    stock_id: int
    quantity: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True)
class Deduction:
    """What one stock gave to one line; all values before rounding to the API's form are already exact."""

    stock: Stock
    quantity: Decimal
    before: Decimal
    after: Decimal
    cost: Decimal
    total_cost: Decimal


class StockRoom:
    """All stocks of one venue. `movements`, if given, is told of everything that the API does not show."""

    def __init__(
        self,
        *,
        seed: int,
        venue_index: int,
        lines_per_day: int,
        cost_unit: Decimal,
        opened_at: datetime,
        movements: list[Movement] | None,
    ) -> None:
        self._seed = seed
        self._venue_index = venue_index
        self._cost_unit = cost_unit
        self._movements = movements
        self.stocks: dict[int, Stock] = {}
        usage = expected_usage()
        first_id = _FIRST_STOCK_ID + venue_index * len(usage)
        for position, product in enumerate(ingredients().values()):
            par = usage[product.id] * lines_per_day * _DAYS_KEPT + 1
            par = par.quantize(Decimal(1), ROUND_HALF_UP) if product.unit == "əd" else _to_step(par)
            name = _STORAGE_NAMES[product.storage][venue_index % 2]
            storage_id = 1 + 2 * venue_index + (product.storage == BAR)
            cost = self._to_cost(product.cost)
            stock = Stock(first_id + position, product, storage_id, name, par, par, cost)
            self.stocks[product.id] = stock
            self._tell(opened_at, "opening", stock, par, cost)

    def deduct(self, product_id: int, quantity: Decimal, at: datetime) -> Deduction:
        """Takes a quantity out (negative: puts it back); buys more first when there is not enough."""
        stock = self.stocks[product_id]
        if stock.quantity < quantity:
            self._deliver(stock, quantity + stock.par, at)
        before = stock.quantity
        stock.quantity = before - quantity
        total = (quantity * stock.cost).quantize(Decimal("0.000001"), ROUND_HALF_UP)
        return Deduction(stock, quantity, before, stock.quantity, stock.cost, total)

    def restore(self, product_id: int, quantity: Decimal, at: datetime) -> None:
        """Puts back what a deleted or reopened receipt had taken, at the stock's present cost.

        Taking back a return may find less than is asked for; then only what is there goes.
        """
        stock = self.stocks[product_id]
        quantity = max(quantity, -stock.quantity)
        stock.quantity += quantity
        self._tell(at, "restored", stock, quantity, stock.cost)

    def receive_deliveries(self, at: datetime) -> None:
        """The morning's deliveries: every stock below half of its par is filled up at the week's price."""
        for stock in self.stocks.values():
            if stock.quantity * 2 < stock.par:
                self._deliver(stock, stock.par - stock.quantity, at)

    def lose_waste(self, at: datetime) -> None:
        """The evening's waste: a little of a few stocks is thrown away."""
        chance = seeded(self._seed, "waste", self._venue_index, at.isoformat())
        for stock in self.stocks.values():
            if stock.product.unit != "əd" and chance.random() < 0.15:
                lost = _to_step(stock.quantity * chance.randrange(1, 20) / 1000)
                stock.quantity -= lost
                self._tell(at, "waste", stock, -lost, stock.cost)

    def count(self, at: datetime) -> None:
        """A stock count: what is found differs a little from what the books say, either way."""
        chance = seeded(self._seed, "count", self._venue_index, at.isoformat())
        for stock in self.stocks.values():
            if stock.product.unit != "əd" and chance.random() < 0.4:
                difference = _to_step(stock.quantity * chance.randrange(-15, 12) / 1000)
                stock.quantity += difference
                self._tell(at, "count", stock, difference, stock.cost)

    def price_on(self, product: Ingredient, day: date) -> Decimal:
        """What a unit costs to buy in the week of a day: within 8 % of the base cost."""
        year, week, _ = day.isocalendar()
        chance = seeded(self._seed, "price", self._venue_index, product.id, year, week)
        return self._to_cost(product.cost * chance.randrange(920, 1081) / 1000)

    def _deliver(self, stock: Stock, quantity: Decimal, at: datetime) -> None:
        price = self.price_on(stock.product, at.date())
        value = stock.quantity * stock.cost + quantity * price
        stock.quantity += quantity
        stock.cost = self._to_cost(value / stock.quantity)
        self._tell(at, "delivery", stock, quantity, price)

    def _to_cost(self, cost: Decimal) -> Decimal:
        units = (cost / self._cost_unit).to_integral_value(ROUND_HALF_UP)
        return max(units, Decimal(1)) * self._cost_unit

    def _tell(self, at: datetime, kind: str, stock: Stock, quantity: Decimal, price: Decimal) -> None:
        if self._movements is not None:
            self._movements.append(Movement(at, kind, stock.id, quantity, price))


def _to_step(quantity: Decimal) -> Decimal:
    return quantity.quantize(QUANTITY_STEP, ROUND_HALF_UP)
