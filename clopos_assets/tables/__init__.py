"""Every table of the lake, declared once."""

from clopos_assets.tables.columns import Column, ContractError, Kind, Table
from clopos_assets.tables.cost import DAILY_COGS, INGREDIENT_USAGE, LINE_COGS, PRODUCT_COGS
from clopos_assets.tables.raw import RECEIPT_PRODUCTS, RECEIPTS, STOCK_OPERATIONS

RAW = (RECEIPTS, RECEIPT_PRODUCTS, STOCK_OPERATIONS)
COST = (LINE_COGS, PRODUCT_COGS, DAILY_COGS, INGREDIENT_USAGE)
TABLES = {table.name: table for table in (*RAW, *COST)}
"""All tables by name, inputs before what is made from them."""

__all__ = [
    "COST",
    "DAILY_COGS",
    "INGREDIENT_USAGE",
    "LINE_COGS",
    "PRODUCT_COGS",
    "RAW",
    "RECEIPTS",
    "RECEIPT_PRODUCTS",
    "STOCK_OPERATIONS",
    "TABLES",
    "Column",
    "ContractError",
    "Kind",
    "Table",
]
