"""Every table of the lake, declared once."""

from clopos_assets.tables.columns import Column, ContractError, Kind, Table
from clopos_assets.tables.cost import DAILY_COGS, INGREDIENT_USAGE, LINE_COGS, PRODUCT_COGS
from clopos_assets.tables.raw import RECEIPT_PRODUCTS, RECEIPTS, STOCK_OPERATIONS
from clopos_assets.tables.variance import (
    FINDING_HISTORY,
    RECIPE_OBSERVED,
    STOCK_GAPS,
    STOCK_LEDGER,
    USAGE_VARIANCE,
    VARIANCE_FINDINGS,
)

RAW = (RECEIPTS, RECEIPT_PRODUCTS, STOCK_OPERATIONS)
COST = (LINE_COGS, PRODUCT_COGS, DAILY_COGS, INGREDIENT_USAGE)
VARIANCE = (STOCK_LEDGER, STOCK_GAPS, RECIPE_OBSERVED, USAGE_VARIANCE, VARIANCE_FINDINGS, FINDING_HISTORY)
TABLES = {table.name: table for table in (*RAW, *COST, *VARIANCE)}
"""All tables by name, inputs before what is made from them."""

__all__ = [
    "COST",
    "DAILY_COGS",
    "FINDING_HISTORY",
    "INGREDIENT_USAGE",
    "LINE_COGS",
    "PRODUCT_COGS",
    "RAW",
    "RECEIPTS",
    "RECEIPT_PRODUCTS",
    "RECIPE_OBSERVED",
    "STOCK_GAPS",
    "STOCK_LEDGER",
    "STOCK_OPERATIONS",
    "TABLES",
    "USAGE_VARIANCE",
    "VARIANCE",
    "VARIANCE_FINDINGS",
    "Column",
    "ContractError",
    "Kind",
    "Table",
]
