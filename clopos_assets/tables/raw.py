"""The raw tables, as Clopos delivers them: receipts, their lines, and the stock they deducted.

Field meanings are from the vendor's pages "List receipts", "Get receipt by ID" (v1 and v2) and "Get Receipt
Stock Operations"; a v1-only field that no page describes is given in its plain sense.
"""

import pyarrow as pa
import pyarrow.compute as pc

from clopos_assets.tables.columns import Column, Kind, Table

MONEY = "brand's currency"
PERCENT = "percent"
LOCAL = "venue's local time"
STOCK_UNITS = "stock units"
PER_STOCK_UNIT = "currency per stock unit"


def _field(
    name: str,
    kind: Kind,
    meaning: str,
    unit: str | None = None,
    *,
    path: tuple[str, ...] = (),
    required: bool = False,
    repeats: bool = False,
    v1: bool = False,
) -> Column:
    return Column(name, kind, meaning, unit, path or (name,), required, repeats, v1)


def _id(name: str, meaning: str, *, required: bool = False, repeats: bool = False, v1: bool = False) -> Column:
    return _field(name, Kind.ID, meaning, required=required, repeats=repeats, v1=v1)


def _whole(name: str, meaning: str, *, required: bool = False, v1: bool = False) -> Column:
    return _field(name, Kind.WHOLE, meaning, required=required, repeats=True, v1=v1)


def _flag(name: str, meaning: str, *, v1: bool = False) -> Column:
    return _field(name, Kind.FLAG, meaning, v1=v1)


def _text(name: str, meaning: str, *, repeats: bool = False, v1: bool = False) -> Column:
    return _field(name, Kind.TEXT, meaning, repeats=repeats, v1=v1)


def _json(name: str, meaning: str, *, v1: bool = False) -> Column:
    return _field(name, Kind.JSON, meaning, repeats=True, v1=v1)


def _money(name: str, meaning: str, *, required: bool = False, v1: bool = False) -> Column:
    return _field(name, Kind.DECIMAL, meaning, MONEY, required=required, repeats=True, v1=v1)


def _number(
    name: str, meaning: str, unit: str | None = None, *, required: bool = False, repeats: bool = True
) -> Column:
    return _field(name, Kind.DECIMAL, meaning, unit, required=required, repeats=repeats)


def _time(name: str, meaning: str, *, required: bool = False, v1: bool = False) -> Column:
    return _field(name, Kind.TIME, meaning, LOCAL, required=required, v1=v1)


def _given(name: str, kind: Kind, meaning: str, *, required: bool = False, repeats: bool = False) -> Column:
    return Column(name, kind, meaning, None, (), required, repeats)


_EXTRA = _given(
    "extra",
    Kind.JSON,
    "Fields of the answer that the documents do not name, as a JSON object; NULL where there is none",
    repeats=True,
)
_FETCHED_AT = _given(
    "fetched_at",
    Kind.INSTANT,
    "When this version of the row was first read from the API; a run that finds it unchanged keeps it",
    required=True,
)

