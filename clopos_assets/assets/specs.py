"""What Dagster shows of a table and of a check: their specs, the former derived from the table's declaration."""

import warnings
from collections.abc import Sequence

import dagster as dg

from clopos_assets.compute import has_query, query_of
from clopos_assets.lake import Lake
from clopos_assets.tables import Table

_IN_PYTHON = {"parquet", "python"}
_IN_SQL = {"parquet", "duckdb", "sql"}


def spec_of(table: Table, lake: Lake, partitions_def: dg.PartitionsDefinition[str]) -> dg.AssetSpec:
    """The asset spec of a table: description, grain, columns, where it lies, how to read it, what it is made from."""
    uri = lake.uri(table)
    files = f"{uri}/**/*.parquet".replace("'", "''")
    # A line each, for the page shows no more than its width of one.
    read = f"from read_parquet(\n    '{files}',\n    hive_partitioning = true, union_by_name = true\n)"
    metadata: dict[str, str | dg.TableSchema | dg.MarkdownMetadataValue] = {
        "dagster/column_schema": schema_of(table),
        "dagster/table_name": table.name,
        "dagster/uri": uri,
        "read_with_duckdb": dg.MetadataValue.md(f"```sql\n{read}\n```\n`shift_date` is a column then."),
    }
    if has_query(table):
        metadata["made_by"] = dg.MetadataValue.md(f"```sql\n{query_of(table)}```")
    return dg.AssetSpec(
        key=table.name,
        # What it looks back on is made before it in a run, too; of earlier shift dates Dagster need not know.
        deps=[name for name in dict.fromkeys((*table.inputs, *table.trailing)) if name != table.name],
        description=f"{table.description}\n\nGrain, within a shift date: {table.grain}. Key: `{', '.join(table.key)}`.",
        group_name=table.group,
        kinds=_IN_SQL if has_query(table) else _IN_PYTHON,
        partitions_def=partitions_def,
        metadata=metadata,
    )


def schema_of(table: Table) -> dg.TableSchema:
    """The table's columns as Dagster shows them; `shift_date` is in the path and not among them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=column.sql_type,
                description=column.description,
                constraints=dg.TableColumnConstraints(
                    nullable=not column.required, unique=table.key == (column.name,) and not column.repeats
                ),
            )
            for column in table.columns
        ]
    )


def check_spec_of(
    name: str, table: str, partitions_def: dg.PartitionsDefinition[str], description: str, deps: Sequence[str] = ()
) -> dg.AssetCheckSpec:
    """The spec of a check on a table, per shift date; `deps` are tables that it reads besides."""
    with warnings.catch_warnings():
        # Checks per partition are in preview, and there is no other way to say of which shift date one speaks;
        # the version of Dagster is pinned.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            name=name,
            asset=table,
            additional_deps=deps,
            partitions_def=partitions_def,
            description=description,
        )
