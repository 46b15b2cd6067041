"""The variance tables: what the deductions say beyond cost, against the ledger and the trailing standard.

The SQL is in `sql/variance/`, one file per table.
"""

from clopos_assets.tables.columns import Column, Kind, Table
from clopos_assets.tables.raw import LOCAL, MONEY, PER_STOCK_UNIT, STOCK_UNITS

_STOCK_UNITS_PER_UNIT = "stock units per unit"
_INVISIBLE = (
    " This table cannot know deliveries, counts, waste and transfers one by one: Clopos' API shows none of them."
)


def _id(name: str, meaning: str, *, required: bool = True, repeats: bool = True) -> Column:
    return Column(name, Kind.ID, meaning, required=required, repeats=repeats)


def _text(name: str, meaning: str, *, required: bool = False, repeats: bool = True) -> Column:
    return Column(name, Kind.TEXT, meaning, required=required, repeats=repeats)


def _count(name: str, meaning: str) -> Column:
    return Column(name, Kind.WHOLE, meaning, required=True, repeats=True)


def _decimal(name: str, meaning: str, unit: str | None = MONEY, *, required: bool = True) -> Column:
    return Column(name, Kind.DECIMAL, meaning, unit, required=required)


def _ratio(name: str, meaning: str, unit: str | None = None) -> Column:
    return Column(name, Kind.RATIO, meaning, unit)


STOCK_LEDGER = Table(
    name="stock_ledger",
    group="variance",
    grain="one row per stock operation",
    key=("stock_operation_id",),
    description=(
        "Each deduction beside the one before it on the same stock, by time over the whole lake: a difference is what "
        "happened in between that no sale explains." + _INVISIBLE
    ),
    inputs=("receipts", "stock_operations"),
    columns=(
        _id("stock_operation_id", "Stock operation", repeats=False),
        _id("receipt_id", "Receipt that caused it", repeats=False),
        _id("venue_id", "Venue"),
        _id("storage_id", "Storage"),
        _id("stock_id", "Stock of the product in the storage"),
        _id("product_id", "Product in stock"),
        _text("product_name", "Product's name"),
        _id(
            "previous_operation_id",
            "The operation before it on the same stock by (operated_at, id), of any shift date; NULL for the first",
            required=False,
            repeats=False,
        ),
        _decimal("quantity", "Deducted; negative where put back", STOCK_UNITS),
        _decimal("before_quantity", "In stock before", STOCK_UNITS),
        _decimal("after_quantity", "In stock after", STOCK_UNITS),
        _decimal("cost", "Unit cost applied", PER_STOCK_UNIT),
        _decimal("before_cost", "Unit cost before", PER_STOCK_UNIT, required=False),
        _decimal(
            "previous_after_quantity",
            "In stock after the previous operation; NULL for the first",
            STOCK_UNITS,
            required=False,
        ),
        _decimal(
            "previous_cost", "Unit cost of the previous operation; NULL for the first", PER_STOCK_UNIT, required=False
        ),
        _decimal(
            "unexplained_quantity",
            "before_quantity − previous_after_quantity; > 0 net inflow, < 0 net outflow that no sale explains; "
            "NULL for the first",
            STOCK_UNITS,
            required=False,
        ),
        _decimal(
            "unexplained_value",
            "before_quantity × before_cost − previous_after_quantity × previous_cost; NULL where one is",
            required=False,
        ),
        Column("operated_at", Kind.TIME, "When it was applied", LOCAL, required=True),
    ),
)

