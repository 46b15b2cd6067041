"""What will happen in one venue on one shift date: the plan of every receipt's life, before any of it is
played.

A plan holds choices and times only. Ids, stock and its costs depend on the order in which all venues' events
happen and are added when `history` plays the plan.
"""

from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import accumulate
from random import Random

from clopos_assets.sandbox.chance import happens, make_uuid, seeded
from clopos_assets.sandbox.menu import Modifier, Product, products

SHIFT_END = time(6)
_DINE_IN, _DELIVERY, _TAKEAWAY = 1, 2, 3
_WEEKDAY_PERCENT = (80, 85, 90, 95, 125, 135, 110)
_STREETS = ("Nizami küç. 14", "Füzuli küç. 71", "Xətai pr. 22", "ул. Самеда Вургуна 9", "28 May küç. 3")
_NOTES = ("Acı olmasın", "Домофон не работает", "Zəng etməyin, qapını döyün", None, None)


@dataclass(frozen=True, slots=True)
class HistoryOptions:
    """Size and habits of the made-up brand. Rates are shares of all receipts, 0 to 1; 0 switches an event
    off.

    `receipts_per_day` is per venue and varies with the weekday. `order_ahead_days` is the most days by which
    a receipt may be created before its shift date. `cost_unit` is the step in which unit costs are kept.
    """

    start_date: date
    seed: int = 1
    venues: int = 2
    receipts_per_day: int = 80
    zone: str = "Asia/Baku"
    cost_unit: Decimal = Decimal("0.01")
    order_ahead_days: int = 2
    ahead_rate: float = 0.01
    late_rate: float = 0.004
    never_closed_rate: float = 0.0005
    edit_rate: float = 0.04
    move_rate: float = 0.001
    deletion_rate: float = 0.001
    reopen_rate: float = 0.0005
    empty_rate: float = 0.003
    return_rate: float = 0.004
    gift_rate: float = 0.01
    discount_rate: float = 0.1
    debt_rate: float = 0.001
    keep_movements: bool = False

    def __post_init__(self) -> None:
        if self.venues < 1 or self.receipts_per_day < 0 or self.order_ahead_days < 0 or self.cost_unit <= 0:
            raise ValueError("a history needs at least one venue, and no negative number")
        shares = (
            self.late_rate,
            self.never_closed_rate,
            self.move_rate,
            self.deletion_rate,
            self.reopen_rate,
        )
        if min(shares) < 0 or sum(shares) > 1:
            raise ValueError("the rates of late, never closed, moved, deleted and reopened must sum to 1 at most")

    def without_rare_events(self) -> "HistoryOptions":
        """The same brand on its best days: every receipt closes within its shift and stays as it is."""
        return replace(
            self,
            late_rate=0,
            never_closed_rate=0,
            edit_rate=0,
            move_rate=0,
            deletion_rate=0,
            reopen_rate=0,
            debt_rate=0,
        )


@dataclass(frozen=True, slots=True)
class Venue:
    """A venue's habits; opening and closing in minutes after midnight of the shift date, taxes in percent."""

    index: int
    id: int
    name: str
    opens: int
    closes: int
    service_percent: int
    inclusive_tax: int
    exclusive_tax: int
    price_percent: int


_PROFILES = (
    ("Nizami filialı", 10 * 60, 23 * 60, 0, 18, 0, 100),
    ("Dənizkənarı bulvar", 12 * 60, 26 * 60, 10, 18, 0, 110),
    ("Кафе «Старый город»", 8 * 60, 22 * 60, 0, 0, 18, 95),
    ("Gecə Manqalı", 18 * 60, 29 * 60, 5, 0, 0, 105),
)


def venue_at(index: int) -> Venue:
    """The index-th venue of a brand; past the written ones the habits repeat under numbered names."""
    name, *habits = _PROFILES[index % len(_PROFILES)]
    lap = index // len(_PROFILES)
    return Venue(index, index + 1, f"{name} {lap + 1}" if lap else name, *habits)


@dataclass(frozen=True, slots=True)
class LinePlan:
    """One line; `count` is negative in a return, `discount` is the line's own, in percent."""

    cid: str
    product: Product
    count: Decimal
    portion: Decimal
    modifiers: tuple[Modifier, ...]
    gift: bool
    discount: int


