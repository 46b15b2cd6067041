"""What the made-up restaurants sell and what it is made of: the catalogue of the history.

Quantities are in kg, l or pieces per one unit sold; base costs in the venues' currency per kg, l or piece. A
selling price is not written down but follows from the recipe's base cost and the share of it that the kitchen
aims at, so that the food cost of every dish stays plausible whatever a recipe says. Names are Azerbaijani and
Russian, as on the till.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from functools import cache

KITCHEN = "kitchen"
BAR = "bar"

Recipe = tuple[tuple[int, Decimal], ...]


@dataclass(frozen=True, slots=True)
class Ingredient:
    """Something kept in stock: an ingredient, or a good that is sold as it was bought."""

    id: int
    name: str
    unit: str
    cost: Decimal
    storage: str


@dataclass(frozen=True, slots=True)
class Modifier:
    """A change to a dish: what it adds to the price and to the recipe (negative takes away)."""

    id: int
    name: str
    group_id: int
    group_name: str
    price: Decimal
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class Product:
    """Something sold. `weight` is its popularity; `by_weight`: the count is in kg with three decimals."""

    id: int
    name: str
    type: str
    price: Decimal
    recipe: Recipe
    unit: str
    station: str
    weight: int
    by_weight: bool = False
    modifiers: tuple[Modifier, ...] = ()
    barcode: str | None = None
    stocked: bool = False


# id, name, unit, cost per unit, storage
_INGREDIENTS = """
101|Qoyun əti|kg|16.50|kitchen
102|Mal əti|kg|14.80|kitchen
103|Toyuq filesi|kg|7.90|kitchen
104|Nərə balığı|kg|24.00|kitchen
105|Düyü Basmati|kg|3.40|kitchen
106|Un|kg|1.10|kitchen
107|Kərə yağı|kg|13.20|kitchen
108|Günəbaxan yağı|l|3.10|kitchen
109|Soğan|kg|0.80|kitchen
110|Pomidor|kg|2.20|kitchen
111|Xiyar|kg|1.90|kitchen
112|Badımcan|kg|1.70|kitchen
113|Bibər|kg|2.60|kitchen
114|Kartof|kg|0.90|kitchen
115|Göyərti|kg|5.50|kitchen
116|Yumurta|əd|0.22|kitchen
117|Ağ pendir|kg|9.80|kitchen
118|Qatıq|kg|2.70|kitchen
119|Süd|l|1.90|kitchen
120|Şəkər tozu|kg|1.60|kitchen
121|Qoz ləpəsi|kg|17.00|kitchen
122|Fındıq|kg|15.40|kitchen
123|Zəfəran|q|1.85|kitchen
124|Lavaş|əd|0.45|kitchen
125|Şabalıd|kg|8.60|kitchen
126|Quru ərik|kg|9.20|kitchen
127|Сыр «Моцарелла»|kg|12.40|kitchen
128|Соус томатный|kg|4.30|kitchen
129|Грибы шампиньоны|kg|6.10|kitchen
130|Сметана|kg|5.20|kitchen
131|Nar sousu|l|7.50|kitchen
201|Qəhvə dənələri|kg|28.00|bar
202|Qara çay|kg|14.00|bar
203|Limon|kg|3.60|bar
204|Nanə|kg|9.00|bar
205|Portağal|kg|2.80|bar
206|Çay mürəbbəsi|kg|8.20|bar
"""

# Goods: id, name, size, type, cost, popularity, barcode
_GOODS = """
301|Coca-Cola|0.5 l|MODIFICATION|0.95|36|4760001000301
302|Coca-Cola|1 l|MODIFICATION|1.55|12|4760001000302
303|Sirab|0.5 l|GOODS|0.38|30|4760001000303
304|Badamlı qazlı|0.5 l|GOODS|0.52|18|4760001000304
305|Ayran şüşə|0.33 l|GOODS|0.60|20|4760001000305
306|Xırdalan pivəsi|0.5 l|GOODS|1.40|14|4760001000306
307|Сок «Яблочный»|1 л|GOODS|1.85|9|4760001000307
"""

# Dishes: id, name, type, station, popularity, aimed share of cost in percent, recipe
_DISHES = """
401|Şah plov|DISH|Mətbəx|12|31|105:0.180 101:0.140 107:0.045 126:0.040 125:0.035 123:0.2
402|Plov səbzi|DISH|Mətbəx|14|30|105:0.160 102:0.150 115:0.080 107:0.030 123:0.1
403|Lülə kabab|DISH|Manqal|26|33|101:0.220 109:0.035 124:1 115:0.010
404|Tikə kabab|DISH|Manqal|22|34|101:0.250 109:0.040 124:1
405|Toyuq kababı|DISH|Manqal|20|28|103:0.260 109:0.030 124:1 115:0.008
406|Nərə balığı kababı|DISH|Manqal|5|36|104:0.230 131:0.030 203:0.040
407|Badımcan dolması|DISH|Mətbəx|10|27|112:0.240 101:0.080 110:0.060 109:0.030
408|Yarpaq dolması|DISH|Mətbəx|14|29|101:0.130 105:0.040 115:0.030 118:0.080
409|Düşbərə|DISH|Mətbəx|13|25|106:0.090 101:0.070 109:0.020 116:0.3
410|Qutab ətli|DISH|Təndir|24|24|106:0.075 101:0.045 109:0.015 107:0.006
411|Qutab göyərtili|DISH|Təndir|18|22|106:0.075 115:0.060 107:0.006
412|Dovğa|DISH|Mətbəx|12|20|118:0.220 115:0.030 105:0.015 116:0.2
413|Kükü göyərtili|DISH|Mətbəx|7|24|115:0.110 116:3 107:0.012
414|Çoban salatı|DISH|Soyuq sex|28|26|110:0.120 111:0.110 109:0.020 115:0.010 108:0.010
415|Manqal salatı|DISH|Soyuq sex|22|25|112:0.130 110:0.100 113:0.060 109:0.020 115:0.008
416|Оливье|DISH|Soyuq sex|13|27|114:0.110 116:1 103:0.060 111:0.040 130:0.045
417|Борщ|DISH|Mətbəx|12|26|102:0.070 114:0.080 109:0.025 128:0.030 130:0.025
418|Пицца «Маргарита»|DISH|Təndir|15|27|106:0.210 127:0.120 128:0.080 108:0.010
419|Жульен с грибами|DISH|Mətbəx|8|30|129:0.130 103:0.060 127:0.040 130:0.060
420|Kartof fri|DISH|Mətbəx|21|20|114:0.240 108:0.030
421|Paxlava|DISH|Qənnadı|16|28|121:0.045 106:0.030 120:0.035 107:0.020
422|Şəkərbura|DISH|Qənnadı|9|27|122:0.030 106:0.030 120:0.025 107:0.012
423|Çay armudu|DISH|Bar|34|18|202:0.004 120:0.010 203:0.010
424|Çay dəsgahı|DISH|Bar|17|24|202:0.012 120:0.040 203:0.030 206:0.080 126:0.050
425|Espresso|DISH|Bar|22|20|201:0.008
426|Kapuçino|DISH|Bar|25|23|201:0.008 119:0.150 120:0.005
427|Portağal freş|DISH|Bar|10|34|205:0.550
428|Nanəli limonad|DISH|Bar|13|19|203:0.080 204:0.012 120:0.050
501|Quzu əti manqalda (kq)|DISH|Manqal|7|38|101:1.080 109:0.080 115:0.020
502|Торт «Медовик» (кг)|DISH|Qənnadı|5|30|106:0.280 120:0.220 130:0.330 107:0.090 116:4
601|Acıqa sousu|PREPARATION|Soyuq sex|9|25|113:0.060 110:0.040 108:0.010
602|Nar sousu porsiya|PREPARATION|Soyuq sex|8|30|131:0.040
"""

# Sold without touching any stock: id, name, type, price, popularity
_SERVICES = """
701|PlayStation 5 (1 saat)|TIMER|6.00|4
702|Bilyard (1 saat)|TIMER|8.00|2
703|Tort xidməti|GOODS|5.00|2
"""

# Modifiers: id, name, group, price, change of recipe, dishes that take it
_MODIFIERS = """
801|Əlavə pendir|11|Əlavələr|1.50|117:0.040|403 405 410 414
802|Əlavə göyərti|11|Əlavələr|0.50|115:0.020|403 404 408 412
803|Soğansız|12|Çıxarmaq|0.00|109:-0.010|403 404 405 414 417
804|Двойная моцарелла|13|Добавки|3.00|127:0.080|418
805|Əlavə süd|14|Bar|0.50|119:0.050|425 426
806|Şəkərsiz|12|Çıxarmaq|0.00|120:-0.005|423 426
"""

BY_WEIGHT = frozenset({501, 502})


def _rows(table: str) -> list[list[str]]:
    return [line.split("|") for line in table.strip().splitlines()]


def _recipe(text: str) -> Recipe:
    pairs = (part.split(":") for part in text.split())
    return tuple((int(ingredient), Decimal(quantity)) for ingredient, quantity in pairs)


def _round_up(price: Decimal, step: str) -> Decimal:
    return (price / Decimal(step)).to_integral_value(ROUND_CEILING) * Decimal(step)


@cache
def ingredients() -> dict[int, Ingredient]:
    """Everything that is kept in stock, by id, in the order of the ids."""
    kept = [
        Ingredient(int(number), name, unit, Decimal(cost), storage)
        for number, name, unit, cost, storage in _rows(_INGREDIENTS)
    ]
    kept += [
        Ingredient(int(number), f"{name} {size}", "əd", Decimal(cost), BAR)
        for number, name, size, _, cost, _, _ in _rows(_GOODS)
    ]
    return {each.id: each for each in kept}


@cache
def products() -> dict[int, Product]:
    """Everything that is sold, by id, in the order of the ids."""
    sold = [_good(row) for row in _rows(_GOODS)]
    sold += [_dish(row) for row in _rows(_DISHES)]
    sold += [
        Product(int(number), name, kind, Decimal(price), (), "əd", "Zal", int(weight))
        for number, name, kind, price, weight in _rows(_SERVICES)
    ]
    return {each.id: each for each in sold}


def base_cost(recipe: Recipe) -> Decimal:
    """What the recipe costs at base costs."""
    kept = ingredients()
    return sum((kept[each].cost * quantity for each, quantity in recipe), Decimal(0))


def expected_usage() -> dict[int, Decimal]:
    """How much of each stocked product one sold line takes on average, modifiers left out."""
    weights = sum(product.weight for product in products().values())
    usage = dict.fromkeys(ingredients(), Decimal(0))
    for product in products().values():
        for ingredient, quantity in product.recipe:
            usage[ingredient] += quantity * product.weight / weights
    return usage


def _good(row: list[str]) -> Product:
    number, name, size, kind, cost, weight, barcode = row
    return Product(
        id=int(number),
        name=f"{name} {size}",
        type=kind,
        price=_round_up(Decimal(cost) / Decimal("0.40"), "0.50"),
        recipe=((int(number), Decimal(1)),),
        unit="əd",
        station="Bar",
        weight=int(weight),
        barcode=barcode,
        stocked=True,
    )


def _dish(row: list[str]) -> Product:
    number, name, kind, station, weight, share, recipe_text = row
    recipe = _recipe(recipe_text)
    price = _round_up(base_cost(recipe) * 100 / Decimal(share), "0.50")
    by_weight = int(number) in BY_WEIGHT
    return Product(
        int(number),
        name,
        kind,
        price,
        recipe,
        "kq" if by_weight else "porsiya",
        station,
        int(weight),
        by_weight,
        modifiers=tuple(each for each in _modifiers() if int(number) in _takers(each.id)),
    )


@cache
def _modifiers() -> tuple[Modifier, ...]:
    return tuple(
        Modifier(int(number), name, int(group), group_name, Decimal(price), _recipe(recipe))
        for number, name, group, group_name, price, recipe, _ in _rows(_MODIFIERS)
    )


@cache
def _takers(modifier_id: int) -> frozenset[int]:
    rows = {int(row[0]): row[-1] for row in _rows(_MODIFIERS)}
    return frozenset(map(int, rows[modifier_id].split()))
