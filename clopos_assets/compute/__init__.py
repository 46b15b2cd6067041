"""A derived table of one shift date from its SQL: DuckDB over the lake's Parquet, in bounded memory.

`making` makes a date's table and looks whether it adds up, `inputs` has partitions as DuckDB reads them, and `querying`
runs the SQL, one select per file in `sql/{group}/{table}.sql`, over views named after the tables it reads.
"""

from clopos_assets.compute.inputs import ComputeError, open_partition, registered
from clopos_assets.compute.making import Rules, compute
from clopos_assets.compute.querying import MANY_OPERATIONS, has_query, query_of, select

__all__ = [
    "MANY_OPERATIONS",
    "ComputeError",
    "Rules",
    "compute",
    "has_query",
    "open_partition",
    "query_of",
    "registered",
    "select",
]