@dataclass(slots=True)
class ReceiptPlan:
    """One receipt's life. `receipt_id` and `line_ids` are given when it is opened."""

    venue: Venue
    shift_date: date
    cid: str
    created_at: datetime
    closed_at: datetime | None
    source: str
    sale_type_id: int
    order_status: str
    order_number: str | None
    guests: int
    terminal_id: int
    customer_id: int | None
    address: str | None
    description: str | None
    lines: tuple[LinePlan, ...]
    discount_percent: int
    discount_amount: int
    delivery_fee: Decimal
    payment: int
    split: bool
    debt: bool
    edits: tuple[tuple[datetime, dict[str, str]], ...] = ()
    move: tuple[datetime, date] | None = None
    deleted_at: datetime | None = None
    reopened: tuple[datetime, datetime] | None = None
    receipt_id: int = 0
    line_ids: tuple[int, ...] = field(default=())


def plan_day(options: HistoryOptions, venue: Venue, day: date) -> list[ReceiptPlan]:
    """Plans all receipts of a venue's shift date; nothing in them happens before `day - order_ahead_days`."""
    chance = seeded(options.seed, "day", venue.index, day.isoformat())
    expected = options.receipts_per_day * _WEEKDAY_PERCENT[day.weekday()]
    number = expected * chance.randrange(90, 111) // 10000
    return [_plan_receipt(options, venue, day, chance, each) for each in range(number)]


def _plan_receipt(options: HistoryOptions, venue: Venue, day: date, chance: Random, number: int) -> ReceiptPlan:
    midnight = datetime.combine(day, time())
    sale_type = _DINE_IN if chance.random() < 0.72 else chance.choice((_DELIVERY, _TAKEAWAY))
    web = sale_type != _DINE_IN and chance.random() < 0.6
    created_at = midnight + timedelta(minutes=_opening_minute(venue, chance), seconds=chance.randrange(60))
    dwell = timedelta(seconds=chance.randrange(20 * 60, 110 * 60))
    shift_end = datetime.combine(day + timedelta(days=1), SHIFT_END)
    closed_at: datetime | None = min(created_at + dwell, shift_end - timedelta(minutes=1 + number % 9))
    ahead = happens(chance, options.ahead_rate)
    days_ahead = chance.randrange(1, options.order_ahead_days + 1) if options.order_ahead_days else 0
    if ahead and day - timedelta(days=days_ahead) > options.start_date:
        created_at = midnight + timedelta(
            days=-days_ahead, minutes=chance.randrange(9 * 60, 21 * 60), seconds=chance.randrange(60)
        )
    else:
        ahead = False
    lines = _plan_lines(options, chance)
    refund = any(line.count < 0 for line in lines)
    discounted = happens(chance, options.discount_rate) and not refund
    plan = ReceiptPlan(
        venue=venue,
        shift_date=day,
        cid=make_uuid(chance),
        created_at=created_at,
        closed_at=closed_at,
        source="web" if web or ahead else "pos",
        sale_type_id=sale_type,
        order_status="SCHEDULED" if ahead else "IN_PROGRESS" if web else "NEW",
        order_number=f"{number + 1:03d}" if web or ahead else None,
        guests=chance.randrange(1, 7) if sale_type == _DINE_IN else 1,
        terminal_id=venue.id * 10 + chance.randrange(1, 4),
        customer_id=chance.randrange(1, 900) if chance.random() < 0.12 else None,
        address=chance.choice(_STREETS) if sale_type == _DELIVERY else None,
        description=chance.choice(_NOTES) if sale_type == _DELIVERY else None,
        lines=lines,
        discount_percent=chance.choice((5, 10, 15)) if discounted and number % 5 else 0,
        discount_amount=chance.choice((1, 2, 5)) if discounted and number % 5 == 0 else 0,
        delivery_fee=Decimal(chance.choice(("2.00", "3.50"))) if sale_type == _DELIVERY and lines else Decimal(0),
        payment=chance.randrange(100),
        split=chance.random() < 0.06 and not refund,
        debt=happens(chance, options.debt_rate) and not refund,
    )
    _plan_fate(options, plan, shift_end, chance)
    return plan


