"""A made-up restaurant brand whose days are played into a `World`, event by event, in time order.

Seeded and deterministic: the same options give the same world on every machine, however many steps `advance`
is taken in. What happens on a day is planned in `day`, amounts come from `bill`, stocks and their costs from
`stock`; here events are put in order, ids are given and the world is changed.
"""

import heapq
import threading
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from clopos_assets.sandbox.bill import make_receipt, plain, settle
from clopos_assets.sandbox.day import SHIFT_END, HistoryOptions, LinePlan, ReceiptPlan, plan_day, venue_at
from clopos_assets.sandbox.menu import products
from clopos_assets.sandbox.stock import Movement, StockRoom
from clopos_assets.sandbox.world import Credentials, Json, World, stamp

_LINES_PER_RECEIPT = 4
_FIRST_RECEIPT_ID = 1001
_FIRST_LINE_ID = 20001
_FIRST_OPERATION_ID = 300001
# Sorts at the same second: the storeroom's affairs come before the till's, and a life keeps its order.
_STOREROOM, _TILL = 0, 1

_Order = tuple[datetime, int, int, int, int, int]
_Event = tuple[_Order, Callable[[datetime], None]]


class History:
    """Plays a brand from 06:00 of its start date on; `world` is what the API serves.

    `stock_rooms` are the venues' stocks, in the venues' order. `movements` lists what the API does not show
    (deliveries, waste, counts) if `options.keep_movements` is set, else it stays empty. `advance` may be
    called from any thread.
    """

    def __init__(self, options: HistoryOptions, *, credentials: Credentials | None = None) -> None:
        self.options = options
        self.movements: list[Movement] = []
        self._lock = threading.Lock()
        self._start = datetime.combine(options.start_date, SHIFT_END)
        self._venues = [venue_at(index) for index in range(options.venues)]
        self.world = World(
            [
                {"id": venue.id, "name": venue.name, "is_main": int(venue.index == 0), "media": []}
                for venue in self._venues
            ],
            now=self._start,
            zone=options.zone,
            credentials=credentials,
        )
        self.world.products = _show_products()
        self.stock_rooms = [
            StockRoom(
                seed=options.seed,
                venue_index=venue.index,
                lines_per_day=options.receipts_per_day * _LINES_PER_RECEIPT,
                cost_unit=options.cost_unit,
                opened_at=self._start,
                movements=self.movements if options.keep_movements else None,
            )
            for venue in self._venues
        ]
        self._events: list[_Event] = []
        self._day = options.start_date
        self._planned_until = options.start_date
        self._next_receipt_id = _FIRST_RECEIPT_ID
        self._next_line_id = _FIRST_LINE_ID
        self._next_operation_id = _FIRST_OPERATION_ID

    def advance(self, to: datetime) -> None:
        """Plays every event up to `to`, inclusive, and sets the world's clock to it.

        `to` is the venues' local time without zone; a time before the world's clock raises `ValueError`.
        """
        to = to.replace(microsecond=0)
        with self._lock:
            if to < self.world.now:
                raise ValueError(f"the history is at {self.world.now} already; it cannot go back to {to}")
            last = to.date()
            while True:
                self._plan_until(self._day + timedelta(days=self.options.order_ahead_days + 1))
                self._play(min(to, datetime.combine(self._day, time.max)))
                if self._day >= last:
                    break
                self._day += timedelta(days=1)
            self.world.now = to

    def _plan_until(self, end: date) -> None:
        """Plans the shift dates before `end`, exclusive."""
        while self._planned_until < end:
            day = self._planned_until
            for venue in self._venues:
                room = self.stock_rooms[venue.index]
                # Every venue's storeroom has a minute of its own.
                early = datetime.combine(day, time(7)) + timedelta(minutes=venue.index)
                late = datetime.combine(day, time(23, 30)) + timedelta(minutes=venue.index % 29)
                self._add(early, _STOREROOM, venue.index, day, 0, 0, room.receive_deliveries)
                self._add(late, _STOREROOM, venue.index, day, 0, 1, room.lose_waste)
                if day.weekday() == 0 and day != self.options.start_date:
                    self._add(early - timedelta(minutes=30), _STOREROOM, venue.index, day, 0, 2, room.count)
                for number, plan in enumerate(plan_day(self.options, venue, day)):
                    self._add_life(plan, number)
            self._planned_until += timedelta(days=1)

    def _add_life(self, plan: ReceiptPlan, number: int) -> None:
        steps: list[tuple[datetime, Callable[[datetime], None]]] = [(plan.created_at, _bind(self._open, plan))]
        if plan.closed_at is not None:
            steps.append((plan.closed_at, _bind(self._close, plan)))
        if plan.reopened is not None:
            opened, closed = plan.reopened
            steps += [(opened, _bind(self._reopen, plan)), (closed, _bind(self._close, plan))]
        steps += [(at, _bind_edit(self._edit, plan, fields)) for at, fields in plan.edits]
        if plan.move is not None:
            at, shift_date = plan.move
            steps.append((at, _bind_edit(self._edit, plan, {"shift_date": shift_date.isoformat()})))
        if plan.deleted_at is not None:
            steps.append((plan.deleted_at, _bind(self._delete, plan)))
        for step, (at, action) in enumerate(steps):
            self._add(at, _TILL, plan.venue.index, plan.shift_date, number, step, action)

    def _add(
        self,
        at: datetime,
        rank: int,
        venue: int,
        day: date,
        number: int,
        step: int,
        action: Callable[[datetime], None],
    ) -> None:
        heapq.heappush(self._events, ((at, rank, venue, day.toordinal(), number, step), action))

    def _play(self, until: datetime) -> None:
        while self._events and self._events[0][0][0] <= until:
            (at, *_), action = heapq.heappop(self._events)
            self.world.now = at
            action(at)

    def _open(self, plan: ReceiptPlan, _: datetime) -> None:
        plan.receipt_id = self._next_receipt_id
        self._next_receipt_id += 1
        first = self._next_line_id
        self._next_line_id += len(plan.lines)
        plan.line_ids = tuple(range(first, self._next_line_id))
        self.world.put_receipt(make_receipt(plan), terminal_id=plan.terminal_id)

    def _close(self, plan: ReceiptPlan, at: datetime) -> None:
        operations: list[Json] = []
        for line, line_id in zip(plan.lines, plan.line_ids, strict=True):
            self._deduct(plan, line, line_id, at, operations)
        total = self.world.get_receipt(plan.receipt_id)["total"]
        self.world.close_receipt(plan.receipt_id, operations=operations, closed_at=at, **settle(plan, total))

    def _edit(self, plan: ReceiptPlan, fields: dict[str, str], at: datetime) -> None:
        if plan.receipt_id not in self.world.deleted:
            self.world.update_receipt(plan.receipt_id, updated_at=stamp(at), **fields)

    def _reopen(self, plan: ReceiptPlan, at: datetime) -> None:
        self._restore(plan, at)
        self.world.reopen_receipt(plan.receipt_id)

    def _delete(self, plan: ReceiptPlan, at: datetime) -> None:
        self._restore(plan, at)
        self.world.delete_receipt(plan.receipt_id)

    def _restore(self, plan: ReceiptPlan, at: datetime) -> None:
        room = self.stock_rooms[plan.venue.index]
        for operation in self.world.operations(plan.receipt_id):
            room.restore(operation["product_id"], Decimal(operation["quantity"]), at)

    def _deduct(self, plan: ReceiptPlan, line: LinePlan, line_id: int, at: datetime, operations: list[Json]) -> None:
        room = self.stock_rooms[plan.venue.index]
        moment = stamp(at)
        for ingredient, quantity in _deductions(line):
            taken = room.deduct(ingredient, quantity, at)
            stock = taken.stock
            cost = plain(taken.cost)
            operations.append(
                {
                    "id": self._next_operation_id,
                    "receipt_id": plan.receipt_id,
                    "receipt_product_id": line_id,
                    "product_id": ingredient,
                    "stock_id": stock.id,
                    "storage_id": stock.storage_id,
                    "quantity": plain(taken.quantity),
                    "before_quantity": plain(taken.before),
                    "after_quantity": plain(taken.after),
                    "cost": cost,
                    "before_cost": cost,
                    "total_cost": plain(taken.total_cost),
                    "operated_at": moment,
                    "product": {"id": ingredient, "name": stock.product.name},
                    "stock": {
                        "id": stock.id,
                        "storage": {"id": stock.storage_id, "name": stock.storage_name},
                    },
                }
            )
            self._next_operation_id += 1


