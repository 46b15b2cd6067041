"""The stock ledger over the whole lake, brought up to date a few shift dates at a time. Plain Python, no Dagster.

`making` writes the table. `index` knows which operations each day holds, whatever shift date they are filed under,
and what of it has changed; `tree` finds a stock's last operation before a day and its first after one; `packing` is
how both are kept in the lake, below `_ledger`.
"""

from clopos_assets.ledger.index import OTHER_OPERATIONS
from clopos_assets.ledger.making import make_stock_ledger

__all__ = ["OTHER_OPERATIONS", "make_stock_ledger"]
