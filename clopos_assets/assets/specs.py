"""What Dagster shows of a table: its spec, derived from the table's declaration."""

import dagster as dg

from clopos_assets.lake import Lake
from clopos_assets.tables import Table

KINDS = {"raw": {"parquet", "python"}, "cost": {"parquet", "duckdb", "sql"}, "variance": {"parquet", "duckdb", "sql"}}


def spec_of(table: Table, lake: Lake, partitions_def: dg.PartitionsDefinition[str]) -> dg.AssetSpec:
    """The asset spec of a table: description, grain, columns, where it lies and what it is made from."""
    return dg.AssetSpec(
        key=table.name,
        # What it looks back on is made before it in a run, too; of earlier shift dates Dagster need not know.
        deps=[name for name in dict.fromkeys((*table.inputs, *table.trailing)) if name != table.name],
        description=f"{table.description}\n\nGrain: {table.grain}, by shift date. Key: `{', '.join(table.key)}`.",
        group_name=table.group,
        kinds=KINDS[table.group],
        partitions_def=partitions_def,
        metadata={
            "dagster/column_schema": schema_of(table),
            "dagster/table_name": table.name,
            "dagster/uri": lake.uri(table),
        },
    )


def schema_of(table: Table) -> dg.TableSchema:
    """The table's columns as Dagster shows them; `shift_date` is in the path and not among them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=column.sql_type,
                description=column.description,
                constraints=dg.TableColumnConstraints(nullable=not column.required, unique=table.key == (column.name,)),
            )
            for column in table.columns
        ]
    )