def _opening_minute(venue: Venue, chance: Random) -> int:
    last = venue.closes - 30
    minute = chance.randrange(venue.opens, last)
    if chance.random() < 0.6:  # the guests come in two waves, at a third and at three quarters of the evening
        peak = venue.opens + (last - venue.opens) * chance.choice((33, 75)) // 100
        minute = min(max(peak + chance.randrange(-75, 76), venue.opens), last - 1)
    return minute


def _plan_lines(options: HistoryOptions, chance: Random) -> tuple[LinePlan, ...]:
    if happens(chance, options.empty_rate):
        return ()
    if happens(chance, options.return_rate):
        goods = [product for product in products().values() if product.stocked]
        returned = chance.choice(goods)
        return (LinePlan(make_uuid(chance), returned, Decimal(-1), Decimal(1), (), gift=False, discount=0),)
    number = chance.choices((1, 2, 3, 4, 5, 6, 7, 8), cum_weights=(18, 42, 62, 77, 87, 94, 98, 100))[0]
    sold = chance.choices(_SOLD, cum_weights=_POPULARITY, k=number)
    lines = [_plan_line(options, product, chance) for product in sold]
    if lines[0].gift and all(line.gift for line in lines):
        lines[0] = replace(lines[0], gift=False)
    return tuple(lines)


def _plan_line(options: HistoryOptions, product: Product, chance: Random) -> LinePlan:
    half = False
    if product.by_weight:
        count = Decimal(chance.randrange(250, 2200)) / 1000
    else:
        count = Decimal(chance.choices((1, 2, 3, 4), cum_weights=(74, 93, 98, 100))[0])
        half = product.type == "DISH" and product.station in {"Mətbəx", "Manqal"} and chance.random() < 0.015
    modifiers: tuple[Modifier, ...] = ()
    if product.modifiers and chance.random() < 0.18:
        modifiers = (chance.choice(product.modifiers),)
    return LinePlan(
        cid=make_uuid(chance),
        product=product,
        count=count,
        portion=Decimal("0.5") if half else Decimal(1),
        modifiers=modifiers,
        gift=happens(chance, options.gift_rate),
        discount=chance.choice((10, 20)) if happens(chance, options.discount_rate / 4) else 0,
    )


def _plan_fate(options: HistoryOptions, plan: ReceiptPlan, shift_end: datetime, chance: Random) -> None:
    """Decides what goes out of the ordinary: one of late, never closed, moved, deleted, reopened at most."""
    draw = chance.random()
    rates = (
        options.never_closed_rate,
        options.late_rate,
        options.move_rate,
        options.deletion_rate,
        options.reopen_rate,
    )
    never, late, moved, deleted, reopened = accumulate(rates)
    closed_at = plan.closed_at
    assert closed_at is not None
    hours = timedelta(hours=1)
    if draw < never:
        plan.closed_at = None
        return
    if draw < late:
        closed_at = plan.closed_at = shift_end + timedelta(seconds=chance.randrange(3600, 3 * 86400))
    elif draw < moved:
        step = 1 if plan.shift_date == options.start_date else chance.choice((-1, 1))
        at = closed_at + hours + timedelta(seconds=chance.randrange(35 * 3600))
        plan.move = (at, plan.shift_date + timedelta(days=step))
    elif draw < deleted:
        plan.deleted_at = closed_at + timedelta(seconds=chance.randrange(600, 40 * 3600))
    elif draw < reopened:
        again = closed_at + timedelta(seconds=chance.randrange(600, 7200))
        plan.reopened = (again, again + timedelta(seconds=chance.randrange(300, 3600)))
    if happens(chance, options.edit_rate):
        fiscal = {"fiscal_id": f"{chance.getrandbits(48):012X}"}
        done = {"order_status": "COMPLETED"} if plan.source == "web" else fiscal
        at = closed_at + timedelta(seconds=chance.randrange(300, 30 * 3600))
        plan.edits = ((at, done),) if done is fiscal else ((at, done), (at + 2 * hours, fiscal))


_SOLD = tuple(products().values())
_POPULARITY = tuple(accumulate(product.weight for product in _SOLD))