STOCK_GAPS = Table(
    name="stock_gaps",
    group="variance",
    grain="one row per venue, storage, stock and ledger date, under the shift date of the operation after the gap",
    key=("venue_id", "storage_id", "stock_id", "ledger_date"),
    description=(
        "Deliveries and losses that can be inferred: what came into and went out of stock between deductions. Inferred "
        "and net: a delivery and a loss between the same two sales show as their difference." + _INVISIBLE
    ),
    inputs=("stock_ledger",),
    columns=(
        _id("venue_id", "Venue"),
        _id("storage_id", "Storage"),
        _id("stock_id", "Stock of the product in the storage"),
        Column(
            "ledger_date", Kind.DATE, "Date of operated_at of the operation after the gap", required=True, repeats=True
        ),
        _id("product_id", "Product in stock"),
        _text("product_name", "Product's name on the operation with the greatest id"),
        _count("gaps", "Gaps: operations whose stock or its value differs from what the previous one left"),
        _decimal("inflow_quantity", "Σ of the quantities that came in", STOCK_UNITS),
        _decimal(
            "inflow_value",
            "Σ of the ledger's value changes, as rounded there, where stock came in; NULL where one is unknown",
            required=False,
        ),
        _decimal("outflow_quantity", "Σ of the quantities that went out, as a positive number", STOCK_UNITS),
        _decimal(
            "outflow_value",
            "Σ of the value changes where stock went out, positive where value was lost; NULL where one is unknown",
            required=False,
        ),
        _decimal("revaluation", "Σ of the value changes at an unchanged quantity"),
        _ratio(
            "implied_unit_price",
            "inflow_value, summed before rounding, / inflow_quantity; NULL where a gap began below 0 or its cost is a "
            "guess",
            PER_STOCK_UNIT,
        ),
    ),
)

RECIPE_OBSERVED = Table(
    name="recipe_observed",
    group="variance",
    grain="one row per venue, sold product and ingredient deducted on the date",
    key=("venue_id", "product_id", "ingredient_id"),
    description=(
        "The recipe as the deductions show it: the most frequent quantity of an ingredient per unit sold. This "
        "table cannot know the recipe that was meant, nor what the kitchen really used."
    ),
    inputs=("line_cogs", "receipt_products", "stock_operations"),
    # Of its own earlier dates it reads what depends on those dates alone. (What is said of changes follows when a run
    # of all tables goes on to the dates after it.)
    trailing=("recipe_observed",),
    columns=(
        _id("venue_id", "Venue"),
        _id("product_id", "Product sold"),
        _id("ingredient_id", "Product in stock that was deducted"),
        _text("product_name", "Sold product's name on the line with the greatest id that deducted it"),
        _text("ingredient_name", "Ingredient's name on the operation with the greatest id"),
        _decimal("quantity", "Deducted of the ingredient for the product, over all its lines", STOCK_UNITS),
        _decimal("total_cost", "Σ total_cost of the pair's deductions"),
        _count("lines", "Lines without modifiers that deducted the ingredient"),
        _decimal(
            "quantity_per_unit",
            "Most frequent quantity per unit sold over those lines, the smallest of equally frequent ones; NULL where "
            "none of them sold units, or so few that no decimal column holds it",
            _STOCK_UNITS_PER_UNIT,
            required=False,
        ),
        _count("deviating_lines", "Those of lines with units and another quantity per unit than the most frequent one"),
        _ratio("deviating_share", "deviating_lines / lines; NULL without such lines"),
        _count(
            "modified_lines",
            "Lines with modifiers that deducted the ingredient: in quantity and total_cost, not in lines and what "
            "rests on them",
        ),
        _decimal(
            "previous_quantity_per_unit",
            "quantity_per_unit on the last shift date before that shows one, within the standard window",
            _STOCK_UNITS_PER_UNIT,
            required=False,
        ),
        Column(
            "changed_on",
            Kind.DATE,
            "Last shift date, this one included, on which it differed from the one before it; NULL where it did not "
            "within the standard window",
            repeats=True,
        ),
        Column(
            "is_thousandfold",
            Kind.FLAG,
            "quantity_per_unit is 900 to 1,100 times the previous one, or the reverse: grams for kilograms",
            required=True,
        ),
    ),
)

