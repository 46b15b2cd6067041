"""The cost tables: cost of goods sold by line, product, day and ingredient, over closed receipts.

Recipe-driven, so perpetual (theoretical) cost of goods: what the recipes say was used. Signs are kept as
delivered. The SQL is in `sql/cost/`, one file per table.
"""

from clopos_assets.tables.columns import Column, Kind, Table
from clopos_assets.tables.raw import MONEY, PER_STOCK_UNIT, PERCENT, STOCK_UNITS

BLIND = " This table cannot know waste, theft and over-portioning."


def _id(name: str, meaning: str, *, required: bool = True, repeats: bool = True) -> Column:
    return Column(name, Kind.ID, meaning, required=required, repeats=repeats)


def _name(name: str, meaning: str) -> Column:
    return Column(name, Kind.TEXT, meaning, repeats=True)


def _count(name: str, meaning: str) -> Column:
    return Column(name, Kind.WHOLE, meaning, required=True, repeats=True)


def _flag(name: str, meaning: str) -> Column:
    return Column(name, Kind.FLAG, meaning, required=True)


def _decimal(name: str, meaning: str, unit: str = MONEY) -> Column:
    return Column(name, Kind.DECIMAL, meaning, unit, required=True)


def _ratio(name: str, meaning: str, unit: str) -> Column:
    return Column(name, Kind.RATIO, meaning, unit)


_UNITS_SOLD = _decimal("units_sold", "count × portion_size, where a portion_size of NULL or 0 counts as 1", "units")
_NET_SALES = _decimal("net_sales", "Σ total of the lines; holds the tax where prices include it")
_GROSS_PROFIT = _decimal("gross_profit", "net_sales − cogs")
_FOOD_COST_PCT = _ratio("food_cost_pct", "100 × cogs / net_sales; NULL where net_sales is 0", PERCENT)

LINE_COGS = Table(
    name="line_cogs",
    group="cost",
    grain="one row per line of a closed receipt",
    key=("receipt_product_id",),
    description="Cost of goods and gross profit of each line sold." + BLIND,
    inputs=("receipts", "receipt_products", "stock_operations"),
    columns=(
        _id("receipt_product_id", "Line", repeats=False),
        _id("receipt_id", "Receipt", repeats=False),
        _id("venue_id", "Venue"),
        _id("sale_type_id", "Sale type, such as dine-in or delivery", required=False),
        _id("product_id", "Product sold"),
        _name("product_name", "Product's name when sold"),
        _name("product_type", "DISH, GOODS, TIMER, PREPARATION, INGREDIENT or MODIFICATION"),
        _flag("is_gift", "Given away"),
        _flag("is_return", "The receipt is a return, or units_sold < 0"),
        _count("deductions", "Stock operations of the line"),
        _UNITS_SOLD,
        _decimal("net_sales", "The line's total; holds the tax where prices include it"),
        _decimal("cogs", "Σ total_cost of its stock operations, 0 if none"),
        _GROSS_PROFIT,
    ),
)

PRODUCT_COGS = Table(
    name="product_cogs",
    group="cost",
    grain="one row per venue and product sold",
    key=("venue_id", "product_id"),
    description="Units, sales, cost of goods and food cost of each product." + BLIND,
    inputs=("line_cogs",),
    columns=(
        _id("venue_id", "Venue"),
        _id("product_id", "Product sold"),
        _name("product_name", "Product's name on the line with the greatest id"),
        _name("product_type", "Product's type on the line with the greatest id"),
        _count("lines", "Lines"),
        _UNITS_SOLD,
        _NET_SALES,
        _decimal("cogs", "Σ cogs of the lines"),
        _GROSS_PROFIT,
        _FOOD_COST_PCT,
        _ratio("unit_cost", "cogs / units_sold; NULL where units_sold is 0", "currency per unit"),
    ),
)

DAILY_COGS = Table(
    name="daily_cogs",
    group="cost",
    grain="one row per venue with a closed receipt",
    key=("venue_id",),
    description=(
        "The day of a venue: sales, cost of goods, gross profit and food cost, and how far the figures can be "
        "trusted." + BLIND
    ),
    inputs=("receipts", "line_cogs", "stock_operations"),
    columns=(
        _id("venue_id", "Venue"),
        _count("receipts", "Closed receipts"),
        _count("lines", "Lines on closed receipts"),
        _NET_SALES,
        _decimal("cogs", "Σ cogs of the lines + unassigned_cogs"),
        _GROSS_PROFIT,
        _FOOD_COST_PCT,
        _decimal("gift_cogs", "Part of cogs that was given away"),
        _count("undeducted_lines", "Lines with units_sold ≠ 0 and no stock operation"),
        _decimal("undeducted_sales", "Net sales of the undeducted lines"),
        _decimal("unassigned_cogs", "Part of cogs whose line is not among the receipt's"),
        _decimal("estimated_cogs", "Part of cogs deducted from a stock that was not above 0: unit cost is a guess"),
        _decimal("receipts_total", "Σ total of the receipts"),
        _decimal("inclusive_tax", "Σ i_tax of the receipts, the tax in a service charge among it"),
        _ratio(
            "food_cost_pct_excl_tax",
            "100 × cogs / (net_sales − inclusive_tax); NULL where that is 0. A little too high where there is a "
            "service charge, whose tax is taken off and which is not in net_sales",
            PERCENT,
        ),
    ),
)

INGREDIENT_USAGE = Table(
    name="ingredient_usage",
    group="cost",
    grain="one row per venue, storage and product in stock",
    key=("venue_id", "storage_id", "product_id"),
    description="What the sales took from stock, and what it cost." + BLIND,
    inputs=("receipts", "stock_operations"),
    columns=(
        _id("venue_id", "Venue"),
        _id("storage_id", "Storage"),
        _id("product_id", "Product in stock: an ingredient or a good"),
        _name("product_name", "Product's name on the operation with the greatest id"),
        _name("storage_name", "Storage's name on the operation with the greatest id"),
        _count("operations", "Stock operations"),
        _count("receipts", "Receipts that caused them"),
        _decimal("quantity", "Σ quantity deducted", STOCK_UNITS),
        _decimal("total_cost", "Σ total_cost"),
        _ratio("unit_cost", "total_cost / quantity; NULL where quantity is 0", PER_STOCK_UNIT),
    ),
)