def _deductions(line: LinePlan) -> list[tuple[int, Decimal]]:
    """What a line takes from stock, per ingredient in the recipe's order, without what modifiers cancel."""
    units = line.count * line.portion
    per_unit = dict(line.product.recipe)
    for modifier in line.modifiers:
        for ingredient, quantity in modifier.recipe:
            per_unit[ingredient] = per_unit.get(ingredient, Decimal(0)) + quantity
    return [(ingredient, quantity * units) for ingredient, quantity in per_unit.items() if quantity > 0]


def _bind(action: Callable[[ReceiptPlan, datetime], None], plan: ReceiptPlan) -> Callable[[datetime], None]:
    return lambda at: action(plan, at)


def _bind_edit(
    action: Callable[[ReceiptPlan, dict[str, str], datetime], None], plan: ReceiptPlan, fields: dict[str, str]
) -> Callable[[datetime], None]:
    return lambda at: action(plan, fields, at)


def _show_products() -> dict[int, Json]:
    """The products with the relations that `with[]` may ask for."""
    units: dict[str, int] = {}
    stations: dict[str, int] = {}
    shown = {}
    for product in products().values():
        unit_id = units.setdefault(product.unit, len(units) + 1)
        station_id = stations.setdefault(product.station, len(stations) + 51)
        shown[product.id] = {
            "id": product.id,
            "name": product.name,
            "type": product.type,
            "unit": {"id": unit_id, "name": product.unit},
            "station": {"id": station_id, "name": product.station},
        }
    return shown