USAGE_VARIANCE = Table(
    name="usage_variance",
    group="variance",
    grain="one row per venue, sold product and ingredient, deducted on the date or in the standard window",
    key=("venue_id", "product_id", "ingredient_id"),
    description=(
        "What the ingredients of a product cost against the trailing standard, split into price and usage. Positive is "
        "unfavourable. Usage variance is drift of recipe, modifier or portion; it cannot know waste."
    ),
    inputs=("recipe_observed", "product_cogs"),
    trailing=("recipe_observed", "product_cogs", "ingredient_usage", "daily_cogs"),
    columns=(
        _id("venue_id", "Venue"),
        _id("product_id", "Product sold"),
        _id("ingredient_id", "Product in stock that it deducts"),
        _decimal("units_sold", "Units of the product sold on the date, over all its lines", "units"),
        _decimal("quantity", "Deducted of the ingredient for the product on the date", STOCK_UNITS),
        _decimal("cost", "Σ total_cost of the pair's deductions"),
        _count("standard_days", "Shift dates of the window with a closed receipt of the venue"),
        _ratio(
            "standard_quantity",
            "Σ quantity / Σ units_sold of the pair over the window; NULL unless units were sold",
            _STOCK_UNITS_PER_UNIT,
        ),
        _ratio(
            "standard_cost",
            "Σ total_cost / Σ quantity of the ingredient over window and venue; NULL unless Σ quantity > 0",
            PER_STOCK_UNIT,
        ),
        _decimal("price_variance", "cost − standard_cost × quantity; NULL without a standard", required=False),
        _decimal(
            "usage_variance",
            "standard_cost × (quantity − standard_quantity × units_sold); NULL where a standard is",
            required=False,
        ),
        _decimal("total_variance", "price_variance + usage_variance; NULL where one is", required=False),
    ),
)

VARIANCE_FINDINGS = Table(
    name="variance_findings",
    group="variance",
    grain="one row per thing that does not add up now",
    key=("finding_id",),
    description=(
        "What does not add up, with the amount at risk and a sentence that says it. A finding says that figures "
        "disagree; it cannot know which of them is wrong."
    ),
    inputs=("receipts", "receipt_products", "stock_operations", "line_cogs", "recipe_observed", "stock_ledger"),
    trailing=("recipe_observed", "ingredient_usage"),
    columns=(
        _text(
            "finding_id",
            "Hash of check and entity, the same as long as the finding stands",
            required=True,
            repeats=False,
        ),
        _text("check_name", "Which check", required=True),
        _text("severity", "ERROR, WARN or INFO", required=True),
        _id("venue_id", "Venue"),
        _id("receipt_id", "Receipt; NULL where it is about a whole venue", required=False, repeats=False),
        _id("receipt_product_id", "Line; NULL where it is about none", required=False, repeats=False),
        _id("stock_operation_id", "Stock operation; NULL where it is about none", required=False, repeats=False),
        _id("stock_id", "Stock; NULL where it is about none", required=False),
        _id("product_id", "Product; NULL where it is about none", required=False),
        _decimal(
            "expected",
            "What the figure should be, or its limit; NULL where the check compares no figures",
            None,
            required=False,
        ),
        _decimal("actual", "What the figure is; NULL where expected is", None, required=False),
        _decimal("difference", "actual − expected; NULL where they are", None, required=False),
        _decimal("amount_at_risk", "What it may cost, never negative; NULL where that is unknown", required=False),
        _text("message", "The facts in a sentence", required=True, repeats=False),
    ),
)

FINDING_HISTORY = Table(
    name="finding_history",
    group="variance",
    grain="one row per finding that stands or ever stood",
    key=("finding_id",),
    description=(
        "The findings over time: when each was first and last seen, and when it was found resolved. It knows the "
        "moments at which the shift date was made; it cannot know those at which things happened."
    ),
    inputs=("variance_findings",),
    remembers="when its findings were first seen",
    columns=(
        _text("finding_id", "The finding, as in variance_findings", required=True, repeats=False),
        _text("check_name", "Which check", required=True),
        Column("first_seen_at", Kind.INSTANT, "When a making of the shift date first found it", required=True),
        Column("last_seen_at", Kind.INSTANT, "When a making last found it", required=True),
        Column("resolved_at", Kind.INSTANT, "When a making first did not find it any more; NULL while it stands"),
    ),
)