RECEIPTS = Table(
    name="receipts",
    group="raw",
    grain="one row per receipt, open ones included",
    key=("id",),
    description=(
        "Receipts by business day (shift date), as the Clopos list shows them: totals, payments, taxes and times. "
        "This table cannot know receipts that were deleted before they were first read."
    ),
    also_known=frozenset({"shift_date", "receipt_products", "stock_operations"}),
    columns=(
        _id("id", "Receipt, unique in the brand", required=True),
        _id("venue_id", "Venue the receipt belongs to", required=True, repeats=True),
        _text("cid", "UUID that the till gave the receipt"),
        _text("cash_shift_cid", "UUID of the cash shift", repeats=True, v1=True),
        _id("customer_id", "Customer, where one is known"),
        _id("user_id", "Staff user of the receipt", repeats=True, v1=True),
        _id("open_by_user_id", "Staff user who opened it", repeats=True, v1=True),
        _id("close_by_user_id", "Staff user who closed it", repeats=True, v1=True),
        _id("courier_id", "Courier who delivers it", repeats=True, v1=True),
        _id("seller_id", "Staff user credited with the sale", repeats=True, v1=True),
        _id("terminal_id", "Till it was opened on", repeats=True, v1=True),
        _id("closed_terminal_id", "Till it was closed on", repeats=True, v1=True),
        _id("service_notification_id", "Service notification", v1=True),
        _id("table_id", "Table", repeats=True, v1=True),
        _id("hall_id", "Hall", repeats=True, v1=True),
        _id("sale_type_id", "Sale type, such as dine-in or delivery", repeats=True),
        _text("source", "Where it was made: web or pos", repeats=True),
        _text(
            "order_status",
            "NEW, SCHEDULED, IN_PROGRESS, READY, PICKED_UP, COMPLETED or CANCELLED; written by integrations. Whether "
            "a receipt is a sale, status alone says",
            repeats=True,
        ),
        _text("order_number", "Order number on display"),
        _text("fiscal_id", "Fiscal receipt, for the tax office"),
        _text("loyalty_type", "Loyalty programme applied", repeats=True),
        _text("address", "Delivery address", repeats=True),
        _text("description", "Notes on the order", repeats=True),
        _text("terminal_version", "Version of the till's software", repeats=True, v1=True),
        _whole("status", "1 open, 2 closed", required=True),
        _whole("guests", "Guests"),
        _whole("discount_type", "Kind of discount, 0 for none"),
        _whole("inventory_status", "Code of the stock posting", v1=True),
        _whole("report_status", "Code of the reporting", v1=True),
        _whole("suspicion", "Code of the till's suspicion", v1=True),
        _whole("gift_count", "Lines given away", v1=True),
        _flag("lock", "Locked from further changes"),
        _flag("printed", "Printed", v1=True),
        _flag("is_returns", "Is a return", v1=True),
        _money("total", "Amount collected", required=True),
        _money("subtotal", "Amount before discounts, taxes and fees"),
        _money("original_subtotal", "Subtotal as first rung up", v1=True),
        _money("gift_total", "Value of what was given away", v1=True),
        _field(
            "total_cost", Kind.DECIMAL, "Cost as Clopos reports it", MONEY, path=("totalCost",), repeats=True, v1=True
        ),
        _money("total_discount", "Discounts in all"),
        _number("discount_value", "Discount as entered: an amount or a percentage, by discount_type"),
        _number("discount_rate", "Effective discount, in percent as far as is known", PERCENT),
        _field("rps_discount", Kind.DECIMAL, "Discounts of the lines", MONEY, repeats=True, v1=True),
        _number("service_charge", "Service charge rate", PERCENT),
        _money("service_charge_value", "Service charge"),
        _money("delivery_fee", "Delivery fee"),
        _money("remaining", "Still to pay; 0 when fully paid"),
        _money("i_tax", "Tax included in prices"),
        _money("e_tax", "Tax added to prices"),
        _money("total_tax", "i_tax + e_tax"),
        _money("by_cash", "Paid in cash", v1=True),
        _money("by_card", "Paid by card", v1=True),
        _number("loyalty_value", "Points or discount of the loyalty programme"),
        _field("payment_methods", Kind.PAYMENTS, "Payments: method, name and amount"),
        _json("meta", "Notes of the till", v1=True),
        _json("properties", "Daily and monthly running numbers", v1=True),
        _json("customer", "Customer, as an object", v1=True),
        _time("created_at", "When it was opened; the API's list filters on it", required=True),
        _time("updated_at", "When it was last changed", required=True),
        _time("terminal_updated_at", "When the till last changed it", v1=True),
        _time("closed_at", "When it was closed; stock is deducted then"),
        _time("deleted_at", "When it was deleted", v1=True),
        _EXTRA,
        _FETCHED_AT,
    ),
)


def is_closed(receipts: pa.Table) -> pa.ChunkedArray:
    """Which of some receipts are sales, by `status` and `deleted_at`: what the SQL calls `closed_receipts`."""
    return pc.and_(pc.equal(receipts.column("status"), 2), pc.is_null(receipts.column("deleted_at")))


def _of_product(name: str, field: str, kind: Kind, meaning: str, unit: str | None = None) -> Column:
    return _field(name, kind, meaning, unit, path=("meta", "product", field), repeats=True)


