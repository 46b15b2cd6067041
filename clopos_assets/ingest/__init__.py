"""A shift date from Clopos into the raw tables: what to list, what to ask again, where each receipt belongs.

Plain Python over the API client, the declared tables and the lake; no Dagster.
"""

from clopos_assets.ingest.made import IngestError, Made, Progress, Scope
from clopos_assets.ingest.operations import Refresh, make_stock_operations
from clopos_assets.ingest.receipts import make_receipts

__all__ = [
    "IngestError",
    "Made",
    "Progress",
    "Refresh",
    "Scope",
    "make_receipts",
    "make_stock_operations",
]