RECEIPT_PRODUCTS = Table(
    name="receipt_products",
    group="raw",
    grain="one row per line of a receipt",
    key=("id",),
    description=(
        "Lines of the receipts: what was sold, how much, for how much. Names, types and prices are those of the time "
        "of sale. Lines with deleted_at are kept here and left out of every computed table. This table cannot know "
        "lines that were taken off before they were first read."
    ),
    columns=(
        _id("id", "Line, unique in the brand", required=True),
        _given("receipt_id", Kind.ID, "Receipt the line is on", required=True),
        _given("venue_id", Kind.ID, "Venue of the receipt", required=True, repeats=True),
        _id("product_id", "Product sold", required=True, repeats=True),
        _id("seller_id", "Staff user credited with the line", repeats=True, v1=True),
        _text("cid", "UUID that the till gave the line"),
        _text("product_hash", "Hash that the till gave the product with its choices", v1=True),
        _of_product("product_name", "name", Kind.TEXT, "Product's name when sold"),
        _of_product(
            "product_type",
            "type",
            Kind.TEXT,
            "DISH, GOODS, TIMER, PREPARATION, INGREDIENT or MODIFICATION",
        ),
        _of_product("product_barcode", "barcode", Kind.TEXT, "Product's barcode"),
        _flag("is_gift", "Given away"),
        _whole("discount_type", "Kind of the line's discount, 0 for none"),
        _whole("preprint_count", "Times printed before payment", v1=True),
        _whole("station_printed_count", "Units printed at the station", v1=True),
        _whole("station_aborted_count", "Units aborted at the station", v1=True),
        _text("loyalty_type", "Loyalty programme applied", repeats=True),
        _number("count", "Quantity; fractional where sold by weight", "portions", required=True),
        _number("portion_size", "Size of a portion, usually 1; NULL or 0 counts as 1", "units per portion"),
        _money("price", "Unit price when sold"),
        _of_product("product_price", "price", Kind.DECIMAL, "Catalogue price when sold", MONEY),
        _money("cost", "Cost as Clopos reports it", v1=True),
        _money("subtotal", "Amount before discounts of the receipt"),
        _money("total", "Amount after adjustments: the line's net sales", required=True),
        _number("discount_value", "Discount as entered: an amount or a percentage"),
        _number("discount_rate", "Effective discount, in percent as far as is known", PERCENT),
        _money("total_discount", "Discounts of the line"),
        _money("receipt_discount", "Share of the receipt's discount"),
        _number("loyalty_value", "Points or discount of the loyalty programme"),
        Column(
            "modificators",
            Kind.JSON,
            "Modifiers chosen, as the API gives them",
            source=("modificators",),
            repeats=True,
            v1_source="receipt_product_modificators",
        ),
        _json("taxes", "Taxes of the line", v1=True),
        _json("product", "Product as an object, where the API adds one; it is not asked for"),
        _json("meta", "Notes of the till, the product at the time of sale among them"),
        _time("created_at", "When it was added"),
        _time("updated_at", "When it was last changed"),
        _time("terminal_updated_at", "When the till last changed it", v1=True),
        _time("deleted_at", "When it was taken off the receipt", v1=True),
        _EXTRA,
        _FETCHED_AT,
    ),
    also_known=frozenset({"receipt_id"}),
)

STOCK_OPERATIONS = Table(
    name="stock_operations",
    group="raw",
    grain="one row per deduction that a closed receipt caused",
    key=("id",),
    description=(
        "Stock written off by sales, with the stock and its unit cost before and after. This table cannot know "
        "deliveries, counts, waste and transfers: no endpoint shows them."
    ),
    inputs=("receipts", "receipt_products"),
    columns=(
        _id("id", "Stock operation, unique in the brand", required=True),
        _id("receipt_id", "Receipt that caused it", required=True),
        _id("receipt_product_id", "Line that caused it"),
        _given("venue_id", Kind.ID, "Venue of the receipt", required=True, repeats=True),
        _id("product_id", "Product in stock: an ingredient or a good", required=True, repeats=True),
        _id("stock_id", "Stock of that product in that storage", required=True, repeats=True),
        _id("storage_id", "Storage", required=True, repeats=True),
        _id("operation_id", "Document behind it; always NULL for a sale", repeats=True),
        _field("product_name", Kind.TEXT, "Product's name", path=("product", "name"), repeats=True),
        _field("storage_name", Kind.TEXT, "Storage's name", path=("stock", "storage", "name"), repeats=True),
        _number("quantity", "Deducted; negative where put back", STOCK_UNITS, required=True),
        _number("before_quantity", "In stock before", STOCK_UNITS, required=True, repeats=False),
        _number("after_quantity", "In stock after", STOCK_UNITS, required=True, repeats=False),
        _number("cost", "Unit cost applied", PER_STOCK_UNIT, required=True),
        _number("before_cost", "Unit cost before", PER_STOCK_UNIT),
        _money("total_cost", "Cost of the quantity deducted", required=True),
        _time("operated_at", "When it was applied: when the receipt closed", required=True),
        _EXTRA,
        _FETCHED_AT,
    ),
)
